"""A command: its help page, its options, and what all commands share."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from typer.core import TyperCommand

from gliner_distill.errors import CorpusError, DistillError, is_out_of_memory

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
        run: The function; its name is the command's, its docstring is the help text. An argument
            whose type is a dataclass stands for a group of options: the fields of the class.
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
        """Return the function with errors that suit the command.

        Raises:
            DistillError: From the function: there was not enough memory.
            CorpusError: From the function: a record is bad, and the command has no `--skip-bad`.
        """
        flat = _flatten(self.run)
        can_skip = "skip_bad" in signature(flat).parameters

        @wraps(flat)
        def run(*args: Any, **options: Any) -> None:
            try:
                flat(*args, **options)
            except Exception as error:
                if is_out_of_memory(error):
                    message = f"there was not enough memory while {self.work}; {self.less_memory}"
                    raise DistillError(message) from error
                if isinstance(error, CorpusError) and not can_skip:
                    _leave_out_skip_bad(error)
                raise

        return run


def _leave_out_skip_bad(error: CorpusError) -> None:
    """Raise the error of a bad record without the advice to leave it out with an option."""
    from gliner_distill.corpus.records import BadRecordError  # imports numpy

    if isinstance(error, BadRecordError):
        raise CorpusError(f"{error.problem}; correct it") from error


def _flatten(run: Callable[..., None]) -> Callable[..., None]:
    """Return a function that takes the fields of a group of options in place of the group.

    Typer makes an option of each argument and does not know groups.
    """
    groups: dict[str, Any] = {}
    parameters: list[Parameter] = []
    for parameter in signature(run, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            fields_of_group = signature(groups[parameter.name], eval_str=True)
            parameters += fields_of_group.parameters.values()
        else:
            parameters.append(parameter)
    if not groups:
        return run

    @wraps(run)
    def flat(**options: Any) -> None:
        for name, group in groups.items():
            own = {field.name: options.pop(field.name) for field in fields(group)}
            options[name] = group(**own)
        run(**options)

    # An option that must be given may follow one that need not, so none has a position.
    named = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    vars(flat)["__signature__"] = Signature(named)
    return flat


def make_epilog(examples: str) -> str:
    """Return the text below a command's options: the exit codes and the examples."""
    # Typer keeps the line breaks of a paragraph that begins with a backspace character.
    return f"{_EXIT_CODES}\n\n\b\nExamples:\n{examples}"
