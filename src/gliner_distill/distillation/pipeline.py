"""From a pile of documents to a student in one go: what `gliner-distill distill` does.

In: documents, labels, a teacher. Out: a folder that `StudentNER` loads, and in its folder `work`
what each stage made: passages by part, the teacher's soft labels, the training run. Whatever is
there already is not made again, so a run that was stopped goes on, and a run with more documents
adds to the one before: their passages, their soft labels, and training from the student it made.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill import __version__
from gliner_distill.callbacks import Progress
from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.evaluation import evaluate_distilled
from gliner_distill.distillation.few_shot import refine_soft_labels, started_settings
from gliner_distill.distillation.job import Distilled, DistillJob, LoadTeacher, _policy
from gliner_distill.distillation.plan import Plan
from gliner_distill.distillation.report import render_card, render_page
from gliner_distill.distillation.train import (
    EPOCHS,
    GOLD_FOLDER,
    _count_words,
    gold_among,
    train_on,
    training_settings,
)
from gliner_distill.distillation.workspace import (
    FINISHED_FILE,
    GOLD,
    TEXT,
    WORK_FOLDER,
    alone_in,
    check_same_job,
    collect_passages,
    holds_passages,
    run_folder,
    write_noted,
)
from gliner_distill.entities import END, INSIDE, START, LabeledPassage, Passage
from gliner_distill.errors import DistillError, StoreError
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.labeling.synonyms import labels_overlap
from gliner_distill.runtime.bundle import EXPORT_FILES, FP32
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.export import export_smallest, export_student
from gliner_distill.student.files import load_student
from gliner_distill.training.run import STUDENT_FOLDER


def distil(
    job: DistillJob, out: Path, load_teacher: LoadTeacher, *, progress: Progress
) -> Distilled:
    """Read, label and train, or go on where that was stopped.

    Args:
        job: What to distil.
        out: The folder of the student.
        load_teacher: Returns the job's teacher, the same one each time.
        progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        CorpusError: There is too little text, or it cannot be read.
        SettingsError: The folder holds the work of other labels or another teacher.
        DistillError: The teacher or a store is broken, or the disk is full.
    """
    job = check_same_job(out, job)
    with alone_in(out / WORK_FOLDER):
        return _distil(job, out / WORK_FOLDER, load_teacher, progress)


def _distil(
    job: DistillJob, work: Path, load_teacher: LoadTeacher, progress: Progress
) -> Distilled:
    notes = warn_about_similar_labels(tuple(job.labels))
    plan = Plan.make(job, load_teacher) if job.minutes is not None else Plan()
    folders = collect_passages(work, job, max_words=plan.n_words, notes=notes)
    seconds = {}
    started = time.monotonic()
    policy = _policy(job.labels)
    gold = _label(folders[GOLD], load_teacher, policy, progress)
    items = _without(_label(folders[TEXT], load_teacher, policy, progress), gold)
    seconds["labeling"] = time.monotonic() - started
    train = [*items["train"], *gold["train"]]
    notes += warn_about_unseen_labels(train, tuple(job.labels))
    started = time.monotonic()
    run = run_folder(work, folders)
    learned, weight = refine_soft_labels(
        run / GOLD_FOLDER, items, gold["train"], training_settings(), progress=progress
    )
    notes += [weight.note()] if weight is not None else []
    n_words = _count_words(gold_among(learned["train"], gold["train"]))
    settings = started_settings(run) or training_settings(epochs=plan.epochs(n_words))
    if settings.epochs < EPOCHS:
        notes.append(
            f"for the time given, training has {settings.epochs} epochs instead of {EPOCHS}"
        )
    train_on(run, learned, gold, settings, start=_start_folder(run), progress=progress)
    write_noted(run / FINISHED_FILE, b"")
    seconds["training"] = time.monotonic() - started
    return Distilled(run / STUDENT_FOLDER, run, items, gold, learned["dev"], notes, seconds)


def warn_about_similar_labels(labels: Sequence[str]) -> list[str]:
    """Return a warning for each two labels that mean nearly the same."""
    return [
        f"labels {one!r} and {other!r} mean nearly the same; an entity of one may be found as the "
        "other, so keep one of them"
        for place, one in enumerate(labels)
        for other in labels[place + 1 :]
        if labels_overlap(one, other)
    ]


def warn_about_unseen_labels(items: Sequence[LabeledPassage], labels: Sequence[str]) -> list[str]:
    """Return a warning for each label that the teacher never finds, with its best score.

    Labels that the passages' annotation has are taught by it, so there is no warning of them.
    """
    best = np.zeros(len(labels))
    for item in items:
        missing = np.flatnonzero(best <= 0.5)
        if not len(missing):
            break
        best[missing] = np.maximum(best[missing], _best_scores(item.probs[:, missing]))
    annotated = {entity.label for item in items for entity in item.passage.entities}
    return [
        f"the teacher finds no {label!r} in the training text (its best score is {score:.2f}, "
        "not above 0.5), so the student learns to find none; word it otherwise, or leave it out"
        for label, score in zip(labels, best.tolist(), strict=True)
        if score <= 0.5 and label not in annotated
    ]


def _best_scores(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each label the score of its best span, as `decode_entities` has it."""
    reached = best = np.zeros(probs.shape[1], dtype=np.float32)
    for word in probs:
        reached = np.minimum(word[:, INSIDE], np.maximum(word[:, START], reached))
        best = np.maximum(best, np.minimum(reached, word[:, END]))
    return best


