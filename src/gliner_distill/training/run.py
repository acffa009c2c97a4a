"""The run folder: the student, its metrics, and a record of its settings and data.

A run folder holds `student/` (see `student.files`), `metrics.jsonl` (one row per epoch and split),
`config.json` (settings, architecture and digests of the data), `environment.json`, `tensorboard/`,
`.lock`, and `checkpoint.safetensors`, from which a stopped run continues.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.tensorboard import SummaryWriter

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StudentError
from gliner_distill.files import (
    LOCK_FILE,
    check_regular_file,
    exclusive_lock,
    reason_of,
    write_file,
    write_json,
)
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.files import save_student
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from gliner_distill.training.data import EvaluationSplit
from gliner_distill.training.settings import TrainingSettings

CHECKPOINT_FILE: Final = "checkpoint.safetensors"
RUN_CONFIG_FILE: Final = "config.json"
METRICS_FILE: Final = "metrics.jsonl"
STUDENT_FOLDER: Final = "student"
BOARD_FOLDER: Final = "tensorboard"

_MAX_METRICS_BYTES: Final = 2**30

DEV: Final = "dev"
"""The name of the split that decides which epoch is best."""


def best_epoch(folder: Path) -> int:
    """Return the epoch of a run at which the student agreed best with its teacher on dev.

    The first of several equally good epochs counts; the result is 0 before any was measured.

    Raises:
        StudentError: The metrics cannot be read.
    """
    rows = [row for row in read_metrics(folder) if row["split"] == DEV]
    # `max` returns the first of several equal rows.
    best = max(rows, key=lambda row: row["span_f1_vs_teacher"], default={"epoch": 0})
    return int(best["epoch"])


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of `metrics.jsonl`, except a last row that a killed run left incomplete.

    Raises:
        StudentError: The file cannot be read.
    """
    path = folder / METRICS_FILE
    try:
        check_regular_file(path, max_bytes=_MAX_METRICS_BYTES)
        # Only lines that end with a line break are complete.
        complete = path.read_bytes().rpartition(b"\n")[0].decode("utf-8")
        return [json.loads(line) for line in complete.split("\n") if line]
    except (OSError, ValueError, RecursionError) as error:
        raise StudentError(f"{path}: cannot be read: {reason_of(error)}") from error


def log_epoch(folder: Path, rows: Iterable[dict[str, Any]], board: SummaryWriter) -> None:
    """Append the rows of an epoch to `metrics.jsonl`, and their numbers to TensorBoard.

    Raises:
        StudentError: The file cannot be written.
    """
    path = folder / METRICS_FILE
    try:
        with path.open("a", encoding="utf-8") as stream:
            for row in rows:
                stream.write(_as_line(row))
                for key, value in row.items():
                    if isinstance(value, float):
                        board.add_scalar(f"{row['split']}/{key}", value, row["epoch"])
    except OSError as error:
        raise StudentError(f"{path}: cannot be written: {reason_of(error)}") from error


