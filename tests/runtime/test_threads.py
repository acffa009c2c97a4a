"""Groups of windows and threads, and that neither has any influence on an answer."""

import random

import numpy as np
import pytest

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.threads import GROUP_WINDOWS, plan_groups, run_threads

LABELS = ["person", "location", "organization", "date", "work of art"]


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("n_columns", [1, 50, 20_000])
def test_plan_groups_covers_all_windows_once(n_columns, is_masked):
    rng = np.random.default_rng(0)
    for n_windows in range(1, 70):
        lengths = np.sort(rng.integers(1, 385, n_windows))[::-1].astype(np.int32)
        groups = plan_groups(lengths, n_columns, 2, is_masked=is_masked)
        covered = [place for group in groups for place in range(n_windows)[group]]
        assert covered == list(range(n_windows))
        assert max(len(range(n_windows)[group]) for group in groups) <= GROUP_WINDOWS


def test_plan_groups_gives_threads_as_many_groups():
    groups = plan_groups(np.full(64, 100, np.int32), 5, 4, is_masked=False)
    assert len(groups) % 4 == 0


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_run_threads_keeps_the_order(num_threads):
    assert run_threads(lambda item: item**2, range(20), num_threads) == [n**2 for n in range(20)]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_run_threads_raises_what_the_function_raises(num_threads):
    with pytest.raises(ZeroDivisionError):
        run_threads(lambda item: 1 // item, [3, 2, 1, 0], num_threads)


def thousand_texts():
    """Return texts of the sample, of 1 to 120 words, some of which occur more than once."""
    words = [word for passage in read_passages(sample_path("train")) for word in passage.words]
    draws = random.Random(0)
    texts = []
    while len(texts) < 1_000:
        start = draws.randrange(len(words))
        texts.append(" ".join(words[start : start + draws.randrange(1, 121)]))
    return texts


@pytest.mark.slow
def test_a_thousand_texts_have_the_same_answers_however_they_are_asked():
    texts = thousand_texts()
    student = StudentNER.from_pretrained(num_threads=2)
    expected = student.inference(texts, LABELS)
    assert sum(map(len, expected)) > 1_000
    alone = StudentNER.from_pretrained(num_threads=1)
    assert [alone.predict_entities(text, LABELS) for text in texts] == expected
    order = random.Random(1).sample(range(1_000), 1_000)
    shuffled = student.inference([texts[place] for place in order], LABELS)
    assert shuffled == [expected[place] for place in order]
    assert student.inference(texts, LABELS, batch_size=7) == expected
    assert list(student.inference(iter(texts), LABELS)) == expected
    # Labels of their own, which are too many to be asked at once.
    own = [[*LABELS[place % 3 :], f"kind {place}", f"sort {place}"] for place in range(300)]
    one_by_one = [
        alone.predict_entities(text, labels, threshold=0.3)
        for text, labels in zip(texts[:300], own, strict=True)
    ]
    assert student.inference(texts[:300], own, threshold=0.3) == one_by_one
    for num_threads in (1, 4):
        other = StudentNER.from_pretrained(num_threads=num_threads)
        assert other.inference(texts, LABELS) == expected
