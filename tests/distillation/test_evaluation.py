"""What a distilled student is worth: figures, verdict, disagreements, and the report on them."""

import re

import numpy as np
import pytest

from gliner_distill.distillation import evaluation as domain_evaluation
from gliner_distill.distillation.evaluation import (
    STUDENT,
    TEACHER,
    evaluate_distilled,
    find_disagreements,
    give_verdict,
)
from gliner_distill.distillation.job import Distilled
from gliner_distill.distillation.report import render_card, render_page
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.evaluation import speed

LABELS = ("person", "a|b", "<c>")
LEXICON = {"mary": "person", "john": "person", "acme": "a|b", "paris": "<c>"}
NASTY = '<script>alert("x")</script>'


class LookUp:
    """A stand-in for `StudentNER` that looks words up."""

    def __init__(self, lexicon):
        self.lexicon = lexicon

    def predict_words(self, passages, labels):
        return [
            [
                Entity(place, place + 1, self.lexicon[word], 0.9)
                for place, word in enumerate(words)
                if self.lexicon.get(word) in asked
            ]
            for words, asked in zip(passages, labels, strict=True)
        ]

    def inference(self, texts, labels):
        return [[] for _ in texts]


def make_item(teacher, text, *entities):
    words = tuple(text.split())
    [probs] = teacher.score_passages([words], [LABELS])
    return LabeledPassage(Passage(words, entities), LABELS, probs)


