"""The graph of the runtime answers as torch does, for every architecture."""

from itertools import product

import numpy as np
import onnxruntime
import pytest

from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.scorer import StudentScorer
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.predictor import StudentPredictor

LABELS = ("person", "city", "river")
SHAPES = [
    {"head": head, "n_layers": n_layers, "bidirectional": both, "label_hidden_width": hidden}
    for head, n_layers, both, hidden in product(
        ("boundary", "softmax"), (1, 2), (True, False), (0, 6)
    )
]


def name_of(shape):
    return " ".join(str(value) for value in shape.values())


def as_tuples(found):
    return [
        [
            (
                entity.start_word,
                entity.end_word,
                entity.label,
                pytest.approx(entity.score, abs=1e-5),
            )
            for entity in entities
        ]
        for entities in found
    ]


@pytest.fixture(params=SHAPES, ids=name_of)
def student(request, build_finder):
    return build_finder(**request.param)


class TestGraph:
    @pytest.mark.parametrize("batch_size", [1, 2, 7])
    def test_graph_gives_the_logits_of_torch(
        self, student, batch_size, small_vocabulary, draw_words
    ):
        scorer = StudentScorer(make_bundle(student, small_vocabulary), num_threads=1)
        labels = scorer.encode(tuple((label, label) for label in LABELS))
        torch_scorer = StudentPredictor(student, small_vocabulary)
        passages = draw_words(batch_size, 14, longest=30)
        assert len({len(words) for words in passages}) > 5
        for first in range(0, 14, batch_size):
            batch = passages[first : first + batch_size]
            expected = torch_scorer.logits(batch, [LABELS] * len(batch))
            for logits, exact in zip(scorer.logits(batch, labels), expected, strict=True):
                assert logits.shape == exact.shape
                np.testing.assert_allclose(logits, exact, rtol=0, atol=1e-4)
                assert np.ptp(exact) > 0.1

    def test_graph_scores_a_passage_alone_as_in_a_padded_batch(
        self, student, small_vocabulary, draw_words
    ):
        runtime = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        passages = [*draw_words(0, 6), ["mary"], draw_words(2, 1, longest=300)[0] * 20]
        passages[-1] = passages[-1][:384]
        together = runtime.word_logits(passages, LABELS)
        for words, logits in zip(passages, together, strict=True):
            (alone,) = runtime.word_logits([words], LABELS)
            np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-5)

    def test_graph_multiplies_word_vectors_with_labels(self, student, small_vocabulary):
        # Only spans use the second output, so that a difference would not show in the logits.
        bundle = make_bundle(student, small_vocabulary)
        session = onnxruntime.InferenceSession(bundle.graph, providers=["CPUExecutionProvider"])
        draws = np.random.default_rng(0)
        n_states = 16 if student.config.bidirectional else 8
        labels = draws.normal(size=(n_states, 5)).astype(np.float32)
        feeds = {
            "embedded": draws.normal(size=(3, 4, 8)).astype(np.float32),
            "n_words": np.array([4, 2, 1], np.int32),
            "labels": labels,
        }
        words, scores = session.run(["words", "scores"], feeds)
        np.testing.assert_allclose(scores, words @ labels, rtol=0, atol=1e-5)

    def test_graph_finds_the_entities_that_torch_finds(self, student, small_vocabulary, draw_words):
        passages = [*draw_words(3, 60), []]
        expected = StudentPredictor(student, small_vocabulary).predict_words(
            passages, [LABELS] * len(passages)
        )
        assert sum(map(len, expected)) > 30
        runtime = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        found = runtime.predict_words(passages, [LABELS] * len(passages))
        assert as_tuples(found) == as_tuples(expected)
