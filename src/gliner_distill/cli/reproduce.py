"""The command `reproduce`: repeat the published experiment."""

import sys
from pathlib import Path
from typing import Annotated

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import Epochs, option
from gliner_distill.cli.terminal import is_terminal, quiet_libraries, say, when_stopped
from gliner_distill.training.settings import TrainingSettings

_DEFAULTS = TrainingSettings()

Data = Annotated[
    str | None,
    option(
        metavar="CORPUS",
        text="The path of a corpus file, or the hub id of a data set such as "
        "urchade/pile-mistral-v0.1; needs --teacher. By default it is the sample that comes with "
        "the package.",
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

OutFolder = Annotated[
    Path, option("--out", metavar="FOLDER", text="The folder for the runs and the report.")
]


def reproduce(
    data: Data = None,
    teacher: Teacher = None,
    train: TrainCount = 1000,
    test: TestCount = 100,
    seeds: SeedCount = 3,
    epochs: Epochs = _DEFAULTS.epochs,
    out: OutFolder = Path("reproduction"),
) -> None:
    """Reproduce "Knowledge Distillation targeted at GliNER" (Xu et al.), up to its Table 1.

    Trains one student on gold labels alone and one on gold labels and the soft labels of a GLiNER.
    Both have the same architecture, passages, steps and seeds. Measures both against the teacher
    and against gold.

    Prints Table 1 and the path of the report. Writes report.html, report.md, results.json and the
    folders figures and runs into OUT, and soft_labels as well with --teacher.

    When the same command runs again, it continues where it was stopped. A folder with runs of
    other settings or data is refused.
    """
    with when_stopped(f"{out} keeps the finished work; run the same command again to continue"):
        from dataclasses import replace

        from rich.console import Console

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
    # Without a terminal rich assumes 80 columns, which would break the lines of the table.
    console = Console(width=None if is_terminal(sys.stdout) else 100)
    console.print(table1(results))
    say(f"report: {out / 'report.html'}")


REPRODUCE = Command(
    reproduce,
    "Reproduce the published experiment, up to its Table 1.",
    """\
  gliner-distill reproduce
  gliner-distill reproduce --data pile.json --train 1000 --test 100 \\
    --teacher urchade/gliner_medium-v2.1 --out pile-reproduction""",
    work="reproducing the experiment; finished work is kept",
    less_memory="use a smaller --train and --test",
)
