"""The report: the numbers of the results, a verdict that follows them, safe and offline pages."""

import io
import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from gliner_distill.errors import DistillError
from gliner_distill.reproduction.figures import FigureFile
from gliner_distill.reproduction.report import table1, verdict, write_report
from gliner_distill.reproduction.results import (
    MODEL_NAMES,
    PUBLISHED,
    DataSummary,
    ModelRow,
    Results,
)

MEASURES = ("accuracy", "precision", "recall", "f1", "span_precision", "span_recall", "span_f1")
VOID_TAGS = {"meta", "img", "br"}


KEYS = [f"{measure}_vs_{suffix}" for measure in MEASURES for suffix in ("teacher", "gold")]


def make_row(model, teacher, gold, spread=None, **costs):
    """Return a row whose shares fall from measure to measure, unless they are 1."""
    shares = {}
    for index, measure in enumerate(MEASURES):
        for suffix, share in (("teacher", teacher), ("gold", gold)):
            shares[f"{measure}_vs_{suffix}"] = share - 0.011 * index if share < 1 else share
    spreads = {} if spread is None else dict.fromkeys(shares, spread)
    return ModelRow(model, shares, spreads, **costs)


def with_row(results, model, *, shares=None, spreads=None, **costs):
    """Return results in which some numbers of one model are others."""
    table = [
        replace(
            row,
            shares={**row.shares, **(shares or {})},
            spreads={**row.spreads, **(spreads or {})},
            **costs,
        )
        if row.model == model
        else row
        for row in results.table1
    ]
    return replace(results, table1=table)


@pytest.fixture
def results():
    student = {"n_parameters": 5_998_212, "n_parameters_without_embeddings": 1_998_212}
    student |= {"size_bytes": 24_012_345, "ms_per_passage": 1.234, "words_per_second": 98_765.4}
    return Results(
        table1=[
            make_row("gliner", 1.0, 0.6123),
            make_row("student_hard", 0.8641, 0.5234, 0.0123, **student),
            make_row("student_distilled", 0.9578, 0.5912, 0.0045, **student),
        ],
        published=PUBLISHED,
        seeds=[0, 1, 2],
        gap={},
        probe="",
        settings={"student": {"hidden_width": 256, "head": "softmax"}, "betas": [0.9, 0.999]},
        environment={"python": "3.12.1", "threads": 2, "gpu": None},
        data=DataSummary(
            source="the sample",
            n_train=1000,
            n_test=100,
            n_words_train=89_000,
            n_words_test=9_000,
            teacher="urchade/gliner_small",
            teacher_hash="abc123",
            labels_asked="each passage's own labels and four negatives",
            label_seconds=12.5,
        ),
    )


