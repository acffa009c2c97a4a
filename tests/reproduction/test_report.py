"""The report: the numbers of the results, a verdict that follows them, safe and offline pages."""

import copy
import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from gliner_distill.reproduction.figures import FigureFile
from gliner_distill.reproduction.report import table1, verdict, write_report

MEASURES = ("accuracy", "precision", "recall", "f1", "span_precision", "span_recall", "span_f1")
VOID_TAGS = {"meta", "img", "br"}


def table_row(model, teacher, gold, spread, **costs):
    row = {"model": model}
    for index, measure in enumerate(MEASURES):
        for suffix, share in (("teacher", teacher), ("gold", gold)):
            row[f"{measure}_vs_{suffix}"] = share - 0.011 * index if share < 1 else share
            row[f"{measure}_vs_{suffix}_sd"] = spread
    none = dict.fromkeys(
        (
            "n_parameters",
            "n_parameters_without_embeddings",
            "size_bytes",
            "ms_per_passage",
            "words_per_second",
        )
    )
    return row | none | costs


@pytest.fixture
def results():
    student = {"n_parameters": 5_998_212, "n_parameters_without_embeddings": 1_998_212}
    student |= {"size_bytes": 24_012_345, "ms_per_passage": 1.234, "words_per_second": 98_765.4}
    return {
        "table1": [
            table_row("gliner", 1.0, 0.6123, None),
            table_row("student_hard", 0.8641, 0.5234, 0.0123, **student),
            table_row("student_distilled", 0.9578, 0.5912, 0.0045, **student),
        ],
        "reported": [
            {"model": "gliner", "accuracy": 1.0, "recall": 1.0, "parameters": "2.1B"},
            {"model": "student_hard", "accuracy": 0.86, "recall": 0.69, "parameters": "6M"},
            {"model": "student_distilled", "accuracy": 0.99, "recall": 0.97, "parameters": "6M"},
        ],
        "seeds": [0, 1, 2],
        "figures": {},
        "settings": {"student": {"hidden_width": 256, "head": "softmax"}, "betas": [0.9, 0.999]},
        "environment": {"python": "3.12.1", "threads": 2, "gpu": None},
        "data": {
            "source": "the sample",
            "n_train": 1000,
            "n_test": 100,
            "teacher": "urchade/gliner_small",
            "teacher_hash": "abc123",
            "labels_asked": "each passage's own labels and four negatives.",
        },
    }


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


