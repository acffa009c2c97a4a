"""Write docs/cli.md: every command of `gliner-distill` with its arguments and options.

    python recipes/cli_reference.py docs/cli.md

The text is that of `--help`. The commands are imported, but not run, so this needs no torch.
"""

import inspect
import sys
from pathlib import Path
from typing import Any, Final

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.main import COMMANDS, EXAMPLES, app
from gliner_distill.files import replace_file

_HEAD: Final = """\
# The command line

This page lists every command with its arguments and options. `gliner-distill COMMAND --help` shows
the same text, from which `python recipes/cli_reference.py docs/cli.md` wrote this page.

| Command | Task |
|---|---|
{overview}

Examples:

```sh
{examples}
```

The exit code is 0 if the command is done, 1 after an error in a file, a model or a setting or after
Ctrl-C, and 2 after wrong usage. An error is one line on standard error, which says what is wrong
and what to do ([troubleshooting](troubleshooting.md)).
"""


def render() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    parsers = {parser.callback.__name__: parser for parser in group.commands.values()}
    named = [(parsers[command.run.__name__], command) for command in COMMANDS]
    rows = (f"| [`{parser.name}`](#{parser.name}) | {item.summary} |" for parser, item in named)
    head = _HEAD.format(overview="\n".join(rows), examples=inspect.cleandoc(EXAMPLES))
    return "\n".join([head, *(_section(*pair) for pair in named)])


def _section(parser: Any, command: Command) -> str:
    """Return the section of one command."""
    context = parser.make_context(parser.name, [], resilient_parsing=True)
    rows = [row for item in parser.get_params(context) if (row := item.get_help_record(context))]
    table = "\n".join(f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows)
    return (
        f"## {parser.name}\n\n{inspect.cleandoc(parser.help or '')}\n\n"
        f"| Argument or option | Meaning |\n|---|---|\n{table}\n\n"
        f"```sh\n{inspect.cleandoc(command.examples)}\n```\n"
    )


def _cell(text: str) -> str:
    """Return a text for the cell of a table: on one line, without bars."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    replace_file(Path(sys.argv[1]), render().encode())
