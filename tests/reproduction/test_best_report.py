"""The table and the report of the best student."""

import json

from rich.console import Console

from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation.evaluate import score_entities
from gliner_distill.reproduction.best_report import (
    BestResults,
    BestRow,
    best_table,
    write_best_report,
)


def make_results():
    passages = [Passage(("mary", "left", "paris"), (Entity(0, 1, "person"),))]
    evaluation = score_entities(
        [[Entity(0, 1, "person")]],
        passages,
        [("person", "city")],
        teacher_entities=[[Entity(0, 1, "person"), Entity(2, 3, "city")]],
    )
    return BestResults(
        rows=[BestRow.of("bundled", 0.6, evaluation), BestRow.of("best", 0.5, evaluation)],
        source="It learned from much text.",
        teacher="a teacher",
        teacher_fingerprint="0123456789abcdef",
        n_test=1,
        n_words_test=3,
        n_words_train=12_345,
        settings={"work": {"epochs": 2}},
        environment={},
    )


def test_best_row_has_the_scores_of_an_evaluation():
    row = make_results().rows[0]
    assert row.shares["accuracy_vs_teacher"] == 2 / 3
    assert row.shares["recall_vs_teacher"] == 1 / 2
    assert row.shares["span_f1_vs_gold"] == 1.0


def test_report_has_the_published_row_beside_the_students(tmp_path):
    write_best_report(tmp_path, make_results())
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| Published distilled student | 99% | 97% | – | – | – |" in text
    assert "| Best student | 66.7% | 50.0% | 66.7% | 66.7% | 100.0% |" in text
    for fact in ("12,345 words in 2 epochs", "a teacher", "0123456789ab", "much text", "0.6, 0.5"):
        assert fact in text
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in kept["rows"]] == ["bundled", "best"]


def test_table_fits_a_hundred_columns():
    console = Console(width=100, record=True)
    console.print(best_table(make_results()))
    text = console.export_text()
    assert "66.7%" in text
    assert "…" not in text