def test_html_nests_and_asks_for_nothing_outside(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    page = read_page(tmp_path)
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert len(links) == 4
    assert all(link.startswith("data:image/svg+xml;base64,") for link in links)
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"url\(|@import|https?://", html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_table_has_the_numbers_of_the_results(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    cells = read_page(tmp_path).cells
    expected = []
    for measure in MEASURES:
        for suffix in ("teacher", "gold"):
            for row in results["table1"]:
                mean, spread = (row[f"{measure}_vs_{suffix}{end}"] for end in ("", "_sd"))
                expected.append(f"{mean:.1%}" + (f" ± {100 * spread:.1f}" if spread else ""))
    assert cells["readings"] == expected
    student = ["5,998,212", "1,998,212", "24.0", "1.23", "98,765"]
    assert cells["costs"] == [cell for value in student for cell in ("–", value, value)]
    assert cells["beside"][:6] == ["100.0%", "100%", "86.4% ± 1.2", "86%", "95.8% ± 0.4", "99%"]
    assert cells["beside"][-6:] == ["–", "2.1B", "5,998,212", "6M", "5,998,212", "6M"]


def test_markdown_has_the_same_table_and_links_the_pictures(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    cells = read_page(tmp_path).cells
    assert f"| Word accuracy | {' | '.join(cells['readings'][:6])} |\n" in markdown
    assert f"| Words a second | {' | '.join(cells['costs'][-3:])} |\n" in markdown
    pictures = re.findall(r"\]\((.*?)\)", markdown)
    assert pictures == [f"figures/figure_{number}.png" for number in (3, 4, 5, 6)]
    assert all((tmp_path / picture).exists() for picture in pictures)
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_settings_versions_and_data_are_listed_flat(results, figure_files, tmp_path):
    results["gap"] = {"student_hard": {"recall": 0.123456}}
    results["probe"] = "A probe of something."
    write_report(tmp_path, results, figure_files)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text().replace("\\", "")
        for expected in ("student.hidden_width", "256", "0.9, 0.999", "3.12.1", "abc123"):
            assert expected in text
        assert "student_hard.recall" in text
        assert "0.123456" in text
        assert "A probe of something." in text


def test_hostile_names_are_shown_and_not_obeyed(results, figure_files, tmp_path):
    hostile = '<script src="http://x">alert(1)</script> | [a](b) "\n# top'
    results["data"] |= {"teacher": hostile, "labels_asked": hostile, hostile: hostile}
    results["settings"][hostile] = {"labels": [hostile]}
    results["probe"] = hostile
    write_report(tmp_path, results, figure_files)
    page = read_page(tmp_path)
    assert "script" not in page.tags
    assert '<script src="http://x">alert(1)</script>' in "".join(page.text)
    markdown = (tmp_path / "report.md").read_text()
    assert "\\<script" in markdown
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[a|^# top", markdown, re.MULTILINE)


def test_second_run_writes_the_same_bytes_and_leaves_nothing_else(results, figure_files, tmp_path):
    write_report(tmp_path, results, figure_files)
    first = [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")]
    write_report(tmp_path, results, figure_files)
    assert first == [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")]
    assert {path.name for path in tmp_path.iterdir()} == {"figures", "report.html", "report.md"}


def test_figure_outside_the_folder_is_an_error(results, figure_files, tmp_path):
    with pytest.raises(ValueError, match="figure_3"):
        write_report(tmp_path / "elsewhere", results, figure_files)


def test_a_dash_has_a_footnote_that_fits_its_reason(results):
    assert "not run live" in printed(table1(results))
    costs = [
        key for key, value in results["table1"][0].items() if value is None and "_vs_" not in key
    ]
    for key in costs:
        results["table1"][0][key] = results["table1"][1][key]
    assert "–" not in printed(table1(results))
    results["table1"][2]["span_f1_vs_gold"] = None
    assert "– not measured." in printed(table1(results))
    assert "not run live" not in printed(table1(results))


def test_terminal_table_fits_100_columns_with_the_widest_numbers(results):
    for row in results["table1"]:
        row |= {"n_parameters": 459_123_456, "size_bytes": 1_836_493_824, "words_per_second": 1e6}
        row |= {key: 0.1234 for key in row if key.endswith("_sd")}
    text = printed(table1(results))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    assert re.search(
        r"Word accuracy +100.0% ± 12.3 +86.4% ± 12.3 +95.8% ± 12.3 +100% / 86% / 99%", text
    )
    assert re.search(r"Parameters +(459,123,456 +){3}2.1B / 6M / 6M", text)
    assert re.search(r"Size on disk, MB +1,836.5 ", text)


def test_verdict_names_a_clear_lead_everywhere(results):
    text = " ".join(verdict(results))
    assert text.count("in all 7 measures") == 2
    assert "does not lead" not in text
    assert "95.8% and 93.6%: it reaches neither." in text
    assert "the teacher's span F1 is 54.6%, the distilled student's 52.5%" in text
    assert "times as long" not in text


def test_verdict_tells_a_lead_within_the_spread_from_none(results):
    hard, distilled = results["table1"][1:]
    distilled["recall_vs_teacher"] = hard["recall_vs_teacher"] + 0.0167
    distilled["span_f1_vs_teacher"] = hard["span_f1_vs_teacher"]
    text = " ".join(verdict(results))
    assert (
        "leads the hard-label one by more than the two spreads over seeds together in 5 of 7"
        in text
    )
    assert "Its lead lies within the spreads in word recall." in text
    assert "It does not lead in span F1." in text
    distilled["recall_vs_teacher"] = hard["recall_vs_teacher"] + 0.0169
    assert "in 6 of 7 measures" in " ".join(verdict(results))


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
def test_verdict_says_whether_the_published_figures_are_reached(results, accuracy, recall, outcome):
    results["table1"][2] |= {"accuracy_vs_teacher": accuracy, "recall_vs_teacher": recall}
    assert outcome in " ".join(verdict(results))


def test_verdict_with_one_seed_or_no_gold_claims_no_more_than_it_knows(results):
    results["seeds"] = [0]
    for row in results["table1"]:
        for key in row:
            if key.endswith("_sd") or "_vs_gold" in key:
                row[key] = None
    text = " ".join(verdict(results))
    assert "One seed was run" in text
    assert "over seeds" not in text
    assert "Against gold: not measured for both students." in text


def test_verdict_gives_the_speed_where_the_teacher_was_timed(results):
    timed = copy.deepcopy(results)
    timed["table1"][0]["ms_per_passage"] = 123.4
    assert "The teacher takes 100 times as long a passage" in " ".join(verdict(timed))
