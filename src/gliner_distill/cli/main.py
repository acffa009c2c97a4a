"""The command line `gliner-distill COMMAND`.

Every error of this package is reported as one line on standard error, with exit code 1; wrong usage
has exit code 2. No large package is imported before a command runs, so `--help` answers at once and
does not need torch.
"""

import sys
from typing import Annotated, Final

import typer

from gliner_distill import __version__
from gliner_distill.cli.bench import BENCH
from gliner_distill.cli.command import make_epilog
from gliner_distill.cli.distill import DISTILL
from gliner_distill.cli.evaluate import EVALUATE
from gliner_distill.cli.export import EXPORT
from gliner_distill.cli.inspect import INSPECT
from gliner_distill.cli.label import LABEL
from gliner_distill.cli.label_studio import LABEL_STUDIO
from gliner_distill.cli.options import option
from gliner_distill.cli.predict import PREDICT
from gliner_distill.cli.redact import REDACT
from gliner_distill.cli.reproduce import REPRODUCE
from gliner_distill.cli.serve import SERVE
from gliner_distill.cli.terminal import drop_output, say, showing_log
from gliner_distill.cli.train import TRAIN
from gliner_distill.errors import DistillError, MissingExtraError, is_out_of_memory

EXAMPLES: Final = """\
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher urchade/gliner_small-v2.1 --out my-student
  gliner-distill predict "Mary left Paris." -l person -l city -m my-student
  gliner-distill COMMAND --help"""

COMMANDS: Final = (
    *(DISTILL, PREDICT, REDACT, EVALUATE, BENCH, LABEL, TRAIN, EXPORT, INSPECT, REPRODUCE),
    *(SERVE, LABEL_STUDIO),
)
"""All commands, in the order in which the overview lists them."""

# Typer exits with this code after a Ctrl-C outside of a command.
_INTERRUPTED = 130

app = typer.Typer(
    name="gliner-distill",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command(
        short_help=_command.summary, epilog=make_epilog(_command.examples), cls=_command.parser
    )(_command.guarded())

Version = Annotated[
    bool, option("--version", metavar=None, text="Print the version and exit.", is_eager=True)
]


@app.callback(invoke_without_command=True, epilog=make_epilog(EXAMPLES))
def root(context: typer.Context, version: Version = False) -> None:
    """Turn any GLiNER into a small, fast LSTM that finds the entities of your labels.

    `distill` makes such a student from your texts and label names in one command, and `predict`
    finds entities with it. `redact` replaces personal data, and `serve` does both over HTTP.
    `evaluate` and `bench` measure how good and how fast a student or a GLiNER is.

    The single steps of `distill` are commands as well: `label` a corpus with a teacher, `train` a
    student on the answers, and `export` it. `inspect` describes a corpus or a store of answers, and
    `reproduce` repeats a published experiment.
    """
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main() -> None:
    """Run the command line and exit.

    Raises:
        SystemExit: With code 0 when the command is done, 1 after an error of ours or Ctrl-C, and 2
            after wrong usage.
    """
    sys.exit(_run_command())


def _run_command() -> int:
    """Run the command that the arguments name, report an error of ours, and return the code."""
    try:
        command = typer.main.get_command(app)
        with showing_log():
            code = command.main(prog_name="gliner-distill", standalone_mode=False)
    except DistillError as error:
        return _report(str(error))
    except typer.TyperException as error:  # its exit code is 2 for wrong usage
        return _report(_describe_usage(error), code=error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        return _report(str(MissingExtraError(error.name, "train")))
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _report(f"{name}{error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        return _report("stopped")
    except Exception as error:
        # A command tells this by itself, unless it could not even start.
        if not is_out_of_memory(error):
            raise
        return _report("there was not enough memory to start; close other programs")
    if code == _INTERRUPTED:
        return _report("stopped")
    return code if isinstance(code, int) else 0


def _describe_usage(error: typer.TyperException) -> str:
    # The validator names its own kind of error, which tells a user nothing.
    message = error.format_message().replace(": Value error, ", ": ")
    command = getattr(getattr(error, "ctx", None), "command", None)
    names = [name for parameter in getattr(command, "params", []) for name in parameter.opts]
    if message == "No such option: -l" and "--labels" in names:
        message += "; this command reads labels from a file: --labels FILE"
    return f"{message} (see --help)" if error.exit_code == 2 else message


def _report(message: str, *, code: int = 1) -> int:
    """Print an error as one line on standard error, and return the exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # such as a full disk
        drop_output()
    say(f"gliner-distill: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