@dataclass(frozen=True, slots=True)
class RunWriter:
    """The files that a run writes while it trains, and its student at the end.

    Attributes:
        folder: The run folder.
        run: The identity of the run; see `describe_run`.
        student: The student, which changes while it is trained.
        vocabulary: Its subword pieces.
        metadata: Plain JSON values to keep with the student.
        keeps_best: Whether the student of the best epoch is saved, and not that of the last one.
        board: TensorBoard's file.
    """

    folder: Path
    run: Mapping[str, Any]
    student: Student
    vocabulary: Vocabulary
    metadata: Mapping[str, Any] | None
    keeps_best: bool
    board: SummaryWriter

    def add_epoch(
        self, epoch: int, rows: Iterable[dict[str, Any]], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write the metrics of an epoch and its checkpoint, and the student if it is the best.

        Args:
            epoch: The number of the epoch, counted from 1.
            rows: Its rows of `metrics.jsonl`.
            optimizer: The optimizer, whose state the checkpoint keeps.

        Raises:
            StudentError: A file cannot be written.
        """
        log_epoch(self.folder, rows, self.board)
        # The student is saved before the checkpoint: a run that is killed in between repeats the
        # epoch and saves the student again.
        if self.keeps_best and best_epoch(self.folder) == epoch:
            self.save_student()
        metrics = digest_metrics(self.folder)
        reached = Checkpoint.capture(
            self.student, optimizer, epoch=epoch, run=self.run, metrics=metrics
        )
        write_checkpoint(self.folder / CHECKPOINT_FILE, reached)

    def save_student(self) -> None:
        """Write the student as it is now.

        Raises:
            StudentError: A file cannot be written.
        """
        save_student(
            self.folder / STUDENT_FOLDER, self.student, self.vocabulary, metadata=self.metadata
        )


def describe_environment() -> dict[str, object]:
    """Return the versions, the machine and the number of threads of this process."""
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


def describe_run(
    student: Student,
    vocabulary: Vocabulary,
    passages: Sequence[LabeledPassage],
    splits: Sequence[EvaluationSplit],
    settings: TrainingSettings,
    matched_teacher: GLiNERTeacher | None,
) -> dict[str, Any]:
    """Return the identity of a run; two runs with the same identity end with the same weights.

    It is written into `config.json` and into each checkpoint.
    """
    return {
        "training": asdict(settings),
        "architecture": asdict(student.config),
        "data": _digest_passages(passages),
        "vocabulary": hashlib.sha256(vocabulary.to_json().encode()).hexdigest(),
        "splits": {split.name: _digest_split(split) for split in splits},
        "matched_teacher": matched_teacher.fingerprint if matched_teacher is not None else None,
    }


def open_run(folder: Path, run: Mapping[str, Any], *, resume: bool) -> Checkpoint | None:
    """Prepare a run folder; return the checkpoint to continue from, or None for a new run.

    Rows of epochs that no checkpoint covers are removed from `metrics.jsonl`: these epochs are
    trained again.

    Args:
        folder: The run folder; it is made if it does not exist.
        run: The identity of the run; see `describe_run`.
        resume: Whether to continue a run that the folder holds.

    Raises:
        StudentError: The folder holds a run and `resume` is false, or a run with another identity;
            or it cannot be read or written.
    """
    path = folder / CHECKPOINT_FILE
    if path.exists() and not resume:
        raise StudentError(
            f"{folder}: this folder holds a training run; add --resume to continue it, or choose "
            "another folder"
        )
    checkpoint = read_checkpoint(path) if path.exists() else None
    # JSON turns tuples into lists, so the new identity is compared in the same form.
    if checkpoint is not None and checkpoint.run != json.loads(json.dumps(run)):
        raise StudentError(
            f"{folder}: the checkpoint in this folder comes from other settings or data; use the "
            "same ones to continue, or choose another --out"
        )
    try:
        (folder / BOARD_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {reason_of(error)}") from error
    write_json(folder / RUN_CONFIG_FILE, run, error=StudentError)
    write_json(folder / "environment.json", describe_environment(), error=StudentError)
    kept = "" if checkpoint is None else _finished_metrics(folder, checkpoint)
    write_file(folder / METRICS_FILE, kept, error=StudentError)
    return checkpoint


@contextmanager
def lock_run(folder: Path, *, is_main: bool) -> Iterator[None]:
    """Keep other runs out of a run folder; the main process of a run holds the lock for all.

    Raises:
        StudentError: Another process trains in the folder, or it cannot be written.
    """
    if not is_main:
        yield
        return
    busy = f"{folder}: another process trains in it; wait for it, or choose another --out"
    with exclusive_lock(folder / LOCK_FILE, busy=busy, error=StudentError):
        yield


def digest_metrics(folder: Path) -> str:
    """Return the SHA-256 of `metrics.jsonl`, which a checkpoint keeps.

    Raises:
        StudentError: The file cannot be read.
    """
    return _digest_text("".join(map(_as_line, read_metrics(folder))))


def _finished_metrics(folder: Path, checkpoint: Checkpoint) -> str:
    """Return the lines of the metrics up to the epoch of a checkpoint, checked by its SHA-256."""
    rows = read_metrics(folder) if checkpoint.epoch else []
    try:
        kept = "".join(_as_line(row) for row in rows if row["epoch"] <= checkpoint.epoch)
    except (KeyError, TypeError):
        kept = "a row without its epoch"
    if checkpoint.metrics and _digest_text(kept) != checkpoint.metrics:
        raise StudentError(
            f"{folder / METRICS_FILE}: has changed since it was written (its SHA-256 differs), so "
            "the run cannot continue; to start over, use another --out"
        )
    return kept


def _digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _as_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _digest_passages(passages: Sequence[LabeledPassage]) -> str:
    digest = hashlib.sha256()
    for labeled in passages:
        passage = labeled.passage
        digest.update(repr((passage.words, passage.entities, labeled.labels)).encode())
        digest.update(labeled.probs.tobytes())
    return digest.hexdigest()


def _digest_split(split: EvaluationSplit) -> str:
    digest = hashlib.sha256()
    for row in zip(split.passages, split.labels, split.teacher_entities, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()
