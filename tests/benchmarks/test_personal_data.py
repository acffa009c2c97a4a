"""The benchmark of personal data counts what it says, and runs as a user runs it."""

import doctest
import json
from pathlib import Path

import pytest

from benchmark_results import table_rows

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def module(benchmarks):
    return benchmarks("personal_data")


@pytest.fixture(scope="module")
def passages(benchmarks):
    """Passages with an e-mail address and a person each, and some without personal data."""
    passage = benchmarks("personal_passages").PersonalPassage
    personal = [
        passage(
            f"{name} reads {name.lower()}@example.com daily.",
            ((0, len(name), "person"), (len(name) + 7, 2 * len(name) + 19, "email address")),
            "written",
            "note",
        )
        for name in ("Ann", "Boris", "Chloe", "Dmitri", "Esra", "Farah")
    ]
    plain = [passage("The bus leaves at nine.", (), "none", "note")] * 2
    return [*personal, *plain]


class LookupModel:
    """A model that finds gold under the asked labels, and one more person everywhere."""

    def __init__(self, passages):
        self.gold = {passage.text: passage.spans for passage in passages}
        self.asked = []

    def inference(self, texts, labels, *, threshold, patterns):
        self.asked.append((tuple(labels), threshold, patterns))
        place = {"person": "person", "person name": "person"}
        names = {place.get(label, label): label for label in labels}
        names["email address"] = next(label for label in labels if "email" in label)
        answers = []
        for text in texts:
            spans = [*self.gold[text], (len(text) - 4, len(text) - 1, "person")]
            answers.append(
                [{"start": start, "end": end, "label": names[own]} for start, end, own in spans]
            )
        return answers


def test_match_spans_agrees_with_counts_by_hand(module):
    gold = [(0, 10, "person"), (20, 30, "person"), (40, 50, "url")]
    found = [(0, 10, "person"), (25, 45, "person"), (46, 50, "iban"), (60, 65, "person")]
    assert module.match_spans(gold, found, "person") == module.Matches(
        n_gold=2,
        n_found=3,
        n_exact=1,
        n_gold_touched=2,
        n_found_touched=2,
        n_chars=20,
        n_covered=15,
        n_hidden=15,
    )
    # A person covers five characters of the URL, and an IBAN four.
    assert module.match_spans(gold, found, "url") == module.Matches(
        n_gold=1, n_chars=10, n_hidden=9
    )


def test_matches_add_up(module):
    total = module.Matches(n_gold=1, n_found=2) + module.Matches(n_gold=3, n_exact=1)
    assert total == module.Matches(n_gold=4, n_found=2, n_exact=1)
    assert total.shares()["recall"] == 0.25
    assert total.shares()["precision"] == 0.5
    assert total.shares()["covered"] is None


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611))],
)
def test_wilson_interval_agrees_with_published_figures(module, count, total, expected):
    assert module.wilson_interval(count, total) == pytest.approx(expected, abs=5e-5)


def test_wilson_interval_of_nothing_is_everything(module):
    assert module.wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("place", [0, 1])
def test_ask_returns_the_types_of_both_wordings(module, passages, place):
    model = LookupModel(passages)
    answers = module.ask(model, passages, place=place, threshold=0.3, patterns=False)
    wordings = tuple(both[place] for both in module.WORDINGS.values())
    assert model.asked == [(wordings, 0.3, False)]
    figures = module.count_by_type(passages, answers)
    assert figures["email address"]["precision"] == figures["person"]["recall"] == 1.0
    assert figures["person"]["precision"] == 0.5
    assert set(figures) == {"email address", "person"}


def test_wordings_are_eighteen_labels_for_nine_types(module):
    labels = [label for both in module.WORDINGS.values() for label in both]
    assert len(set(labels)) == 18
    assert tuple(module.WORDINGS) == module.TYPES


def test_count_invented_reads_only_the_passages_without_personal_data(module, passages):
    model = LookupModel(passages)
    answers = module.ask(model, passages, place=0, threshold=0.5, patterns=True)
    invented = module.count_invented(passages, answers)
    assert invented["n_words"] == 12
    assert {label: n for label, n in invented["by_type"].items() if n} == {"person": 2}
    assert invented["per_1000_words"] == pytest.approx(1000 * 2 / 12)


def test_ask_halves_puts_the_answers_in_order(module, passages):
    model = LookupModel(passages)
    choice = {"place": 0, "threshold": 0.5, "patterns": True}
    halves = module.ask_halves([model, model], passages, **choice)
    assert halves == module.ask(model, passages, **choice)


@pytest.mark.slow
def test_benchmark_measures_the_student_of_the_package(module, passages, run, tmp_path):
    out = tmp_path / "figures.json"
    presidio = tmp_path / "presidio.jsonl"
    row = {"tokenized_text": ["Ask", "Ann", "Lee", "."], "ner": [[1, 2, "person"]]}
    presidio.write_text(json.dumps(row) + "\n")
    printed = run(module, "--presidio", presidio, "--out", out, passages=passages)
    [(name, settings)] = json.loads(out.read_text()).items()
    assert name == "bundled student"
    assert len(settings) == 2 * (2 * 2 + 1)
    with_patterns = [each for each in settings if each["patterns"]]
    for each in with_patterns:
        assert each["types"]["email address"]["recall"] == 1.0
    assert {each["presidio"]["person"]["n_gold"] for each in settings} == {1}
    rows = table_rows(printed)
    assert {"email", "email address", "person", "person name"} <= set(rows)


def test_the_examples_in_the_benchmark_hold(module):
    assert doctest.testmod(module).failed == 0
