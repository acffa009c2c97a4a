"""Distill a teacher into a student in seven steps.

`collect` reads documents, `label` asks the teacher about them, `refine` corrects its answers with
annotated passages, `train` trains a student, `export` makes it run without torch, `evaluate`
measures it, and `report` writes down what was measured. Each step takes the result of the step
before. What is finished is kept in the working folder (see `workspace`), so that the same call
continues a run that was stopped, and a call with more documents adds them to those before.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.distillation.collect import collect
from gliner_distill.distillation.job import (
    Distilled,
    DistillJob,
    DistillSettings,
    TeacherSource,
    clean_labels,
)
from gliner_distill.distillation.steps import evaluate, export, label, refine, report, train
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.entities import Passage
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.teacher.base import Teacher

_logger = logging.getLogger(__name__)


def distill(
    texts: str | Path | Iterable[str],
    labels: Iterable[str] | Mapping[str, str],
    teacher: str | Path | Teacher,
    out: str | Path,
    *,
    gold: str | Path | Sequence[Passage | Mapping[str, Any]] | None = None,
    column: str | None = None,
    minutes: float | None = None,
    skip_bad: bool = False,
    settings: DistillSettings = DistillSettings(),  # noqa: B008 (frozen)
    progress: bool | Progress = True,
) -> StudentNER:
    """Make a student that finds your labels in texts like yours, and return it.

    The texts are cut into passages, the teacher labels them, and a student learns its answers,
    starting from the bundled student. A run that was stopped continues when it is called again with
    the same arguments; with more texts it adds them to those before. Warnings are logged.

    Args:
        texts: The path of a file or folder of documents (see `read_documents`), a list of texts, or
            any other iterable of texts, which is read once. Hundreds of documents are a good start.
        labels: The labels to find: their names, or a dictionary from names to descriptions for the
            teacher.
        teacher: The folder or hub id of a GLiNER, or any `Teacher`.
        out: The folder of the student: a new one, or that of an earlier call.
        gold: Annotated passages, in which every entity of the labels is marked: a path, or a list;
            see `DistillJob`. A dozen or more correct the teacher where it is wrong.
        column: The column of a CSV file, or the field of JSON lines, that holds the text.
        minutes: The time that the whole may take; None to use all texts.
        skip_bad: Leave out bad records instead of raising an error.
        settings: Everything that can be tuned; the defaults are a good choice.
        progress: Whether to show progress bars in a terminal or a notebook; or a function that is
            told how far each stage is.

    Returns:
        The student. Its `report` is the path of a page about it.

    Raises:
        InputError: Texts, labels or annotated passages are not what they must be.
        SettingsError: The folder holds the work of other labels or another teacher.
        DistillError: The texts, the teacher, the folder or the disk cannot be used. What is
            finished is kept.
    """
    job = DistillJob(
        texts=texts,
        labels=clean_labels(labels),
        column=column,
        gold=gold,
        minutes=minutes,
        skip_bad=skip_bad,
    )
    with _shown(progress) as show:
        distilled = distill_from(job, teacher, Path(out), settings=settings, progress=show)
    for warning in distilled.warnings:
        _logger.warning("%s", warning)
    student = StudentNER.from_pretrained(distilled.student)
    student.report = distilled.report
    return student


def distill_from(
    job: DistillJob,
    teacher: str | Path | Teacher,
    out: Path,
    *,
    settings: DistillSettings = DistillSettings(),  # noqa: B008 (frozen)
    progress: Progress = no_progress,
) -> Distilled:
    """Distill a teacher into a student, in the folder of the student, and return all results.

    The folder itself is the student, in eight bits if that loses little; `fp32` holds it in single
    precision. `report.html`, `results.json` and `README.md` describe it.

    Args:
        job: The texts, the labels and what else the task is made of.
        teacher: The folder or hub id of a GLiNER, or any `Teacher`.
        out: A new folder, or that of an earlier run of the same job.
        settings: Everything that can be tuned.
        progress: Told how far each stage is.

    Raises:
        DistillError: See `distill`.
    """
    source = TeacherSource(teacher)
    with open_workspace(out, job, source, settings, progress) as work:
        collected = collect(work)
        labeled = label(work, collected)
        refined = refine(work, labeled)
        trained = train(work, refined)
        exported = export(work, trained)
        evaluated = evaluate(work, exported)
        return report(work, evaluated)


@contextmanager
def _shown(progress: bool | Progress) -> Iterator[Progress]:
    """Yield the function that `distill` reports its progress to."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield no_progress
    else:
        from gliner_distill.progress import StageProgress  # imports rich

        with StageProgress() as bars:
            yield bars.update
