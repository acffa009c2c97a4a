"""Write texts and annotated passages that are Python objects into the working folder.

A path is used as it is. Anything else is checked and written to a file, so that all later steps
read a file, and a generator is consumed only once.
"""

import errno
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gliner_distill.corpus.exports.recognition import as_words
from gliner_distill.corpus.reader import write_passages
from gliner_distill.corpus.records import RawRecord, RecordError, passage_from_record
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.workspace import GOLD_FILE, TEXTS_FILE, Workspace
from gliner_distill.entities import Passage
from gliner_distill.errors import InputError, name_kind, shorten
from gliner_distill.files import write_file

_TEXTS_PER_REPORT: Final = 1_000
_STAGE: Final = "reading texts"


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to read from.

    Attributes:
        path: The path or hub id.
        name: The name of the source in messages.
        warnings: What was left out when the file was written.
    """

    path: str
    name: str
    warnings: tuple[str, ...] = ()


def locate_texts(work: Workspace) -> Source:
    """Return the source of a job's texts, after writing them into the folder if necessary.

    Raises:
        InputError: The texts are empty, or are one text in place of a path; or one of them is not a
            string or holds half of a surrogate pair, and `skip_bad` is not set.
        DistillError: The folder cannot be written.
    """
    texts = work.job.texts
    if isinstance(texts, str | Path):
        _check_path(str(texts))
        return Source(str(texts), str(texts))
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise InputError(f"texts: got {shorten(texts)}; expected a path, or strings")
    problems = _Problems("texts", skip_bad=work.job.skip_bad)
    lines: list[str] = []
    n_blank = n_words = 0
    for number, text in enumerate(texts):
        if (problem := _find_problem(text)) is not None:
            problems.add(number, problem)
        elif not text.strip():
            n_blank += 1
        else:
            lines.append(json.dumps({"text": text}) + "\n")
            n_words += len(text.split())
        if (number + 1) % _TEXTS_PER_REPORT == 0:
            # The total is not known yet, so the report pretends that one more word follows.
            work.progress(_STAGE, n_words, n_words + 1, f"{number + 1:,} texts")
    if not lines:
        raise InputError(
            "texts: all texts are blank, or the iterator is used up; give a list, or a new iterator"
        )
    path = work.folder / TEXTS_FILE
    write_file(path, "".join(lines))
    work.progress(_STAGE, n_words, n_words, f"{len(lines):,} texts")
    blank = [f"texts: blank ones left out: {n_blank:,}"] if n_blank else []
    return Source(str(path), "texts", (*blank, *problems.warnings()))


def _check_path(path: str) -> None:
    """Refuse a text in place of a path, and an empty path, which would be the current folder."""
    try:
        is_path = path != "" and (Path(path).exists() or "\n" not in path)
    except OSError as error:  # such as a folder that may not be read
        is_path = error.errno != errno.ENAMETOOLONG
    if not is_path:
        raise InputError(
            f"texts: got {shorten(path)}, which is not a path; expected a path, or a list of texts"
        )


def locate_gold(work: Workspace) -> Source | None:
    """Return the source of a job's annotated passages; None if the job has none.

    Raises:
        InputError: The list is empty; or the annotation of a passage is invalid, and `skip_bad` is
            not set.
        CorpusError: The folder cannot be written.
    """
    gold = work.job.gold
    if gold is None or isinstance(gold, str | Path):
        return None if gold is None else Source(str(gold), str(gold))
    if isinstance(gold, bytes | Mapping | Passage) or not isinstance(gold, Iterable):
        raise InputError(f"gold: got {shorten(gold)}; expected a path, or a list of passages")
    problems = _Problems("gold", skip_bad=work.job.skip_bad)
    notes = CorpusNotes()
    passages: list[Passage] = []
    for number, item in enumerate(gold):
        try:
            record = as_words(RawRecord(f"gold[{number}]", _as_record(item)), notes)
            if record is not None:
                passages.append(passage_from_record(record, notes))
        except RecordError as error:
            problems.add(number, str(error))
    if not passages:
        raise InputError("gold: the list holds no annotated passage; give some, or leave gold out")
    path = work.folder / GOLD_FILE
    write_passages(path, passages)
    notes.long_passages = notes.passages_without_entities = (
        0  # bad records are counted when the file is read
    )
    return Source(str(path), "gold", (*notes.lines(), *problems.warnings()))


class _Problems:
    """Bad items: the first raises an error, or all are counted if they may be left out."""

    def __init__(self, name: str, *, skip_bad: bool) -> None:
        self._name = name
        self._skip_bad = skip_bad
        self._notes = CorpusNotes()

    def add(self, number: int, problem: str) -> None:
        message = f"{self._name}[{number}]: {problem}"
        if not self._skip_bad:
            raise InputError(f"{message}; correct it, or leave bad items out with skip_bad=True")
        self._notes.add_bad_record(message)

    def warnings(self) -> list[str]:
        return self._notes.lines()


def _find_problem(text: object) -> str | None:
    if not isinstance(text, str):
        return f"found {shorten(text)}; expected a string"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "the text holds half of a surrogate pair, which is not a character"
    return None


def _as_record(item: object) -> object:
    """Return an annotated passage as a record of a file, unchecked."""
    if isinstance(item, Passage):
        spans = [[span.start_word, span.end_word - 1, span.label] for span in item.entities]
        return {"tokenized_text": list(item.words), "ner": spans, "ner_labels": list(item.labels)}
    if not isinstance(item, Mapping):
        raise RecordError(
            f"found {shorten(item)}; expected a Passage, or a dictionary with text and entities"
        )
    if "tokenized_text" not in item and not isinstance(item.get("entities", []), list | tuple):
        raise RecordError(f"entities: found {shorten(item['entities'])}; expected a list")
    try:
        # Tuples become lists, and numpy's numbers become Python's.
        return json.loads(json.dumps(dict(item), default=_as_number))
    except (TypeError, ValueError) as error:
        raise RecordError(f"the record cannot be written as JSON ({error})") from None


def _as_number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{name_kind(value)} has no form in JSON")
