"""The scorer: its sparse probabilities against all logits, with masks, thresholds and windows."""

from dataclasses import replace

import numpy as np
import pytest

from gliner_distill.decoding import sigmoid
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import StudentError
from gliner_distill.kernel.kernels import default_kernel, find_library
from gliner_distill.runtime.head_scoring import SearchRules
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.scorer import (
    StudentScorer,
    WordVectorsKept,
)
from gliner_distill.runtime.sections import WINDOW_WORDS
from gliner_distill.spans import TagScores
from gliner_distill.student.bundling import make_bundle

LABELS = ("person", "city", "river")
PROMPTS = tuple((label, label) for label in LABELS)
OWN = {"person": 0.5, "city": 0.3, "river": 0.7}
THRESHOLDS = np.array([0.3, 0.5, 0.6], dtype=np.float32)


def logit_of(prob):
    return np.log(prob / (1 - prob))


def score_all(scorer, passages, **options):
    labels = scorer.encode(PROMPTS)
    parts = scorer.score(passages, scorer.columns(labels, OWN), THRESHOLDS, **options)
    return TagScores.concatenate(list(parts)) if any(passages) else None


def as_dict(scores):
    """Return the probabilities by passage, label and word."""
    keys = zip(scores.passage.tolist(), scores.label.tolist(), scores.word.tolist(), strict=True)
    return dict(zip(keys, np.stack([scores.start, scores.end, scores.inside], 1), strict=True))


@pytest.fixture(scope="module")
def boundary(build_finder, small_vocabulary):
    bundle = make_bundle(build_finder(head="boundary", n_layers=2), small_vocabulary)
    return StudentScorer(bundle, num_threads=1)


@pytest.fixture(scope="module")
def softmax(build_finder, small_vocabulary):
    bundle = make_bundle(build_finder(head="softmax"), small_vocabulary)
    return StudentScorer(bundle, num_threads=1)


@pytest.fixture(scope="module")
def passages(draw_words):
    return [*draw_words(0, 12), [], draw_words(1, 1, longest=3)[0]]


def expected_boundary_scores(scorer, passages, asked):
    """Return what counts, from all logits: the label's own threshold is moved to 0.5."""
    shifts = np.array([logit_of(OWN[label]) for label in LABELS], dtype=np.float32)
    expected = {}
    for number, logits in enumerate(scorer.logits(passages, scorer.encode(PROMPTS))):
        probs = sigmoid(logits - shifts[:, None])
        for word, label in np.argwhere(probs[:, :, INSIDE] >= THRESHOLDS).tolist():
            if asked[number, label]:
                expected[number, label, word] = probs[word, label, [START, END, INSIDE]]
    return expected


