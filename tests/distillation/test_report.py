"""The report and the card: complete, and text of documents is shown as text."""

import ast
import re
from dataclasses import replace

import pytest

from gliner_distill.distillation.measurements import (
    STUDENT,
    STUDENT_FP32,
    TEACHER,
    Disagreement,
    EpochFigures,
    GoldFigures,
    Measurements,
    Reading,
    ReadingSpeed,
    RoundFigures,
    SpanFigures,
)
from gliner_distill.distillation.report import as_other_precision, make_card, render_page
from gliner_distill.evaluation.other_labels import OtherLabels

LABELS = ("person", "a|b", "<c>")
NASTY = '<script>alert("x")</script>'


def spans(f1):
    return SpanFigures(f1, f1, f1, n_found=3, n_reference=4)


@pytest.fixture
def measured():
    gold = {STUDENT: spans(0.25), TEACHER: spans(0.5)}
    return Measurements(
        labels=LABELS,
        passages={"train": 1200, "dev": 10, "test": 9},
        gold_passages={"train": 8, "dev": 1, "test": 1},
        words={"train": 34_567, "dev": 100, "test": 90},
        agreement=spans(0.5),
        agreement_by_label={"<c>": spans(0.75), "a|b": spans(0.0)},
        gold=GoldFigures(gold[STUDENT], gold[TEACHER], {"a|b": gold}),
        speed={
            STUDENT: ReadingSpeed(100_000.0, 90_000.0, 110_000.0),
            STUDENT_FP32: ReadingSpeed(80_000.0, 70_000.0, 90_000.0),
            TEACHER: ReadingSpeed(2_000.0, 1_900.0, 2_100.0),
        },
        machine="a machine",
        threads=2,
        size_bytes={STUDENT: 6_000_000, STUDENT_FP32: 12_000_000, TEACHER: None},
        curve=[EpochFigures(1, 0.5, 0.25), EpochFigures(2, 0.4, 0.5)],
        disagreements=[Disagreement(f"mary {NASTY}", "acme", "in", "<c>", "a|b", 0.9)],
        warnings=("2 < 3 & *so* on",),
        seconds={"labeling": 60.0, "training": 90.0},
        date="2026-01-01",
        teacher="a_teacher",
        version="1.0",
    )


class TestPage:
    def test_render_page_shows_what_the_teacher_read_and_why_it_stopped(self, measured):
        assert "What the teacher read" not in render_page(measured, "title")
        curve = (RoundFigures(1_000, 0.25), RoundFigures(1_500, 0.5))
        reading = Reading(2_000, 34_567, "agreement", curve)
        page = render_page(replace(measured, reading=reading), "title")
        assert "The teacher read 2,000 of 34,567 words of the training text (6%), since" in page
        assert "dev stopped rising; --teacher-budget all reads it all, with another --out." in page
        assert "--out. After" in page
        assert "<tr><td>1,500<td>50.0</tr>" in page

    def test_render_page_shows_what_was_lost_on_other_labels(self, measured):
        title = "<h2>Labels not asked for</h2>"
        assert title not in render_page(measured, "title")
        lost = OtherLabels(694, 2_137, 190, 0.4, 0.7, (-0.35, -0.25))
        page = render_page(replace(measured, other_labels=lost), "title")
        assert title in page
        assert "<tr><td>this one<td>40.0<td>2,137<td>190</tr>" in page
        assert "started from<td>70.0" in page
        difference = "The difference is -30.0 points, with a 95% interval from -35.0 to -25.0"
        assert difference in " ".join(page.split())

    def test_render_page_and_card_say_that_there_is_no_start(self, measured):
        alone = OtherLabels(694, 2_137, 190, 0.4, None, None)
        measured = replace(measured, other_labels=alone)
        page = render_page(measured, "title")
        assert "cannot be loaded" in page
        assert "started from<td>" not in page
        assert "also answers for other labels.\n" in render_card(measured, "title")

    def test_render_page_stands_by_itself_and_shows_text_as_text(self, measured):
        page = render_page(measured, f"title {NASTY}")
        assert "http" not in page
        assert not re.search(r"<(script|link|iframe)|<img(?! alt=\"[^\"]*\" src=\"data:)", page)
        assert "title &lt;script&gt;" in page
        assert "mary &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; <mark>acme</mark>" in page
        assert "<td>&lt;c&gt;<td>a|b<td>" in page
        assert "2 &lt; 3 &amp; *so* on" in page

    def test_render_page_has_every_measurement(self, measured):
        page = render_page(measured, "title")
        for line in measured.verdict:
            assert line.replace("'", "&#39;") in page
        for name, speed in measured.speed.items():
            assert f"<td>{name}<td>{speed.words_per_second:,.0f}" in page
        assert "34,567 words in 1,200 passages, and 8 annotated passages" in page
        assert "<td>6.0</tr>" in page
        assert "<td>–</tr>" in page  # the teacher's size is not known
        assert 'src="data:image/png;base64,iVBOR' in page

    def test_render_page_reads_well_of_a_teacher_named_teacher(self, measured):
        for render in (render_page, render_card):
            content = render(replace(measured, teacher="teacher"), "title")
            assert "the teacher teacher" not in content
            assert "by teacher" not in content

    def test_render_page_of_the_same_measurements_is_the_same(self, measured):
        assert render_page(measured, "title") == render_page(measured, "title")

    def test_render_page_says_that_there_are_no_disagreements(self, measured):
        page = render_page(replace(measured, disagreements=[], gold=None), "title")
        assert '<td class="text">none</tr>' in page
        assert "<h2>Against gold</h2>" not in page


