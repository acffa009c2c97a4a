"""The help page of a command, and the exit codes that all commands share."""

from collections.abc import Callable
from dataclasses import dataclass

from typer.core import TyperCommand

_EXIT_CODES = """\b
Exit codes:
  0  done
  1  an error in a file, a model or a setting, or Ctrl-C: one line on standard
     error says what is wrong and what to do
  2  wrong usage"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `gliner-distill`.

    Attributes:
        run: The function; its name is the command's, its docstring is the help text.
        summary: The line about it in the overview.
        examples: Command lines, each indented by two spaces.
        parser: The class that parses its arguments.
    """

    run: Callable[..., None]
    summary: str
    examples: str
    parser: type[TyperCommand] = TyperCommand


def make_epilog(examples: str) -> str:
    """Return the text below a command's options: the exit codes and the examples."""
    # Typer keeps the line breaks of a paragraph that begins with a backspace character.
    return f"{_EXIT_CODES}\n\n\b\nExamples:\n{examples}"
