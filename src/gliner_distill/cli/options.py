"""The arguments and options that several commands share; all others are in the command's file."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gliner_distill.errors import DistillError
from gliner_distill.files import check_replaceable, reason_of
from gliner_distill.training.settings import TrainingSettings

MAX_SEED = 2**31 - 1

DEFAULT_WORKERS = 2
"""The number of models on a Ray cluster."""

LABEL_LINES = (
    "Each line is `label`, `label: description`, several labels separated by commas, or a comment "
    "that begins with #. Instead of lines, the file may hold a JSON list of labels, or a JSON "
    "object that maps labels to descriptions."
)


def option(*flags: str, metavar: str | None, text: str, **more: Any) -> Any:
    """Return an option; without flags, it has the name of the function's argument.

    Args:
        *flags: The names of the option, such as `--out`.
        metavar: The placeholder for its value in the help; None for a flag without a value.
        text: The help text: a full sentence.
        **more: Other arguments of `typer.Option`.
    """
    return typer.Option(*flags, metavar=metavar, help=text, **more)


def training_option(name: str, metavar: str, **limits: Any) -> Any:
    """Return an option for a field of `TrainingSettings`, whose help text it shares."""
    return typer.Option(metavar=metavar, help=TrainingSettings.help(name), **limits)


def _check_json_file(file: Path | None) -> Path | None:
    """Refuse a file that cannot be written before the command starts its work."""
    if file is None:
        return None
    if str(file) == "-":
        raise DistillError(
            "--json cannot write to the standard output, which has the tables; give it the path of "
            "a file, such as results.json"
        )
    if not file.parent.is_dir():
        raise DistillError(f"{file}: cannot be written: the folder {file.parent} does not exist")
    try:
        check_replaceable(file)
    except OSError as error:
        raise DistillError(
            f"{file}: cannot be written: {reason_of(error)}; give --json the path of a file"
        ) from error
    return file


CorpusArgument = Annotated[
    str,
    typer.Argument(
        metavar="CORPUS",
        help="The corpus: the path of a file, a folder with the .txt and .ann files of BRAT, or "
        "the hub id of a data set.",
    ),
]

Teachers = Annotated[
    list[str],
    option(
        "--teacher",
        metavar="TEACHER",
        text="The folder or the hub id of a GLiNER or a GLiNER2; python:MODULE:OBJECT for a "
        "teacher in a Python file of the current folder, whose code is run; or llm:MODEL for a "
        "language model. Give the option several times to learn from several teachers.",
    ),
]

SkipBad = Annotated[
    bool,
    option(
        "--skip-bad",
        metavar=None,
        text="Leave bad records out, and report how many there were and why.",
    ),
]

Threshold = Annotated[
    float,
    option(
        "--threshold",
        metavar="P",
        text="The score that an entity must exceed. A student's scores are shifted so that the "
        "threshold tuned for it lies at 0.5.",
        min=0,
        max=1,
    ),
]

Patterns = Annotated[
    bool,
    option(
        "--patterns/--no-patterns",
        metavar=None,
        text="Find e-mail addresses, URLs, IP and MAC addresses, IBANs and card numbers by checked "
        "patterns as well, where a label asks for them.",
    ),
]

ThreadCount = Annotated[
    int | None,
    option(
        "--threads",
        metavar="N",
        text="The number of threads that the model computes with.",
        min=1,
        max=1024,
        show_default="OMP_NUM_THREADS, or one per processor",
    ),
]

JsonFile = Annotated[
    Path | None,
    option(
        "--json",
        metavar="FILE",
        text="Write all measurements to this file, as JSON.",
        callback=_check_json_file,
    ),
]

Epochs = Annotated[int, training_option("epochs", "N", min=1)]

RayAddress = Annotated[
    str | None,
    option(
        "--ray",
        metavar="[ADDRESS]",
        text="Work on a Ray cluster: give its address or auto; without an address, on "
        "this machine alone. Needs gliner-distill[ray].",
    ),
]

WorkerCount = Annotated[
    int | None,
    option(
        "--workers",
        metavar="N",
        text="The number of models to run in parallel with --ray.",
        min=1,
        show_default=f"{DEFAULT_WORKERS} with --ray",
    ),
]

GpusPerWorker = Annotated[
    float,
    option(
        metavar="SHARE",
        text="GPUs per Ray worker, e.g. 0.5 to share one between two; 0 for CPU.",
        min=0,
    ),
]


class PanelCommand(TyperCommand):
    """A command whose help has a section of its own for each panel of options.

    Typer groups options by their `rich_help_panel` only if rich draws the help.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the options, and the options of each panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_option = parameter.param_type_name == "option"
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(panel if is_option else "Arguments", []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class RayAddressParser(PanelCommand):
    """A parser that accepts `--ray` without an address, for a cluster on this machine.

    Typer does not support options whose value may be left out (it has withdrawn `flag_value`), so
    the parser inserts the value `local` before it parses the arguments.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of a command, with `local` after a bare `--ray`."""
        completed: list[str] = []
        for argument, following in zip(args, [*args[1:], "--"], strict=False):
            completed.append(argument)
            # The next argument is another option, so `--ray` has no address of its own.
            if argument == "--ray" and following.startswith("-"):
                completed.append("local")
        return super().parse_args(ctx, completed)


def check_ray_options(ray: str | None, workers: int | None, gpus_per_worker: float = 0.0) -> None:
    """Refuse the options of a cluster without a cluster.

    Raises:
        BadParameter: Workers or GPUs are given without `--ray`.
    """
    if ray is None and (workers is not None or gpus_per_worker):
        raise typer.BadParameter(
            "--workers and --gpus-per-worker have no effect without --ray; give it as well"
        )
