"""The example sentences and the comparison of a student's answers with them."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture
def example_sentences(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("example_sentences")


class OneAnswer:
    """A student that finds Paris as a city and a person in every text."""

    def predict_entities(self, text, labels):
        return [{"text": "Paris", "label": "city"}, {"text": "Paris", "label": "person"}]


EXAMPLE = {
    "field": "Travel",
    "text": "From Paris to Rome.",
    "labels": ["city", "person"],
    "expected": {"city": ["Paris", "Rome"]},
}


def test_compare_separates_found_missed_and_wrong(example_sentences):
    comparison = example_sentences.compare(OneAnswer(), EXAMPLE)
    assert comparison.found == [("Paris", "city")]
    assert comparison.missed == [("Rome", "city")]
    assert comparison.wrong == [("Paris", "person")]


def test_describe_names_what_was_found(example_sentences):
    comparison = example_sentences.Comparison([("Paris", "city")], [], [("Rome", "person")])
    section = example_sentences.describe(EXAMPLE, comparison)
    assert "- found: Paris (city)\n- missed: nothing\n- wrong: Rome (person)\n" in section


def test_summarize_counts_all_sentences(example_sentences):
    comparison = example_sentences.compare(OneAnswer(), EXAMPLE)
    line = example_sentences.summarize([comparison, comparison])
    assert "2 sentences the student finds 2 of 4 entities exactly, and gives 2 wrong" in line


def test_main_writes_every_field(example_sentences, tmp_path, monkeypatch):
    out = tmp_path / "examples.md"
    monkeypatch.setattr("sys.argv", ["example_sentences.py", "--out", str(out)])
    example_sentences.main()
    sections = [line for line in out.read_text("utf-8").splitlines() if line.startswith("## ")]
    examples = json.loads(example_sentences.SENTENCES.read_text(encoding="utf-8"))
    assert sections == [f"## {example['field']}" for example in examples]


def test_sentences_expect_what_they_contain(example_sentences):
    examples = json.loads(example_sentences.SENTENCES.read_text(encoding="utf-8"))
    assert len({example["field"] for example in examples}) == len(examples) == 14
    for example in examples:
        assert set(example["expected"]) <= set(example["labels"])
        for texts in example["expected"].values():
            assert all(text in example["text"] for text in texts)
