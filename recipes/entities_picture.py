"""Draw what `predict` prints in a terminal: `python recipes/entities_picture.py docs/entities.svg`.

The picture is an SVG with the entities of two sentences in the colors of their labels. Its text
takes a font of the viewer's machine, so that a page with it loads nothing from elsewhere.
"""

import argparse
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from gliner_distill.files import write_file

LABELS: Final = ("person", "organization", "city", "country", "year")
TEXT: Final = (
    "Marie Curie was born in Warsaw in 1867 and worked at the University of Paris.\n"
    "Katherine Johnson calculated orbits for NASA in the United States from 1953 on."
)
_WIDTH: Final = 100


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    write_file(out, draw(predict()).encode())
    print(out)


def predict() -> str:
    """Return the output of `predict` for the two sentences, with the codes of its colors."""
    done = subprocess.run(
        [sys.executable, "-m", "gliner_distill", *_arguments(), "--output", "color"],
        input=TEXT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def draw(colored: str) -> str:
    """Return an SVG of a terminal with the command and its output."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(f"$ gliner-distill {shlex.join(_arguments())} < texts.txt", highlight=False)
    console.print(Text.from_ansi(colored))
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    plain = re.sub(r"<!--.*?-->", "", without_fonts)
    return console.export_svg(title="", code_format=plain, unique_id="entities")


def _arguments() -> list[str]:
    return ["predict", "-l", ",".join(LABELS)]


if __name__ == "__main__":
    main()
