"""Targets of annotated passages, an epoch's passages, and the settings of a training run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from distillation_world import annotate
from gliner_distill.callbacks import no_progress
from gliner_distill.distillation import train as train_module
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.train import (
    epoch_passages,
    mix_gold_targets,
    saved_training_settings,
    train_on_targets,
    training_settings,
)
from gliner_distill.entities import Entity, LabeledPassage, Passage, count_words
from gliner_distill.errors import SettingsError
from gliner_distill.training.checkpoint import Checkpoint, write_checkpoint


def labeled(*words, probs=0.5, entities=()):
    shape = (len(words), 2, 3)
    return LabeledPassage(
        Passage(words, entities), ("x", "y"), np.full(shape, probs, dtype=np.float32)
    )


class TestMixGoldTargets:
    def test_mix_gold_targets_is_a_mean_of_annotation_and_teacher(self):
        probs = np.array([[[0.9, 0.2, 0.5], [0.1, 0.1, 0.1]]] * 3, np.float32)
        passage = Passage(("a", "b", "c"), (Entity(0, 2, "x"), Entity(1, 2, "not asked")))
        mixed = mix_gold_targets(LabeledPassage(passage, ("x", "y"), probs), 0.85)
        assert mixed.passage == Passage(("a", "b", "c"))
        assert mixed.probs.dtype == np.float32
        np.testing.assert_allclose(
            mixed.probs[:, 0],
            [[0.985, 0.03, 0.925], [0.135, 0.88, 0.925], [0.135, 0.03, 0.075]],
            rtol=1e-6,
        )
        np.testing.assert_allclose(mixed.probs[:, 1], 0.015, rtol=1e-6)

    @pytest.mark.parametrize(("weight", "expected"), [(0.0, 0.5), (1.0, 1.0)])
    def test_mix_gold_targets_can_leave_one_side_out(self, weight, expected):
        mixed = mix_gold_targets(labeled("a", entities=(Entity(0, 1, "x"),)), weight)
        np.testing.assert_array_equal(mixed.probs[:, 0], np.float32(expected))


class TestEpochPassages:
    @pytest.mark.parametrize(
        ("n_text", "n_gold", "repeats"), [(80, 8, 2), (8, 8, 1), (1_000, 2, 8), (0, 3, 1)]
    )
    def test_epoch_passages_repeats_gold_up_to_a_fifth_of_the_text(self, n_text, n_gold, repeats):
        text = [labeled("text", entities=(Entity(0, 1, "x"),))] * n_text
        gold = [labeled("gold")] * n_gold
        passages = epoch_passages(text, gold, DistillSettings())
        words = [passage.passage.words for passage in passages]
        assert words == [("text",)] * n_text + [("gold",)] * n_gold * repeats
        assert not any(passage.passage.entities for passage in passages)
        assert count_words(passages) == n_text + n_gold * repeats

    def test_epoch_passages_follows_the_settings(self):
        settings = DistillSettings(gold_share=1.0, max_gold_repeats=3, gold_weight=1.0)
        gold = [labeled("gold", entities=(Entity(0, 1, "x"),))]
        passages = epoch_passages([labeled("text")] * 10, gold, settings)
        assert len(passages) == 13
        np.testing.assert_array_equal(passages[-1].probs[:, 0], 1.0)


class TestTrainingSettings:
    def test_training_settings_has_soft_labels_alone(self):
        settings = DistillSettings(epochs=3, patience=1, learning_rate=0.1, seed=7)
        training = training_settings(replace(settings, precision="bf16"))
        assert (training.alpha, training.epochs, training.patience) == (1.0, 3, 1)
        assert (training.learning_rate, training.seed, training.precision) == (0.1, 7, "bf16")

    @pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp32")])
    def test_training_settings_uses_bf16_where_the_processor_does(
        self, monkeypatch, has_bf16, precision
    ):
        monkeypatch.setattr(train_module, "computes_in_bf16", lambda: has_bf16)
        assert training_settings(DistillSettings()).precision == precision
        assert training_settings(DistillSettings(precision="fp32")).precision == "fp32"

    def test_saved_training_settings_are_those_that_a_run_began_with(self, tmp_path, settings):
        assert saved_training_settings(tmp_path) is None
        passages = [annotate(labeled("a", "b"), Entity(0, 1, "x"))] * 3
        training = replace(training_settings(settings), epochs=1)
        train_on_targets(
            tmp_path,
            {"train": passages, "dev": passages[:1]},
            {"train": [], "dev": []},
            training,
            settings,
            start=settings.start_folder,
            progress=no_progress,
        )
        assert saved_training_settings(tmp_path) == training
        config = json.loads((tmp_path / "student" / "student_config.json").read_text())
        assert config["started_from"] == "tiny_start"
        (tmp_path / "config.json").write_text("{}")
        assert saved_training_settings(tmp_path) == training
        path = tmp_path / "checkpoint.safetensors"
        write_checkpoint(path, Checkpoint({}, 1, {"training": {"alfa": 1}}))
        with pytest.raises(SettingsError, match=r"checkpoint\.safetensors: .*alfa.*--out"):
            saved_training_settings(tmp_path)
