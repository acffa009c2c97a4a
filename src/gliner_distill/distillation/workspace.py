"""What a distillation works on and where it stands: the folder `work` of a student to be.

In: a job, as the user gives it. Out: a folder of passages by part for each time that documents were
read, and which documents those are, so that none is read twice; a job for other labels or another
teacher is refused. What is labeled and trained goes into the same folder, by `distillation`.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from gliner_distill.corpus.documents import (
    MIN_PASSAGES,
    SPLITS,
    SplitCorpus,
    cut_document,
    read_documents,
    split_documents,
)
from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile, read_passages, write_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.job import DistillJob
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, DistillError, SettingsError
from gliner_distill.files import replace_file

WORK_FOLDER = "work"


TEXT, GOLD = "text", "gold"


FINISHED_FILE = "finished"
"""In the folder of a run that is trained to its end."""


LOCK_FILE = ".lock"


_JOB_FILE, _DOCUMENTS_FILE = "job.json", "documents.json"


def check_same_job(out: Path, job: DistillJob) -> DistillJob:
    """Return a job with its labels in the order that its folder has them in.

    Raises:
        SettingsError: The folder is for other labels or another teacher, or holds something else.
    """
    path = out / WORK_FOLDER / _JOB_FILE
    if not path.is_file():
        # A run that was stopped in its first write leaves an empty folder, or half of that file.
        ours = (_JOB_FILE, LOCK_FILE)
        others = (
            file
            for file in out.rglob("*")
            if file.is_file() and not any(name in file.name for name in ours)
        )
        if out.is_file() or any(others):
            problem = "is a file" if out.is_file() else "holds something else"
            raise SettingsError(f"{out}: {problem}; choose a folder that is new or empty")
        return job
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}; choose another --out") from error
    if found != {"labels": dict(job.labels), "teacher": job.teacher}:
        raise SettingsError(
            f"{out}: was distilled with other labels or another teacher; choose another --out"
        )
    return replace(job, labels=found["labels"])


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Keep other processes out of a work folder; where nothing was written it is gone afterwards.

    Raises:
        DistillError: Another process works in it, or it cannot be written.
    """
    lock = FileLock(work / LOCK_FILE, timeout=0)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise DistillError(
            f"{work.parent}: another process distils into it; wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise DistillError(f"{work}: cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
        if {path.name for path in work.iterdir()} <= {LOCK_FILE}:
            (work / LOCK_FILE).unlink(missing_ok=True)
            work.rmdir()
            with suppress(OSError):  # it holds what was there before
                work.parent.rmdir()


def collect_passages(
    work: Path, job: DistillJob, *, max_words: int | None, notes: list[str]
) -> dict[str, list[Path]]:
    """Return the folders of text and of gold, passages by part; new ones for new documents.

    Nothing is written before all is read.

    Args:
        work: Where they are.
        job: Where documents come from.
        max_words: How many words to take; a run that was stopped is then finished before more is.
        notes: Filled with what a user should know.

    Raises:
        CorpusError: There is too little text, or it cannot be read, or gold has none of the labels.
        DistillError: The disk is full.
    """
    folders = {kind: _numbered(work, kind) for kind in (GOLD, TEXT)}
    is_stopped = bool(folders[TEXT]) and not (run_folder(work, folders) / FINISHED_FILE).exists()
    annotated, new = _known_documents(folders[GOLD]), dict[str, SplitCorpus]()
    if job.gold is not None:
        new[GOLD] = _part_gold(job.gold, job, folders[GOLD], notes)
        annotated.update(new[GOLD].documents)
        if max_words is not None:
            max_words = max(0, max_words - new[GOLD].n_words)
    if max_words is None or not is_stopped:
        new[TEXT] = _part_text(job, annotated, folders[TEXT], max_words, notes)
    for kind, corpus in new.items():
        if corpus.documents:
            _note_job(work, job)
            folders[kind].append(_write_folder(work / f"{kind}-{len(folders[kind])}", corpus))
        else:
            notes += corpus.warnings
    notes += [note for kind in folders for folder in folders[kind] for note in _read_notes(folder)]
    notes[:] = dict.fromkeys(notes)
    return folders


def _part_gold(
    source: str, job: DistillJob, folders: Sequence[Path], notes: list[str]
) -> SplitCorpus:
    read, found = CorpusNotes(), set[str]()
    passages = read_passages(source, skip_bad=job.skip_bad, notes=read)
    documents = [_of_labels(passage, job.labels, found) for passage in passages]
    corpus = split_documents(
        documents, source=source, known=_known_documents(folders), min_passages=0
    )
    notes += _warn_of_changes(source, documents, folders)
    read.long_passages = 0  # they are cut
    notes += read.lines()
    absent = [label for label in job.labels if clean_label(label) not in found]
    if len(absent) == len(job.labels):
        has = ", ".join(map(repr, sorted(found)[:8])) or "none"
        raise CorpusError(
            f"{source}: no annotated entity has one of the labels; it has {has}; expected "
            f"{', '.join(map(repr, absent[:8]))}"
        )
    notes += [
        f"{source}: no {label!r} is annotated, so the student learns that there is none in it"
        for label in absent
    ]
    return corpus


def _warn_of_changes(
    source: str, documents: Iterable[Passage], folders: Sequence[Path]
) -> list[str]:
    """Return a warning if passages that were read before have other annotation now."""
    before = {
        passage.words: set(passage.entities)
        for folder in folders
        for part in SPLITS
        if holds_passages(folder / f"{part}.json")
        for passage in CorpusFile(folder / f"{part}.json")
    }
    n_changed = sum(
        passage.words in before and set(passage.entities) != before[passage.words]
        for document in documents
        for passage in cut_document(document)
    )
    if not n_changed:
        return []
    return [
        f"{source}: {n_changed:,} passages have another annotation than when they were first read, "
        "which is still what the student learns; choose another --out for the new one"
    ]


def _part_text(
    job: DistillJob,
    annotated: set[str],
    folders: Sequence[Path],
    max_words: int | None,
    notes: list[str],
) -> SplitCorpus:
    read = CorpusNotes()
    passages = read_documents(job.texts, column=job.column, skip_bad=job.skip_bad, notes=read)
    corpus = split_documents(
        (Passage(passage.words) for passage in passages),
        source=job.texts,
        known=annotated | _known_documents(folders),
        min_passages=0 if folders else MIN_PASSAGES - len(annotated),
        max_words=max_words,
    )
    read.long_passages = read.passages_without_entities = 0
    notes += read.lines()
    return corpus


def _of_labels(passage: Passage, labels: Mapping[str, str], found: set[str]) -> Passage:
    """Return a passage with the entities of some labels alone, and add all that it has to found."""
    asked = {clean_label(label): label for label in labels}
    found.update(clean_label(one.label) for one in passage.entities)
    entities = tuple(
        replace(one, label=asked[clean_label(one.label)])
        for one in passage.entities
        if clean_label(one.label) in asked
    )
    return Passage(passage.words, entities)


def _numbered(work: Path, kind: str) -> list[Path]:
    return sorted(work.glob(f"{kind}-*"), key=lambda path: int(path.name.split("-")[1]))


def holds_passages(part: Path) -> bool:
    """Say whether a part's file is more than an empty list."""
    return part.stat().st_size >= 4


def run_folder(work: Path, folders: Mapping[str, Sequence[Path]]) -> Path:
    """Return the folder of the run that takes all of these folders."""
    return work / f"run-{sum(map(len, folders.values())) - 1}"


def _note_job(work: Path, job: DistillJob) -> None:
    noted = {"labels": dict(job.labels), "teacher": job.teacher}
    content = json.dumps(noted, indent=1, ensure_ascii=False) + "\n"
    write_noted(work / _JOB_FILE, content.encode("utf-8", "replace"))


def _write_folder(folder: Path, corpus: SplitCorpus) -> Path:
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    noted = {"documents": corpus.documents, "notes": corpus.warnings}
    write_noted(partial / _DOCUMENTS_FILE, json.dumps(noted).encode())
    for part, passages in corpus.passages.items():
        write_passages(partial / f"{part}.json", passages)
    try:
        return partial.replace(folder)
    except OSError as error:
        raise DistillError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_noted(path: Path, content: bytes) -> None:
    """Write a file, and its folder where there is none.

    Raises:
        DistillError: The disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {error.strerror or error}") from error


def _known_documents(folders: Sequence[Path]) -> set[str]:
    return {digest for folder in folders for digest in _read_facts(folder)["documents"]}


def _read_notes(folder: Path) -> list[str]:
    return list(_read_facts(folder)["notes"])


def _read_facts(folder: Path) -> dict[str, list[str]]:
    path = folder / _DOCUMENTS_FILE
    try:
        metadata: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read: {error}; choose another --out") from error
    return metadata
