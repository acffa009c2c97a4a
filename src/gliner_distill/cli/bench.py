"""The command `bench`: measure how fast models read."""

from typing import Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import JsonFile, ThreadCount, option
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="The models to compare: the folders or hub ids of students and GLiNERs, or bundled "
        "for the student that comes with the package. Without any, this student is measured.",
        show_default=False,
    ),
]

Rounds = Annotated[
    int, option("--rounds", metavar="N", text="The number of times that each case is timed.", min=1)
]


def bench(
    models: Models = None,
    threads: ThreadCount = None,
    rounds: Rounds = 5,
    json_file: JsonFile = None,
) -> None:
    """Measure how fast models read, side by side: text in, entities out.

    The measurements are the words per second for texts of 25, 100 and 400 words with 5 and 50
    labels, the milliseconds for one short text, the seconds from the start of a process to its
    first answer, and the peak memory of that process. The texts and labels come from the sample
    that is part of the package.

    Prints a table in Markdown. Writes only the file of --json.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.evaluation.speed import SpeedSettings, compare_speed, describe_speed
        from gliner_distill.files import write_json
        from gliner_distill.processors import default_threads

        quiet_libraries()
        comparison = compare_speed(
            models or [None],
            num_threads=threads or default_threads(),
            settings=SpeedSettings(rounds=rounds),
            progress=_show_step,
        )
    for line in describe_speed(comparison):
        say(line)
    if json_file is not None:
        write_json(json_file, comparison.as_json())


def _show_step(stage: str, done: int, total: int, note: str = "") -> None:
    """Print one line per step, because a progress bar would disturb the measurements."""
    say(f"{done}/{total} {note}", err=True)


BENCH = Command(
    bench,
    "Measure how fast models read, side by side.",
    """\
  gliner-distill bench
  gliner-distill bench my-student my-student/fp32 models/gliner --threads 2""",
    work="measuring the speed of the models",
    less_memory="measure fewer models at a time",
)
