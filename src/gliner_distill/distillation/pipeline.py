"""Distill a teacher into a student in seven steps.

`collect` reads documents, `label` asks the teacher about them (`weigh` weighs several teachers),
`refine` corrects its answers with annotated passages, `train` trains a student, `export` makes it
run without torch, `evaluate` measures it, and `report` writes the measurements. Each step takes the
result of the step before. Finished work is kept in the working folder (see `workspace`), so that
the same call continues a run that was stopped, and a call with more documents adds them to the
earlier ones.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gliner_distill.callbacks import Progress, no_progress, show_progress
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.collect import collect
from gliner_distill.distillation.evaluation import evaluate_student
from gliner_distill.distillation.few_shot import GOLD_FOLDER, refine_soft_labels
from gliner_distill.distillation.job import (
    Distilled,
    DistillJob,
    DistillSettings,
    describe_labels,
)
from gliner_distill.distillation.label import label
from gliner_distill.distillation.languages.start import choose_start, read_start
from gliner_distill.distillation.measurements import STUDENT, STUDENT_FP32
from gliner_distill.distillation.report import as_other_precision, make_card, render_page
from gliner_distill.distillation.selection.budget import TeacherBudget
from gliner_distill.distillation.stages import Evaluated, Exported, Labeled, Refined, Trained
from gliner_distill.distillation.teachers import TeacherName, TeacherSource
from gliner_distill.distillation.train import (
    epoch_passages,
    saved_training_settings,
    train_on_targets,
    training_settings,
)
from gliner_distill.distillation.weigh import weigh
from gliner_distill.distillation.workspace import Workspace, open_workspace
from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.errors import StudentError
from gliner_distill.files import write_file, write_json
from gliner_distill.hub.card_files import write_card
from gliner_distill.labeling.jobs import Workers
from gliner_distill.runtime.config import FP32
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.export import export_smallest, export_student
from gliner_distill.student.files import load_student
from gliner_distill.student.score_fitting import count_by_threshold
from gliner_distill.training.run import STUDENT_FOLDER

FP32_FOLDER: Final = FP32
RESULTS_FILE: Final = "results.json"
REPORT_FILE: Final = "report.html"

_logger = logging.getLogger(__name__)


def distill(
    texts: str | Path | Iterable[str],
    labels: Iterable[str] | Mapping[str, str],
    teacher: TeacherName | Sequence[TeacherName],
    out: str | Path,
    *,
    gold: str | Path | Sequence[Passage | Mapping[str, Any]] | None = None,
    column: str | None = None,
    minutes: float | None = None,
    teacher_budget: str | int = "auto",
    skip_bad: bool = False,
    settings: DistillSettings = DistillSettings(),  # noqa: B008 (frozen)
    progress: bool | Progress = True,
) -> StudentNER:
    """Make a student that finds your labels in texts like yours, and return it.

    The texts are cut into passages, the teacher labels them, and a student, which starts from the
    bundled one, learns the teacher's answers. To continue a run that was stopped, call `distill`
    again with the same arguments; further texts are added to the earlier ones. Warnings are logged.

    Args:
        texts: The path of a text file with one document per line, of JSON lines, of a CSV file
            (with `column`), of CoNLL columns, or of a folder of `*.txt` files; or a list of texts
            or any other iterable, which is read once. Hundreds of documents are a good start.
        labels: The labels to find: their names, or a dictionary from names to descriptions for the
            teacher.
        teacher: One teacher or several. Each is the folder or hub id of a GLiNER or GLiNER2,
            another name that `--teacher` takes, or any `Teacher`.
        out: The folder of the student: a new one, or that of an earlier call.
        gold: Annotated passages, in which every entity of the labels is marked: a path, or a list;
            see `DistillJob`. With a dozen or more, the student can correct errors of the teacher.
        column: The column of a CSV or Parquet file, or the field of JSON lines, with the text.
        minutes: The time that the whole call may take; None to use all texts.
        teacher_budget: The part of the texts that the teacher reads: a number of words, or minutes
            such as "30min"; "all"; or "auto" to stop when the student does not get better.
        skip_bad: Whether to leave out bad records instead of raising an error.
        settings: All other settings; the defaults are a good choice.
        progress: Whether to show progress bars in a terminal or a notebook; or a function that
            receives the progress of each stage.

    Returns:
        The student. Its attribute `report` is the path of the HTML report.

    Raises:
        InputError: Texts, labels or annotated passages have a wrong type or content.
        SettingsError: The folder holds a distillation with other labels or another teacher; or the
            budget of the teacher has an unknown form, or is too small.
        DistillError: The texts, the teacher, the folder or the disk cannot be used. Finished work
            is kept.
    """
    job = DistillJob(
        texts=texts,
        labels=describe_labels(labels),
        column=column,
        gold=gold,
        minutes=minutes,
        skip_bad=skip_bad,
        teacher_budget=TeacherBudget.parse(teacher_budget),
    )
    with show_progress(progress) as show:
        distilled = distill_from(job, teacher, out, settings=settings, progress=show)
    for warning in distilled.warnings:
        _logger.warning("%s", warning)
    # The student is loaded from its folder, so that it is the same as in any other process.
    student = StudentNER.from_pretrained(distilled.student)
    student.report = distilled.report
    return student


def distill_from(
    job: DistillJob,
    teacher: TeacherName | Sequence[TeacherName],
    out: str | Path,
    *,
    settings: DistillSettings = DistillSettings(),  # noqa: B008 (frozen)
    workers: Workers | None = None,
    progress: Progress = no_progress,
) -> Distilled:
    """Distill a teacher into a student, in the folder of the student, and return all results.

    The folder itself is the student, in 8-bit precision if that loses little F1; its folder `fp32`
    holds the student in single precision. `report.html`, `results.json` and `README.md` describe
    it.

    Args:
        job: The texts, the labels and the rest of the task.
        teacher: One teacher or several. Each is the folder or hub id of a GLiNER or GLiNER2,
            another name that `--teacher` takes, or any `Teacher`.
        out: A new folder, or that of an earlier run of the same job.
        settings: All other settings; the defaults are a good choice.
        workers: The workers that label the passages, such as `RayWorkers` for a cluster; None for
            this process. The soft labels are the same.
        progress: A function that receives the progress of each stage.

    Raises:
        DistillError: See `distill`.
    """
    source = TeacherSource(teacher)
    with open_workspace(Path(out), job, source, settings, progress, workers) as work:
        work, collected = choose_start(work, collect(work))
        labeled = weigh(work, label(work, collected))
        refined = refine(work, labeled)
        trained = train(work, refined)
        exported = export(work, trained)
        evaluated = evaluate(work, exported)
        return report(work, evaluated)


def refine(work: Workspace, labeled: Labeled) -> Refined:
    """Correct the teacher's answers with annotated passages, if there are enough of them.

    Raises:
        DistillError: The folder is broken or cannot be written.
    """
    started = time.monotonic()
    targets, weight = refine_soft_labels(
        work.run_folder(labeled.run) / GOLD_FOLDER,
        labeled.text,
        labeled.gold["train"],
        training_settings(work.settings),
        work.settings,
        progress=work.progress,
    )
    return Refined(
        labeled=labeled,
        targets=targets,
        weight=weight,
        seconds=time.monotonic() - started,
        warnings=(*labeled.warnings, *([] if weight is None else [weight.describe()])),
    )


def train(work: Workspace, refined: Refined) -> Trained:
    """Train a student on the targets, from the last student that learned some of them.

    Raises:
        DistillError: The folder is broken or cannot be written.
    """
    started = time.monotonic()
    labeled, settings = refined.labeled, work.settings
    run = work.run_folder(labeled.run)
    passages = epoch_passages(refined.targets["train"], labeled.gold["train"], settings)
    # The number of epochs is decided now, when the remaining time is known.
    epochs = labeled.plan.epochs(count_words(passages), settings)
    # A stopped run must continue with its old settings, or its checkpoint does not fit.
    training = saved_training_settings(run) or replace(training_settings(settings), epochs=epochs)
    train_on_targets(
        run,
        refined.targets,
        labeled.gold,
        training,
        settings,
        start=labeled.start,
        progress=work.progress,
    )
    work.mark_finished(labeled.run)
    warnings = []
    if training.epochs < settings.epochs:
        warnings.append(
            f"there is time for {training.epochs} epochs of training instead of {settings.epochs}"
        )
    return Trained(
        labeled=labeled,
        dev=refined.targets["dev"],
        run=run,
        student=run / STUDENT_FOLDER,
        seconds={
            "labeling": labeled.seconds,
            "training": refined.seconds + time.monotonic() - started,
        },
        warnings=(*refined.warnings, *warnings),
    )


def export(work: Workspace, trained: Trained) -> Exported:
    """Write the student into its folder, in 8-bit and in single precision.

    Thresholds and the map of scores are fitted on dev. If 8-bit precision loses too much F1 on dev,
    both students are in single precision.

    Raises:
        ExportError: The export does not answer as the student does.
        DistillError: The folder cannot be written.
    """
    student, vocabulary = load_student(trained.student)
    gold_dev = trained.labeled.gold["dev"]
    n_words = count_words([*trained.labeled.text["dev"], *gold_dev])
    work.progress("exporting", 0, n_words)
    # The reference is what the student should have learned: the targets of text, and gold.
    passages = [_with_target_entities(passage) for passage in trained.dev]
    passages += [passage.passage for passage in gold_dev]
    metadata = {"labels": list(work.job.labels)}
    min_gain = work.settings.min_threshold_gain
    teacher_counts = count_by_threshold([*trained.dev, *gold_dev])
    full = export_student(
        student,
        vocabulary,
        work.out / FP32_FOLDER,
        precision=FP32,
        passages=passages,
        metadata=metadata,
        min_gain=min_gain,
        teacher_counts=teacher_counts,
    )
    smallest = export_smallest(
        student,
        vocabulary,
        work.out,
        passages=passages,
        metadata=metadata,
        min_gain=min_gain,
        teacher_counts=teacher_counts,
    )
    work.progress("exporting", n_words, n_words)
    warnings = []
    if smallest.precision == full.precision:
        warnings.append(
            "the student is in single precision, since 8-bit precision loses too much F1 on dev"
        )
    return Exported(
        trained=trained,
        folders={STUDENT: work.out, STUDENT_FP32: work.out / FP32_FOLDER},
        n_bytes={STUDENT: smallest.n_bytes, STUDENT_FP32: full.n_bytes},
        precision=smallest.precision,
        warnings=(*trained.warnings, *warnings),
    )


def evaluate(work: Workspace, exported: Exported) -> Evaluated:
    """Measure the student and the teacher on the test passages.

    Raises:
        DistillError: The teacher cannot be loaded.
    """
    labeled = exported.trained.labeled
    n_words = count_words([*labeled.text["test"], *labeled.gold["test"]])
    work.progress("measuring", 0, n_words)
    students = {
        name: StudentNER.from_pretrained(folder) for name, folder in exported.folders.items()
    }
    start = read_start(work)
    measurements = evaluate_student(
        exported,
        list(work.job.labels),
        students,
        work.teacher.load(),
        work.settings,
        teacher_name=work.teacher.public_name,
        teacher_bytes=work.teacher.n_bytes,
        datasets=work.job.datasets,
        start="" if start is None else start.reason,
        start_student=_load_start(work.settings.start_folder),
    )
    work.progress("measuring", n_words, n_words)
    return Evaluated(exported, measurements)


def report(work: Workspace, evaluated: Evaluated) -> Distilled:
    """Write the measurements into the student's folder: as JSON, as HTML and as a model card.

    Raises:
        DistillError: The folder cannot be written.
    """
    measurements = evaluated.measurements
    name = work.out.resolve().name
    title = f"{name}: a student for {len(measurements.labels)} labels"
    write_json(work.out / RESULTS_FILE, measurements.as_json())
    write_file(work.out / REPORT_FILE, render_page(measurements, title))
    card = make_card(measurements, name, title, precision=evaluated.exported.precision)
    write_card(work.out, card)
    if evaluated.exported.precision != FP32:
        card = as_other_precision(card, FP32)
    write_card(work.out / FP32_FOLDER, card)
    return Distilled(
        student=work.out,
        report=work.out / REPORT_FILE,
        plan=evaluated.exported.trained.labeled.plan,
        measurements=measurements,
        warnings=tuple(measurements.warnings),
    )


def _load_start(folder: Path) -> StudentNER | None:
    """Return the student that training started from; None if it is gone since an earlier run."""
    if not folder.is_dir():  # a missing folder must not be looked up on the hub
        return None
    try:
        return StudentNER.from_pretrained(folder)
    except StudentError:
        return None


def _with_target_entities(passage: LabeledPassage) -> Passage:
    """Return a passage whose entities are decoded from its targets."""
    entities = tuple(decode_entities(passage.probs, passage.labels))
    return replace(passage.passage, entities=entities, labels=passage.labels)
