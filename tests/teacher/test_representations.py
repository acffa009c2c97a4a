"""A GLiNER's representations: that they are what it scores, and where there are none."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gliner_distill.errors import TeacherError
from gliner_distill.student.losses import feature_loss
from gliner_distill.teacher.gliner import GLiNERTeacher, span_to_word_probs
from gliner_distill.teacher.representations import (
    TeacherFeatures,
    teacher_feature_width,
    teacher_features,
)

WORDS = ["mary", "saw", "the", "old", "bank", "of", "rhine", "geneva-based", "42", "x"]
LABELS = ["person", "city", "river", "company", "place name"]
WIDTH = 32


def random_passages():
    """Return passages of 1 to 30 words and the labels of each, which differ in set and order."""
    draw = random.Random(3)
    passages = [draw.choices(WORDS, k=n_words) for n_words in (7, 30, 1, 12, 25)]
    return passages, [draw.sample(LABELS, draw.randint(1, 5)) for _ in passages]


@torch.no_grad()
def scores_of(model, words, prompts):
    """Return the probabilities that a GLiNER gives to representations of its own."""
    if model.config.span_mode == "token_level":
        return torch.sigmoid(model.model.scorer(words[None], prompts[None]))[0]
    n_words, n_widths = len(words), model.config.max_width
    spans = [(first, first + more) for first in range(n_words) for more in range(n_widths)]
    spans = torch.tensor([span if span[1] < n_words else (0, 0) for span in spans])[None]
    span_vectors = model.model.span_rep_layer(words[None], spans)
    span_probs = torch.sigmoid(torch.einsum("bwkd,cd->bwkc", span_vectors, prompts))
    return span_to_word_probs(span_probs, torch.tensor([n_words]))[0]


class TestTeacherFeatures:
    def test_teacher_features_are_the_vectors_that_gliner_scores(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        passages, labels = random_passages()
        words, prompts = teacher_features(teacher, passages, labels)
        assert teacher_feature_width(teacher) == WIDTH
        assert words.shape == (5, 30, WIDTH)
        assert prompts.shape == (5, max(map(len, labels)), WIDTH)
        expected = teacher.score_passages(passages, labels)
        for row, probs in enumerate(expected):
            n_words, n_labels, _ = probs.shape
            found = scores_of(tiny_gliner, words[row, :n_words], prompts[row, :n_labels])
            np.testing.assert_allclose(found, probs, atol=1e-5)
            assert words[row, n_words:].isnan().all()
            assert prompts[row, n_labels:].isnan().all()

    def test_teacher_features_cover_the_first_window_and_labels_only(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        draw = random.Random(0)
        long, labels = draw.choices(WORDS[:7], k=90), [f"{label} x" for label in LABELS] + LABELS
        words, prompts = teacher_features(teacher, [long], [labels])
        first_words, first_prompts = teacher_features(teacher, [long[:40]], [labels[:5]])
        torch.testing.assert_close(words[:, :40], first_words, rtol=0, atol=1e-5)
        torch.testing.assert_close(prompts[:, :5], first_prompts, rtol=0, atol=1e-5)
        assert first_words.isfinite().all()
        assert words[:, 40:].isnan().all()
        assert prompts[:, 5:].isnan().all()

    def test_teacher_features_do_not_depend_on_the_batches(self, tiny_gliner):
        passages, labels = random_passages()
        passages[0] = passages[0] * 9  # two windows
        one_by_one = teacher_features(GLiNERTeacher(tiny_gliner, batch_pieces=1), passages, labels)
        at_once = teacher_features(GLiNERTeacher(tiny_gliner, batch_pieces=10**6), passages, labels)
        for found, expected in zip(one_by_one, at_once, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, equal_nan=True)

    def test_teacher_features_are_nan_without_words_or_labels(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        words, prompts = teacher_features(teacher, [["paris"], [], ["x"]], [[], ["city"], ["city"]])
        assert words.isnan().all(-1).tolist() == [[True], [True], [False]]
        assert prompts.isnan().all(-1).tolist() == [[True], [True], [False]]
        words, prompts = teacher_features(teacher, [], [])
        assert words.shape == prompts.shape == (0, 0, WIDTH)

    def test_teacher_features_take_part_in_a_loss_without_a_gradient(self, tiny_gliner):
        passages, labels = random_passages()
        words, prompts = teacher_features(GLiNERTeacher(tiny_gliner), passages, labels)
        assert not words.requires_grad
        assert not prompts.requires_grad
        own = torch.ones(words.shape, requires_grad=True)
        feature_loss(own, words).backward()
        assert own.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in tiny_gliner.model.parameters())

    @pytest.mark.parametrize("missing", ["words_embedding", "prompts_embedding"])
    def test_teacher_features_refuse_a_model_without_representations(
        self, build_gliner, monkeypatch, missing
    ):
        model = build_gliner("UniEncoderSpan")
        run_batch = model.run_batch
        monkeypatch.setattr(
            model, "run_batch", lambda batch: SimpleNamespace(**run_batch(batch) | {missing: None})
        )
        teacher = GLiNERTeacher(model, name="mute")
        with pytest.raises(TeacherError, match=r"^mute: .*words_embedding"):
            teacher_features(teacher, [["paris"]], [["city"]])


class TestRememberedFeatures:
    @pytest.fixture
    def watched(self, build_gliner, monkeypatch):
        """A teacher, and the list of the passages that it is asked for."""
        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        asked, represent = [], teacher.represent_passages

        def watch(passages, labels):
            asked.extend(zip(passages, labels, strict=True))
            return represent(passages, labels)

        monkeypatch.setattr(teacher, "represent_passages", watch)
        return teacher, asked

    def test_remembered_features_are_those_of_the_teacher(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        passages, labels = random_passages()
        passages[2], labels[3] = [], []
        features = TeacherFeatures(teacher)
        expected = teacher_features(teacher, passages, labels)
        for _ in range(2):
            for found, vectors in zip(features.of_batch(passages, labels), expected, strict=True):
                torch.testing.assert_close(found, vectors, rtol=0, atol=1e-5, equal_nan=True)

    def test_remembered_features_do_not_depend_on_the_rest_of_a_batch(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        passages, labels = random_passages()
        words, prompts = TeacherFeatures(teacher).of_batch(passages, labels)
        for row in (4, 2, 0):
            alone, own = TeacherFeatures(teacher).of_batch(passages[row : row + 1], [labels[row]])
            assert torch.equal(alone[0], words[row, : len(passages[row])])
            assert torch.equal(own[0], prompts[row, : len(labels[row])])

    def test_remembered_features_ask_the_teacher_once(self, watched):
        teacher, asked = watched
        passages, labels = random_passages()
        features = TeacherFeatures(teacher)
        first = features.of_batch(passages, labels)
        again = features.of_batch(passages[::-1], labels[::-1])
        assert len(asked) == len(passages)
        assert torch.equal(again[0].flip(0).nan_to_num(9), first[0].nan_to_num(9))
        # The same words with other labels are another passage for a GLiNER.
        features.of_batch(passages[:1], [["place name", "person"]])
        assert len(asked) == len(passages) + 1

    def test_remembered_features_keep_within_their_memory(self, watched):
        teacher, asked = watched
        passages, labels = [["paris"], ["x", "the"], ["rhine"]], [["city"]] * 3
        # A vector has 32 numbers of 4 bytes: the first and the last passage have two vectors each.
        features = TeacherFeatures(teacher, max_bytes=2 * 2 * 32 * 4)
        for _ in range(2):
            features.of_batch(passages, labels)
        assert [words for words, _ in asked] == [("paris",), ("x", "the"), ("rhine",), ("x", "the")]
