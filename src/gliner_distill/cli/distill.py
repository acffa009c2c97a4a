"""TODO-DOC."""

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped


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

        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.distillation.job import DistillJob
        from gliner_distill.distillation.pipeline import REPORT_FILE, distil_to_folder
        from gliner_distill.progress import StageProgress
        from gliner_distill.teacher.gliner import GLiNERTeacher

        quiet_libraries()
        job = DistillJob(
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
            figures = distil_to_folder(job, out, load_teacher, progress=progress.update)
    for note in figures["notes"]:
        typer.echo(note, err=True)
    typer.echo(figures["verdict"])
    typer.echo(f"report: {out / REPORT_FILE}")