@pytest.fixture(autouse=True)
def quick_rates(monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS", 0.01)


@pytest.fixture
def evaluate(lexicon_teacher, tmp_path):
    """A function that returns the figures of a student that knows a lexicon."""
    row = '{"epoch": %d, "split": "%s", "loss": 0.5, "span_f1_vs_teacher": 0.25}\n'
    (tmp_path / "metrics.jsonl").write_text(
        "".join(row % (epoch, split) for epoch in (1, 2) for split in ("training", "dev"))
    )
    teacher = lexicon_teacher(LEXICON)

    def run(test=(), *, gold=(), lexicon=LEXICON, notes=()):
        items = {part: [make_item(teacher, "mary left")] for part in ("train", "dev")}
        items["test"] = [make_item(teacher, text) for text in test]
        annotated = {"train": [], "dev": [], "test": [make_item(teacher, *one) for one in gold]}
        dev = items["dev"]
        made = Distilled(tmp_path / "student", tmp_path, items, annotated, dev, list(notes))
        return evaluate_distilled(
            made,
            {STUDENT: LookUp(lexicon), "student fp32": LookUp(lexicon)},
            teacher,
            sizes={STUDENT: 6_000_000, "student fp32": 12_000_000, TEACHER: None},
        )

    return run


def gold_of(student_f1, teacher_f1, n_reference=50):
    return {
        "student": {"f1": student_f1, "n_reference": n_reference},
        "teacher": {"f1": teacher_f1, "n_reference": n_reference},
    }


def figures_of(*, f1=1.0, n_reference=1, gold=None, teacher_bytes=600_000_000):
    return {
        "agreement": {"f1": f1, "n_reference": n_reference},
        "speed": {STUDENT: {"words_per_second": 100.0}, TEACHER: {"words_per_second": 2.0}},
        "size_bytes": {STUDENT: 6_250_000, TEACHER: teacher_bytes},
        "passages": {"test": 40},
        "gold_passages": {"test": 2},
        "gold": gold,
    }


class TestVerdict:
    @pytest.mark.parametrize(
        ("f1", "end"),
        [
            (0.9, "it can stand in for its teacher."),
            (0.8999, "it can stand in for its teacher where some misses do no harm."),
            (0.75, "it can stand in for its teacher where some misses do no harm."),
            (0.7499, "it is not yet a stand-in for its teacher and needs more text."),
        ],
    )
    def test_has_three_wordings(self, f1, end):
        assert give_verdict(figures_of(f1=f1)) == (
            f"On 42 passages that it never saw the student finds what the teacher finds with an F1 "
            f"of {100 * f1:.1f}, reads 50 times as many words a second and takes 6.2 MB instead of "
            f"600: {end}"
        )

    def test_has_gold_where_there_is_some(self):
        gold = gold_of(0.5, 0.625)
        assert "an F1 of 100.0 (against gold of 2 passages 50.0, the teacher 62.5), reads" in (
            give_verdict(figures_of(gold=gold))
        )

    @pytest.mark.parametrize(
        ("f1", "end"),
        [
            (0.582, "it can stand in for its teacher."),
            (0.581, "it can stand in for its teacher where some misses do no harm."),
            (0.54, "it can stand in for its teacher where some misses do no harm."),
            (0.539, "it is not yet a stand-in for its teacher and needs more text."),
        ],
    )
    def test_goes_by_gold_where_there_is_some(self, f1, end):
        gold = gold_of(f1, 0.6)
        assert give_verdict(figures_of(f1=0.1, gold=gold)).endswith(f": {end}")

    @pytest.mark.parametrize(
        ("n_reference", "end"),
        [
            (49, "it can stand in for its teacher, as far as 49 annotated entities can tell."),
            (50, "it can stand in for its teacher."),
        ],
    )
    def test_says_when_gold_is_too_little_to_tell(self, n_reference, end):
        gold = gold_of(0.6, 0.6, n_reference)
        assert give_verdict(figures_of(gold=gold)).endswith(f"takes 6.2 MB instead of 600: {end}")

    def test_does_not_doubt_the_teachers_answers(self):
        assert "as far as" not in give_verdict(figures_of(n_reference=1))

    def test_has_no_size_of_a_teacher_of_the_hub(self):
        assert "takes 6.2 MB: it can" in give_verdict(figures_of(teacher_bytes=None))

    def test_compares_nothing_with_nothing(self):
        assert give_verdict(figures_of(n_reference=0)) == (
            "The teacher finds nothing in the test passages, so there is nothing to compare."
        )


class TestFigures:
    def test_are_of_the_test_passages(self, evaluate):
        figures = evaluate(["mary saw acme", "john left"], lexicon={"mary": "person", "saw": "a|b"})
        assert figures["labels"] == list(LABELS)
        assert figures["passages"] == {"train": 1, "dev": 1, "test": 2}
        assert figures["words"] == {"train": 2, "dev": 2, "test": 5}
        assert figures["agreement"] == {
            "precision": 0.5,
            "recall": pytest.approx(1 / 3),
            "f1": pytest.approx(0.4),
            "n_found": 2,
            "n_reference": 3,
        }
        assert {
            label: (one["n_found"], one["n_reference"])
            for label, one in figures["agreement_by_label"].items()
        } == {"a|b": (1, 1), "person": (1, 2)}
        assert figures["gold"] is None
        assert figures["curve"] == [
            {"epoch": epoch, "loss": 0.5, "agreement_f1": 0.25} for epoch in (1, 2)
        ]
        for of_model in figures["speed"].values():
            assert 0 < of_model["lowest"] <= of_model["words_per_second"] <= of_model["highest"]

    def test_count_gold_for_both(self, evaluate):
        gold = [("mary saw acme", Entity(0, 1, "person"), Entity(1, 2, "a|b"))]
        figures = evaluate(["john left"], gold=gold, lexicon={"mary": "person", "saw": "<c>"})
        assert figures["gold_passages"]["test"] == 1
        assert figures["agreement"]["n_reference"] == 3
        assert figures["gold"]["student"]["f1"] == pytest.approx(0.5)
        assert figures["gold"]["teacher"]["f1"] == pytest.approx(0.5)
        by_label = figures["gold"]["by_label"]
        assert list(by_label) == ["<c>", "a|b", "person"]
        # Only the student finds one, and wrongly: the teacher has nothing wrong there.
        assert (by_label["<c>"]["student"]["f1"], by_label["<c>"]["teacher"]["f1"]) == (0.0, 1.0)
        assert by_label["person"]["student"] == by_label["person"]["teacher"]

    @pytest.mark.parametrize("test", [[], ["nothing here", "nor here"]])
    def test_of_nothing_divide_by_nothing(self, evaluate, test):
        figures = evaluate(test, gold=[("nothing there",)])
        assert figures["verdict"].startswith("The teacher finds nothing")
        assert figures["gold"] is None
        page = render_page(figures | {"teacher": "t"}, "title")
        assert '<td class="text">none</tr>' in page
        assert "| all | 100.0 | 100.0 | 100.0 |" in render_card(figures | {"teacher": "t"}, "title")


class TestDisagreements:
    def rows(self, found, expected, text="a b c d"):
        items = [
            LabeledPassage(Passage(tuple(text.split())), ("x",), np.zeros((4, 1, 3), np.float32))
            for _ in found
        ]
        return list(find_disagreements(items, found, expected))

    def test_come_the_surest_first(self):
        found = [[Entity(0, 1, "x", 0.6), Entity(2, 3, "x", 0.7)], [Entity(1, 3, "x", 0.9)]]
        expected = [[Entity(2, 3, "x", 0.99)], [Entity(1, 2, "x", 0.8)]]
        rows = self.rows(found, expected)
        assert [(row["span"], row["student"], row["teacher"], row["score"]) for row in rows] == [
            ("b c", "x", None, 0.9),
            ("b", None, "x", 0.8),
            ("a", "x", None, 0.6),
        ]
        assert (rows[0]["before"], rows[0]["after"]) == ("a", "d")

    def test_have_a_span_with_two_labels_once(self):
        rows = self.rows([[Entity(0, 1, "x", 0.6)]], [[Entity(0, 1, "y", 0.9)]])
        assert [(row["student"], row["teacher"], row["score"]) for row in rows] == [("x", "y", 0.9)]

    def test_are_at_most_30_with_12_words_on_each_side(self):
        words = " ".join(f"w{place}" for place in range(100))
        found = [[Entity(place, place + 1, "x", 0.5 + place / 1000) for place in range(100)]]
        rows = self.rows(found, [[]], words)
        assert [row["span"] for row in rows] == [f"w{place}" for place in range(99, 69, -1)]
        assert len(rows[15]["before"].split()) == len(rows[15]["after"].split()) == 12

    def test_of_the_same_are_none(self):
        same = [[Entity(0, 1, "x", 0.6)]]
        assert self.rows(same, [[Entity(0, 1, "x", 0.9)]]) == []


class TestReport:
    @pytest.fixture
    def figures(self, evaluate, monkeypatch):
        monkeypatch.setattr(domain_evaluation, "TIMED_WORDS", 1)
        gold = [("john left", Entity(0, 1, "person"), Entity(1, 2, "a|b"))]
        lexicon = LEXICON | {"acme": "<c>"}
        figures = evaluate(
            [f"mary {NASTY} acme"], gold=gold, lexicon=lexicon, notes=["2 < 3 & *so* on"]
        )
        return figures | {"teacher": "a_teacher"}

    def test_stands_by_itself_and_shows_text_as_text(self, figures):
        page = render_page(figures, f"title {NASTY}")
        assert "http" not in page
        assert not re.search(r"<(script|link|iframe)|<img(?! alt=\"[^\"]*\" src=\"data:)", page)
        assert "title &lt;script&gt;" in page
        assert "mary &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; <mark>acme</mark>" in page
        assert "<td>&lt;c&gt;<td>a|b<td>" in page
        assert "2 &lt; 3 &amp; *so* on" in page

    def test_has_every_figure(self, figures):
        page = render_page(figures, "title")
        assert figures["verdict"] in page
        for name in (STUDENT, "student fp32", TEACHER):
            assert f"<td>{name}<td>{figures['speed'][name]['words_per_second']:,.0f}" in page
        assert "1 annotated passages that the student never saw" in page
        assert "<td>6.0</tr>" in page
        assert "<td>–</tr>" in page  # the teacher's size is not known
        assert 'src="data:image/png;base64,iVBOR' in page

    def test_is_the_same_of_the_same_figures(self, figures):
        assert render_page(figures, "title") == render_page(figures, "title")

    def test_card_shows_text_as_text(self, figures):
        card = render_card(figures, "a <b> title")
        assert "# a \\<b\\> title" in card
        assert "with the labels person, a\\|b, \\<c\\> on" in card
        assert "| a\\|b | 0.0 | 0.0 | 0.0 |" in card
        assert "- 2 \\< 3 \\& \\*so\\* on" in card
        assert "Taught by a\\_teacher" in card
        [call] = re.findall(r"student\.predict_entities\(text, (.*)\)", card)
        import ast

        assert ast.literal_eval(call) == list(LABELS)
        table = [line for line in card.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
