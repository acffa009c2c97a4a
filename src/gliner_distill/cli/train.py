"""The commands that make students: `reproduce`, `train` and `distill`."""

from typing import TYPE_CHECKING

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped
from gliner_distill.training.settings import TrainingSettings

if TYPE_CHECKING:
    from gliner_distill.teacher.gliner import GLiNERTeacher


_DEFAULTS = TrainingSettings()


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
    embedding_lr_factor: given.EmbeddingLrFactor = _DEFAULTS.embedding_lr_factor,
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
        from gliner_distill.runtime.config import StudentConfig
        from gliner_distill.training.train import train_on_store

        quiet_libraries()
        settings = TrainingSettings(
            alpha=alpha,
            temperature=temperature,
            positive_weight=positive_weight,
            feature_weight=feature_weight,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            embedding_lr_factor=embedding_lr_factor,
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
                progress=progress.update,
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

    from gliner_distill.teacher.gliner import GLiNERTeacher

    is_on_gpu = device == "gpu" and torch.cuda.is_available()
    return GLiNERTeacher.from_pretrained(source, device="cuda" if is_on_gpu else "cpu")
