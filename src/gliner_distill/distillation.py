"""From a pile of documents to a student in one go: what `gliner-distill distill` does.

In: documents, labels, a teacher. Out: a folder that `StudentNER` loads, and in its folder `work`
what each stage made: passages by part, the teacher's soft labels, the training run. Whatever is
there already is not made again, so a run that was stopped goes on, and a run with more documents
adds to the one before: their passages, their soft labels, and training from the student it made.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gliner_distill.corpus import CorpusFile, CorpusNotes, write_passages
from gliner_distill.corpus_records import clean_label
from gliner_distill.domain_corpus import (
    MIN_PASSAGES,
    PARTS,
    PartedCorpus,
    part_documents,
    read_domain,
)
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, SettingsError, StoreError
from gliner_distill.examples import make_split
from gliner_distill.files import replace_file
from gliner_distill.label_policy import LabelPolicy
from gliner_distill.labelling import label_corpus
from gliner_distill.losses import gold_boundaries
from gliner_distill.near_synonyms import are_near_synonyms
from gliner_distill.progress import ShowProgress, count_words
from gliner_distill.settings import TrainingSettings
from gliner_distill.shards import LabelledPassage
from gliner_distill.soft_labels import SoftLabelStore, read_manifest
from gliner_distill.student import Student, load_student
from gliner_distill.student_config import open_student_path
from gliner_distill.teacher import Teacher
from gliner_distill.training import CHECKPOINT_FILE, STUDENT_FOLDER, train_student

WORK_FOLDER = "work"
TEXT, GOLD = "text", "gold"
EPOCHS = 8
LEARNING_RATE = 5e-3
TEACHER_SHARE_OF_GOLD = 0.3
"""Weight of the teacher in a gold passage's targets; the rest is the annotation's."""
GOLD_SHARE, MAX_GOLD_REPEATS = 0.2, 8
"""Gold passages are repeated until they are a fifth of the others, at most eight times."""
_JOB_FILE, _DOCUMENTS_FILE = "job.json", "documents.json"
_PROBE_PASSAGES = 32
_LABELLING_SHARE, _TRAINING_SHARE = 0.55, 0.3
_MIN_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class DistilJob:
    """What to distil.

    Attributes:
        texts: Where the documents are; see `read_domain`.
        labels: What to find, with what to tell the teacher of it, which may be empty.
        teacher: A GLiNER's folder or hub id.
        column: Of a CSV file, or the field of JSON lines, that holds the text.
        gold: A corpus with annotated entities of the labels, all of them.
        minutes: How long the whole may take; None for all documents.
        skip_bad: Leave bad records out.
    """

    texts: str
    labels: Mapping[str, str]
    teacher: str
    column: str | None = None
    gold: str | None = None
    minutes: float | None = None
    skip_bad: bool = False


@dataclass(slots=True)
class Distilled:
    """What the stages made.

    Attributes:
        student: The trained student's folder, with torch's weights.
        run: The run folder.
        items: The passages of each part with the teacher's soft labels, without gold.
        gold: The annotated passages of each part, with gold and soft labels.
        notes: What a user should know: what was left out, what is doubtful.
        seconds: How long labelling and training took, in this run.
    """

    student: Path
    run: Path
    items: dict[str, list[LabelledPassage]]
    gold: dict[str, list[LabelledPassage]]
    notes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


LoadTeacher = Callable[[], Teacher]
"""Returns the teacher; called when it is first needed, since what is labelled needs it no more."""


def distil(
    job: DistilJob, out: Path, load_teacher: LoadTeacher, *, on_progress: ShowProgress
) -> Distilled:
    """Read, label and train, or go on where that was stopped.

    Args:
        job: What to distil.
        out: The folder of the student.
        load_teacher: Returns the job's teacher, the same one each time.
        on_progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        CorpusError: There is too little text, or it cannot be read.
        SettingsError: The folder holds the work of other labels or another teacher.
        DistillError: The teacher or a store is broken, or the disk is full.
    """
    work = out / WORK_FOLDER
    notes = warn_of_labels(tuple(job.labels))
    _check_same_job(work, job)
    plan = Plan.make(job, load_teacher) if job.minutes is not None else Plan()
    gold_folders = _collect(work, GOLD, job.gold, job, set(), plan, notes) if job.gold else []
    known = _known_documents(gold_folders)
    text_folders = _collect(work, TEXT, job.texts, job, known, plan, notes)
    seconds = {}
    started = time.monotonic()
    policy = _policy(job.labels)
    gold = _label(gold_folders, load_teacher, policy, on_progress)
    items = _label(text_folders, load_teacher, policy, on_progress)
    seconds["labelling"] = time.monotonic() - started
    notes += warn_of_absent(items["train"], tuple(job.labels))
    started = time.monotonic()
    run = work / f"run-{len(text_folders) + len(gold_folders) - 1}"
    settings = training_settings(epochs=plan.epochs(items["train"], notes))
    train_on(run, items, gold, settings, start=_start_folder(run), on_progress=on_progress)
    seconds["training"] = time.monotonic() - started
    return Distilled(run / STUDENT_FOLDER, run, items, gold, notes, seconds)


def training_settings(*, epochs: int = EPOCHS, seed: int = 0) -> TrainingSettings:
    """Return how students of a domain are trained: from the soft labels, to the best on dev."""
    return TrainingSettings(
        alpha=1.0,
        epochs=epochs,
        patience=3,
        learning_rate=LEARNING_RATE,
        seed=seed,
        precision="bf16" if computes_in_bf16() else "fp32",
    )


def train_on(
    run: Path,
    items: Mapping[str, Sequence[LabelledPassage]],
    gold: Mapping[str, Sequence[LabelledPassage]],
    settings: TrainingSettings,
    *,
    start: Path,
    on_progress: ShowProgress,
) -> Student:
    """Train a student from another one's weights into a run folder, or go on with it.

    Args:
        run: The run folder.
        items: By part; `dev` decides which epoch is best.
        gold: Annotated passages by part; those of `train` are learned from, too.
        settings: See `training_settings`.
        start: The folder of the student to start from.
        on_progress: As in `distil`.

    Raises:
        DistillError: As `train_student`.
    """
    student, vocabulary = load_student(start)
    train = [without_gold(item) for item in items["train"]]
    train += [blend_gold(item) for item in gold["train"]] * _gold_repeats(items, gold)
    dev = [without_gold(item) for item in [*items["dev"], *gold["dev"]]]
    n_words = settings.epochs * sum(len(item.passage.words) for item in train)
    return train_student(
        student,
        vocabulary,
        train,
        run,
        settings,
        splits=[make_split("dev", dev, vocabulary)],
        facts={"started_from": start.parent.name if start.name == STUDENT_FOLDER else start.name},
        resume=(run / CHECKPOINT_FILE).exists(),
        on_progress=count_words(on_progress, "training", n_words),
    )


def _gold_repeats(
    items: Mapping[str, Sequence[LabelledPassage]], gold: Mapping[str, Sequence[LabelledPassage]]
) -> int:
    """Return how often gold passages come in an epoch: a few must not drown in much text."""
    wanted = GOLD_SHARE * len(items["train"]) / max(len(gold["train"]), 1)
    return min(MAX_GOLD_REPEATS, max(1, round(wanted)))


def without_gold(item: LabelledPassage) -> LabelledPassage:
    """Return a passage with the teacher's answers alone."""
    return replace(item, passage=Passage(item.passage.words))


