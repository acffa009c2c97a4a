"""Redact the text files of a folder: `python examples/redact_folder.py FOLDER OUT VALUES`.

Each `*.txt` file of FOLDER, and of the folders in it, is written redacted under the same name below
OUT. The same value has the same placeholder in all files. VALUES keeps the replaced values:
whoever has it can restore the texts, so keep it where only you can read it. If it exists, its
placeholders are used again, so further files can be added later.

Read some of the redacted files before you pass them on: no model finds everything. For texts of
your own, replace the bundled student by one of yours, and name what your texts contain.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from gliner_distill import PERSONAL_LABELS, Redactor, StudentNER, read_mapping, write_mapping

MODEL = None  # the bundled student; or the folder or the hub id of another one
LABELS = PERSONAL_LABELS
THRESHOLD = 0.4  # below the usual 0.5: it misses less, and replaces more that is not personal


def redact_files(folder: Path, redactor: Redactor) -> Iterator[tuple[Path, str, int]]:
    """Yield the relative path, the redacted text and the number of replaced entities per file."""
    student = StudentNER.from_pretrained(MODEL)
    paths = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    texts = (path.read_text(encoding="utf-8") for path in paths)  # one file at a time
    for path, entities in zip(
        paths, student.inference(texts, LABELS, threshold=THRESHOLD), strict=True
    ):
        redaction = redactor.redact(path.read_text(encoding="utf-8"), entities)
        yield path.relative_to(folder), redaction.text, len(redaction.entities)


def main(folder: Path, out: Path, values: Path) -> None:
    """Write the redacted files and the replaced values."""
    redactor = Redactor("mapping", mapping=read_mapping(values) if values.exists() else None)
    for name, text, n_entities in redact_files(folder, redactor):
        write_mapping(values, redactor.mapping)  # first, so that each file can be restored
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
        print(f"{name}: {n_entities} replaced")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python redact_folder.py FOLDER OUT VALUES")
    main(*map(Path, sys.argv[1:]))
