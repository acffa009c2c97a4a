"""Training: it learns, it goes on exactly where it was stopped, and it refuses what it must."""

import dataclasses
import json
import math
import random
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.runtime.config import TORCH_WEIGHTS_FILE, StudentConfig
from gliner_distill.runtime.vocabulary import train_vocabulary
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import teacher_features
from gliner_distill.training import loop as training
from gliner_distill.training.checkpoint import read_checkpoint
from gliner_distill.training.data import collate_examples, make_split
from gliner_distill.training.loop import learning_rate_factor, train_student
from gliner_distill.training.losses import feature_loss, soft_loss
from gliner_distill.training.run import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    STUDENT_FOLDER,
    describe_environment,
    read_metrics,
)
from gliner_distill.training.settings import TrainingSettings
from gliner_distill.training.train import train_on_store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tensorboard's reader imports what is deprecated
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SHORT = TrainingSettings(alpha=0.5, temperature=2.0, epochs=4, batch_size=2, learning_rate=0.05)
MEMORISING = TrainingSettings(
    alpha=0.0,
    epochs=80,
    batch_size=5,
    learning_rate=0.05,
    embedding_lr_factor=1.0,
    weight_decay=0.0,
)


class KilledError(Exception):
    """What a test stops a run with."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def train_short(build_student, small_vocabulary, five_passages):
    """A function that trains a student with dropout for four epochs of three steps."""

    def train(folder, settings=SHORT, *, seed=0, vocabulary=small_vocabulary, **arguments):
        student = build_student(seed=seed, dropout_prob=0.3, embedding_dropout_prob=0.2)
        train = arguments.pop("train", five_passages)
        splits = [make_split("dev", arguments.pop("dev", five_passages[:3]), vocabulary)]
        return train_student(
            student, vocabulary, train, folder, settings, splits=splits, **arguments
        )

    return train


def stop_after(n_steps):
    """Return an `progress` that kills the run at a step."""
    steps = iter(range(1, n_steps + 1))

    def progress(n_words, text):
        if next(steps) == n_steps:
            raise KilledError

    return progress


def weights(folder):
    return load_file(folder / STUDENT_FOLDER / TORCH_WEIGHTS_FILE)


def assert_same_run(folder, other):
    """Check that two run folders hold the same weights, bit for bit, and the same metrics."""
    found, expected = weights(folder), weights(other)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (folder / METRICS_FILE).read_bytes() == (other / METRICS_FILE).read_bytes()
    checkpoints = [read_checkpoint(path / CHECKPOINT_FILE) for path in (folder, other)]
    assert checkpoints[0].epoch == checkpoints[1].epoch
    assert checkpoints[0].run == checkpoints[1].run
    assert all(
        torch.equal(checkpoints[0].tensors[name], value)
        for name, value in checkpoints[1].tensors.items()
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, build_student, small_vocabulary, five_passages):
    """The run folder of `train_short`, never stopped: do not change it."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    student = build_student(dropout_prob=0.3, embedding_dropout_prob=0.2)
    splits = [make_split("dev", five_passages[:3], small_vocabulary)]
    train_student(student, small_vocabulary, five_passages, folder, SHORT, splits=splits)
    return folder


@pytest.fixture(scope="module")
def gliner(build_gliner):
    """A tiny GLiNER as a teacher, whose representations are 32 wide: do not change it."""
    return GLiNERTeacher(build_gliner("UniEncoderSpan"))