def test_score_of_a_boundary_student_equals_all_logits(boundary, passages):
    asked = np.ones((len(passages), len(LABELS)), dtype=np.bool_)
    scores = as_dict(score_all(boundary, passages))
    expected = expected_boundary_scores(boundary, passages, asked)
    assert len(expected) > 20
    assert scores.keys() == expected.keys()
    for key, probs in expected.items():
        np.testing.assert_allclose(scores[key], probs, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_score_counts_only_labels_in_the_mask(boundary, passages, batch_size):
    asked = np.random.default_rng(0).random((len(passages), len(LABELS))) < 0.5
    scores = score_all(boundary, passages, label_mask=asked, batch_size=batch_size)
    expected = expected_boundary_scores(boundary, passages, asked)
    assert expected
    assert as_dict(scores).keys() == expected.keys()


def test_score_returns_triples_in_reading_order(boundary, passages):
    scores = score_all(boundary, passages, batch_size=3)
    keys = list(as_dict(scores))
    assert keys == sorted(keys)


def test_score_of_a_softmax_student_has_one_label_per_word(softmax, passages):
    shifts = np.array([logit_of(OWN[label]) for label in LABELS], dtype=np.float32)
    scores = as_dict(score_all(softmax, passages))
    expected = {}
    for number, logits in enumerate(softmax.logits(passages, softmax.encode(PROMPTS))):
        for word, row in enumerate(logits):
            best = int(row[1:].argmax())
            prob = sigmoid(row[1:] - row[0] - shifts)[best]
            if prob > THRESHOLDS[best]:
                expected[number, best, word] = prob
    assert len(expected) > 5
    assert scores.keys() == expected.keys()
    for key, prob in expected.items():
        assert scores[key][2] == pytest.approx(prob, abs=1e-5)


def test_score_of_a_softmax_student_counts_only_labels_in_the_mask(softmax, passages):
    nothing = np.zeros((len(passages), len(LABELS)), dtype=np.bool_)
    assert not as_dict(score_all(softmax, passages, label_mask=nothing))
    only_city = nothing.copy()
    only_city[:, 1] = True
    scores = score_all(softmax, passages, label_mask=only_city)
    assert set(scores.label.tolist()) == {1}


@pytest.mark.parametrize("head", ["boundary", "softmax"])
def test_score_of_no_words_is_empty(head, request):
    scorer = request.getfixturevalue(head)
    columns = scorer.columns(scorer.encode(PROMPTS), OWN)
    for passages in ([], [[], []]):
        assert list(scorer.score(passages, columns, THRESHOLDS)) == []


@pytest.mark.parametrize("head", ["boundary", "softmax"])
def test_label_probs_of_one_word_equal_its_score(head, request, passages):
    scorer = request.getfixturevalue(head)
    kept = WordVectorsKept()
    labels = scorer.encode(PROMPTS)
    columns = scorer.columns(labels, OWN)
    shifts = columns.shifts
    parts = scorer.score(passages, columns, THRESHOLDS, kept=kept)
    scores = next(parts)  # the vectors are kept while the part is used
    assert len(scores.word)
    for (passage, label, word), probs in as_dict(scores).items():
        states = kept.by_word[passage, word][None]
        span_prob = scorer.label_probs(states, labels, shifts)[label]
        if head == "boundary":
            assert span_prob == pytest.approx(probs.min(), abs=1e-5)
        else:
            assert span_prob == pytest.approx(probs[2], abs=1e-5)
    assert list(parts) == []
    assert kept.by_word == {}


class CountingKernel:
    """A kernel that counts its searches and the calls of them."""

    def __init__(self):
        self._kernel = default_kernel()
        self.n_searches = self.n_calls = 0

    def __getattr__(self, name):
        return getattr(self._kernel, name)

    def load_search(self, search):
        self.n_searches += 1
        self._loaded = self._kernel.load_search(search)
        return self

    def find(self, *arguments):
        self.n_calls += 1
        return self._loaded.find(*arguments)


@pytest.mark.skipif(find_library() is None, reason="the kernel was not compiled here")
def test_find_with_own_labels_calls_the_kernel_as_often_as_with_common_ones(
    build_finder, small_vocabulary, passages
):
    kernel = CountingKernel()
    bundle = make_bundle(build_finder(head="boundary"), small_vocabulary)
    scorer = StudentScorer(bundle, num_threads=1, kernel=kernel)
    columns = scorer.columns(scorer.encode(PROMPTS), OWN)
    search = scorer.search(columns, SearchRules(THRESHOLDS, None, True, False))
    scorer.find(passages, LABELS, search)
    n_calls = kernel.n_calls
    asked = np.random.default_rng(0).random((len(passages), 3)) < 0.5
    found = scorer.find(passages, LABELS, search, label_mask=asked)
    assert kernel.n_calls == 2 * n_calls
    assert kernel.n_searches == 1
    labels = [{entity.label for entity in entities} for entities in found]
    assert set().union(*labels) >= {"person", "city"}
    for of_passage, row in zip(labels, asked, strict=True):
        assert of_passage <= {
            label for label, is_asked in zip(LABELS, row, strict=True) if is_asked
        }


def test_logits_of_a_long_passage_cover_every_word(boundary, draw_words):
    words = [word for passage in draw_words(2, 80) for word in passage][: WINDOW_WORDS + 100]
    assert len(words) == WINDOW_WORDS + 100
    (logits,) = boundary.logits([words], boundary.encode(PROMPTS))
    assert logits.shape == (len(words), 3, 3)
    (start,) = boundary.logits([words[:WINDOW_WORDS]], boundary.encode(PROMPTS))
    # The first window keeps all words but the second half of the overlap of 32.
    kept = WINDOW_WORDS - 16
    np.testing.assert_allclose(logits[:kept], start[:kept], atol=1e-5)
    assert (logits[kept:] != 0).all()


def test_scorer_refuses_results_that_are_not_finite(build_student, small_vocabulary):
    bundle = make_bundle(build_student(head="boundary"), small_vocabulary)
    bias = np.full_like(bundle.weights["word_tower.bias"], 3e38)
    huge = replace(bundle, weights={**bundle.weights, "word_tower.bias": bias})
    with pytest.raises(StudentError, match="not finite"):
        StudentNER(huge, num_threads=1).predict_words([["a", "b"]], [["city"]])