def _without(
    items: Mapping[str, Sequence[LabeledPassage]], gold: Mapping[str, Sequence[LabeledPassage]]
) -> dict[str, list[LabeledPassage]]:
    """Return the passages of text that were not annotated later on."""
    annotated = {item.passage.words for part in gold.values() for item in part}
    return {
        part: [item for item in of_part if item.passage.words not in annotated]
        for part, of_part in items.items()
    }


def _label(
    folders: Sequence[Path],
    load_teacher: LoadTeacher,
    policy: LabelPolicy,
    progress: Progress,
) -> dict[str, list[LabeledPassage]]:
    """Return the soft labels of all folders by part, from their stores where they are finished."""
    items: dict[str, list[LabeledPassage]] = {part: [] for part in SPLITS}
    for folder in folders:
        for part in SPLITS:
            corpus, store = folder / f"{part}.json", folder / f"labels-{part}"
            if not holds_passages(corpus):
                continue
            if not _is_finished(store):
                passages = CorpusFile(corpus)
                label_corpus(
                    passages,
                    load_teacher(),
                    store,
                    policy=policy,
                    keep_subword_vectors=False,
                    progress=progress,
                    stage=f"labeling {folder.name} {part}",
                )
            items[part] += list(SoftLabelStore(store))
    return items


def _is_finished(store: Path) -> bool:
    try:
        return read_manifest(store).is_complete
    except StoreError:
        return False


def _start_folder(run: Path) -> Path:
    """Return the student to start from: of the run before, else the one that comes along."""
    number = int(run.name.split("-")[1])
    before = [run.with_name(f"run-{n}") / STUDENT_FOLDER for n in range(number - 1, -1, -1)]
    return next((folder for folder in before if folder.is_dir()), bundled_student_path())


FP32_FOLDER, RESULTS_FILE, REPORT_FILE, CARD_FILE = FP32, "results.json", "report.html", "README.md"


_MIN_GAIN = 0.02
"""By how much a label's F1 on dev must be better for its threshold to leave 0.5."""


def distil_to_folder(
    job: DistillJob, out: Path, load_teacher: LoadTeacher, *, progress: Progress
) -> dict[str, Any]:
    """Distil, export, measure, and write it all; return the figures of `results.json`.

    The folder itself is the student, in eight bits where that loses little; `fp32` has it in single
    precision.

    Args:
        job: What to distil.
        out: A new folder, or that of an earlier run of the same job.
        load_teacher: Returns the job's teacher, the same one each time.
        progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        DistillError: Whatever is wrong with texts, teacher, folder or disk. What is finished is
            kept, and the same call goes on from there.
    """
    distilled = distil(job, out, load_teacher, progress=progress)
    n_words = _count_split_words(distilled, "dev")
    progress("exporting", 0, n_words, "")
    exported = export_both(distilled, out, metadata={"labels": list(job.labels)})
    progress("exporting", n_words, n_words, "")
    students = {name: StudentNER.from_pretrained(folder) for name, folder in exported.items()}
    n_words = _count_split_words(distilled, "test")
    progress("measuring", 0, n_words, "")
    sizes: dict[str, int | None] = {
        name: sum((folder / file).stat().st_size for file in EXPORT_FILES)
        for name, folder in exported.items()
    }
    sizes["teacher"] = _teacher_bytes(job.teacher)
    figures = evaluate_distilled(distilled, students, load_teacher(), sizes=sizes)
    figures |= {"teacher": job.teacher, "version": __version__}
    progress("measuring", n_words, n_words, "")
    _write(out, figures)
    return figures


def export_both(distilled: Distilled, out: Path, *, metadata: Mapping[str, Any]) -> dict[str, Path]:
    """Write the student, and in single precision, thresholds fitted on dev; return the folders.

    Where eight bits lose too much both are in single precision, and a note says so.
    """
    student, vocabulary = load_student(distilled.student)
    passages = [_as_reference(item) for item in distilled.dev]
    passages += [item.passage for item in distilled.gold["dev"]]
    in_full = export_student(
        student,
        vocabulary,
        out / FP32_FOLDER,
        precision=FP32,
        passages=passages,
        metadata=metadata,
        min_gain=_MIN_GAIN,
    )
    smallest = export_smallest(
        student,
        vocabulary,
        out,
        passages=passages,
        metadata=metadata,
        min_gain=_MIN_GAIN,
    )
    if smallest.precision == in_full.precision:
        distilled.notes.append(
            "in eight bits the student would lose too much on dev, so it is in single precision"
        )
    return {"student": out, "student fp32": out / FP32_FOLDER}


def _count_split_words(distilled: Distilled, part: str) -> int:
    items = distilled.items[part] + distilled.gold[part]
    return sum(len(item.passage.words) for item in items)


def _as_reference(item: LabeledPassage) -> Passage:
    """Return a passage whose entities are those that were to be learned."""
    found = tuple(decode_entities(item.probs, item.labels))
    return replace(item.passage, entities=found, labels=item.labels)


def _teacher_bytes(source: str) -> int | None:
    folder = Path(source)
    files: Sequence[Path] = list(folder.glob("*")) if folder.is_dir() else []
    return sum(file.stat().st_size for file in files if file.is_file()) or None


def _write(out: Path, figures: Mapping[str, Any]) -> None:
    title = f"{out.resolve().name}: a student for {len(figures['labels'])} labels"
    contents = {
        RESULTS_FILE: json.dumps(figures, indent=1, ensure_ascii=False) + "\n",
        REPORT_FILE: render_page(figures, title),
        CARD_FILE: render_card(figures, title),
    }
    for name, content in contents.items():
        try:
            replace_file(out / name, content.encode("utf-8", "replace"))
        except OSError as error:
            reason = error.strerror or error
            raise DistillError(f"{out / name}: cannot be written: {reason}") from error
