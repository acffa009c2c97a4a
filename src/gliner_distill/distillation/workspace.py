"""The working folder of a distillation, `OUT/work`: the job, and the results of each step.

All results that take time are kept here, so that a run that was stopped can continue and a run with
more documents can build on the one before:

- `job.json`: the labels and the teacher. A job with different ones is refused.
- `.lock`: held by the process that works here.
- `texts.jsonl`, `gold.json`: texts and annotated passages that were given as Python objects.
- `text-N/`, `gold-N/` (N = 0, 1, ...): the passages of the documents that were new when documents
  were read for the Nth time. `train.json`, `dev.json` and `test.json` hold the passages;
  `documents.json`, written last, holds the number of passages per split, the hashes of their files
  and of the documents, and the warnings; `labels-train`, `labels-dev` and `labels-test` are
  soft-label stores. If the teacher reads a part of the training passages, there are folders
  `round-R` in place of `labels-train` (see `selection.rounds`).
- `run-N/`: the training run on all of these folders, N + 1 in number. It is a run folder of
  `train_student` with the student in `student/`, the empty file `finished` once it has ended, and
  `gold/`: the students tuned on annotated passages (`fold-K`, `tuned`), their answers
  (`labels-train`, `labels-dev`) and the weight of these answers (`weight.json`).
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from gliner_distill.callbacks import Progress
from gliner_distill.corpus.documents import SPLITS, SplitCorpus
from gliner_distill.corpus.reader import write_passages
from gliner_distill.distillation.job import DistillJob, DistillSettings
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.errors import CorpusError, DistillError, SettingsError
from gliner_distill.files import (
    LOCK_FILE,
    digest_file,
    exclusive_lock,
    is_leftover,
    reason_of,
    write_file,
)
from gliner_distill.json_files import (
    COUNT,
    OBJECT,
    SHA256,
    TEXT,
    TEXTS,
    FieldKind,
    check_fields,
    read_sealed_json,
    write_sealed_json,
)
from gliner_distill.labeling.jobs import Workers
from gliner_distill.labels import by_clean_label, spellings_by_label
from gliner_distill.store.manifest import MANIFEST
from gliner_distill.training.run import STUDENT_FOLDER

Kind = Literal["text", "gold"]

WORK_FOLDER: Final = "work"
TEXTS_FILE: Final = "texts.jsonl"
GOLD_FILE: Final = "gold.json"

_JOB_FILE: Final = "job.json"
_DOCUMENTS_FILE: Final = "documents.json"
_FINISHED_FILE: Final = "finished"

_ADVICE: Final = "put the original file back, or choose another --out"

_EARLY_FILES: Final = frozenset((_JOB_FILE, LOCK_FILE, TEXTS_FILE, GOLD_FILE))
"""The files that a run may leave in the folder if it is killed before it has written its job."""


@dataclass(frozen=True, slots=True)
class PassageFolder:
    """The passages of the documents that were read at one time, split by document.

    Attributes:
        path: The folder.
        n_passages: The number of passages of each split.
        documents: The hashes of the documents.
        warnings: Sentences on documents that were left out, and on how the rest was split.
        sha256: The hash of each split's file of passages.
    """

    path: Path
    n_passages: Mapping[str, int]
    documents: tuple[str, ...]
    warnings: tuple[str, ...]
    sha256: Mapping[str, str]

    def passages_file(self, split: str) -> Path:
        """Return the path of a split's passages."""
        return self.path / f"{split}.json"

    def check_passages(self, split: str) -> None:
        """Check that a split's passages are those that were written.

        Raises:
            CorpusError: The file is missing, cannot be read, or was changed.
        """
        path = self.passages_file(split)
        try:
            is_changed = _hash_file(path) != self.sha256[split]
        except OSError as error:
            raise CorpusError(
                f"{path}: cannot be read: {reason_of(error)}; choose another --out"
            ) from error
        if is_changed:
            raise CorpusError(
                f"{path}: has changed since its {self.n_passages[split]:,} passages were written; "
                "put the file back as it was, or choose another --out"
            )

    def store(self, split: str) -> Path:
        """Return the folder of a split's soft labels."""
        return self.path / f"labels-{split}"

    @property
    def splits(self) -> list[str]:
        """The splits that have passages."""
        return [split for split in SPLITS if self.n_passages[split]]


