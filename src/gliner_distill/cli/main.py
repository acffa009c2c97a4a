"""The command line: `gliner-distill COMMAND`. Every error of ours is one line and exit code 1.

Nothing heavy is imported until a command runs, so that `--help` answers at once and without torch.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import NoReturn, cast

import typer

from gliner_distill import __version__
from gliner_distill.cli import options as given
from gliner_distill.cli.bench import bench
from gliner_distill.cli.distill import distill
from gliner_distill.cli.evaluate import evaluate
from gliner_distill.cli.export import export
from gliner_distill.cli.inspect import inspect
from gliner_distill.cli.label import label
from gliner_distill.cli.predict import predict
from gliner_distill.cli.reproduce import reproduce
from gliner_distill.cli.terminal import drop_output
from gliner_distill.cli.train import train
from gliner_distill.errors import DistillError, MissingExtraError

app = typer.Typer(
    name="gliner-distill",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_COMMANDS: dict[Callable[..., None], str] = {
    reproduce: "Run the published experiment, up to its Table 1.",
    label: "Ask a GLiNER about a corpus; keep its soft labels.",
    train: "Train a student on a soft-label store.",
    evaluate: "Measure a student or a GLiNER on a corpus.",
    predict: "Find entities in a text, files or standard input.",
    export: "Make a student that runs without torch.",
    distill: "Make a student for your labels out of your documents.",
    bench: "Measure how fast models read, side by side.",
    inspect: "Say what a soft-label store or a corpus holds.",
}
"""In the order in which `--help` has them."""


for _command, _short_help in _COMMANDS.items():
    app.command(short_help=_short_help, epilog=given.MANUAL_ENDS[_command.__name__])(_command)


# Of click, or of the copy of it that newer releases of typer carry; typer exports the third alone.
_Errors = tuple[type[typer.BadParameter], type[typer.BadParameter]]


_UsageError, _CommandLineError = cast(_Errors, typer.BadParameter.__mro__[1:3])


_INTERRUPTED = 130
"""What typer returns after a Ctrl-C that no command took."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error of ours or Ctrl-C, 2 wrong usage."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            _complete_ray(sys.argv[1:]), prog_name="gliner-distill", standalone_mode=False
        )
    except DistillError as error:
        _fail(str(error), code=1)
    except _CommandLineError as error:
        is_usage = isinstance(error, _UsageError)
        message = error.format_message()
        _fail(f"{message} (see --help)" if is_usage else message, code=2 if is_usage else 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        _fail(str(MissingExtraError(error.name, "train")), code=1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error}", code=1)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", code=1)
    if code == _INTERRUPTED:
        _fail("stopped", code=1)
    sys.exit(code if isinstance(code, int) else 0)


def _complete_ray(arguments: list[str]) -> list[str]:
    """Return the arguments with an address after a bare --ray, which typer would not take."""
    if arguments[:1] != ["label"]:
        return arguments
    completed = []
    for argument, following in pairwise([*arguments, "--"]):
        completed.append(argument)
        if argument == "--ray" and following.startswith("-"):
            completed.append("local")
    return completed


@app.callback(invoke_without_command=True, epilog=given.MANUAL_ENDS["root"])
def root(context: typer.Context, version: given.Version = False) -> None:
    """Distil GLiNER into an LSTM student of at most 6M parameters, and compare.

    `reproduce` runs the whole experiment. To distil on a corpus of your own: `label` it with a
    GLiNER, `train` a student on what the GLiNER said, `evaluate` the student, and `predict` with
    it.
    """
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def _fail(message: str, *, code: int) -> NoReturn:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # such as a full disk
        drop_output()
    typer.echo(f"gliner-distill: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
