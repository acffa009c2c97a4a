"""The page of `evaluate`: figures counted by hand, narrow terminals, many and hostile labels."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from gliner_distill.cli.scores import (
    MOST_GROUPS,
    MOST_LABELS,
    Subject,
    error_lines,
    score_page,
    score_table,
)
from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation.evaluate import measure_model

SUBJECT = Subject("a model", "corpus.json", 0.5)
HOSTILE = "per\x1b[31mson\n\t\u202e\x9b31m"


class FixedModel:
    """Has its answers ready."""

    def __init__(self, answers):
        self.answers = answers

    def predict_words(self, passages, labels, *, threshold=0.5):
        return [self.answers[tuple(words)] for words in passages]


def measure(*passages):
    """Return the measurements of passages, each with its words, its gold and the answers."""
    corpus = [Passage(tuple(text.split()), tuple(gold)) for text, gold, _ in passages]
    answers = {tuple(text.split()): answer for text, _, answer in passages}
    return measure_model(FixedModel(answers), corpus, None)


@pytest.fixture
def measured():
    """Measure five gold entities: two right, one with wrong borders, one with a wrong label."""
    return measure(
        (
            "mary jones left new york in may",
            [Entity(0, 2, "person"), Entity(3, 5, "city"), Entity(6, 7, "month")],
            [Entity(1, 2, "person", 0.75), Entity(3, 5, "city", 0.9), Entity(6, 7, "person", 0.6)],
        ),
        (
            "john saw paris",
            [Entity(0, 1, "person"), Entity(2, 3, "city")],
            [Entity(0, 1, "person", 0.9), Entity(1, 2, "city", 0.8)],
        ),
    )


def cells_of(lines):
    """Return the cells behind the label of each row of a table."""
    rows = {}
    for line in lines:
        if match := re.match(r"(.+?)  +([\d,]* .*)$", line):
            rows[match[1]] = match[2].split()
    return rows


def test_score_table_has_the_figures_that_a_hand_counts(measured):
    rows = cells_of(score_table(measured.details, width=100))
    # gold, precision, recall, F1, interval, wrong borders, wrong label
    city, person, month = (rows[label] for label in ("city", "person", "month"))
    assert city[:4] == ["2", "50.0", "50.0", "50.0"]
    assert person[:4] == ["2", "33.3", "50.0", "40.0"]
    assert month[:4] == ["1", "-", "0.0", "0.0"]
    assert [row[5:] for row in (city, person, month)] == [["0", "0"], ["1", "0"], ["0", "1"]]
    assert rows["all labels"][:4] == ["5", "40.0", "40.0", "40.0"]
    assert rows["all labels"][5:] == ["1", "1"]
    assert rows["mean of the labels"] == ["27.8", "33.3", "30.0"]
    for row in (city, person, month, rows["all labels"]):
        low, high = map(int, row[4].split("-"))
        assert 0 <= low <= (0 if row[3] == "0.0" else float(row[3])) <= high <= 100


def test_score_table_puts_the_most_frequent_labels_first(measured):
    lines = score_table(measured.details, width=100)
    labels = [line.split()[0] for line in lines[3:6]]
    assert labels == ["city", "person", "month"]


def test_error_lines_show_each_kind_with_its_passage_and_what_was_expected(measured):
    lines = error_lines(measured.details, width=100)
    text = "\n".join(lines)
    assert "Errors: 1 missed, 1 invented, 1 with a wrong label, 1 with wrong borders." in text
    assert "wrong label: person instead of month (once)" in lines
    assert "  passage 1: mary jones left new york in [may]; score 0.60" in lines
    assert "wrong borders: person (once)" in lines
    assert '  passage 1: [mary jones] left new york in may; found "jones", score 0.75' in lines
    assert "invented: city (once)" in lines
    assert "  passage 2: john [saw] paris; score 0.80" in lines
    assert "missed: city (once)" in lines
    assert "  passage 2: john saw [paris]" in lines


def test_error_lines_take_the_surest_example_and_all_of_them_on_demand():
    passages = [(f"w{n} x", [], [Entity(0, 1, "x", score)]) for n, score in enumerate((0.6, 0.9))]
    details = measure(*passages).details
    short, everything = (error_lines(details, width=100, show_all=show) for show in (False, True))
    assert "invented: x (2 times)" in short
    assert [line for line in short if "passage" in line] == ["  passage 2: [w1] x; score 0.90"]
    assert [line[:17] for line in everything if line.startswith("  ")] == [
        "  passage 2: [w1]",
        "  passage 1: [w0]",
    ]


def test_error_lines_are_bounded_and_show_every_kind():
    missed = [(f"a{n} b", [Entity(0, 1, f"label {n}")] * 1, []) for n in range(3 * MOST_GROUPS)]
    wrong = [("c d", [Entity(0, 1, "x")], [Entity(0, 1, "y")]), ("e f", [], [Entity(0, 1, "z")])]
    details = measure(*missed, *wrong).details
    titles = [
        line for line in error_lines(details, width=100) if re.search(r"\((once|\d+ t)", line)
    ]
    assert len(titles) == MOST_GROUPS
    assert {title.partition(":")[0] for title in titles} == {"missed", "wrong label", "invented"}
    listed = error_lines(details, width=100, show_all=True)
    assert sum(line.startswith("  passage") for line in listed) == 3 * MOST_GROUPS + 2


def test_error_lines_say_that_there_are_none():
    perfect = measure(("a b", [Entity(0, 1, "x")], [Entity(0, 1, "x")]))
    assert error_lines(perfect.details, width=80) == ["There are no errors."]


@pytest.mark.parametrize("width", [40, 55, 72, 80, 100, 120])
@pytest.mark.parametrize(
    "label",
    ["x", "a rather long label of several words that explains itself", "y" * 90, "名前" * 30],
)
def test_score_page_fits_into_its_width(width, label):
    long = " ".join(f"word{n}" for n in range(60))
    gold = [Entity(20, 24, label), Entity(30, 31, "z"), Entity(0, 59, label + "2")]
    answers = [Entity(20, 23, label, 0.9), Entity(40, 41, "z", 0.8)]
    measured = measure((long, gold, answers), (f"{long} 名前", gold[:1], gold[:1]))
    lines = score_page(SUBJECT, measured, width=width)
    assert max(map(cell_len, lines)) <= width
    shown = "".join(line.strip() for line in lines).replace(" ", "")
    assert label.replace(" ", "") in shown
    assert all(share in shown for share in ("33.3", "25.0", "28.6"))  # all labels together


def test_score_table_of_300_labels_is_bounded_and_adds_the_rest_up():
    passages = [
        (f"w{n} x", [Entity(0, 1, f"label {n:03}")], [Entity(0, 1, f"label {n:03}")] * (n % 2))
        for n in range(300)
    ]
    details = measure(*passages).details
    lines = score_table(details, width=100)
    rows = cells_of(lines)
    assert len(lines) < MOST_LABELS + 15
    assert rows["(260 more labels)"] == ["260", "100.0", "50.0", "66.7", "-", "0", "0"]
    assert rows["all labels"][:4] == ["300", "100.0", "50.0", "66.7"]
    everything = cells_of(score_table(details, width=100, show_all=True))
    assert sum(name.startswith("label ") for name in everything) == 300


@pytest.mark.parametrize("width", [40, 100])
@pytest.mark.parametrize("show_all", [False, True])
def test_score_page_shows_hostile_labels_and_words_as_symbols(width, show_all):
    answers = [Entity(0, 1, HOSTILE, 0.9), Entity(2, 4, HOSTILE, 0.8)]
    gold = [Entity(0, 1, "person"), Entity(1, 2, HOSTILE), Entity(2, 3, HOSTILE)]
    passage = Passage(("a\x1b]0;owned\x07", "b\nc\u2028", "d\rx", "e\x7f"), tuple(gold))
    model = FixedModel({passage.words: answers})
    measured = measure_model(model, [passage], None)
    subject = replace(SUBJECT, model=f"model{HOSTILE}", corpus=HOSTILE)
    lines = score_page(subject, measured, width=width, show_all=show_all)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "".join(lines))
    assert "␛" in "".join(lines)
    assert "␊" in "".join(lines)


def test_score_page_of_nothing_divides_by_nothing():
    lines = score_page(SUBJECT, measure(("a b", [], [])), width=80)
    assert "There are no errors." in lines
    [total] = [line for line in lines if line.startswith("all labels")]
    assert total.split()[2:] == ["0", "-", "-", "-", "-", "0", "0"]


def test_score_page_counts_gold_entities_that_were_not_asked():
    passage = Passage(("a", "b"), (Entity(0, 1, "x"), Entity(1, 2, "y")))
    measured = measure_model(FixedModel({passage.words: []}), [passage], ["x"])
    [counted] = [line for line in score_page(SUBJECT, measured, width=100) if "passages:" in line]
    assert counted.endswith("2 gold entities (1 with labels that were asked)")
