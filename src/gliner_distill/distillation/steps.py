"""The steps of a distillation; each takes the result of the step before.

The first step, `collect`, has a module of its own.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.evaluation import evaluate_student
from gliner_distill.distillation.few_shot import GOLD_FOLDER, refine_soft_labels
from gliner_distill.distillation.job import Distilled
from gliner_distill.distillation.label_checks import warn_about_synonyms, warn_about_unseen_labels
from gliner_distill.distillation.measurements import STUDENT, STUDENT_FP32
from gliner_distill.distillation.report import render_card, render_page
from gliner_distill.distillation.stages import (
    Collected,
    Evaluated,
    Exported,
    Labeled,
    Refined,
    Trained,
)
from gliner_distill.distillation.train import (
    count_words,
    epoch_passages,
    saved_training_settings,
    train_on_targets,
    training_settings,
)
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import SettingsError, StoreError
from gliner_distill.files import write_file, write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.runtime.bundle import FP32
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.export import export_smallest, export_student
from gliner_distill.student.files import load_student
from gliner_distill.training.run import STUDENT_FOLDER

FP32_FOLDER: Final = FP32
RESULTS_FILE: Final = "results.json"
REPORT_FILE: Final = "report.html"
CARD_FILE: Final = "README.md"


def label(work: Workspace, collected: Collected) -> Labeled:
    """Ask the teacher about all passages that it has not been asked about yet.

    Raises:
        DistillError: The teacher cannot be used, or a store is broken or cannot be written.
    """
    started = time.monotonic()
    gold = _label_folders(work, collected.gold)
    text = _label_folders(work, collected.text)
    # Passages that were annotated after they were read as text count as annotated.
    annotated = {passage.passage.words for split in gold.values() for passage in split}
    text = {
        split: [passage for passage in passages if passage.passage.words not in annotated]
        for split, passages in text.items()
    }
    labels = tuple(work.job.labels)
    warnings = [
        *warn_about_synonyms(labels),
        *warn_about_unseen_labels([*text["train"], *gold["train"]], labels),
    ]
    return Labeled(
        text=text,
        gold=gold,
        run=collected.run,
        plan=collected.plan,
        seconds=time.monotonic() - started,
        warnings=(*collected.warnings, *warnings),
    )


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
    """Train a student on the targets, from the student of an earlier run if there is one.

    Raises:
        DistillError: The folder is broken or cannot be written.
    """
    started = time.monotonic()
    labeled, settings = refined.labeled, work.settings
    run = work.run_folder(labeled.run)
    passages = epoch_passages(refined.targets["train"], labeled.gold["train"], settings)
    epochs = labeled.plan.epochs(count_words(passages), settings)
    training = saved_training_settings(run) or replace(training_settings(settings), epochs=epochs)
    train_on_targets(
        run,
        refined.targets,
        labeled.gold,
        training,
        settings,
        start=work.start_of_run(labeled.run),
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
    """Write the student into its folder, in eight bits and in single precision.

    Thresholds are fitted on dev. If eight bits lose too much there, both are in single precision.

    Raises:
        ExportError: The export does not answer as the student does.
        DistillError: The folder cannot be written.
    """
    student, vocabulary = load_student(trained.student)
    gold_dev = trained.labeled.gold["dev"]
    n_words = count_words([*trained.labeled.text["dev"], *gold_dev])
    work.progress("exporting", 0, n_words)
    # What the student was to learn is the reference: targets of text, annotation of gold.
    passages = [_with_target_entities(passage) for passage in trained.dev]
    passages += [passage.passage for passage in gold_dev]
    metadata = {"labels": list(work.job.labels)}
    min_gain = work.settings.min_threshold_gain
    full = export_student(
        student,
        vocabulary,
        work.out / FP32_FOLDER,
        precision=FP32,
        passages=passages,
        metadata=metadata,
        min_gain=min_gain,
    )
    smallest = export_smallest(
        student, vocabulary, work.out, passages=passages, metadata=metadata, min_gain=min_gain
    )
    work.progress("exporting", n_words, n_words)
    warnings = []
    if smallest.precision == full.precision:
        warnings.append(
            "the student is in single precision, since it would lose too much on dev in eight bits"
        )
    return Exported(
        trained=trained,
        folders={STUDENT: work.out, STUDENT_FP32: work.out / FP32_FOLDER},
        n_bytes={STUDENT: smallest.n_bytes, STUDENT_FP32: full.n_bytes},
        warnings=(*trained.warnings, *warnings),
    )


def evaluate(work: Workspace, exported: Exported) -> Evaluated:
    """Measure the student on the test passages, beside the teacher.

    Raises:
        DistillError: The teacher cannot be loaded.
    """
    labeled = exported.trained.labeled
    n_words = count_words([*labeled.text["test"], *labeled.gold["test"]])
    work.progress("measuring", 0, n_words)
    students = {
        name: StudentNER.from_pretrained(folder) for name, folder in exported.folders.items()
    }
    measurements = evaluate_student(
        exported,
        students,
        work.teacher.load(),
        work.settings,
        teacher_name=work.teacher.public_name,
        teacher_bytes=work.teacher.n_bytes,
    )
    work.progress("measuring", n_words, n_words)
    return Evaluated(exported, measurements)


def report(work: Workspace, evaluated: Evaluated) -> Distilled:
    """Write what was measured beside the student: as JSON, as a page and as a model card.

    Raises:
        DistillError: The folder cannot be written.
    """
    measurements = evaluated.measurements
    title = f"{work.out.resolve().name}: a student for {len(measurements.labels)} labels"
    write_json(work.out / RESULTS_FILE, measurements.as_json())
    write_file(work.out / REPORT_FILE, render_page(measurements, title))
    write_file(work.out / CARD_FILE, render_card(measurements, title))
    return Distilled(
        student=work.out,
        report=work.out / REPORT_FILE,
        plan=evaluated.exported.trained.labeled.plan,
        measurements=measurements,
        warnings=tuple(measurements.warnings),
    )


def _label_folders(
    work: Workspace, folders: Sequence[PassageFolder]
) -> dict[str, list[LabeledPassage]]:
    """Return the soft labels of all folders by split, from their stores once these are finished."""
    labeled: dict[str, list[LabeledPassage]] = {split: [] for split in SPLITS}
    for folder in folders:
        for split in folder.splits:
            if not _is_labeled(work, folder.store(split)):
                label_corpus(
                    CorpusFile(folder.passages_file(split)),
                    work.teacher.load(),
                    folder.store(split),
                    policy=work.job.policy,
                    keep_subword_vectors=False,
                    progress=work.progress,
                    stage=f"labeling {folder.path.name} {split}",
                )
            labeled[split] += SoftLabelStore(folder.store(split))
    return labeled


def _is_labeled(work: Workspace, store: Path) -> bool:
    """Say whether a store is finished.

    Raises:
        SettingsError: Another teacher has labeled it.
    """
    try:
        manifest = read_manifest(store)
    except StoreError:
        return False  # there is none yet, or `label_corpus` says what is wrong with it
    if work.teacher.fingerprint not in (None, manifest.teacher_fingerprint):
        raise SettingsError(
            f"{work.out}: another teacher of the name {work.teacher.name!r} has labeled its text; "
            "choose another --out"
        )
    return manifest.is_complete


def _with_target_entities(passage: LabeledPassage) -> Passage:
    """Return a passage whose entities are those of its targets."""
    entities = tuple(decode_entities(passage.probs, passage.labels))
    return replace(passage.passage, entities=entities, labels=passage.labels)
