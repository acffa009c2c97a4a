"""Training: it learns, resumes exactly, and refuses what it must."""

import dataclasses
import functools
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.runtime.vocabulary import train_vocabulary
from gliner_distill.student.files import load_student
from gliner_distill.student.heads import torch_head
from gliner_distill.student.losses import feature_loss, soft_loss
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import TeacherFeatures, teacher_features
from gliner_distill.training import loop
from gliner_distill.training.checkpoint import read_checkpoint
from gliner_distill.training.data import collate_examples, make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    STUDENT_FOLDER,
    read_metrics,
)
from gliner_distill.training.settings import TrainingSettings
from training_runs import SHORT, KilledError, assert_same_run, stop_after, weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the reader of tensorboard imports deprecated modules
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

MEMORIZING = TrainingSettings(
    alpha=0.0,
    epochs=80,
    batch_size=5,
    learning_rate=0.05,
    embedding_lr_factor=1.0,
    weight_decay=0.0,
)


class TestLearning:
    @pytest.mark.slow
    def test_train_student_memorizes_five_passages_from_gold(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        split = make_split("train", five_passages, small_vocabulary)
        student = train_student(
            build_student(), small_vocabulary, five_passages, tmp_path, MEMORIZING, splits=[split]
        )
        rows = [row for row in read_metrics(tmp_path) if row["split"] == "train"]
        assert rows[-1]["accuracy_vs_gold"] == rows[-1]["span_f1_vs_gold"] == 1.0
        # Gold has an entity that the teacher does not know.
        assert rows[-1]["span_f1_vs_teacher"] < 1.0
        assert rows[0]["accuracy_vs_gold"] < 1.0
        losses = [row["loss"] for row in read_metrics(tmp_path) if row["split"] == "training"]
        assert losses[-1] < 0.1 * losses[0]
        predicted = StudentPredictor(student, small_vocabulary).predict_words(
            [passage.words for passage in split.passages],
            split.labels,
        )
        assert predicted == [sorted(passage.entities) for passage in split.passages]

    @pytest.mark.slow
    def test_train_student_approaches_the_teacher_from_soft_labels(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        settings = dataclasses.replace(MEMORIZING, alpha=1.0, temperature=2.0)
        without_gold = [
            LabeledPassage(Passage(item.passage.words), item.labels, item.probs)
            for item in five_passages
        ]
        split = make_split("train", without_gold, small_vocabulary)
        batch = collate_examples(split.examples, small_vocabulary, torch_head("softmax"))

        def divergence(student):
            mask = batch.inputs.word_mask
            logits, teacher = student(batch.inputs)[mask], batch.targets.teacher[mask]
            return soft_loss(logits, teacher, temperature=1.0).mean().item()

        before = divergence(build_student())
        student = train_student(
            build_student(), small_vocabulary, without_gold, tmp_path, settings, splits=[split]
        )
        assert divergence(student) < 0.02 * before
        assert read_metrics(tmp_path)[-1]["accuracy_vs_teacher"] == 1.0

    def test_train_student_depends_on_the_seed_alone(self, tmp_path, train_short, uninterrupted):
        train_short(tmp_path / "same")
        train_short(tmp_path / "other", dataclasses.replace(SHORT, seed=1))
        assert_same_run(tmp_path / "same", uninterrupted)
        found, expected = weights(tmp_path / "other"), weights(uninterrupted)
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    def test_train_student_takes_passages_without_labels(
        self, tmp_path, build_student, small_vocabulary
    ):
        nothing = LabeledPassage(Passage(("the", "north")), (), np.zeros((2, 0, 3), np.float32))
        settings = TrainingSettings(alpha=1.0, epochs=1)
        split = make_split("dev", [nothing], small_vocabulary)
        student = train_student(
            build_student(), small_vocabulary, [nothing], tmp_path, settings, splits=[split]
        )
        assert [row["loss"] for row in read_metrics(tmp_path)] == [0.0, 0.0]
        assert all(values.isfinite().all() for values in student.parameters())

    def test_train_student_slows_the_embeddings_by_their_factor(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        settings = dataclasses.replace(SHORT, embedding_lr_factor=0.0, weight_decay=0.0)
        student = build_student()
        train_student(student, small_vocabulary, five_passages, tmp_path, settings)
        assert torch.equal(student.pieces.weight, build_student().pieces.weight)
        assert not torch.equal(student.none.weight, build_student().none.weight)

    def test_train_student_stops_if_the_loss_is_not_a_number(self, tmp_path, train_short):
        settings = dataclasses.replace(SHORT, learning_rate=1e30)
        with pytest.raises(StudentError, match=r"became nan in epoch 1; try a lower --learning"):
            train_short(tmp_path, settings)
        assert not (tmp_path / CHECKPOINT_FILE).exists()

    @pytest.mark.parametrize("head", ["softmax", "boundary"])
    def test_train_student_stops_if_the_loss_rises_far_above_its_start(
        self, tmp_path, build_student, small_vocabulary, five_passages, head
    ):
        settings = dataclasses.replace(SHORT, learning_rate=30.0)
        said = r"from \d\.\d+ .* to [\d.e+]+ on average in epoch 1, .* --learning-rate than 30"
        with pytest.raises(StudentError, match=said):
            train_student(
                build_student(head=head), small_vocabulary, five_passages, tmp_path, settings
            )
        assert not (tmp_path / CHECKPOINT_FILE).exists()

    def test_train_student_reports_every_step_in_words(self, tmp_path, train_short, five_passages):
        steps = []
        train_short(tmp_path, progress=lambda *step: steps.append(step))
        n_words = sum(len(item.passage.words) for item in five_passages)
        assert len(steps) == 4 * 3
        stages, done, totals, notes = zip(*steps, strict=True)
        assert set(stages) == {"training"}
        assert set(totals) == {4 * n_words}
        assert sorted(set(done)) == list(done)
        assert done[-1] == 4 * n_words
        assert notes[0].startswith("epoch 1/4, loss ")
        assert notes[-1].startswith("epoch 4/4, loss ")


def can_train_in_bf16():
    lstm = torch.nn.LSTM(8, 12)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            lstm(torch.zeros(2, 1, 8))
    except RuntimeError:
        return False
    return True


needs_bf16 = pytest.mark.skipif(
    not can_train_in_bf16(), reason="torch cannot train an LSTM in bf16 on this processor"
)


@needs_bf16
class TestBfloat16:
    SETTINGS = dataclasses.replace(MEMORIZING, epochs=30, precision="bf16")

    def losses(self, folder):
        return [row["loss"] for row in read_metrics(folder) if row["split"] == "training"]

    def assert_computes_as_its_files(self, student, vocabulary, folder, head="softmax"):
        """Check logits, bit for bit, against a student that has never been in training."""
        loaded, _ = load_student(folder / STUDENT_FOLDER)
        batch = collate_examples(self.examples, vocabulary, torch_head(head)).inputs
        with torch.inference_mode():
            found, expected = student(batch), loaded(batch)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)

    @pytest.fixture(autouse=True)
    def collect_examples(self, five_passages, small_vocabulary):
        self.examples = make_split("train", five_passages, small_vocabulary).examples

    @pytest.mark.slow
    def test_train_student_in_bf16_leaves_a_student_in_single_precision(
        self, tmp_path, train_short, small_vocabulary
    ):
        student = train_short(tmp_path, self.SETTINGS)
        losses = self.losses(tmp_path)
        assert losses[-1] < 0.5 * losses[0]
        assert all(values.dtype == torch.float32 for values in student.state_dict().values())
        self.assert_computes_as_its_files(student, small_vocabulary, tmp_path)

    @pytest.mark.slow
    def test_train_student_in_bf16_learns_with_a_boundary_head(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        student = train_student(
            build_student(head="boundary", label_hidden_width=12),
            small_vocabulary,
            five_passages,
            tmp_path,
            self.SETTINGS,
        )
        losses = self.losses(tmp_path)
        assert losses[-1] < 0.5 * losses[0]
        self.assert_computes_as_its_files(student, small_vocabulary, tmp_path, head="boundary")

    def test_train_student_in_bf16_computes_the_loss_in_it(
        self, tmp_path, train_short, uninterrupted
    ):
        train_short(tmp_path, dataclasses.replace(SHORT, precision="bf16"))
        found, expected = self.losses(tmp_path), self.losses(uninterrupted)
        # Rounded, so not the same, and no further off than rounding.
        assert found != expected
        assert found == pytest.approx(expected, rel=0.1)
        assert read_checkpoint(tmp_path / CHECKPOINT_FILE).run["training"]["precision"] == "bf16"

    @pytest.mark.slow
    def test_train_student_in_bf16_resumes_exactly(self, tmp_path, train_short):
        settings = dataclasses.replace(SHORT, precision="bf16")
        train_short(tmp_path / "whole", settings)
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", settings, progress=stop_after(8))
        train_short(tmp_path / "killed", settings, resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.skipif(can_train_in_bf16(), reason="this processor trains in bf16")
def test_train_student_in_bf16_says_if_the_processor_cannot(tmp_path, train_short):
    with pytest.raises(SettingsError, match="bf16"):
        train_short(tmp_path, dataclasses.replace(SHORT, precision="bf16"))


class TestAugmentation:
    SETTINGS = dataclasses.replace(SHORT, augmentation_prob=0.5)

    @pytest.mark.slow
    def test_train_student_augments_from_the_seed_alone(self, tmp_path, train_short):
        for name in ("first", "second"):
            random.seed(name)  # what others draw has no part in it
            train_short(tmp_path / name, self.SETTINGS)
        assert_same_run(tmp_path / "first", tmp_path / "second")

    @pytest.mark.slow
    @pytest.mark.parametrize("n_steps", [4, 9])
    def test_train_student_with_augmentation_resumes_exactly(self, tmp_path, train_short, n_steps):
        train_short(tmp_path / "whole", self.SETTINGS)
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", self.SETTINGS, progress=stop_after(n_steps))
        train_short(tmp_path / "killed", self.SETTINGS, resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")

    def test_train_student_with_augmentation_makes_another_student(
        self, tmp_path, train_short, uninterrupted
    ):
        train_short(tmp_path, self.SETTINGS)
        found, expected = weights(tmp_path), weights(uninterrupted)
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    @pytest.mark.slow
    def test_train_student_augments_anew_per_epoch_passage_and_seed(
        self, tmp_path, train_short, monkeypatch, five_passages
    ):
        drawn = []

        def note(example, vocabulary, *, prob, rng):
            drawn.append((prob, rng.random()))
            return example

        monkeypatch.setattr(loop, "augment_example", note)
        train_short(tmp_path / "first", self.SETTINGS)
        train_short(tmp_path / "second", dataclasses.replace(self.SETTINGS, seed=1))
        assert {prob for prob, _ in drawn} == {0.5}
        assert len(drawn) == 2 * 4 * len(five_passages)
        assert len({value for _, value in drawn}) == len(drawn)

    def test_train_student_measures_without_augmentation(
        self, tmp_path, train_short, five_passages, monkeypatch
    ):
        altered = []

        def note(example, vocabulary, *, prob, rng):
            altered.append(example)
            return example

        monkeypatch.setattr(loop, "augment_example", note)
        train_short(tmp_path, self.SETTINGS, dev=five_passages)
        assert len(altered) == 4 * len(five_passages)  # each epoch's training, not its measuring


class TestResume:
    # Of 12 steps, three an epoch: in the first epoch, at the ends of epochs, and within.
    @pytest.mark.parametrize("n_steps", [1, 3, 4, 8, 12])
    def test_train_student_resumes_exactly_after_a_kill(
        self, tmp_path, train_short, uninterrupted, n_steps
    ):
        with pytest.raises(KilledError):
            train_short(tmp_path, progress=stop_after(n_steps))
        assert not (tmp_path / STUDENT_FOLDER).exists()
        train_short(tmp_path, resume=True)
        assert_same_run(tmp_path, uninterrupted)

    def test_train_student_resumes_exactly_after_two_kills(
        self, tmp_path, train_short, uninterrupted
    ):
        for n_steps in (5, 5):
            with pytest.raises(KilledError):
                train_short(tmp_path, resume=True, progress=stop_after(n_steps))
        torch.manual_seed(12345)
        # The weights that the student comes with are replaced by the checkpoint's.
        train_short(tmp_path, resume=True, seed=7)
        assert_same_run(tmp_path, uninterrupted)

    def test_train_student_drops_metrics_without_a_checkpoint(
        self, tmp_path, train_short, uninterrupted
    ):
        with pytest.raises(KilledError):
            train_short(tmp_path, progress=stop_after(8))
        with (tmp_path / METRICS_FILE).open("a") as stream:
            stream.write('{"epoch": 3, "split": "training", "loss": 9.0}\n')
            stream.write('{"epoch": 3, "split": "dev", "lo')
        train_short(tmp_path, resume=True)
        assert_same_run(tmp_path, uninterrupted)

    @pytest.mark.slow
    def test_train_student_reports_the_words_of_finished_epochs(self, tmp_path, train_short):
        whole, resumed = [], []
        train_short(tmp_path / "whole", progress=lambda *step: whole.append(step))
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", progress=stop_after(8))
        train_short(tmp_path / "killed", resume=True, progress=lambda *step: resumed.append(step))
        # A report of the two epochs before the kill, then one per step.
        assert len(resumed) == 1 + 6
        assert [step[1:3] for step in resumed] == [step[1:3] for step in whole[-7:]]

    def test_train_student_keeps_every_epoch_on_the_board_once(
        self, tmp_path, train_short, uninterrupted
    ):
        with pytest.raises(KilledError):
            train_short(tmp_path, progress=stop_after(8))
        train_short(tmp_path, resume=True)
        points, expected = (
            EventAccumulator(str(folder / "tensorboard")).Reload().Scalars("dev/loss")
            for folder in (tmp_path, uninterrupted)
        )
        assert [(point.step, point.value) for point in points] == [
            (point.step, point.value) for point in expected
        ]

    def test_train_student_leaves_a_finished_run_alone(self, tmp_path, train_short, uninterrupted):
        shutil.copytree(uninterrupted, tmp_path / "run")
        steps = []
        student = train_short(
            tmp_path / "run", seed=7, resume=True, progress=lambda *step: steps.append(step)
        )
        assert steps == []
        assert_same_run(tmp_path / "run", uninterrupted)
        expected = weights(uninterrupted)
        assert all(
            torch.equal(value, expected[name]) for name, value in student.state_dict().items()
        )

    def test_train_student_with_resume_starts_a_new_run(self, tmp_path, train_short, uninterrupted):
        train_short(tmp_path / "deep" / "run", resume=True)
        assert_same_run(tmp_path / "deep" / "run", uninterrupted)


class TestPatience:
    PATIENT = dataclasses.replace(SHORT, epochs=12, patience=2)

    def test_train_student_with_patience_keeps_the_best_epoch(
        self, tmp_path, train_short, five_passages
    ):
        student = train_short(tmp_path / "run", self.PATIENT)
        rows = [row for row in read_metrics(tmp_path / "run") if row["split"] == "dev"]
        scores = [row["span_f1_vs_teacher"] for row in rows]
        best = scores.index(max(scores))
        assert len(scores) == best + 1 + self.PATIENT.patience < self.PATIENT.epochs
        kept, vocabulary = load_student(tmp_path / "run" / STUDENT_FOLDER)
        assert all(map(torch.equal, kept.state_dict().values(), student.state_dict().values()))
        split = make_split("dev", five_passages[:3], vocabulary)
        found = evaluate(
            StudentPredictor(kept, vocabulary),
            split.passages,
            split.labels,
            teacher_entities=split.teacher_entities,
        )
        assert found.as_json()["span_f1_vs_teacher"] == scores[best]

    @pytest.mark.slow
    @pytest.mark.parametrize("n_steps", [4, 8])
    def test_train_student_with_patience_resumes_exactly(self, tmp_path, train_short, n_steps):
        train_short(tmp_path / "whole", self.PATIENT)
        with pytest.raises(KilledError):
            train_short(tmp_path / "run", self.PATIENT, progress=stop_after(n_steps))
        train_short(tmp_path / "run", self.PATIENT, resume=True)
        assert_same_run(tmp_path / "run", tmp_path / "whole")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["student.safetensors", "student_config.json"])
    def test_train_student_with_patience_resumes_exactly_after_a_kill_while_saving(
        self, tmp_path, train_short, monkeypatch, name
    ):
        renamed, saves = Path.replace, []

        def kill_at_the_second_save(path, target):
            if Path(target).name == name:
                saves.append(target)
                if len(saves) == 2:
                    raise KilledError
            return renamed(path, target)

        train_short(tmp_path / "whole", self.PATIENT)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", kill_at_the_second_save)
            with pytest.raises(KilledError):
                train_short(tmp_path / "run", self.PATIENT)
        load_student(tmp_path / "run" / STUDENT_FOLDER)  # one of the two students, and whole
        train_short(tmp_path / "run", self.PATIENT, resume=True)
        assert_same_run(tmp_path / "run", tmp_path / "whole")

    @pytest.mark.slow
    def test_train_student_with_patience_leaves_an_ended_run_alone(self, tmp_path, train_short):
        train_short(tmp_path / "run", self.PATIENT)
        before = (tmp_path / "run" / METRICS_FILE).read_bytes()
        train_short(tmp_path / "run", self.PATIENT, resume=True)
        assert (tmp_path / "run" / METRICS_FILE).read_bytes() == before

    def test_train_student_with_patience_needs_a_dev_split(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        with pytest.raises(SettingsError, match="dev"):
            train_student(build_student(), small_vocabulary, five_passages, tmp_path, self.PATIENT)


class TestFeatureMatching:
    """Word and label vectors drawn to a tiny GLiNER's."""

    MATCHING = dataclasses.replace(SHORT, feature_weight=0.5)

    @pytest.fixture
    def train_matching(self, build_student, small_vocabulary, five_passages, gliner):
        """A function that trains as `train_short` does, with features matched."""

        def train(folder, settings=self.MATCHING, **arguments):
            dropout = {"dropout_prob": 0.3, "embedding_dropout_prob": 0.2}
            shape = dropout | {"feature_width": 32, "head": "boundary"} | arguments.pop("shape", {})
            return train_student(
                build_student(**shape),
                small_vocabulary,
                five_passages,
                folder,
                settings,
                splits=[make_split("dev", five_passages[:3], small_vocabulary)],
                **({"teacher": gliner} | arguments),
            )

        return train

    @staticmethod
    def distances(student, vocabulary, items, gliner):
        """Return how far the student's words and labels are off."""
        examples = make_split("", items, vocabulary).examples
        batch = collate_examples(examples, vocabulary, student.head).inputs
        words, labels = [item.passage.words for item in items], [item.labels for item in items]
        with torch.inference_mode():
            _, *found = student.eval()(batch, with_features=True)
        expected = teacher_features(gliner, words, labels)
        return [feature_loss(*pair).item() for pair in zip(found, expected, strict=True)]

    @pytest.mark.slow
    @pytest.mark.parametrize("head", ["softmax", "boundary"])
    def test_feature_matching_draws_words_and_labels_near(
        self, tmp_path, train_matching, build_student, small_vocabulary, five_passages, gliner, head
    ):
        settings = dataclasses.replace(self.MATCHING, feature_weight=5.0, epochs=40)
        shape = {"head": head, "dropout_prob": 0.0, "embedding_dropout_prob": 0.0}
        world = small_vocabulary, five_passages, gliner
        before = self.distances(build_student(feature_width=32, head=head), *world)
        after = self.distances(train_matching(tmp_path, settings, shape=shape), *world)
        words = [item.passage.words for item in five_passages]
        labels = [item.labels for item in five_passages]
        expected = teacher_features(gliner, words, labels)
        for off_before, off, rows in zip(before, after, expected, strict=True):
            known = rows[~rows.isnan().any(-1)]
            # How far off one vector for all of them is at best: a bias alone could learn that.
            constant = 1 - torch.nn.functional.normalize(known, dim=-1).mean(0).norm().item()
            assert off < 0.5 * constant < off_before

    @pytest.mark.slow
    def test_feature_matching_changes_the_saved_weights(self, tmp_path, train_matching):
        train_matching(tmp_path / "matched")
        train_matching(tmp_path / "plain", SHORT, teacher=None)
        found, expected = weights(tmp_path / "matched"), weights(tmp_path / "plain")
        assert found.keys() == expected.keys()
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    def test_feature_matching_adds_to_the_training_loss_alone(
        self, tmp_path, train_matching, build_student, small_vocabulary, five_passages, gliner
    ):
        shape = {"dropout_prob": 0.0, "embedding_dropout_prob": 0.0}
        start = build_student(feature_width=32, head="boundary")
        off = sum(self.distances(start, small_vocabulary, five_passages, gliner))
        first_losses = {}
        for weight in (0.0, 0.5):
            # One step of hardly any length, so that what is measured is the start.
            settings = dataclasses.replace(
                SHORT, epochs=1, batch_size=5, learning_rate=1e-12, feature_weight=weight
            )
            train_matching(tmp_path / str(weight), settings, shape=shape)
            first_losses[weight] = [row["loss"] for row in read_metrics(tmp_path / str(weight))]
        (plain, plain_dev), (matched, matched_dev) = first_losses[0.0], first_losses[0.5]
        assert matched - plain == pytest.approx(0.5 * off, abs=1e-4)
        assert matched_dev == pytest.approx(plain_dev, abs=1e-6)

    def test_feature_matching_shows_the_teacher_words_without_augmentation(
        self, tmp_path, train_matching, build_gliner, five_passages, monkeypatch
    ):
        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        asked, represent = [], teacher.represent_passages

        def watch(passages, labels):
            asked.extend(zip(passages, labels, strict=True))
            return represent(passages, labels)

        monkeypatch.setattr(teacher, "represent_passages", watch)
        settings = dataclasses.replace(self.MATCHING, augmentation_prob=1.0)
        train_matching(tmp_path, settings, teacher=teacher)
        expected = {(item.passage.words, item.labels) for item in five_passages}
        # In four epochs, each passage is read once.
        assert len(asked) == len(five_passages)
        assert set(asked) == expected

    def test_feature_matching_gives_the_same_weights_without_memory(
        self, tmp_path, train_matching, monkeypatch
    ):
        train_matching(tmp_path / "remembered")
        forgetful = functools.partial(TeacherFeatures, max_bytes=0)
        monkeypatch.setattr(loop, "TeacherFeatures", forgetful)
        train_matching(tmp_path / "read again")
        assert_same_run(tmp_path / "remembered", tmp_path / "read again")

    # Of 12 steps, three an epoch: at the end of an epoch, and within.
    @pytest.mark.slow
    @pytest.mark.parametrize("n_steps", [1, 6, 8])
    def test_feature_matching_resumes_exactly(self, tmp_path, train_matching, n_steps):
        train_matching(tmp_path / "whole")
        with pytest.raises(KilledError):
            train_matching(tmp_path / "killed", progress=stop_after(n_steps))
        train_matching(tmp_path / "killed", resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")
        tensors = read_checkpoint(tmp_path / "whole" / CHECKPOINT_FILE).tensors
        assert tensors["model.word_projection.weight"].shape == (32, 16)
        assert tensors["model.label_projection.weight"].shape == (32, 3 * 16)

    def test_feature_matching_refuses_to_resume_with_another_teacher(
        self, tmp_path, train_matching, build_gliner
    ):
        with pytest.raises(KilledError):
            train_matching(tmp_path, progress=stop_after(4))
        other = GLiNERTeacher(build_gliner("UniEncoderSpan", seed=1))
        with pytest.raises(StudentError, match="other settings or data"):
            train_matching(tmp_path, teacher=other, resume=True)

    def test_feature_matching_is_off_without_a_weight(
        self, tmp_path, train_short, uninterrupted, gliner
    ):
        train_short(tmp_path, teacher=gliner)
        assert_same_run(tmp_path, uninterrupted)

    def test_feature_matching_takes_passages_without_labels(
        self, tmp_path, build_student, small_vocabulary, gliner
    ):
        nothing = LabeledPassage(Passage(("the", "north")), (), np.zeros((2, 0, 3), np.float32))
        settings = TrainingSettings(alpha=1.0, epochs=1, feature_weight=1.0)
        student = build_student(feature_width=32)
        train_student(student, small_vocabulary, [nothing], tmp_path, settings, teacher=gliner)
        assert [row["loss"] for row in read_metrics(tmp_path)] == [0.0]
        assert all(values.isfinite().all() for values in student.parameters())

    def test_feature_matching_needs_a_teacher(self, tmp_path, train_matching):
        with pytest.raises(SettingsError, match=r"feature_weight is 0\.5"):
            train_matching(tmp_path / "run", teacher=None)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("width", [0, 31])
    def test_feature_matching_refuses_another_width(self, tmp_path, train_matching, width):
        with pytest.raises(SettingsError, match=rf"feature_width is {width}.* 32"):
            train_matching(tmp_path / "run", shape={"feature_width": width})
        assert not (tmp_path / "run").exists()


class TestRefusals:
    def copy(self, uninterrupted, tmp_path):
        return shutil.copytree(uninterrupted, tmp_path / "run")

    def test_train_student_refuses_a_folder_with_a_run(self, tmp_path, train_short, uninterrupted):
        folder = self.copy(uninterrupted, tmp_path)
        with pytest.raises(StudentError, match=r"run: .*--resume"):
            train_short(folder)
        assert_same_run(folder, uninterrupted)

    @pytest.mark.parametrize(
        "change",
        ["settings", "words", "gold", "probs", "labels", "order", "passages", "vocabulary", "dev"],
    )
    def test_train_student_refuses_to_resume_with_other_settings_or_data(
        self, tmp_path, train_short, uninterrupted, five_passages, small_vocabulary, change
    ):
        folder = self.copy(uninterrupted, tmp_path)
        first, *others = five_passages
        words, entities = first.passage.words, first.passage.entities
        passages = {
            "words": Passage(("john", *words[1:]), entities),
            "gold": Passage(words, entities[1:]),
        }
        train = {
            "order": [*others, first],
            "passages": others,
            "probs": [LabeledPassage(first.passage, first.labels, first.probs + 0.004), *others],
            "labels": [LabeledPassage(first.passage, first.labels[::-1], first.probs), *others],
            **{
                name: [LabeledPassage(passage, first.labels, first.probs), *others]
                for name, passage in passages.items()
            },
        }.get(change, five_passages)
        settings = dataclasses.replace(SHORT, alpha=0.6) if change == "settings" else SHORT
        vocabulary = small_vocabulary
        if change == "vocabulary":
            vocabulary = train_vocabulary([*small_vocabulary.pieces(), "zz"], n_pieces=90)
            assert len(vocabulary) == len(small_vocabulary)
        changed = {"train": train, "vocabulary": vocabulary}
        if change == "dev":
            changed["dev"] = five_passages[1:4]
        with pytest.raises(StudentError, match="other settings or data"):
            train_short(folder, settings, resume=True, **changed)
        assert_same_run(folder, uninterrupted)
        for name in ("config.json", "environment.json"):
            assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes()

    def test_train_student_names_a_checkpoint_that_is_cut_off(
        self, tmp_path, train_short, uninterrupted
    ):
        path = self.copy(uninterrupted, tmp_path) / CHECKPOINT_FILE
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors"):
            train_short(path.parent, resume=True)

    def test_train_student_refuses_alpha_below_1_without_gold(
        self, tmp_path, train_short, five_passages
    ):
        train = [
            LabeledPassage(Passage(item.passage.words), item.labels, item.probs)
            for item in five_passages
        ]
        with pytest.raises(SettingsError, match=r"alpha is 0\.5.*--alpha 1"):
            train_short(tmp_path / "run", train=train)
        assert not (tmp_path / "run").exists()

    def test_train_student_refuses_an_empty_training_set(self, tmp_path, train_short):
        with pytest.raises(SettingsError, match="no passages"):
            train_short(tmp_path / "run", train=[])

    def test_train_student_names_a_folder_that_cannot_be_written(self, tmp_path, train_short):
        (tmp_path / "file").write_text("")
        for folder in (tmp_path / "file", tmp_path / "file" / "run"):
            with pytest.raises(StudentError, match=rf"{folder.name}: cannot be written: "):
                train_short(folder)

    @pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "tensorboard"])
    def test_train_student_names_a_folder_with_something_in_the_place_of_a_file(
        self, tmp_path, train_short, name
    ):
        if name == "tensorboard":
            (tmp_path / name).write_text("")
        else:
            (tmp_path / name).mkdir()
        with pytest.raises(StudentError, match="cannot be written: "):
            train_short(tmp_path)

    def test_train_student_names_metrics_that_cannot_be_written(self, tmp_path, train_short):
        def progress(stage, done, total, note=""):
            (tmp_path / METRICS_FILE).unlink()
            (tmp_path / METRICS_FILE).mkdir()

        settings = dataclasses.replace(SHORT, batch_size=5)
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be written: Is a dir"):
            train_short(tmp_path, settings, progress=progress)
