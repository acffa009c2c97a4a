"""The command `distill`: make a student from texts and label names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import (
    LABEL_LINES,
    RayAddressParser,
    SkipBad,
    Teachers,
    option,
)
from gliner_distill.cli.teachers.cluster import RayOptions
from gliner_distill.cli.teachers.language_model import LLMOptions
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped
from gliner_distill.errors import SettingsError

if TYPE_CHECKING:
    from gliner_distill.distillation.selection.budget import TeacherBudget
    from gliner_distill.teacher.base import Teacher
    from gliner_distill.teacher.llm.settings import LLMSettings

Texts = Annotated[
    str,
    typer.Argument(
        metavar="TEXTS",
        help="Your documents: a text file with one per line, JSON lines, a CSV file with --column, "
        "a Parquet file, CoNLL columns, or a folder of *.txt files.",
    ),
]

LabelFile = Annotated[
    Path,
    option(
        "--labels",
        metavar="FILE",
        text=f"A file of the labels to find. {LABEL_LINES}",
    ),
]

OutFolder = Annotated[
    Path,
    option(
        "--out",
        metavar="FOLDER",
        text="The folder for the student, the report and the intermediate files.",
    ),
]

GoldCorpus = Annotated[
    str | None,
    option(
        "--gold",
        metavar="CORPUS",
        text="Passages in which every entity of your labels is annotated. The student learns from "
        "some of them and is measured on the others.",
    ),
]

TextColumn = Annotated[
    str | None,
    option(
        "--column",
        metavar="NAME",
        text="The column of a CSV or Parquet file, or the field of JSON lines, with the text.",
    ),
]

Minutes = Annotated[
    float | None,
    option(
        "--minutes",
        metavar="M",
        text="Use only as much text as can be labeled and learned in this time, and report what "
        "was left out.",
        min=0.1,
    ),
]


TeacherPart = Annotated[
    str,
    option(
        "--teacher-budget",
        metavar="WORDS|MINUTES|all",
        text="The part of the texts that the teacher reads: a number of words such as 200000, "
        "minutes such as 30min, all, or auto to stop when the student no longer gets better.",
    ),
]


def distill(
    texts: Texts,
    labels: LabelFile,
    teacher: Teachers,
    out: OutFolder,
    *,
    gold: GoldCorpus = None,
    column: TextColumn = None,
    minutes: Minutes = None,
    teacher_budget: TeacherPart = "auto",
    cluster: RayOptions,
    skip_bad: SkipBad = False,
    llm: LLMOptions,
) -> None:
    """Make a student for your labels from your documents, in one command.

    Cuts the documents into passages, sets a tenth of the documents aside for dev and another tenth
    for test, and labels the passages with the teacher. Then trains a student, starting from the one
    that comes with the package, until its agreement with the teacher on dev stops improving.
    Finally tunes the thresholds and exports the student.

    If there are a thousand training passages or more, the teacher reads only some of them: first a
    random sample, then in rounds the passages about which a quick student is in doubt, until the
    agreement on dev stops rising. --teacher-budget sets a number of words or minutes instead, or
    lets it read everything.

    Prints a verdict in five lines and the path of the report. Writes the student into OUT (in
    int8 if that loses little; OUT/fp32 holds it in single precision), report.html, results.json
    and README.md, and the results of each step into OUT/work.

    If the same command runs again, it continues where it was stopped. If there are more documents
    by then, it adds them.

    Several teachers are weighed for each label by how well they do on the passages of --gold;
    without these, each has the same weight. The report gives the weights.

    With --ray, the teacher labels the passages on a Ray cluster; everything else is done by this
    machine. The labels are the same, and a run may be continued with or without --ray.
    """
    if cluster.is_given and minutes is not None:
        raise typer.BadParameter(
            "--minutes is planned with the speed of this machine alone; leave it or --ray out"
        )
    asked = llm.settings(teacher, is_on_ray=cluster.is_given)
    budget = _read_budget(teacher_budget)
    with when_stopped(f"{out} keeps the finished work; run the same command again to continue"):
        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.distillation.job import DistillJob
        from gliner_distill.distillation.pipeline import distill_from
        from gliner_distill.progress import StageProgress

        quiet_libraries()
        workers = cluster.find_workers(teacher)
        job = DistillJob(
            texts=texts,
            labels=read_labels(labels),
            column=column,
            gold=gold,
            minutes=minutes,
            skip_bad=skip_bad,
            teacher_budget=budget,
        )
        sources = [_open_language_model(name, asked) for name in teacher]
        # Without a terminal this writes plain lines, so that a log shows the progress.
        with StageProgress() as progress:
            distilled = distill_from(job, sources, out, workers=workers, progress=progress.update)
    for warning in distilled.warnings:
        say(warning, err=True)
    say("\n".join(distilled.measurements.verdict))
    say(f"report: {distilled.report}")


def _read_budget(text: str) -> "TeacherBudget":
    from gliner_distill.distillation.selection.budget import TeacherBudget

    try:
        return TeacherBudget.parse(text)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


def _open_language_model(name: str, settings: "LLMSettings") -> "str | Teacher":
    """Return a language model with its settings; another name as it is, to be opened later."""
    from gliner_distill.teacher.opening import LLM_PREFIX, open_teacher

    return open_teacher(name, llm=settings) if name.startswith(LLM_PREFIX) else name


DISTILL = Command(
    distill,
    "Make a student for your labels from your texts.",
    """\
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher urchade/gliner_small-v2.1 --out my-student
  gliner-distill distill mails.csv --column body --labels labels.txt \\
    --teacher models/gliner --gold annotated.jsonl --minutes 30 \\
    --out my-student
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher fastino/gliner2-base-v1 --out my-student
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher python:my_rules:teacher --out my-student
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher llm:MODEL --price-per-million 0.25,2 --max-cost 5 \\
    --out my-student
  gliner-distill distill notes.txt --labels labels.txt --gold gold.jsonl \\
    --teacher models/gliner --teacher python:my_rules:teacher \\
    --out my-student
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher models/gliner --ray --workers 4 --out my-student""",
    work="distilling; finished work is kept",
    less_memory="give fewer texts, cut long ones, or use a smaller teacher",
    parser=RayAddressParser,
)