def render_card(measured, title):
    return make_card(measured, "mine", title, precision="int8").render()


def test_a_label_that_the_teacher_never_gives_has_no_scores(measured):
    unknown = SpanFigures(precision=0, recall=0, f1=0, n_found=7, n_reference=0)
    measured = replace(measured, agreement_by_label={"fault": unknown})
    page, card = (render(measured, "title") for render in (render_page, render_card))
    assert re.search(r"<td>fault\s+(<td>–){3}\s+<td>0<td>7</tr>", page)
    assert "| fault | – | – | – | 0 |" in card


class TestCard:
    def test_render_card_shows_text_as_text(self, measured):
        card = render_card(measured, "a <b> title")
        assert "# a \\<b\\> title" in card
        assert "| person, a\\|b, \\<c\\> |" in card
        assert "| a\\|b | 0.0 | 0.0 | 0.0 |" in card
        assert "- 2 \\< 3 \\& \\*so\\* on" in card
        assert "| a\\_teacher |" in card

    def test_render_card_has_a_call_that_is_python(self, measured):
        card = render_card(measured, "title")
        [call] = re.findall(r"student\.predict_entities\(text, (.*)\)", card)
        assert ast.literal_eval(call) == list(LABELS)

    def test_render_card_has_tables_whose_rows_are_of_one_length(self, measured):
        lines = render_card(measured, "title").splitlines()
        widths = {
            len(re.findall(r"(?<!\\)\|", line)) for line in lines[10:] if line.startswith("|")
        }
        assert widths == {3, 6}

    def test_render_card_begins_with_metadata_title_and_verdict(self, measured):
        card = render_card(measured, "title")
        assert card.startswith("---\nlibrary_name: gliner-distill\n")
        assert f"# title\n\n- {measured.verdict[0]}\n- " in card

    def test_make_card_says_that_other_labels_suffer_only_if_they_do(self, measured):
        for start_f1, is_worse in ((0.7, True), (0.4, False)):
            others = OtherLabels(694, 2_137, 190, 0.4, start_f1, (-0.35, 0.0))
            card = render_card(replace(measured, other_labels=others), "title")
            assert ("but less well than the student that it started from." in card) == is_worse

    def test_make_card_has_the_results_as_metadata(self, measured):
        measured = replace(measured, teacher="me/gliner + folder", datasets=["me/passages"])
        metadata = make_card(measured, "mine", "title", precision="int8").metadata
        assert metadata["base_model"] == "me/gliner"
        assert metadata["datasets"] == ["me/passages"]
        [index] = metadata["model-index"]
        assert index["name"] == "mine"
        figures = {
            result["dataset"]["type"]: {item["type"]: item["value"] for item in result["metrics"]}
            for result in index["results"]
        }
        for kind, scores in (("gold", measured.gold.student), ("soft-labels", measured.agreement)):
            assert figures[kind]["f1"] == round(scores.f1, 4)

    def test_make_card_of_a_local_teacher_invents_no_metadata(self, measured):
        nothing = replace(measured.agreement, n_reference=0)
        measured = replace(measured, teacher="folder", gold=None, agreement=nothing)
        metadata = make_card(measured, "mine", "title", precision="int8").metadata
        assert metadata.keys() == {"library_name", "pipeline_tag", "tags"}

    def test_as_other_precision_has_no_results(self, measured):
        card = as_other_precision(make_card(measured, "mine", "title", precision="int8"), "fp32")
        assert "model-index" not in card.metadata
        assert "fp32" in card.text.splitlines()[-1]
