"""TODO-DOC."""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StudentError
from gliner_distill.files import replace_file
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.checkpoint import Checkpoint, read_checkpoint
from gliner_distill.training.data import EvaluationSplit
from gliner_distill.training.settings import TrainingSettings

CHECKPOINT_FILE = "checkpoint.safetensors"


METRICS_FILE = "metrics.jsonl"


STUDENT_FOLDER = "student"


DEV = "dev"
"""The split by which `patience` goes."""


def best_epoch(folder: Path) -> int:
    """Return the epoch of a run at which its student agreed best with the teacher on dev.

    The first of several that are as good; 0 before the first is measured.

    Raises:
        StudentError: Its metrics cannot be read.
    """
    rows = [row for row in read_metrics(folder) if row["split"] == DEV]
    best = max(rows, key=lambda row: row["span_f1_vs_teacher"], default={"epoch": 0})
    return int(best["epoch"])


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run folder's `metrics.jsonl`, but for half a row of a killed run.

    Raises:
        StudentError: It cannot be read.
    """
    path = folder / METRICS_FILE
    try:
        whole = path.read_bytes().rpartition(b"\n")[0].decode("utf-8")
        return [json.loads(line) for line in whole.split("\n") if line]
    except (OSError, ValueError) as error:
        raise StudentError(f"{path}: cannot be read: {error}") from error


def describe_environment() -> dict[str, object]:
    """Return versions, machine and thread count."""
    names = ("gliner-distill", "torch", "accelerate", "numpy", "tokenizers", "pyarrow", "gliner")
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "torch_threads": torch.get_num_threads(),
        "versions": versions,
    }


def _log_epoch(folder: Path, rows: Iterator[dict[str, Any]], board: SummaryWriter) -> None:
    path = folder / METRICS_FILE
    try:
        with path.open("a", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                for key, value in row.items():
                    if isinstance(value, float):
                        board.add_scalar(f"{row['split']}/{key}", value, row["epoch"])
    except OSError as error:
        raise StudentError(f"{path}: cannot be written: {error.strerror or error}") from error


def _describe_run(
    student: Student,
    vocabulary: Vocabulary,
    train: Sequence[LabeledPassage],
    splits: Sequence[EvaluationSplit],
    settings: TrainingSettings,
    matched: GLiNERTeacher | None,
) -> dict[str, Any]:
    """Return what makes a run the same one, for `config.json` and the checkpoint."""
    return {
        "training": asdict(settings),
        "architecture": asdict(student.config),
        "data": _digest(train),
        "vocabulary": hashlib.sha256(vocabulary.to_json().encode()).hexdigest(),
        "splits": {split.name: _digest_split(split) for split in splits},
        "matched_teacher": matched.fingerprint if matched is not None else None,
    }


def _open_run(folder: Path, run: Mapping[str, Any], *, resume: bool) -> Checkpoint | None:
    path = folder / CHECKPOINT_FILE
    if path.exists() and not resume:
        raise StudentError(f"{folder}: holds a run already; --resume goes on with it")
    try:
        (folder / "tensorboard").mkdir(parents=True, exist_ok=True)
        checkpoint = read_checkpoint(path) if path.exists() else None
        if checkpoint is not None and checkpoint.run != json.loads(json.dumps(run)):
            raise StudentError(
                f"{folder}: its checkpoint is of a run with other settings or data; "
                f"choose another --out"
            )
        replace_file(folder / "config.json", (json.dumps(run, indent=1) + "\n").encode())
        environment = json.dumps(describe_environment(), indent=1) + "\n"
        replace_file(folder / "environment.json", environment.encode())
        if checkpoint is None:
            replace_file(folder / METRICS_FILE, b"")
            return None
        kept = [row for row in read_metrics(folder) if row["epoch"] <= checkpoint.epoch]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        replace_file(folder / METRICS_FILE, text.encode())
        return checkpoint
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _digest(train: Sequence[LabeledPassage]) -> str:
    digest = hashlib.sha256()
    for item in train:
        digest.update(repr((item.passage.words, item.passage.entities, item.labels)).encode())
        digest.update(item.probs.tobytes())
    return digest.hexdigest()


def _digest_split(split: EvaluationSplit) -> str:
    digest = hashlib.sha256()
    for row in zip(split.passages, split.labels, split.teacher_entities, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()
