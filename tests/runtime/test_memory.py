"""The limit of memory and its parts, and that no limit changes an answer."""

from itertools import islice

import pytest

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.crowds import MAX_SPANS
from gliner_distill.errors import InputError
from gliner_distill.runtime.memory import MemoryPlan, read_size
from gliner_distill.runtime.ner import StudentNER


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("512MB", 512 * 10**6),
        (400_000_000, 400_000_000),
        ("400000kb", 400_000_000),
    ],
)
def test_read_size_takes_units(size, n_bytes):
    assert read_size(size) == n_bytes


@pytest.mark.parametrize("size", ["", "2TB", "GB", "-2GB", "1e9", "2GB of it", True, None])
def test_read_size_refuses_what_is_no_size(size):
    with pytest.raises(InputError, match=r"max_memory is .*512MB"):
        read_size(size)


@pytest.mark.parametrize("size", ["100MB", 0, "191999999"])
def test_read_size_refuses_less_than_a_student_needs(size):
    with pytest.raises(InputError, match=rf"{size}.* 192 MB"):
        read_size(size)


def test_memory_plan_stays_within_the_limit():
    for size in ("192MB", "500MB", "2GB", "64GB"):
        plan = MemoryPlan.of(size)
        caches = plan.word_bytes + plan.label_bytes + plan.label_set_bytes
        assert caches <= (read_size(size) - 128_000_000) / 4
        assert plan.n_scores >= MAX_SPANS
        assert plan.n_spans >= MAX_SPANS
    assert MemoryPlan.of("4GB").n_spans > MemoryPlan.of("2GB").n_spans > MAX_SPANS


@pytest.mark.slow
def test_answers_are_the_same_for_every_limit():
    passages = islice(read_passages(sample_path("train")), 300)
    texts = [" ".join(passage.words) for passage in passages]
    texts += ["Monday " * 700, " ".join(texts)]
    labels = ["person", "location", "date", "event", "quantity", "thing"]
    rules = {"threshold": 0.2, "flat_ner": False}
    small = StudentNER.from_pretrained(num_threads=1, max_memory="192MB")
    large = StudentNER.from_pretrained(num_threads=1, max_memory="8GB")
    found = small.inference(texts, labels, **rules)
    assert found == large.inference(texts, labels, **rules)
    assert sum(map(len, found)) > 1000
    assert small.n_cached_bytes < large.n_cached_bytes