@dataclass(frozen=True, slots=True)
class Workspace:
    """An open working folder, and all that the steps of a distillation share.

    Attributes:
        out: The folder of the student; the working folder lies in it.
        job: The task.
        teacher: The teacher.
        settings: All other settings.
        progress: A function that receives the progress of each stage.
        workers: The workers that ask the teacher; None for this process.
    """

    out: Path
    job: DistillJob
    teacher: TeacherSource
    settings: DistillSettings
    progress: Progress
    workers: Workers | None = None

    @property
    def folder(self) -> Path:
        """The working folder."""
        return self.out / WORK_FOLDER

    def save_job(self) -> None:
        """Write the job to a file, so that a later run with a different job is refused.

        Raises:
            DistillError: The folder cannot be written.
        """
        write_sealed_json(self.folder / _JOB_FILE, _identity(self.job, self.teacher))

    def update_teacher(self) -> None:
        """Write down the teacher of this run in place of one that has labeled nothing.

        Raises:
            DistillError: The folder cannot be written.
        """
        path = self.folder / _JOB_FILE
        if path.is_file() and not _is_same_teacher(_read_job(path), self.teacher):
            self.save_job()

    def passage_folders(self, kind: Kind) -> list[PassageFolder]:
        """Return the finished folders of text or of annotated passages, in order.

        Raises:
            CorpusError: One of them cannot be read.
        """
        folders: list[PassageFolder] = []
        while (path := self._passage_path(kind, len(folders)) / _DOCUMENTS_FILE).is_file():
            folders.append(_read_passage_folder(path))
        return folders

    def add_passages(self, kind: Kind, corpus: SplitCorpus) -> None:
        """Write a new folder of passages.

        Raises:
            DistillError: The folder cannot be written; what was written is replaced the next time.
        """
        self.save_job()
        folder = self._passage_path(kind, len(self.passage_folders(kind)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DistillError(f"{folder}: cannot be written: {reason_of(error)}") from error
        for split, passages in corpus.passages.items():
            write_passages(folder / f"{split}.json", passages)
        # The folder counts only once the last file exists, so that a killed run never leaves half a
        # folder.
        content = {
            "n_passages": {split: len(passages) for split, passages in corpus.passages.items()},
            "sha256": {split: _hash_file(folder / f"{split}.json") for split in corpus.passages},
            "documents": list(corpus.documents),
            "warnings": list(corpus.warnings),
        }
        write_sealed_json(folder / _DOCUMENTS_FILE, content)

    def run_folder(self, number: int) -> Path:
        """Return the path of a training run."""
        return self.folder / f"run-{number}"

    def is_finished(self, number: int) -> bool:
        """Say whether a training run has ended."""
        return (self.run_folder(number) / _FINISHED_FILE).is_file()

    def mark_finished(self, number: int) -> None:
        """Write down that a training run has ended.

        Raises:
            DistillError: The folder cannot be written.
        """
        write_file(self.run_folder(number) / _FINISHED_FILE, b"")

    def start_of_run(self, number: int) -> Path:
        """Return the student that a run starts from: that of the previous run, if there is one."""
        earlier = (self.run_folder(n) / STUDENT_FOLDER for n in range(number - 1, -1, -1))
        return next((folder for folder in earlier if folder.is_dir()), self.settings.start_folder)

    def _passage_path(self, kind: Kind, number: int) -> Path:
        return self.folder / f"{kind}-{number}"


@contextmanager
def open_workspace(
    out: Path,
    job: DistillJob,
    teacher: TeacherSource,
    settings: DistillSettings,
    progress: Progress,
    workers: Workers | None = None,
) -> Iterator[Workspace]:
    """Open the working folder of a student and keep other processes out of it.

    If the block wrote nothing except copies of texts, the folder is removed afterward.

    Raises:
        SettingsError: The folder holds the work of another job, or something else.
        DistillError: Another process works in the folder, or it cannot be written.
    """
    job = _check_same_job(out, job, teacher)
    work = Workspace(out, job, teacher, settings, progress, workers)
    busy = f"{out}: another process distills into it; wait for it, or choose another --out"
    is_locked = False
    try:
        with exclusive_lock(work.folder / LOCK_FILE, busy=busy):
            is_locked = True
            try:
                work.update_teacher()
                yield work
            finally:
                _discard_texts(work.folder)
    finally:
        if is_locked:
            _remove_unused(work.folder)


def _discard_texts(folder: Path) -> None:
    """Delete copies of texts if no passages were made from them."""
    if not (folder / _JOB_FILE).is_file():
        for name in _EARLY_FILES - {LOCK_FILE}:
            (folder / name).unlink(missing_ok=True)


def _remove_unused(folder: Path) -> None:
    """Remove a working folder that holds the lock file alone, and the empty folder around it."""
    if {path.name for path in folder.iterdir()} <= {LOCK_FILE}:
        (folder / LOCK_FILE).unlink(missing_ok=True)
        folder.rmdir()
        with suppress(OSError):  # the folder holds what was there before
            folder.parent.rmdir()


def _check_same_job(out: Path, job: DistillJob, teacher: TeacherSource) -> DistillJob:
    """Return the job with its labels in the order of an earlier run, in the spelling of this one.

    Raises:
        SettingsError: The folder is for other labels or another teacher, or holds something else.
    """
    path = out / WORK_FOLDER / _JOB_FILE
    if not path.is_file():
        _check_unused(out)
        return job
    saved = _read_job(path)
    labels = by_clean_label(saved["labels"])
    is_same_teacher = _is_same_teacher(saved, teacher)
    # The order of the labels may differ; the order of the earlier run is used.
    # A teacher that has labeled nothing, such as a mistyped name, does not count.
    is_other_teacher = not is_same_teacher and _is_labeled(path.parent)
    if labels != by_clean_label(job.labels) or is_other_teacher:
        kept = ", ".join(map(repr, labels))
        raise SettingsError(
            f"{out}: was distilled with other labels or another teacher (labels "
            f"{kept}; teacher {saved['teacher']}); choose another --out"
        )
    spellings = spellings_by_label(job.labels)
    return replace(job, labels={spellings[label]: text for label, text in labels.items()})


def _is_labeled(folder: Path) -> bool:
    """Say whether a teacher has begun to label the passages in a working folder."""
    return any(folder.glob(f"*-*/labels-*/{MANIFEST}"))


def _check_unused(out: Path) -> None:
    if out.is_file():
        raise SettingsError(f"{out}: this is a file; choose a folder that is new or empty")
    work = out / WORK_FOLDER
    for file in out.rglob("*"):
        is_early = file.name in _EARLY_FILES or is_leftover(file.name)
        is_ours = file.parent == work and is_early
        if file.is_file() and not is_ours:
            raise SettingsError(
                f"{out}: holds something else ({file.relative_to(out)}); choose a "
                "folder that is new or empty"
            )


def _identity(job: DistillJob, teacher: TeacherSource) -> dict[str, Any]:
    return {
        "labels": dict(job.labels),
        "teacher": teacher.name,
        "teacher_fingerprint": teacher.fingerprint,
    }


def _is_same_teacher(saved: Mapping[str, Any], teacher: TeacherSource) -> bool:
    """Compare fingerprints if both are known, since a teacher may be loaded from elsewhere."""
    if saved["teacher_fingerprint"] is not None and teacher.fingerprint is not None:
        return bool(saved["teacher_fingerprint"] == teacher.fingerprint)
    return bool(saved["teacher"] == teacher.name)


def _hash_file(path: Path) -> str:
    return digest_file(path, max_bytes=sys.maxsize)


_JOB_KINDS = {
    "labels": OBJECT,
    "teacher": TEXT,
    "teacher_fingerprint": FieldKind(
        "a string or null", lambda value: isinstance(value, str | None)
    ),
}

_DOCUMENTS_KINDS = {"sha256": OBJECT, "n_passages": OBJECT, "documents": TEXTS, "warnings": TEXTS}


def _read_job(path: Path) -> dict[str, Any]:
    """Return the saved identity of a job.

    Raises:
        SettingsError: The file cannot be read, or has changed.
    """
    saved = read_sealed_json(path, advice=_ADVICE, error=SettingsError)
    try:
        check_fields(saved, _JOB_KINDS)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; {_ADVICE}") from error
    return saved


def _read_passage_folder(path: Path) -> PassageFolder:
    """Return a folder of passages.

    Raises:
        CorpusError: The file cannot be read, or has changed.
    """
    content = read_sealed_json(path, advice=_ADVICE, error=CorpusError)
    try:
        check_fields(content, _DOCUMENTS_KINDS)
        for name, kind in (("n_passages", COUNT), ("sha256", SHA256)):
            check_fields(content[name], dict.fromkeys(SPLITS, kind), where=name)
    except ValueError as error:
        raise CorpusError(f"{path}: {error}; {_ADVICE}") from error
    return PassageFolder(
        path.parent,
        n_passages=content["n_passages"],
        documents=tuple(content["documents"]),
        warnings=tuple(content["warnings"]),
        sha256=content["sha256"],
    )