def blend_gold(item: LabelledPassage) -> LabelledPassage:
    """Return an annotated passage whose targets are 0.3 of the teacher's answers and 0.7 of gold.

    Cross-entropy is linear in its target, so this is Hinton's mix of both losses. Of the labels
    asked, the annotation names every entity; what it does not name is absent.
    """
    passage = item.passage
    told = gold_boundaries(passage.entities, item.labels, len(passage.words))
    share = np.float32(TEACHER_SHARE_OF_GOLD)
    mixed = share * item.probs + (1 - share) * np.nan_to_num(told, nan=0.0)
    return replace(without_gold(item), probs=mixed.astype(np.float32))


def warn_of_labels(labels: Sequence[str]) -> list[str]:
    """Return a warning for each two labels that mean nearly the same."""
    return [
        f"labels {one!r} and {other!r} mean nearly the same; an entity of one may be found as the "
        "other, so keep one of them"
        for place, one in enumerate(labels)
        for other in labels[place + 1 :]
        if are_near_synonyms(one, other)
    ]


def warn_of_absent(items: Sequence[LabelledPassage], labels: Sequence[str]) -> list[str]:
    """Return a warning for each label that the teacher never finds, with its best score."""
    best = np.zeros(len(labels))
    for item in items:
        if len(item.probs):
            best = np.maximum(best, item.probs.min(axis=2).max(axis=0))
    return [
        f"the teacher finds no {label!r} in the training text (its best score is {score:.2f}, "
        "below 0.5), so the student learns to find none; word it otherwise, or leave it out"
        for label, score in zip(labels, best.tolist(), strict=True)
        if score <= 0.5
    ]


