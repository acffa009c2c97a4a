"""TODO-DOC."""

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.evaluate import _check_folder_of
from gliner_distill.cli.terminal import quiet_libraries, when_stopped


def bench(
    models: given.BenchModels = None,
    threads: given.ThreadCount = None,
    rounds: given.Rounds = 5,
    json_file: given.JsonFile = None,
) -> None:
    """Measure how fast models read, side by side: text in, entities out.

    Words a second with texts of 25, 100 and 400 words and 5 and 50 labels, milliseconds for one
    text, seconds from a process's start to its first answer, and peak memory. Text and labels are
    the sample's.

    Prints a table in Markdown. Writes nothing but the file of --json.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.evaluation.speed import SpeedSettings, compare_speed, describe_speed
        from gliner_distill.files import write_json
        from gliner_distill.runtime.scorer import count_processors

        quiet_libraries()
        _check_folder_of(json_file)
        comparison = compare_speed(
            models or [None],
            num_threads=threads or count_processors(),
            settings=SpeedSettings(rounds=rounds),
            progress=lambda stage, done, total, note="": typer.echo(
                f"{done}/{total} {note}", err=True
            ),
        )
        if json_file is not None:
            write_json(json_file, comparison.as_json())
    for line in describe_speed(comparison):
        typer.echo(line)