class TestLearning:
    def test_on_gold_alone_memorises_five_passages(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        split = make_split("train", five_passages, small_vocabulary)
        student = train_student(
            build_student(), small_vocabulary, five_passages, tmp_path, MEMORISING, splits=[split]
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

    def test_on_soft_labels_alone_approaches_the_teacher(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        settings = dataclasses.replace(MEMORISING, alpha=1.0, temperature=2.0)
        without_gold = [
            LabeledPassage(Passage(item.passage.words), item.labels, item.probs)
            for item in five_passages
        ]
        split = make_split("train", without_gold, small_vocabulary)
        batch = collate_examples(split.examples, small_vocabulary)

        def divergence(student):
            logits = student(batch)[batch["word_mask"]]
            teacher = batch["teacher_logits"][batch["word_mask"]]
            return soft_loss(logits, teacher, temperature=1.0).mean().item()

        before = divergence(build_student())
        student = train_student(
            build_student(), small_vocabulary, without_gold, tmp_path, settings, splits=[split]
        )
        assert divergence(student) < 0.02 * before
        assert read_metrics(tmp_path)[-1]["accuracy_vs_teacher"] == 1.0

    def test_gives_the_same_student_for_a_seed_and_another_for_another(
        self, tmp_path, train_short, uninterrupted
    ):
        train_short(tmp_path / "same")
        train_short(tmp_path / "other", dataclasses.replace(SHORT, seed=1))
        assert_same_run(tmp_path / "same", uninterrupted)
        found, expected = weights(tmp_path / "other"), weights(uninterrupted)
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    def test_copes_with_passages_that_have_no_label(
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

    def test_slows_the_embeddings_by_their_rate(
        self, tmp_path, build_student, small_vocabulary, five_passages
    ):
        settings = dataclasses.replace(SHORT, embedding_lr_factor=0.0, weight_decay=0.0)
        student = build_student()
        train_student(student, small_vocabulary, five_passages, tmp_path, settings)
        assert torch.equal(student.pieces.weight, build_student().pieces.weight)
        assert not torch.equal(student.none.weight, build_student().none.weight)

    def test_stops_when_the_loss_is_no_longer_a_number(self, tmp_path, train_short):
        settings = dataclasses.replace(SHORT, learning_rate=1e30)
        with pytest.raises(StudentError, match=r"became nan in epoch 1; try a lower --learning"):
            train_short(tmp_path, settings)
        assert not (tmp_path / CHECKPOINT_FILE).exists()

    def test_reports_every_step_with_its_words(self, tmp_path, train_short, five_passages):
        steps = []
        train_short(tmp_path, progress=lambda n_words, text: steps.append((n_words, text)))
        n_words = sum(len(item.passage.words) for item in five_passages)
        assert len(steps) == 4 * 3
        assert sum(words for words, _ in steps) == 4 * n_words
        assert steps[0][1].startswith("epoch 1/4, loss ")
        assert steps[-1][1].startswith("epoch 4/4, loss ")


class TestBfloat16:
    SETTINGS = dataclasses.replace(MEMORISING, epochs=30, precision="bf16")

    def losses(self, folder):
        return [row["loss"] for row in read_metrics(folder) if row["split"] == "training"]

    def assert_computes_as_its_files(self, student, vocabulary, folder, head="softmax"):
        """Check logits, bit for bit, against a student that has never been in training."""
        loaded, _ = load_student(folder / STUDENT_FOLDER)
        batch = collate_examples(self.examples, vocabulary, head=head)
        with torch.inference_mode():
            found, expected = student(batch), loaded(batch)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)

    @pytest.fixture(autouse=True)
    def collect_examples(self, five_passages, small_vocabulary):
        self.examples = make_split("train", five_passages, small_vocabulary).examples

    def test_learns_and_leaves_a_student_of_single_precision(
        self, tmp_path, train_short, small_vocabulary
    ):
        student = train_short(tmp_path, self.SETTINGS)
        losses = self.losses(tmp_path)
        assert losses[-1] < 0.5 * losses[0]
        assert all(values.dtype == torch.float32 for values in student.state_dict().values())
        self.assert_computes_as_its_files(student, small_vocabulary, tmp_path)

    def test_learns_with_a_boundary_head(
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

    def test_computes_the_training_in_it(self, tmp_path, train_short, uninterrupted):
        train_short(tmp_path, dataclasses.replace(SHORT, precision="bf16"))
        found, expected = self.losses(tmp_path), self.losses(uninterrupted)
        # Rounded, so not the same, and no further off than rounding.
        assert found != expected
        assert found == pytest.approx(expected, rel=0.1)
        assert read_checkpoint(tmp_path / CHECKPOINT_FILE).run["training"]["precision"] == "bf16"

    def test_goes_on_as_if_never_stopped(self, tmp_path, train_short):
        settings = dataclasses.replace(SHORT, precision="bf16")
        train_short(tmp_path / "whole", settings)
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", settings, progress=stop_after(8))
        train_short(tmp_path / "killed", settings, resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")


class TestAlteredText:
    SETTINGS = dataclasses.replace(SHORT, augmentation_prob=0.5)

    def test_is_drawn_from_the_seed(self, tmp_path, train_short):
        for name in ("first", "second"):
            random.seed(name)  # what others draw has no part in it
            train_short(tmp_path / name, self.SETTINGS)
        assert_same_run(tmp_path / "first", tmp_path / "second")

    @pytest.mark.parametrize("n_steps", [4, 9])
    def test_goes_on_as_if_never_stopped(self, tmp_path, train_short, n_steps):
        train_short(tmp_path / "whole", self.SETTINGS)
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", self.SETTINGS, progress=stop_after(n_steps))
        train_short(tmp_path / "killed", self.SETTINGS, resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")

    def test_makes_another_student(self, tmp_path, train_short, uninterrupted):
        train_short(tmp_path, self.SETTINGS)
        found, expected = weights(tmp_path), weights(uninterrupted)
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    def test_is_another_in_each_epoch_and_passage_and_with_each_seed(
        self, tmp_path, train_short, monkeypatch, five_passages
    ):
        drawn = []

        def note(example, vocabulary, *, share, draw):
            drawn.append((share, draw.random()))
            return example

        monkeypatch.setattr(training, "augment_example", note)
        train_short(tmp_path / "first", self.SETTINGS)
        train_short(tmp_path / "second", dataclasses.replace(self.SETTINGS, seed=1))
        assert {share for share, _ in drawn} == {0.5}
        assert len(drawn) == 2 * 4 * len(five_passages)
        assert len({value for _, value in drawn}) == len(drawn)

    def test_is_not_what_is_measured(self, tmp_path, train_short, five_passages, monkeypatch):
        altered = []

        def note(example, vocabulary, *, share, draw):
            altered.append(example)
            return example

        monkeypatch.setattr(training, "augment_example", note)
        train_short(tmp_path, self.SETTINGS, dev=five_passages)
        assert len(altered) == 4 * len(five_passages)  # each epoch's training, not its measuring


class TestRunFolder:
    def test_holds_what_it_promises_and_no_pickle(self, uninterrupted):
        files = {
            str(path.relative_to(uninterrupted))
            for path in uninterrupted.rglob("*")
            if path.is_file()
        }
        boards = {name for name in files if name.startswith("tensorboard/events.out.tfevents")}
        assert len(boards) == 1
        assert files - boards == {
            "checkpoint.safetensors",
            "config.json",
            "environment.json",
            "metrics.jsonl",
            "student/student.safetensors",
            "student/student_config.json",
            "student/tokenizer.json",
        }
        # A pickle begins with a protocol mark, torch's own format with a zip archive's.
        for name in files:
            assert not (uninterrupted / name).read_bytes().startswith((b"\x80", b"PK"))

    def test_has_settings_and_machine_in_it(self, uninterrupted, small_vocabulary):
        config = json.loads((uninterrupted / "config.json").read_text())
        assert config["training"] == dataclasses.asdict(SHORT)
        assert config["architecture"]["n_pieces"] == len(small_vocabulary)
        environment = json.loads((uninterrupted / "environment.json").read_text())
        assert environment == json.loads(json.dumps(describe_environment()))
        assert environment["versions"]["torch"] == torch.__version__

    def test_has_a_row_an_epoch_and_split_with_all_scores(self, uninterrupted):
        rows = read_metrics(uninterrupted)
        expected = [(epoch, split) for epoch in (1, 2, 3, 4) for split in ("training", "dev")]
        assert [(row["epoch"], row["split"]) for row in rows] == expected
        shares = [f"{name}_vs_{side}" for name in (
            "accuracy", "precision", "recall", "f1",
            "span_precision", "span_recall", "span_f1",
        ) for side in ("teacher", "gold")]  # fmt: skip
        for row in rows:
            assert math.isfinite(row["loss"])
            if row["split"] == "training":
                assert row.keys() == {"epoch", "split", "loss"}
                continue
            by_label = {"span_by_label_vs_gold", "span_by_label_vs_teacher"}
            assert row.keys() == {"epoch", "split", "loss", *shares, *by_label}
            assert all(0 <= row[share] <= 1 for share in shares)
            n_company = 1 + 1  # acme, and the old bank that gold alone knows
            assert row["span_by_label_vs_gold"]["company"][3] == n_company
            assert row["span_by_label_vs_teacher"]["company"][3] == n_company - 1

    def test_has_the_last_rows_loss_and_scores_of_the_student_in_it(
        self, uninterrupted, five_passages
    ):
        student, vocabulary = load_student(uninterrupted / STUDENT_FOLDER)
        split = make_split("dev", five_passages[:3], vocabulary)
        scores = evaluate(
            StudentPredictor(student, vocabulary),
            split.passages,
            split.labels,
            teacher_entities=split.teacher_entities,
        )
        last = read_metrics(uninterrupted)[-1]
        assert {key: last[key] for key in scores} == json.loads(json.dumps(scores))

    def test_keeps_facts_with_the_student(self, tmp_path, train_short):
        train_short(tmp_path, metadata={"teacher": "lexicon"})
        config = json.loads((tmp_path / STUDENT_FOLDER / "student_config.json").read_text())
        assert config["teacher"] == "lexicon"

    def test_has_every_number_on_the_board(self, uninterrupted):
        board = EventAccumulator(str(uninterrupted / "tensorboard")).Reload()
        rows = read_metrics(uninterrupted)
        for split, key in (("training", "loss"), ("dev", "loss"), ("dev", "span_f1_vs_gold")):
            points = [(point.step, point.value) for point in board.Scalars(f"{split}/{key}")]
            expected = [(row["epoch"], row[key]) for row in rows if row["split"] == split]
            assert points == [(epoch, pytest.approx(value)) for epoch, value in expected]


class TestResume:
    # Of 12 steps, three an epoch: in the first epoch, at the ends of epochs, and within.
    @pytest.mark.parametrize("n_steps", [1, 3, 4, 8, 12])
    def test_ends_as_if_never_stopped(self, tmp_path, train_short, uninterrupted, n_steps):
        with pytest.raises(KilledError):
            train_short(tmp_path, progress=stop_after(n_steps))
        assert not (tmp_path / STUDENT_FOLDER).exists()
        train_short(tmp_path, resume=True)
        assert_same_run(tmp_path, uninterrupted)

    def test_ends_so_after_two_kills_from_another_start(self, tmp_path, train_short, uninterrupted):
        for n_steps in (5, 5):
            with pytest.raises(KilledError):
                train_short(tmp_path, resume=True, progress=stop_after(n_steps))
        torch.manual_seed(12345)
        # The weights that the student comes with are replaced by the checkpoint's.
        train_short(tmp_path, resume=True, seed=7)
        assert_same_run(tmp_path, uninterrupted)

    def test_drops_rows_of_an_epoch_without_checkpoint(self, tmp_path, train_short, uninterrupted):
        with pytest.raises(KilledError):
            train_short(tmp_path, progress=stop_after(8))
        with (tmp_path / METRICS_FILE).open("a") as stream:
            stream.write('{"epoch": 3, "split": "training", "loss": 9.0}\n')
            stream.write('{"epoch": 3, "split": "dev", "lo')
        train_short(tmp_path, resume=True)
        assert_same_run(tmp_path, uninterrupted)

    def test_counts_the_words_of_the_epochs_behind_it(self, tmp_path, train_short):
        whole, resumed = [], []
        train_short(tmp_path / "whole", progress=lambda *step: whole.append(step))
        with pytest.raises(KilledError):
            train_short(tmp_path / "killed", progress=stop_after(8))
        train_short(tmp_path / "killed", resume=True, progress=lambda *step: resumed.append(step))
        assert len(resumed) < len(whole)
        assert sum(words for words, _ in resumed) == sum(words for words, _ in whole)

    def test_keeps_every_epoch_on_the_board_once(self, tmp_path, train_short, uninterrupted):
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

    def test_of_a_finished_run_changes_nothing(self, tmp_path, train_short, uninterrupted):
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

    def test_starts_where_there_is_nothing(self, tmp_path, train_short, uninterrupted):
        train_short(tmp_path / "deep" / "run", resume=True)
        assert_same_run(tmp_path / "deep" / "run", uninterrupted)


class TestPatience:
    PATIENT = dataclasses.replace(SHORT, epochs=12, patience=2)

    def test_ends_training_and_keeps_the_best_epochs_student(
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
        assert found["span_f1_vs_teacher"] == scores[best]

    @pytest.mark.parametrize("n_steps", [4, 8])
    def test_goes_on_as_if_never_stopped(self, tmp_path, train_short, n_steps):
        train_short(tmp_path / "whole", self.PATIENT)
        with pytest.raises(KilledError):
            train_short(tmp_path / "run", self.PATIENT, progress=stop_after(n_steps))
        train_short(tmp_path / "run", self.PATIENT, resume=True)
        assert_same_run(tmp_path / "run", tmp_path / "whole")

    def test_of_a_run_that_has_ended_trains_no_more(self, tmp_path, train_short):
        train_short(tmp_path / "run", self.PATIENT)
        before = (tmp_path / "run" / METRICS_FILE).read_bytes()
        train_short(tmp_path / "run", self.PATIENT, resume=True)
        assert (tmp_path / "run" / METRICS_FILE).read_bytes() == before

    def test_needs_a_dev_split(self, tmp_path, build_student, small_vocabulary, five_passages):
        with pytest.raises(SettingsError, match="no split of that name"):
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
        batch = collate_examples(make_split("", items, vocabulary).examples, vocabulary)
        words, labels = [item.passage.words for item in items], [item.labels for item in items]
        with torch.inference_mode():
            _, *found = student.eval()(batch, with_features=True)
        expected = teacher_features(gliner, words, labels)
        return [feature_loss(*pair).item() for pair in zip(found, expected, strict=True)]

    @pytest.mark.parametrize("head", ["softmax", "boundary"])
    def test_draws_words_and_labels_near(
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

    def test_changes_what_ships_and_not_only_the_projections(self, tmp_path, train_matching):
        train_matching(tmp_path / "matched")
        train_matching(tmp_path / "plain", SHORT, teacher=None)
        found, expected = weights(tmp_path / "matched"), weights(tmp_path / "plain")
        assert found.keys() == expected.keys()
        assert not any(torch.equal(found[name], expected[name]) for name in expected)

    def test_adds_the_weighted_distances_to_the_loss_of_training_alone(
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

    def test_is_of_the_clean_words_where_the_student_reads_altered_ones(
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
        assert len(asked) == 4 * len(five_passages)
        assert set(asked) == expected

    # Of 12 steps, three an epoch: at the end of an epoch, and within.
    @pytest.mark.parametrize("n_steps", [1, 6, 8])
    def test_goes_on_as_if_never_stopped(self, tmp_path, train_matching, n_steps):
        train_matching(tmp_path / "whole")
        with pytest.raises(KilledError):
            train_matching(tmp_path / "killed", progress=stop_after(n_steps))
        train_matching(tmp_path / "killed", resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")
        tensors = read_checkpoint(tmp_path / "whole" / CHECKPOINT_FILE).tensors
        assert tensors["model.word_projection.weight"].shape == (32, 16)
        assert tensors["model.label_projection.weight"].shape == (32, 3 * 16)

    def test_refuses_to_go_on_with_another_teacher(self, tmp_path, train_matching, build_gliner):
        with pytest.raises(KilledError):
            train_matching(tmp_path, progress=stop_after(4))
        other = GLiNERTeacher(build_gliner("UniEncoderSpan", seed=1))
        with pytest.raises(StudentError, match="other settings or data; choose another --out"):
            train_matching(tmp_path, teacher=other, resume=True)

    def test_is_off_without_a_weight_whoever_is_given(
        self, tmp_path, train_short, uninterrupted, gliner
    ):
        train_short(tmp_path, teacher=gliner)
        assert_same_run(tmp_path, uninterrupted)

    def test_copes_with_passages_that_have_no_label(
        self, tmp_path, build_student, small_vocabulary, gliner
    ):
        nothing = LabeledPassage(Passage(("the", "north")), (), np.zeros((2, 0, 3), np.float32))
        settings = TrainingSettings(alpha=1.0, epochs=1, feature_weight=1.0)
        student = build_student(feature_width=32)
        train_student(student, small_vocabulary, [nothing], tmp_path, settings, teacher=gliner)
        assert [row["loss"] for row in read_metrics(tmp_path)] == [0.0]
        assert all(values.isfinite().all() for values in student.parameters())

    def test_names_a_teacher_that_is_missing(self, tmp_path, train_matching):
        with pytest.raises(
            SettingsError, match=r"^feature_weight 0\.5 .* but no teacher is given$"
        ):
            train_matching(tmp_path / "run", teacher=None)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("width", [0, 31])
    def test_names_a_width_that_is_not_the_teachers(self, tmp_path, train_matching, width):
        with pytest.raises(SettingsError, match=rf"^feature_width must be .*, 32; got {width}$"):
            train_matching(tmp_path / "run", shape={"feature_width": width})
        assert not (tmp_path / "run").exists()


class TestRefusals:
    def copy(self, uninterrupted, tmp_path):
        return shutil.copytree(uninterrupted, tmp_path / "run")

    def test_name_a_run_that_is_there(self, tmp_path, train_short, uninterrupted):
        folder = self.copy(uninterrupted, tmp_path)
        with pytest.raises(StudentError, match=r"run: holds a run already; --resume goes on"):
            train_short(folder)
        assert_same_run(folder, uninterrupted)

    @pytest.mark.parametrize(
        "change",
        ["settings", "words", "gold", "probs", "labels", "order", "passages", "vocabulary", "dev"],
    )
    def test_name_a_run_of_other_settings_or_data_and_leave_it_be(
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
        with pytest.raises(StudentError, match=r"other settings or data; choose another --out"):
            train_short(folder, settings, resume=True, **changed)
        assert_same_run(folder, uninterrupted)
        for name in ("config.json", "environment.json"):
            assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes()

    def test_name_a_checkpoint_that_is_cut(self, tmp_path, train_short, uninterrupted):
        path = self.copy(uninterrupted, tmp_path) / CHECKPOINT_FILE
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors: is no checkpoint: "):
            train_short(path.parent, resume=True)

    def test_name_gold_that_is_missing(self, tmp_path, train_short, five_passages):
        train = [
            LabeledPassage(Passage(item.passage.words), item.labels, item.probs)
            for item in five_passages
        ]
        with pytest.raises(SettingsError, match=r"alpha 0\.5 mixes gold .* use --alpha 1"):
            train_short(tmp_path / "run", train=train)
        assert not (tmp_path / "run").exists()

    def test_name_an_empty_training_set(self, tmp_path, train_short):
        with pytest.raises(SettingsError, match="no passage to train on"):
            train_short(tmp_path / "run", train=[])

    def test_name_a_folder_that_cannot_be_written(self, tmp_path, train_short):
        (tmp_path / "file").write_text("")
        for folder in (tmp_path / "file", tmp_path / "file" / "run"):
            with pytest.raises(StudentError, match=rf"{folder.name}: cannot be written: "):
                train_short(folder)

    @pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "tensorboard"])
    def test_name_a_folder_with_something_else_in_a_files_place(self, tmp_path, train_short, name):
        if name == "tensorboard":
            (tmp_path / name).write_text("")
        else:
            (tmp_path / name).mkdir()
        with pytest.raises(StudentError, match="cannot be written: "):
            train_short(tmp_path)

    def test_name_metrics_that_cannot_be_written_on_the_way(self, tmp_path, train_short):
        def progress(n_words, text):
            (tmp_path / METRICS_FILE).unlink()
            (tmp_path / METRICS_FILE).mkdir()

        settings = dataclasses.replace(SHORT, batch_size=5)
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be written: Is a dir"):
            train_short(tmp_path, settings, progress=progress)


class TestReadMetrics:
    def test_names_a_file_that_is_missing_or_broken(self, tmp_path):
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be read: "):
            read_metrics(tmp_path)
        (tmp_path / METRICS_FILE).write_text('{"epoch": 1}\n{"epoch"\n')
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be read: "):
            read_metrics(tmp_path)

    def test_leaves_half_a_row_at_the_end_out(self, tmp_path):
        content = '{"epoch": 1}\n{"epoch": 2, "split": "größe"'.encode()
        for end in (13, 14, 20, len(content) - 3, len(content)):
            (tmp_path / METRICS_FILE).write_bytes(content[:end])
            assert read_metrics(tmp_path) == [{"epoch": 1}]

    def test_reads_labels_with_line_separators_of_unicode(
        self, tmp_path, build_student, small_vocabulary
    ):
        label = "a\u2028b\x85c"
        probs = np.full((1, 1, 3), 0.9, np.float32)
        item = LabeledPassage(Passage(("acme",), (Entity(0, 1, label),)), (label,), probs)
        train_student(
            build_student(),
            small_vocabulary,
            [item],
            tmp_path,
            TrainingSettings(epochs=1),
            splits=[make_split("dev", [item], small_vocabulary)],
        )
        assert list(read_metrics(tmp_path)[1]["span_by_label_vs_gold"]) == [label]


class TestLearningRateFactor:
    def test_goes_up_for_a_tenth_and_straight_down_to_nearly_0(self):
        factors = [learning_rate_factor(step, n_steps=200) for step in range(200)]
        assert factors[0] == pytest.approx(1 / 20)
        assert factors[19] == factors[20] == 1.0
        assert np.diff(factors[:20]) == pytest.approx([1 / 20] * 19)
        assert np.diff(factors[20:]) == pytest.approx([-1 / 180] * 179)
        assert factors[-1] == pytest.approx(1 / 180)

    @pytest.mark.parametrize("n_steps", [1, 2, 5, 14, 15])
    def test_is_above_0_and_reaches_1_however_few_the_steps(self, n_steps):
        factors = [learning_rate_factor(step, n_steps=n_steps) for step in range(n_steps)]
        assert all(0 < factor <= 1 for factor in factors)
        assert max(factors) == 1.0

    def test_starts_at_once_without_warm_up(self):
        assert learning_rate_factor(0, n_steps=100, warm_up=0) == 1.0


class TestTrainingSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("alpha", value) for value in (-0.1, 2.0, math.nan)),
            *(("temperature", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("feature_weight", value) for value in (-0.1, math.nan, math.inf)),
            *(("epochs", value) for value in (0, -1)),
            *(("batch_size", value) for value in (0, -8)),
            *(("learning_rate", value) for value in (0.0, -1e-3, math.nan, math.inf)),
            *(("embedding_lr_factor", value) for value in (-0.1, math.nan, math.inf)),
            *(("weight_decay", value) for value in (-0.1, math.nan, math.inf)),
            *(("max_gradient_norm", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("positive_weight", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("augmentation_prob", value) for value in (-0.1, 1.1, math.nan)),
            ("precision", "fp16"),
            ("device", "abacus"),
        ],
    )
    def test_names_a_value_outside_its_range(self, name, value):
        with pytest.raises(SettingsError, match=rf"^{name} must be .*; got {value}$"):
            TrainingSettings(**{name: value})

    def test_allows_the_ends_of_ranges(self):
        TrainingSettings(alpha=0, embedding_lr_factor=0, weight_decay=0, epochs=1, batch_size=1)
        TrainingSettings(alpha=1, temperature=1e-3)

    def test_has_help_for_every_field(self):
        for item in dataclasses.fields(TrainingSettings):
            assert TrainingSettings.help(item.name).endswith(".")


class TestTrainOnStore:
    @pytest.fixture
    def store(self, tmp_path, five_passages, lexicon_teacher):
        teacher = lexicon_teacher({"paris": "city", "mary": "person", "rhine": "river"})
        passages = [item.passage for item in five_passages]
        policy, limits = LabelPolicy(negatives=2), ShardLimits(passages=3)
        label_corpus(passages, teacher, tmp_path / "store", policy=policy, limits=limits)
        return tmp_path / "store"

    @staticmethod
    def narrow(n_pieces):
        return StudentConfig(n_pieces, embedding_width=8, hidden_width=8)

    def test_ends_as_if_never_stopped_with_a_vocabulary_of_its_own(self, tmp_path, store):
        def train(folder, progress=lambda *step: None, **arguments):
            return train_on_store(
                store,
                tmp_path / folder,
                SHORT,
                make_config=self.narrow,
                dev=store,
                progress=progress,
                **arguments,
            )

        steps = []
        train("whole", progress=lambda *step: steps.append(step))
        kill = stop_after(8)
        with pytest.raises(KilledError):
            train("killed", progress=lambda stage, done, in_all, text: kill(done, text))
        train("killed", resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")
        stage, done, in_all, text = steps[-1]
        assert (stage, done) == ("training", in_all)
        assert text.startswith("epoch 4/4")

    def test_measures_both_splits_and_remembers_the_teacher(self, tmp_path, store):
        train_on_store(
            store,
            tmp_path / "run",
            dataclasses.replace(SHORT, epochs=1),
            make_config=self.narrow,
            dev=store,
            progress=lambda *step: None,
        )
        splits = [row["split"] for row in read_metrics(tmp_path / "run")]
        assert splits == ["training", "train", "dev"]
        config = json.loads((tmp_path / "run" / "student" / "student_config.json").read_text())
        assert config["teacher"] == "lexicon"
        assert config["teacher_fingerprint"] == "f" * 64
        assert len(config["corpus_fingerprint"]) == 64

    @pytest.mark.parametrize(("weight", "width"), [(0.5, 32), (0.0, 0)])
    def test_gives_the_student_the_teachers_width_if_its_features_are_matched(
        self, tmp_path, store, build_gliner, weight, width
    ):
        student = train_on_store(
            store,
            tmp_path / "run",
            dataclasses.replace(SHORT, epochs=1, feature_weight=weight),
            make_config=self.narrow,
            teacher=GLiNERTeacher(build_gliner("UniEncoderToken")),
            progress=lambda *step: None,
        )
        assert student.config.feature_width == width
        run = json.loads((tmp_path / "run" / "config.json").read_text())
        assert run["architecture"]["feature_width"] == width
        assert load_student(tmp_path / "run" / "student")[0].config.feature_width == 0