def computes_in_bf16() -> bool:
    """Say whether this processor multiplies bfloat16 by itself, so that training is quicker."""
    info = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not info.is_file():
        return torch.cuda.is_available()
    flags = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of the text to take, and for how many epochs, so that the whole keeps to its time.

    Attributes:
        n_words: Words of text to label, at most; None for all.
        training_seconds: For training; None for as long as it takes.
        words_per_second: Of training.
    """

    n_words: int | None = None
    training_seconds: float | None = None
    words_per_second: float = 0.0

    @classmethod
    def make(cls, job: DistilJob, load_teacher: "LoadTeacher") -> "Plan":
        """Measure the teacher and a student on the first documents, and divide the time.

        Raises:
            SettingsError: The time is too short to label 20 passages.
        """
        seconds = 60 * (job.minutes or 0)
        notes = CorpusNotes()
        documents = read_domain(job.texts, column=job.column, skip_bad=job.skip_bad, notes=notes)
        words = [one.words[:120] for one, _ in zip(documents, range(_PROBE_PASSAGES), strict=False)]
        words = [one for one in words if one] or [("text",)]
        labels = [tuple(_policy(job.labels).prompts(tuple(job.labels)))] * len(words)
        teacher = load_teacher()
        teacher.score_passages(words[:2], labels[:2])
        started = time.perf_counter()
        teacher.score_passages(words, labels)
        n_probed = sum(map(len, words))
        rate = n_probed / (time.perf_counter() - started)
        n_words = int(_LABELLING_SHARE * seconds * rate)
        if n_words < MIN_PASSAGES * n_probed / len(words):
            raise SettingsError(
                f"the teacher reads {rate:,.0f} words a second here, so {job.minutes:g} minutes "
                "are too short to label enough text; give more"
            )
        return cls(n_words, _TRAINING_SHARE * seconds, _training_rate())

    def epochs(self, items: Sequence[LabelledPassage], notes: list[str]) -> int:
        """Return how many epochs there is time for, and note it where that is fewer than usual."""
        if self.training_seconds is None:
            return EPOCHS
        n_words = sum(len(item.passage.words) for item in items)
        possible = int(self.training_seconds * self.words_per_second / max(n_words, 1))
        epochs = min(EPOCHS, max(_MIN_EPOCHS, possible))
        if epochs < EPOCHS:
            notes.append(f"for the time given, training has {epochs} epochs instead of {EPOCHS}")
        return epochs


def _policy(labels: Mapping[str, str]) -> LabelPolicy:
    described = {label: text for label, text in labels.items() if text}
    return LabelPolicy(fixed=tuple(labels), descriptions=described)


def _check_same_job(work: Path, job: DistilJob) -> None:
    """Note what a folder is for, or make sure that it is for the same.

    Raises:
        SettingsError: It is for other labels or another teacher.
    """
    path = work / _JOB_FILE
    asked = {"labels": dict(job.labels), "teacher": job.teacher}
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SettingsError(f"{path}: is broken: {error}; choose another --out") from error
        if found != asked:
            raise SettingsError(
                f"{work.parent}: was distilled with other labels or another teacher; choose "
                "another --out"
            )
        return
    if work.parent.is_dir() and any(work.parent.iterdir()):
        raise SettingsError(
            f"{work.parent}: holds something else; choose a folder that is new or empty"
        )
    work.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(asked, indent=1, ensure_ascii=False) + "\n").encode())


def _collect(
    work: Path,
    kind: str,
    source: str,
    job: DistilJob,
    known: set[str],
    plan: Plan,
    notes: list[str],
) -> list[Path]:
    """Return the folders of passages by part; a new one for documents that none has yet."""
    folders = sorted(work.glob(f"{kind}-*"), key=lambda path: int(path.name.split("-")[1]))
    seen = known | _known_documents(folders)
    read = CorpusNotes()
    documents = read_domain(source, column=job.column, skip_bad=job.skip_bad, notes=read)
    if kind == GOLD:
        documents = (_of_labels(passage, job.labels) for passage in documents)
    corpus = part_documents(
        documents,
        known=seen,
        min_passages=1 if kind == GOLD else MIN_PASSAGES,
        max_words=plan.n_words if kind == TEXT else None,
    )
    if read.bad_records:
        notes.append(
            f"{read.bad_records:,} bad records are left out; the first: {read.bad_messages[0]}"
        )
    notes += corpus.notes
    if corpus.documents:
        folders.append(_write_folder(work / f"{kind}-{len(folders)}", corpus))
    return folders


def _of_labels(passage: Passage, labels: Mapping[str, str]) -> Passage:
    asked = {clean_label(label): label for label in labels}
    entities = tuple(
        replace(one, label=asked[clean_label(one.label)])
        for one in passage.entities
        if clean_label(one.label) in asked
    )
    return Passage(passage.words, entities)


def _write_folder(folder: Path, corpus: PartedCorpus) -> Path:
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part, passages in corpus.passages.items():
        write_passages(partial / f"{part}.json", passages)
    replace_file(partial / _DOCUMENTS_FILE, json.dumps(corpus.documents).encode())
    partial.replace(folder)
    return folder


def _known_documents(folders: Sequence[Path]) -> set[str]:
    known: set[str] = set()
    for folder in folders:
        try:
            known.update(json.loads((folder / _DOCUMENTS_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise CorpusError(
                f"{folder / _DOCUMENTS_FILE}: cannot be read: {error}; choose another --out"
            ) from error
    return known


def _label(
    folders: Sequence[Path],
    load_teacher: LoadTeacher,
    policy: LabelPolicy,
    on_progress: ShowProgress,
) -> dict[str, list[LabelledPassage]]:
    """Return the soft labels of all folders by part, from their stores where they are finished."""
    items: dict[str, list[LabelledPassage]] = {part: [] for part in PARTS}
    for folder in folders:
        for part in PARTS:
            corpus, store = folder / f"{part}.json", folder / f"labels-{part}"
            if corpus.stat().st_size < 4:  # an empty list
                continue
            if not _is_finished(store):
                passages = CorpusFile(corpus)
                n_words = sum(len(passage.words) for passage in passages)
                count = count_words(on_progress, f"labelling {folder.name} {part}", n_words)
                label_corpus(
                    passages,
                    load_teacher(),
                    store,
                    policy=policy,
                    keep_pieces=False,
                    on_progress=_words_alone(count),
                )
            items[part] += list(SoftLabelStore(store))
    return items


def _words_alone(count: Callable[[int, str], None]) -> Callable[[int], None]:
    return lambda n_words: count(n_words, "")


def _is_finished(store: Path) -> bool:
    try:
        return read_manifest(store).is_complete
    except StoreError:
        return False


def _start_folder(run: Path) -> Path:
    """Return the student to start from: of the run before, else the one that comes along."""
    number = int(run.name.split("-")[1])
    before = [run.with_name(f"run-{n}") / STUDENT_FOLDER for n in range(number - 1, -1, -1)]
    return next((folder for folder in before if folder.is_dir()), open_student_path())


def _training_rate() -> float:
    """Return words a second of training, as measured on a few steps with the bundled student."""
    import tempfile

    words = tuple(f"word{number}" for number in range(40))
    probs = np.full((len(words), 8, 3), 0.1, dtype=np.float32)
    items = [LabelledPassage(Passage(words), tuple("abcdefgh"), probs)] * 160
    parts: dict[str, Any] = {"train": items, "dev": items[:1], "test": []}
    empty: dict[str, list[LabelledPassage]] = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train_on(
            Path(folder),
            parts,
            empty,
            training_settings(epochs=1),
            start=open_student_path(),
            on_progress=lambda *step: None,
        )
        return len(items) * len(words) / (time.perf_counter() - started)
