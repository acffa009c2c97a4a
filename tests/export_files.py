"""Texts with annotated characters for tests of exports, and functions to read them as passages."""

import json
from pathlib import Path

from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage

TEXT = "Ada Lovelace left 😀 London."
PASSAGE = Passage(
    ("Ada", "Lovelace", "left", "😀", "London", "."),
    (Entity(0, 2, "person"), Entity(4, 5, "city")),
)


def read_all(path: Path, *, skip_bad: bool = False) -> tuple[list[Passage], CorpusNotes]:
    """Return the passages of a file, and the notes on them."""
    notes = CorpusNotes()
    return list(read_passages(path, skip_bad=skip_bad, notes=notes)), notes


def read_as(path: Path, *records: object) -> tuple[list[Passage], CorpusNotes]:
    """Return the passages of records, which are the same in every form of a JSON file."""
    lines = [json.dumps(record) for record in records]
    forms = {
        "\n".join(lines).encode(): ".jsonl",
        ("\ufeff" + "\r\n".join(lines) + "\r\n").encode(): ".txt",
        json.dumps(records, ensure_ascii=False, indent=1).encode(): ".json",
    }
    found = []
    for content, suffix in forms.items():
        path = path.with_suffix(suffix)
        path.write_bytes(content)
        found.append(read_all(path))
    assert all(passages == found[0][0] for passages, _ in found)
    return found[0]
