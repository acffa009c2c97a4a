"""Every export is recognized by its keys, as docs/formats.md shows them."""

import json
import re
from pathlib import Path

import pytest

from gliner_distill.corpus.exports.recognition import as_words
from gliner_distill.corpus.records import RawRecord, passage_from_record
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
SAMPLES = [
    json.loads(sample)
    for sample in re.findall(
        r"`(\{.*\})` \|$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
]


@pytest.mark.parametrize("sample", SAMPLES[:-1], ids=lambda sample: "-".join(sample))
def test_as_words_reads_the_samples_of_the_docs(sample: object) -> None:
    notes = CorpusNotes()
    record = as_words(RawRecord("record 1", sample), notes)
    assert record is not None
    passage = passage_from_record(record, notes)
    assert Passage(passage.words, passage.entities) == Passage(
        ("Ada", "left"), (Entity(0, 1, "person"),)
    )
    assert not any(notes.ignored_keys)
    assert len(SAMPLES) == 10


@pytest.mark.parametrize(
    "content",
    [SAMPLES[-1], 3, None, [], {}, {"data": {"text": "Ada"}}, {"input": "Ada", "output": "Bob"}],
)
def test_as_words_leaves_other_records_as_they_are(content: object) -> None:
    record = RawRecord("record 1", content)
    assert as_words(record, CorpusNotes()) is record


def test_as_words_leaves_a_record_with_a_problem_as_it_is() -> None:
    record = RawRecord("record 1", problem="this is not JSON")
    assert as_words(record, CorpusNotes()) is record
