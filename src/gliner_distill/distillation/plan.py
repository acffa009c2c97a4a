"""Divide a time limit between labeling, training and the rest."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.documents import MAX_PASSAGE_WORDS, MIN_PASSAGES, read_documents
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.job import DistillJob, DistillSettings, Plan
from gliner_distill.distillation.train import train_on_targets, training_settings
from gliner_distill.distillation.workspace import Workspace
from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.errors import SettingsError
from gliner_distill.store.manifest import FP32
from gliner_distill.teacher.paid import announce_questions, is_paid
from gliner_distill.teacher.precision import AdjustableTeacher, scoring_in


def make_plan(work: Workspace, source: str) -> Plan:
    """Measure the teacher and a student on the first documents, and divide the time.

    Args:
        work: The workspace of a job with a time limit.
        source: The path of the documents.

    Raises:
        SettingsError: The time is too short to label enough text.
        CorpusError: The documents cannot be read.
        DistillError: The teacher cannot be loaded.
    """
    job, settings = work.job, work.settings
    seconds = 60 * (job.minutes or 0)
    deadline = time.monotonic() + seconds
    passages = _probe_passages(job, source, settings.probe_passages)
    n_probed = sum(map(len, passages))
    labeling_rate = measure_labeling(work, passages)
    training_rate = measure_training(len(job.labels), settings)
    # The time after training: the export, and the warm-up and the rounds in which the teacher is
    # timed, unless its answers cost money.
    n_timed_words = 0 if is_paid(work.teacher.load()) else settings.timed_words
    timing_seconds = n_timed_words * (settings.timed_rounds + 1) / labeling_rate
    finishing = min(settings.export_seconds + timing_seconds, seconds / 4)
    left = deadline - finishing - time.monotonic()
    max_words = int(settings.labeling_share * left * labeling_rate)
    if max_words < MIN_PASSAGES * n_probed / len(passages):
        raise SettingsError(
            f"minutes: {job.minutes:g} is too short to label enough text, since the teacher reads "
            f"{labeling_rate:,.0f} words per second here; give more time"
        )
    return Plan(max_words, deadline - finishing, training_rate)


def _probe_passages(job: DistillJob, source: str, n_passages: int) -> list[tuple[str, ...]]:
    """Return the beginnings of the first documents, or one word if all of them are empty."""
    documents = read_documents(
        source, column=job.column, skip_bad=job.skip_bad, notes=CorpusNotes()
    )
    first = [document.words[:MAX_PASSAGE_WORDS] for document in islice(documents, n_passages)]
    return [words for words in first if words] or [("text",)]


def measure_labeling(work: Workspace, passages: Sequence[tuple[str, ...]]) -> float:
    """Return the words per second that a teacher labels, in the precision it will likely use.

    Args:
        work: The workspace of the job.
        passages: The words of passages to measure it on.
    """
    teacher, job = work.teacher.load(), work.job
    labels = [tuple(job.policy.prompts(tuple(job.labels)))] * len(passages)
    announce_questions(teacher, {work.folder: lambda: zip(passages, labels, strict=True)})
    faster = teacher.faster_precision if isinstance(teacher, AdjustableTeacher) else None
    with scoring_in(teacher, faster or FP32):
        teacher.score_passages(passages[:2], labels[:2])  # a warm-up
        started = time.perf_counter()
        teacher.score_passages(passages, labels)
        return sum(map(len, passages)) / (time.perf_counter() - started)


def measure_training(n_labels: int, settings: DistillSettings) -> float:
    """Return the words per second of training, measured on a few steps on made-up passages.

    Args:
        n_labels: The number of labels.
        settings: The settings of the distillation.
    """
    words = tuple(f"word{number}" for number in range(40))
    labels = tuple(f"label {number}" for number in range(n_labels))
    probs = np.full((len(words), n_labels, 3), 0.1, dtype=np.float32)
    passages = [LabeledPassage(Passage(words), labels, probs)] * 160
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train_on_targets(
            Path(folder),
            {"train": passages, "dev": passages[:1]},
            {"train": [], "dev": []},
            replace(training_settings(settings), epochs=1),
            settings,
            start=settings.start_folder,
            progress=no_progress,
        )
        return count_words(passages) / (time.perf_counter() - started)
