"""The annotated passages in German, Spanish and Hindi."""

import json
import unicodedata
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import word_bounds

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "languages"
LABELS = {"person", "city", "country", "organization", "date", "money"}

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the examples are in the repository alone"),
    pytest.mark.parametrize("language", ["german", "spanish", "hindi"]),
]


def test_passages_have_exact_offsets_at_the_borders_of_words(language):
    lines = (FOLDER / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == 100
    for record in map(json.loads, lines):
        text, last = record["text"], 0
        assert unicodedata.is_normalized("NFC", text)
        starts, ends = map(set, zip(*word_bounds(text), strict=True))
        for entity in record["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            assert entity["start"] in starts
            assert entity["end"] in ends
            assert entity["start"] >= last
            assert entity["label"] in LABELS
            last = entity["end"]


def test_passages_are_read_with_all_their_entities(language):
    passages = list(read_passages(FOLDER / f"{language}.jsonl"))
    assert len(passages) == 100
    assert sum(len(passage.entities) for passage in passages) >= 240
    assert {entity.label for passage in passages for entity in passage.entities} == LABELS
