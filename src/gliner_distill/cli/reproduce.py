"""The command `reproduce`: repeat the published experiment."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import Epochs, option
from gliner_distill.cli.terminal import is_terminal, quiet_libraries, say, when_stopped
from gliner_distill.training.settings import TrainingSettings

if TYPE_CHECKING:
    from rich.table import Table

_DEFAULTS = TrainingSettings()
_SEEDS = 3
_MINUTES = 30.0

Data = Annotated[
    str | None,
    option(
        metavar="CORPUS",
        text="The path of a corpus file, or the hub id of a data set such as "
        "urchade/pile-mistral-v0.1; needs --teacher. By default it is the sample that comes with "
        "the package. With --best, it is further text to learn from, and may be a folder of such "
        "files.",
    ),
]

Teacher = Annotated[
    str | None,
    option(
        "--teacher",
        metavar="MODEL",
        text="The GLiNER that labels the corpus: its folder or its hub id. By default the soft "
        "labels that come with the sample are used.",
    ),
]

TrainCount = Annotated[
    int,
    option("--train", metavar="N", text="The number of passages to train on: the first N.", min=1),
]

TestCount = Annotated[
    int,
    option("--test", metavar="N", text="The number of passages to test on: the last N.", min=1),
]

SeedCount = Annotated[
    int,
    option("--seeds", metavar="N", text="The number of random seeds to run: 0 to N - 1.", min=1),
]

IsBest = Annotated[
    bool,
    option(
        "--best",
        metavar=None,
        text="Instead of the published experiment, train the best student that the time allows: "
        "from the bundled student, on the sample and on the text of --data.",
    ),
]

Minutes = Annotated[
    float,
    option(
        "--minutes",
        metavar="N",
        text="The minutes that --best may take on this machine; the words of text are planned by "
        "the measured speed.",
    ),
]

OutFolder = Annotated[
    Path, option("--out", metavar="FOLDER", text="The folder for the runs and the report.")
]


def reproduce(
    context: typer.Context,
    data: Data = None,
    teacher: Teacher = None,
    train: TrainCount = 1000,
    test: TestCount = 100,
    seeds: SeedCount = _SEEDS,
    epochs: Epochs = _DEFAULTS.epochs,
    best: IsBest = False,
    minutes: Minutes = _MINUTES,
    out: OutFolder = Path("reproduction"),
) -> None:
    """Reproduce "Knowledge Distillation targeted at GliNER" (Xu et al.), up to its Table 1.

    Trains one student on gold labels alone and one on gold labels and the soft labels of a GLiNER.
    Both have the same architecture, passages, steps and seeds. Measures both against the teacher
    and against gold.

    Prints Table 1 and the path of the report. Writes report.html, report.md, results.json and the
    folders figures and runs into OUT, and soft_labels as well with --teacher.

    With --best, trains one student that is to agree with the teacher as much as the time allows.
    It starts from the bundled student and learns from the soft labels of the sample and of the text
    of --data, which --teacher labels. Passages that are copies of the sample's are left out. It is
    measured on the test part of the sample. Without --data, it learns from the passages of the
    package alone. Writes the folder best into OUT.

    When the same command runs again, it continues where it was stopped. A folder with runs of
    other settings or data is refused.
    """
    if best:
        if _is_given(context, "seeds") or _is_given(context, "epochs"):
            raise typer.BadParameter(
                "--best has its own epochs and one seed; leave out --epochs and --seeds"
            )
        _reproduce_best(data, teacher, train, test, minutes, out)
        return
    if _is_given(context, "minutes"):
        raise typer.BadParameter("--minutes has no effect without --best; add it, or leave it out")
    with when_stopped(f"{out} keeps the finished work; run the same command again to continue"):
        from dataclasses import replace

        from gliner_distill.progress import StageProgress
        from gliner_distill.reproduction.experiment import Reproduction, reproduce
        from gliner_distill.reproduction.report import table1

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
            results = reproduce(plan, out, progress=progress.update)
    _print_table(table1(results))
    say(f"report: {out / 'report.html'}")


def _is_given(context: typer.Context, name: str) -> bool:
    """Return whether the user gave an option, even with the value that it has by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _reproduce_best(
    data: str | None, teacher: str | None, train: int, test: int, minutes: float, out: Path
) -> None:
    with when_stopped(f"{out} keeps the finished work; run the same command again to continue"):
        from gliner_distill.progress import StageProgress
        from gliner_distill.reproduction.best import BEST_FOLDER, reproduce_best
        from gliner_distill.reproduction.best_plan import Best
        from gliner_distill.reproduction.best_report import best_table

        quiet_libraries()
        plan = Best(data=data, teacher=teacher, n_train=train, n_test=test, minutes=minutes)
        if data is None:
            say(
                "without --data, the student learns only from the training passages of the "
                "package; give more text with --data and --teacher",
                err=True,
            )
        with StageProgress() as progress:
            results = reproduce_best(plan, out, progress=progress.update)
    _print_table(best_table(results))
    say(f"report: {out / BEST_FOLDER / 'report.md'}")
    say(f"student: {out / BEST_FOLDER / 'student'}")


def _print_table(table: "Table") -> None:
    from rich.console import Console

    # Without a terminal rich assumes 80 columns, which would break the lines of the table.
    Console(width=None if is_terminal(sys.stdout) else 100).print(table)


REPRODUCE = Command(
    reproduce,
    "Reproduce the published experiment, up to its Table 1.",
    """\
  gliner-distill reproduce
  gliner-distill reproduce --data pile.json --train 1000 --test 100 \\
    --teacher urchade/gliner_medium-v2.1 --out pile-reproduction
  gliner-distill reproduce --best --data texts/ --teacher PATH/TO/GLINER""",
    work="reproducing the experiment; finished work is kept",
    less_memory="use a smaller --train and --test",
)
