"""The example teachers that need no other package, opened as the command line opens them."""

from pathlib import Path

import pytest

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import word_texts
from gliner_distill.teacher.base import knows_label
from gliner_distill.teacher.opening import open_teacher

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "On 5 March 2024 Ann (ann.lee@example.org) paid to DE89 3704 0044 0532 0130 00. "
    "Paid again on 2024-04-05, January 7, 2025 and 3/4/2025."
)

pytestmark = pytest.mark.skipif(
    not (ROOT / "examples").is_dir(), reason="the examples are in the repository"
)


@pytest.mark.parametrize("module", ["structured", "examples.teachers.structured"])
def test_structured_finds_dates_addresses_and_accounts(monkeypatch, module):
    monkeypatch.syspath_prepend(str(ROOT))  # restores the path that opening changes
    monkeypatch.chdir(ROOT if "." in module else ROOT / "examples" / "teachers")
    teacher = open_teacher(f"python:{module}:teacher")
    labels = ["Date", "e-mail address", "IBAN", "person"]
    assert [knows_label(teacher, label) for label in labels] == [True, True, True, False]
    words = word_texts(TEXT)
    [probs] = teacher.score_passages([words], [labels])
    found = {
        (" ".join(words[entity.start_word : entity.end_word]), entity.label)
        for entity in decode_entities(probs, labels)
    }
    assert found == {
        ("5 March 2024", "Date"),
        ("2024-04-05", "Date"),
        ("January 7 , 2025", "Date"),
        ("3 / 4 / 2025", "Date"),
        ("ann . lee @ example . org", "e-mail address"),
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
    }
