"""The graph for other runtimes answers as torch and as the kernel do, for every architecture."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

import onnxruntime
import torch

from gliner_distill.runtime.scorer import StudentScorer
from gliner_distill.student.batch import make_batch
from gliner_distill.student.bundling import make_bundle, student_weights
from gliner_distill.student.onnx_graph import build_graph, max_graph_difference
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


@pytest.fixture(params=SHAPES, ids=name_of)
def student(request, build_finder):
    return build_finder(**request.param)


def graph_of(student):
    return build_graph(student.config, student_weights(student)).SerializeToString()


def session_of(student):
    return onnxruntime.InferenceSession(graph_of(student), providers=["CPUExecutionProvider"])


@torch.inference_mode()
def run_graph(session, student, vocabulary, passages):
    """Return the logits of each passage; torch embeds words and labels, and applies the head."""
    batch = make_batch(
        [vocabulary.encode_words(words) for words in passages],
        [LABELS] * len(passages),
        vocabulary,
    )
    pooled, pieces = student.look_up(batch)
    vectors = student.label_vectors(student.read_labels(pieces, batch.label_starts))
    embedded = student.pad_words(pooled + student.shapes(batch.word_shapes), batch.word_mask)
    feeds = {
        "embedded": embedded.numpy(),
        "n_words": batch.n_words.numpy().astype(np.int32),
        "labels": vectors.flatten(0, 1).T.contiguous().numpy(),
    }
    words, scores = map(torch.from_numpy, session.run(["words", "scores"], feeds))
    products = scores.reshape(*scores.shape[:2], len(LABELS), -1)
    logits = student.head.logits(student, words * words.shape[-1] ** 0.5, products)
    return [rows[: len(asked)].numpy() for rows, asked in zip(logits, passages, strict=True)]


class TestGraph:
    @pytest.mark.parametrize("batch_size", [1, 2, 7])
    def test_graph_gives_the_logits_of_torch_and_of_the_kernel(
        self, student, batch_size, small_vocabulary, draw_words
    ):
        session = session_of(student.eval())
        scorer = StudentScorer(make_bundle(student, small_vocabulary), num_threads=1)
        labels = scorer.encode(tuple((label, label) for label in LABELS))
        predictor = StudentPredictor(student, small_vocabulary)
        passages = draw_words(batch_size, 14, longest=30)
        assert len({len(words) for words in passages}) > 5
        for first in range(0, 14, batch_size):
            batch = passages[first : first + batch_size]
            exact = predictor.logits(batch, [LABELS] * len(batch))
            kernel = scorer.logits(batch, labels)
            graph = run_graph(session, student, small_vocabulary, batch)
            for ours, theirs, torchs in zip(graph, kernel, exact, strict=True):
                assert ours.shape == theirs.shape == torchs.shape
                np.testing.assert_allclose(ours, torchs, rtol=0, atol=1e-4)
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
                assert np.ptp(torchs) > 0.1

    def test_graph_scores_a_passage_alone_as_in_a_padded_batch(
        self, student, small_vocabulary, draw_words
    ):
        session = session_of(student.eval())
        passages = [*draw_words(0, 6), ["mary"], (draw_words(2, 1, longest=300)[0] * 20)[:384]]
        together = run_graph(session, student, small_vocabulary, passages)
        for words, logits in zip(passages, together, strict=True):
            (alone,) = run_graph(session, student, small_vocabulary, [words])
            np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-5)

    def test_graph_multiplies_word_vectors_with_labels(self, student):
        draws = np.random.default_rng(0)
        n_states = 16 if student.config.bidirectional else 8
        labels = draws.normal(size=(n_states, 5)).astype(np.float32)
        feeds = {
            "embedded": draws.normal(size=(3, 4, 8)).astype(np.float32),
            "n_words": np.array([4, 2, 1], np.int32),
            "labels": labels,
        }
        words, scores = session_of(student).run(["words", "scores"], feeds)
        np.testing.assert_allclose(scores, words @ labels, rtol=0, atol=1e-5)


def test_max_graph_difference_sees_a_wrong_weight(build_finder, small_vocabulary, draw_words):
    student = build_finder()
    passages = draw_words(1, 9)

    def difference(graph):
        return max_graph_difference(graph, student, small_vocabulary, passages, LABELS)

    assert difference(graph_of(student)) < 1e-5
    weights = student_weights(student)
    weights["word_tower.bias"] = weights["word_tower.bias"] + np.float32(0.5)
    wrong = build_graph(student.config, weights).SerializeToString()
    assert difference(wrong) > 1e-3
