"""TODO-DOC."""

import sys
from pathlib import Path

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped
from gliner_distill.cli.train import _DEFAULTS


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
    # Off a terminal rich assumes 80 columns, which would break the table's lines.
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table1(results))
    typer.echo(f"report: {out / 'report.html'}")
