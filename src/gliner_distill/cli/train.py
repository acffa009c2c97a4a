"""The command `train`: train a student on a soft-label store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import MAX_SEED, Epochs, option, training_option
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped
from gliner_distill.training.settings import TrainingSettings

if TYPE_CHECKING:
    from gliner_distill.teacher.gliner import GLiNERTeacher

# The largest student of one layer has about 850 units per direction; a far larger one would take
# much memory before it is refused for its number of parameters.
_MAX_HIDDEN_WIDTH = 1024
_MAX_LAYERS = 16

_DEFAULTS = TrainingSettings()

Store = Annotated[
    Path,
    typer.Argument(metavar="STORE", help="The soft-label store that `label` has written."),
]

OutFolder = Annotated[Path, option("--out", metavar="FOLDER", text="The folder for the run.")]

DevStore = Annotated[
    Path | None,
    option(
        "--dev",
        metavar="STORE",
        text="Another store, on which the student is measured after each epoch.",
    ),
]

Alpha = Annotated[float, training_option("alpha", "A", min=0, max=1)]

Temperature = Annotated[float, training_option("temperature", "T")]

PositiveWeight = Annotated[float, training_option("positive_weight", "W")]

FeatureWeight = Annotated[float, training_option("feature_weight", "W", min=0)]

MatchedTeacher = Annotated[
    str | None,
    option(
        "--teacher",
        metavar="MODEL",
        text="The GLiNER to match with --feature-weight: its folder or its hub id.",
    ),
]

BatchSize = Annotated[int, training_option("batch_size", "N", min=1)]

LearningRate = Annotated[float, training_option("learning_rate", "RATE")]

EmbeddingLrFactor = Annotated[float, training_option("embedding_lr_factor", "FACTOR", min=0)]

Head = Annotated[
    Literal["softmax", "boundary"],
    option(
        metavar="HEAD",
        text="The output layer: softmax gives one distribution per word over the labels and none, "
        "as in Xu et al.; boundary gives the start, end and inside of each label, for exact spans "
        "of any label.",
    ),
]

HiddenWidth = Annotated[
    int,
    option(
        metavar="N",
        text="The number of LSTM units per direction.",
        min=1,
        max=_MAX_HIDDEN_WIDTH,
    ),
]

Layers = Annotated[
    int, option(metavar="N", text="The number of LSTM layers.", min=1, max=_MAX_LAYERS)
]

Bidirectional = Annotated[
    bool,
    option(metavar=None, text="Read each passage from both ends, or from its beginning alone."),
]

Seed = Annotated[int, training_option("seed", "N", min=0, max=MAX_SEED)]

Device = Annotated[str, training_option("device", "DEVICE")]

Resume = Annotated[
    bool,
    option("--resume", metavar=None, text="Continue from the last checkpoint in the run folder."),
]


def train(
    store: Store,
    out: OutFolder,
    dev: DevStore = None,
    alpha: Alpha = _DEFAULTS.alpha,
    temperature: Temperature = _DEFAULTS.temperature,
    positive_weight: PositiveWeight = _DEFAULTS.positive_weight,
    feature_weight: FeatureWeight = _DEFAULTS.feature_weight,
    teacher: MatchedTeacher = None,
    epochs: Epochs = _DEFAULTS.epochs,
    batch_size: BatchSize = _DEFAULTS.batch_size,
    learning_rate: LearningRate = _DEFAULTS.learning_rate,
    embedding_lr_factor: EmbeddingLrFactor = _DEFAULTS.embedding_lr_factor,
    head: Head = "softmax",
    hidden_width: HiddenWidth = 192,
    layers: Layers = 1,
    bidirectional: Bidirectional = True,
    seed: Seed = _DEFAULTS.seed,
    device: Device = _DEFAULTS.device,
    resume: Resume = False,
) -> None:
    """Train a student on a soft-label store.

    The loss is alpha · T² · KL(teacher || student) + (1 - alpha) · CE(gold), from Hinton et al.
    2015; for a boundary head both terms are binary cross-entropies. With --alpha 0 the student
    learns from the gold labels alone, with --alpha 1 from the teacher alone. --feature-weight adds
    1 - cos between the student's word and label vectors and those of the GLiNER of --teacher, which
    then reads every passage in the first epoch.

    Prints one line with the student's folder and size. Writes the student into OUT/student, and
    beside it metrics.jsonl, config.json, environment.json, the files of TensorBoard and the
    checkpoint of the last epoch, from which --resume continues without any difference.
    """
    _check_matching(feature_weight, teacher)
    with when_stopped(
        f"{out} keeps the finished epochs; run the same command with --resume to continue"
    ):
        from gliner_distill.progress import StageProgress
        from gliner_distill.runtime.config import StudentConfig
        from gliner_distill.training.train import train as train_on_store

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
                config=StudentConfig(
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
    say(
        f"{out / 'student'}: {student.n_parameters:,} parameters, "
        f"{student.n_parameters_without_embeddings:,} without embeddings"
    )


def _check_matching(feature_weight: float, teacher: str | None) -> None:
    if feature_weight and teacher is None:
        raise typer.BadParameter(
            "--feature-weight needs a teacher to match; name it with --teacher MODEL"
        )
    if teacher is not None and not feature_weight:
        raise typer.BadParameter("--teacher has no effect without --feature-weight; give both")


def _load_matched_teacher(source: str, device: str) -> "GLiNERTeacher":
    import torch

    from gliner_distill.teacher.gliner import GLiNERTeacher

    is_on_gpu = device == "gpu" and torch.cuda.is_available()
    return GLiNERTeacher.from_pretrained(source, device="cuda" if is_on_gpu else "cpu")


TRAIN = Command(
    train,
    "Train a student on a soft-label store.",
    """\
  gliner-distill train soft_labels/train --dev soft_labels/dev \\
    --out runs/distilled
  gliner-distill train soft_labels/train --alpha 0 --out runs/hard
  gliner-distill train soft_labels/train --feature-weight 1 \\
    --teacher urchade/gliner_medium-v2.1 --out runs/matched
  gliner-distill train soft_labels/train --out runs/distilled --resume""",
    work="training; finished epochs are kept",
    less_memory="use a smaller --batch-size or --hidden-width, or cut long passages",
)
