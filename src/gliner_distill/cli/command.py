"""The help page of a command, and the exit codes that all commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from typer.core import TyperCommand

from gliner_distill.errors import DistillError, is_out_of_memory

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
        work: The words after "there was not enough memory while", such as "labeling".
        less_memory: What a user can do so that it needs less memory, as an imperative.
        parser: The class that parses its arguments.
    """

    run: Callable[..., None]
    summary: str
    examples: str
    work: str
    less_memory: str
    parser: type[TyperCommand] = TyperCommand

    def guarded(self) -> Callable[..., None]:
        """Return the function with a message of one line for the case that memory runs out.

        Raises:
            DistillError: From the function: there was not enough memory.
        """

        @wraps(self.run)
        def run(*args: Any, **options: Any) -> None:
            try:
                self.run(*args, **options)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                message = f"there was not enough memory while {self.work}; {self.less_memory}"
                raise DistillError(message) from error

        return run


def make_epilog(examples: str) -> str:
    """Return the text below a command's options: the exit codes and the examples."""
    # Typer keeps the line breaks of a paragraph that begins with a backspace character.
    return f"{_EXIT_CODES}\n\n\b\nExamples:\n{examples}"
