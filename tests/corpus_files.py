"""Corpus files for tests: one good record in the pile-mistral format, and functions to write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError

GOOD = {"tokenized_text": ["Anna", "lives", "in", "New", "York"], "ner": [[3, 4, "city"]]}
GOOD_PASSAGE = Passage(("Anna", "lives", "in", "New", "York"), (Entity(3, 5, "city"),))


def make_record(**changes: Any) -> dict[str, Any]:
    """Return a good record with some keys changed; a key set to None is left out."""
    return {key: value for key, value in (GOOD | changes).items() if value is not None}


def write_json(path: Path, *records: object) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read_only_passage(path: Path) -> Passage:
    [passage] = read_passages(path)
    return passage


def error_of(source: str | Path, **options: Any) -> str:
    """Return the message of the error that reading a source raises; it must be one line."""
    with pytest.raises(CorpusError) as caught:
        list(read_passages(source, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)
