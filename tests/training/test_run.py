"""The run folder: its files and its metrics."""

import dataclasses
import json
import math
import os
import warnings

import numpy as np
import pytest
import torch

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import StudentError
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.files import exclusive_lock
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import (
    METRICS_FILE,
    STUDENT_FOLDER,
    describe_environment,
    read_metrics,
)
from gliner_distill.training.settings import TrainingSettings
from training_runs import SHORT, KilledError, stop_after

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the reader of tensorboard imports deprecated modules
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class TestRunFolder:
    def test_run_folder_has_its_files_and_no_pickle(self, uninterrupted):
        files = {
            str(path.relative_to(uninterrupted))
            for path in uninterrupted.rglob("*")
            if path.is_file()
        }
        boards = {name for name in files if name.startswith("tensorboard/events.out.tfevents")}
        assert len(boards) == 1
        assert files - boards == {
            ".lock",
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

    def test_run_folder_records_settings_and_machine(self, uninterrupted, small_vocabulary):
        config = json.loads((uninterrupted / "config.json").read_text())
        assert config["training"] == dataclasses.asdict(SHORT)
        assert config["architecture"]["n_pieces"] == len(small_vocabulary)
        environment = json.loads((uninterrupted / "environment.json").read_text())
        assert environment == json.loads(json.dumps(describe_environment()))
        assert environment["versions"]["torch"] == torch.__version__

    def test_metrics_have_a_row_per_epoch_and_split(self, uninterrupted):
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

    def test_metrics_end_with_the_scores_of_the_saved_student(self, uninterrupted, five_passages):
        student, vocabulary = load_student(uninterrupted / STUDENT_FOLDER)
        split = make_split("dev", five_passages[:3], vocabulary)
        scores = evaluate(
            StudentPredictor(student, vocabulary),
            split.passages,
            split.labels,
            teacher_entities=split.teacher_entities,
        ).as_json()
        last = read_metrics(uninterrupted)[-1]
        assert {key: last[key] for key in scores} == json.loads(json.dumps(scores))

    def test_run_folder_keeps_metadata_with_the_student(self, tmp_path, train_short):
        train_short(tmp_path, metadata={"teacher": "lexicon"})
        config = json.loads((tmp_path / STUDENT_FOLDER / "student_config.json").read_text())
        assert config["teacher"] == "lexicon"

    def test_board_has_the_numbers_of_the_metrics(self, uninterrupted):
        board = EventAccumulator(str(uninterrupted / "tensorboard")).Reload()
        rows = read_metrics(uninterrupted)
        for split, key in (("training", "loss"), ("dev", "loss"), ("dev", "span_f1_vs_gold")):
            points = [(point.step, point.value) for point in board.Scalars(f"{split}/{key}")]
            expected = [(row["epoch"], row[key]) for row in rows if row["split"] == split]
            assert points == [(epoch, pytest.approx(value)) for epoch, value in expected]


class TestReadMetrics:
    def test_read_metrics_names_a_missing_or_broken_file(self, tmp_path):
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be read: "):
            read_metrics(tmp_path)
        (tmp_path / METRICS_FILE).write_text('{"epoch": 1}\n{"epoch"\n')
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be read: "):
            read_metrics(tmp_path)

    def test_read_metrics_does_not_wait_for_a_pipe_and_refuses_deep_rows(self, tmp_path):
        path = tmp_path / METRICS_FILE
        os.mkfifo(path)
        with pytest.raises(StudentError, match=r"metrics\.jsonl: .*not a regular file"):
            read_metrics(tmp_path)
        path.unlink()
        path.write_text("[" * 100_000 + "]" * 100_000 + "\n", encoding="utf-8")
        with pytest.raises(StudentError, match=r"metrics\.jsonl: cannot be read"):
            read_metrics(tmp_path)

    def test_read_metrics_ignores_an_incomplete_last_row(self, tmp_path):
        content = '{"epoch": 1}\n{"epoch": 2, "split": "größe"'.encode()
        for end in (13, 14, 20, len(content) - 3, len(content)):
            (tmp_path / METRICS_FILE).write_bytes(content[:end])
            assert read_metrics(tmp_path) == [{"epoch": 1}]

    def test_read_metrics_reads_labels_with_unicode_line_separators(
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


@pytest.mark.slow
def test_open_run_refuses_metrics_that_have_changed(tmp_path, train_short):
    with pytest.raises(KilledError):
        train_short(tmp_path, progress=stop_after(8))
    path = tmp_path / METRICS_FILE
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for changed in (rows[1:], [rows[0].replace('"loss": ', '"loss": 1'), *rows[1:]]):
        path.write_text("".join(changed), encoding="utf-8")
        with pytest.raises(StudentError, match=r"metrics\.jsonl: has changed .*--out"):
            train_short(tmp_path, resume=True)
    path.write_text("".join(rows), encoding="utf-8")
    train_short(tmp_path, resume=True)


def test_train_student_refuses_a_folder_in_which_another_process_trains(tmp_path, train_short):
    with (
        exclusive_lock(tmp_path / ".lock", busy="busy"),
        pytest.raises(StudentError, match=rf"^{tmp_path}: another process trains in it.*--out"),
    ):
        train_short(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
