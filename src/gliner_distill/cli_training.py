"""The commands that make students: `reproduce`, `train` and `distill`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gliner_distill import cli_options as given
from gliner_distill.cli_terminal import quiet_libraries, when_stopped
from gliner_distill.settings import TrainingSettings

if TYPE_CHECKING:
    from gliner_distill.teacher import GLiNERTeacher

_DEFAULTS = TrainingSettings()


def reproduce(
    data: given.Data = None,
    teacher: given.ReproductionTeacher = None,
    train: given.TrainCount = 1000,
    test: given.TestCount = 100,
    seeds: given.SeedCount = 3,
    epochs: given.Epochs = _DEFAULTS.epochs,
    out: given.ReproductionFolder = Path("reproduction"),
) -> None:
    """Reproduce the report "Knowledge Distillation targeted at GliNER", up to its Table 1.

    Trains a student on gold labels alone and one on a GLiNER's soft labels and gold, of the same
    architecture and with the same passages, steps and seeds; measures both against the teacher
    and against gold.

    Prints Table 1 and the path of the report. Writes report.html, report.md, results.json and
    the folders figures and runs into OUT, and soft_labels with --teacher.

    A run that was stopped goes on when the same command runs again. A folder that holds runs of
    other settings or data is refused.
    """
    with when_stopped(f"{out} keeps what is finished; the same command goes on from there"):
        from dataclasses import replace

        from rich.console import Console

        from gliner_distill.progress import StageProgress
        from gliner_distill.report import table1
        from gliner_distill.reproduction import Reproduction, reproduce

        quiet_libraries()
        plan = Reproduction(
            data=data,
            teacher=teacher,
            n_train=train,
            n_test=test,
            n_seeds=seeds,
            training=replace(_DEFAULTS, epochs=epochs),
        )
        with StageProgress() as progress:
            results = reproduce(plan, out, on_progress=progress.update)
    # Off a terminal rich assumes 80 columns, which would break the table's lines.
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table1(results))
    typer.echo(f"report: {out / 'report.html'}")


def train(
    store: given.StoreArgument,
    out: given.RunFolder,
    dev: given.DevStore = None,
    alpha: given.Alpha = _DEFAULTS.alpha,
    temperature: given.Temperature = _DEFAULTS.temperature,
    positive_weight: given.PositiveWeight = _DEFAULTS.positive_weight,
    feature_weight: given.FeatureWeight = _DEFAULTS.feature_weight,
    teacher: given.MatchedTeacher = None,
    epochs: given.Epochs = _DEFAULTS.epochs,
    batch_size: given.BatchSize = _DEFAULTS.batch_size,
    learning_rate: given.LearningRate = _DEFAULTS.learning_rate,
    embedding_rate: given.EmbeddingRate = _DEFAULTS.embedding_rate,
    head: given.Head = "softmax",
    hidden_width: given.HiddenWidth = 192,
    layers: given.Layers = 1,
    bidirectional: given.Bidirectional = True,
    seed: given.Seed = _DEFAULTS.seed,
    device: given.TrainingDevice = _DEFAULTS.device,
    resume: given.Resume = False,
) -> None:
    """Train a student on a soft-label store.

    The loss is alpha · T² · KL(teacher || student) + (1 - alpha) · CE(gold), Hinton et al. 2015;
    of a boundary head, binary cross-entropies in place of both.
    --alpha 0 makes a student of gold labels alone, --alpha 1 one of the teacher alone.
    --feature-weight adds how far the student's word and label vectors point away from those of
    the GLiNER that --teacher names, which then reads along at every step.

    Prints one line with the student's folder and size. Writes the student (weights, shape,
    tokenizer) into OUT/student; beside it metrics.jsonl, config.json, environment.json,
    TensorBoard's files and the last epoch's checkpoint, from which --resume goes on exactly.
    """
    _check_matching(feature_weight, teacher)
    with when_stopped(f"{out} keeps the finished epochs; the same command with --resume goes on"):
        from gliner_distill.progress import StageProgress
        from gliner_distill.student_config import StudentConfig
        from gliner_distill.training_run import train_on_store

        quiet_libraries()
        settings = TrainingSettings(
            alpha=alpha,
            temperature=temperature,
            positive_weight=positive_weight,
            feature_weight=feature_weight,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            seed=seed,
            device=device,
        )
        matched = _load_matched_teacher(teacher, device) if teacher is not None else None
        with StageProgress() as progress:
            student = train_on_store(
                store,
                out,
                settings,
                make_config=lambda n_pieces: StudentConfig(
                    n_pieces,
                    hidden_width=hidden_width,
                    n_layers=layers,
                    bidirectional=bidirectional,
                    head=head,
                ),
                dev=dev,
                teacher=matched,
                resume=resume,
                on_progress=progress.update,
            )
    typer.echo(
        f"{out / 'student'}: {student.n_parameters:,} parameters, "
        f"{student.n_parameters_without_embeddings:,} without embeddings"
    )


def _check_matching(feature_weight: float, teacher: str | None) -> None:
    if feature_weight and teacher is None:
        raise typer.BadParameter("--feature-weight matches a teacher; give it with --teacher MODEL")
    if teacher is not None and not feature_weight:
        raise typer.BadParameter("--teacher is for --feature-weight; give it as well")


def _load_matched_teacher(source: str, device: str) -> "GLiNERTeacher":
    import torch

    from gliner_distill.teacher import GLiNERTeacher

    is_on_gpu = device == "gpu" and torch.cuda.is_available()
    return GLiNERTeacher.from_pretrained(source, device="cuda" if is_on_gpu else "cpu")


def distill(
    texts: given.TextsArgument,
    labels: given.LabelsToDistil,
    teacher: given.DistilTeacher,
    out: given.DistilFolder,
    gold: given.GoldCorpus = None,
    column: given.TextColumn = None,
    minutes: given.Minutes = None,
    skip_bad: given.SkipBad = False,
) -> None:
    """Make a student for your labels out of your documents: all steps in one.

    Cuts the documents into passages, sets a tenth of the documents each aside for dev and test,
    asks the teacher, trains from the student that comes with the package until agreement on dev
    gets no better, fits thresholds, and exports.

    Prints a verdict in one sentence and the path of the report. Writes the student into OUT (in
    eight bits if that loses little; OUT/fp32 in single precision), report.html, results.json and
    README.md, and what each step made into OUT/work.

    A run that was stopped goes on when the same command runs again; with more documents it adds
    them to those before.
    """
    with when_stopped(f"{out} keeps what is finished; the same command goes on from there"):
        from functools import cache

        from gliner_distill.domain_student import REPORT_FILE, distil_to_folder
        from gliner_distill.domain_work import DistilJob
        from gliner_distill.label_policy import read_labels
        from gliner_distill.progress import StageProgress
        from gliner_distill.teacher import GLiNERTeacher

        quiet_libraries()
        job = DistilJob(
            texts=texts,
            labels=read_labels(labels),
            teacher=teacher,
            column=column,
            gold=gold,
            minutes=minutes,
            skip_bad=skip_bad,
        )

        @cache
        def load_teacher() -> GLiNERTeacher:
            return GLiNERTeacher.from_pretrained(teacher)

        with StageProgress() as progress:
            figures = distil_to_folder(job, out, load_teacher, on_progress=progress.update)
    for note in figures["notes"]:
        typer.echo(note, err=True)
    typer.echo(figures["verdict"])
    typer.echo(f"report: {out / REPORT_FILE}")