@pytest.fixture
def figure_files(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    files = []
    for number in (3, 4, 5, 6):
        png, svg = folder / f"figure_{number}.png", folder / f"figure_{number}.svg"
        png.write_bytes(b"\x89PNG\r\n\x1a\n")
        svg.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        files.append(FigureFile(number, f"Title {number}", f"Caption {number}", png, svg))
    return files


class Page(HTMLParser):
    """Check that tags nest, and keep attributes, cells by table id, and visible text."""

    def __init__(self, text):
        super().__init__()
        self.open_tags, self.attributes, self.cells, self.text, self.tags = [], [], {}, [], set()
        self.table = None
        self.feed(text)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID_TAGS:
            self.open_tags.append(tag)
        if tag == "table":
            self.table = self.cells.setdefault(dict(attrs).get("id"), [])
        if tag == "td":
            self.table.append("")

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open_tags and self.open_tags[-1] == "td":
            self.table[-1] += data


def read_page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def printed(table):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(table)
    return console.file.getvalue()


def test_write_report_writes_html_that_nests_and_stands_alone(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    page = read_page(tmp_path)
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert len(links) == 4
    assert all(link.startswith("data:image/svg+xml;base64,") for link in links)
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"url\(|@import|https?://", html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_write_report_puts_the_numbers_of_the_results_into_tables(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    cells = read_page(tmp_path).cells
    expected = []
    for measure in MEASURES:
        for suffix in ("teacher", "gold"):
            for row in results.table1:
                key = f"{measure}_vs_{suffix}"
                mean, spread = row.shares[key], row.spreads.get(key)
                expected.append(f"{mean:.1%}" + (f" ± {100 * spread:.1f}" if spread else ""))
    assert cells["readings"] == expected
    student = ["5,998,212", "1,998,212", "24.0", "1.23", "98,765"]
    assert cells["costs"] == [cell for value in student for cell in ("–", value, value)]
    assert cells["beside"][:6] == ["100.0%", "100%", "86.4% ± 1.2", "86%", "95.8% ± 0.4", "99%"]
    assert cells["beside"][-6:] == ["–", "2.1B", "5,998,212", "6M", "5,998,212", "6M"]


def test_write_report_writes_markdown_with_the_same_tables(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    cells = read_page(tmp_path).cells
    assert f"| Word accuracy | {' | '.join(cells['readings'][:6])} |\n" in markdown
    assert f"| Words per second | {' | '.join(cells['costs'][-3:])} |\n" in markdown
    pictures = re.findall(r"\]\((.*?)\)", markdown)
    assert pictures == [f"figures/figure_{number}.png" for number in (3, 4, 5, 6)]
    assert all((tmp_path / picture).exists() for picture in pictures)
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_write_report_lists_settings_versions_and_data_flat(results, figure_files, tmp_path):
    gap = {"student_hard": {"recall": 0.123456}}
    results = replace(results, gap=gap, probe="A probe of something.")
    write_report(tmp_path, results, figure_files)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text().replace("\\", "")
        for expected in ("student.hidden_width", "256", "0.9, 0.999", "3.12.1", "abc123"):
            assert expected in text
        assert "student_hard.recall" in text
        assert "0.123456" in text
        assert "A probe of something." in text


def test_write_report_escapes_hostile_names(results, figure_files, tmp_path):
    hostile = '<script src="http://x">alert(1)</script> | [a](b) "\n# top'
    results = replace(
        results,
        data=replace(results.data, source=hostile, teacher=hostile, labels_asked=hostile),
        settings={hostile: {"labels": [hostile], hostile: hostile}},
        probe=hostile,
    )
    write_report(tmp_path, results, figure_files)
    page = read_page(tmp_path)
    assert "script" not in page.tags
    assert '<script src="http://x">alert(1)</script>' in "".join(page.text)
    markdown = (tmp_path / "report.md").read_text()
    assert "\\<script" in markdown
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[a|^# top", markdown, re.MULTILINE)


def test_write_report_writes_the_same_bytes_again(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    first = [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")]
    write_report(tmp_path, results, figure_files)
    assert first == [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")]
    assert {path.name for path in tmp_path.iterdir()} == {"figures", "report.html", "report.md"}


def test_write_report_refuses_a_figure_outside_its_folder(results, figure_files, tmp_path):
    with pytest.raises(ValueError, match="figure_3"):
        write_report(tmp_path / "elsewhere", results, figure_files)


def test_table1_explains_its_dashes_in_a_footnote(results):
    assert "not run live" in printed(table1(results))
    student = results.row("student_hard")
    costs = {field.name: getattr(student, field.name) for field in fields(student)[3:]}
    measured = with_row(results, "gliner", **costs)
    assert "–" not in printed(table1(measured))
    partly = with_row(measured, "student_distilled", shares={"span_f1_vs_gold": None})
    assert "– not measured." in printed(table1(partly))
    assert "not run live" not in printed(table1(partly))


def test_table1_fits_100_columns_with_the_widest_numbers(results):
    widest = {"n_parameters": 459_123_456, "size_bytes": 1_836_493_824, "words_per_second": 1e6}
    for model in MODEL_NAMES:
        results = with_row(results, model, spreads=dict.fromkeys(KEYS, 0.1234), **widest)
    text = printed(table1(results))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    assert re.search(
        r"Word accuracy +100.0% ± 12.3 +86.4% ± 12.3 +95.8% ± 12.3 +100% / 86% / 99%", text
    )
    assert re.search(r"Parameters +(459,123,456 +){3}2.1B / 6M / 6M", text)
    assert re.search(r"Size on disk, MB +1,836.5 ", text)


def test_verdict_names_a_clear_lead_in_all_measures(results):
    text = " ".join(verdict(results))
    assert text.count("in all 7 measures") == 2
    assert "does not lead" not in text
    assert "95.8% and 93.6%: it reaches neither" in text
    assert re.search(r"teacher is 54\.6% .* student is 52\.5%", text)
    assert "times as long" not in text


def test_verdict_tells_a_lead_within_the_spreads_from_no_lead(results):
    hard = results.row("student_hard").shares
    shares = {
        "recall_vs_teacher": hard["recall_vs_teacher"] + 0.0167,
        "span_f1_vs_teacher": hard["span_f1_vs_teacher"],
    }
    text = " ".join(verdict(with_row(results, "student_distilled", shares=shares)))
    assert "in 5 of 7 measures" in text
    assert re.search(r"lead is smaller than the spreads in word recall\.", text)
    assert re.search(r"not lead in span F1\.", text)
    shares["recall_vs_teacher"] = hard["recall_vs_teacher"] + 0.0169
    text = " ".join(verdict(with_row(results, "student_distilled", shares=shares)))
    assert "in 6 of 7 measures" in text


@pytest.mark.parametrize(
    ("accuracy", "recall", "outcome"),
    [
        (0.991, 0.972, "it reaches both"),
        (0.9851, 0.9651, "it reaches both"),
        (0.9851, 0.9649, "it reaches the accuracy but not the recall"),
        (0.9849, 0.98, "it reaches the recall but not the accuracy"),
        (0.5, 0.5, "it reaches neither"),
    ],
)
def test_verdict_says_whether_the_published_numbers_are_reached(results, accuracy, recall, outcome):
    shares = {"accuracy_vs_teacher": accuracy, "recall_vs_teacher": recall}
    assert outcome in " ".join(verdict(with_row(results, "student_distilled", shares=shares)))


def test_verdict_does_not_claim_what_one_seed_or_missing_gold_cannot_show(results):
    results = replace(results, seeds=[0])
    gold_keys = [key for key in KEYS if key.endswith("_vs_gold")]
    for model in MODEL_NAMES:
        results = with_row(
            results,
            model,
            shares=dict.fromkeys(gold_keys),
            spreads=dict.fromkeys(KEYS),
        )
    text = " ".join(verdict(results))
    assert "one seed" in text
    assert "over seeds" not in text
    assert "Against gold: not measured for both students." in text


def test_verdict_compares_the_speed_if_the_teacher_was_timed(results):
    assert "times as long" not in " ".join(verdict(results))
    timed = with_row(results, "gliner", ms_per_passage=123.4)
    assert "100 times as long per passage" in " ".join(verdict(timed))


def test_write_report_says_which_folder_cannot_be_written(results, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DistillError, match=r"file/report\.html: .*(Not a directory|File exists)"):
        write_report(tmp_path / "file", results, [])
