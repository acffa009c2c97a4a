"""Distilling a dictionary into a student for Hindi, from texts to the report."""

import json
from pathlib import Path

import pytest

from gliner_distill.decoding import entities_to_probs
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.pipeline import distill
from gliner_distill.entities import Entity, word_bounds

HINDI = Path(__file__).resolve().parents[2] / "examples" / "languages" / "hindi.jsonl"
LABELS = ["person", "city", "date"]
SETTINGS = DistillSettings(
    epochs=1, tuning_passages=1, min_tuning_epochs=1, timed_words=20, timed_seconds=0.01
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HINDI.is_file(), reason="the examples are in the repository alone"),
]


class DictionaryTeacher:
    """A teacher that knows single words."""

    name, fingerprint = "dictionary", "d" * 64

    def __init__(self, forms):
        self._forms = forms

    def score_passages(self, passages, labels):
        return [
            entities_to_probs(
                [
                    Entity(place, place + 1, self._forms[word])
                    for place, word in enumerate(words)
                    if word in self._forms
                ],
                asked,
                len(words),
            )
            for words, asked in zip(passages, labels, strict=True)
        ]


def test_distill_starts_with_hindi_pieces_and_the_runtime_reads_them(tmp_path):
    records = [json.loads(line) for line in HINDI.read_text(encoding="utf-8").splitlines()]
    forms = {
        entity["text"]: entity["label"]
        for record in records
        for entity in record["entities"]
        if entity["label"] in LABELS and " " not in entity["text"]
    }
    student = distill(
        [record["text"] for record in records],
        LABELS,
        DictionaryTeacher(forms),
        tmp_path / "out",
        settings=SETTINGS,
        progress=False,
    )
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert "pieces from training on the text" in results["start"]
    assert "100% of" in results["start"]
    assert results["start"] in results["notes"]
    assert results["start"] in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    text = "सुनीता शर्मा दिल्ली में रहती हैं।"
    found = student.predict_entities(text, LABELS, threshold=0.0)
    borders = {place for bounds in word_bounds(text) for place in bounds}
    assert len(borders) == 13
    assert found
    assert all({entity["start"], entity["end"]} <= borders for entity in found)
    # Text in another script and no text are answered, too.
    assert student.predict_entities("", LABELS) == []
    assert isinstance(student.predict_entities("北京 and Москва", LABELS), list)
