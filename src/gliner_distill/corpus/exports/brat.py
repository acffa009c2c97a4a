"""Read the standoff annotation of BRAT: a `.txt` file and an `.ann` file with the same name.

Source: BRAT (https://brat.nlplab.org/standoff.html). A line `T1<TAB>Person 0 3<TAB>Ada` of the
`.ann` file is an entity. Lines of other kinds are counted and not read. An entity of several parts
(`T2<TAB>Place 0 5;9 14<TAB>North Korea`) is left out and counted. Offsets count characters; the
text that the line repeats tells whether a Windows line end counts as one or two.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from gliner_distill.corpus.exports.spans import AnnotatedText, CharSpan, word_record
from gliner_distill.corpus.records import RawRecord, RecordError
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of

_ENTITY = re.compile(r"(T\S*)\t(\S+) ([\d; ]+)\t(.*)")


def is_brat(path: Path) -> bool:
    """Return whether a path is an `.ann` file, or a folder with one in it."""
    if path.is_dir():
        return next(path.rglob("*.ann"), None) is not None
    return path.suffix == ".ann"


def read_brat(path: Path, notes: CorpusNotes) -> Iterator[RawRecord]:
    """Yield a record for each `.ann` file, with the text beside it.

    Args:
        path: An `.ann` file; or a folder of them, which may have subfolders.
        notes: Counts the lines that are not read, and the entities and files that are left out.

    Raises:
        CorpusError: A file is missing or cannot be read.
    """
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.ann") if file.is_file())
    if path.is_dir():
        n_texts = sum(not text.with_suffix(".ann").exists() for text in path.rglob("*.txt"))
        if n_texts:
            notes.skipped[".txt files without an .ann file"] += n_texts
    for file in files:
        place = str(file.relative_to(path)) if path.is_dir() else "record 1"
        try:
            annotated = _read_pair(file, place, notes)
            content = word_record(annotated, place, notes)
        except RecordError as error:
            yield RawRecord(place, problem=str(error))
        else:
            if content is not None:
                yield RawRecord(place, content)


def _read_pair(file: Path, place: str, notes: CorpusNotes) -> AnnotatedText:
    text = _read_text(file.with_suffix(".txt"))
    spans = []
    n_others = 0
    left_out = []
    for number, line in enumerate(_read_text(file).splitlines(), 1):
        if not line.startswith("T"):
            n_others += bool(line.strip())
            continue
        match = _ENTITY.fullmatch(line)
        if match is None:
            raise RecordError(
                f"line {number} is {line[:60]!r}; expected `T1<TAB>Label start end<TAB>text`"
            )
        name, label, places, surface = match.groups()
        if ";" in places:
            left_out.append(f"{place}: line {number}: {name}, {surface!r}, label {label!r}")
        else:
            start, _, end = places.partition(" ")
            spans.append(CharSpan(f"line {number}", start, end, label, surface))
    for example in left_out:
        notes.add_left_out("they consist of several parts", example)
    if n_others:
        notes.skipped["lines of .ann files that do not mark an entity"] += n_others
    return AnnotatedText(text, spans)


def _read_text(path: Path) -> str:
    """Return the text of a file with its line ends as they are, since offsets count them.

    Raises:
        RecordError: The file is not UTF-8.
        CorpusError: The file is missing or cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path.name}: byte {error.start + 1} is not UTF-8") from None
    except OSError as error:
        raise CorpusError(
            f"{path}: the file cannot be read: {reason_of(error)}; BRAT's .ann files need the .txt "
            "files with the same names beside them"
        ) from error
