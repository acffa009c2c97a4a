"""Which inputs of `predict --out` go into which files."""

from pathlib import Path

import pytest

from gliner_distill.cli.tables.outputs import plan_tables
from gliner_distill.errors import CorpusError, DistillError


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("text\nAda\n", encoding="utf-8")


def planned(arguments, out):
    return [(job.source.files, str(job.path), job.form) for job in plan_tables(arguments, out)]


@pytest.mark.parametrize(
    ("out", "form"),
    [
        ("o.parquet", "parquet"),
        ("o.csv", "csv"),
        ("O.TSV", "tsv"),
        ("o.jsonl", "jsonl"),
        ("below/o.ndjson", "jsonl"),
    ],
)
def test_plan_tables_writes_all_input_into_one_file(out, form):
    touch("a.csv", "b.csv")
    assert planned(["a.csv", "b.csv"], out) == [(("a.csv", "b.csv"), out, form)]
    assert planned(["some text"], out) == [((), out, form)]
    assert planned([], out) == [(("-",), out, form)]


def test_plan_tables_writes_a_file_for_each_input_into_a_folder():
    touch("a.csv", "in/b.parquet", "c.txt", "d.json")
    assert planned(["a.csv", "in/b.parquet", "c.txt", "d.json"], "found") == [
        (("a.csv",), "found/a.csv", "csv"),
        (("in/b.parquet",), "found/b.parquet", "parquet"),
        (("c.txt",), "found/c.jsonl", "jsonl"),
        (("d.json",), "found/d.jsonl", "jsonl"),
    ]


def test_plan_tables_reads_the_tables_of_a_folder(capsys):
    touch(
        "in/a.parquet", "in/deep/B.CSV", "in/_SUCCESS", "in/.a.parquet.crc", "in/_temporary/x.csv"
    )
    assert planned(["in"], "out.d/") == [
        (("in/a.parquet",), "out.d/a.parquet", "parquet"),
        (("in/deep/B.CSV",), "out.d/deep/B.CSV", "csv"),
    ]
    assert "in: files read: 2; left out: 3" in capsys.readouterr().err
    assert planned(["in"], "o.csv") == [(("in/a.parquet", "in/deep/B.CSV"), "o.csv", "csv")]


def test_plan_tables_refuses_a_folder_without_tables():
    touch("in/notes.txt")
    with pytest.raises(CorpusError, match=r"^in: .*no table.*\.parquet"):
        plan_tables(["in"], "out")


def test_plan_tables_refuses_a_dash_which_would_name_a_folder():
    touch("a.csv")
    with pytest.raises(DistillError, match=r"^--out is '-'"):
        plan_tables(["a.csv"], "-")


def test_plan_tables_refuses_an_unknown_suffix():
    with pytest.raises(DistillError, match=r"^o\.xlsx: .*'\.xlsx' .*\.parquet, \.csv"):
        plan_tables(["text"], "o.xlsx")


@pytest.mark.parametrize("arguments", [["some text"], ["-"], []])
def test_plan_tables_needs_files_for_a_folder(arguments):
    with pytest.raises(DistillError, match=r"^out: .*files"):
        plan_tables(arguments, "out")


def test_plan_tables_never_replaces_an_input():
    touch("in/a.csv", "in/b.csv")
    for out in ("in", "./in/a.csv"):
        with pytest.raises(DistillError, match="is an input"):
            plan_tables(["in"], out)


def test_plan_tables_refuses_two_inputs_for_one_file():
    touch("x/a.csv", "y/a.csv")
    with pytest.raises(DistillError, match=r"out/a\.csv: x/a\.csv and y/a\.csv "):
        plan_tables(["x/a.csv", "y/a.csv"], "out")


def test_plan_tables_names_a_table_that_does_not_exist():
    with pytest.raises(CorpusError, match=r"^none\.parquet: .*does not exist"):
        plan_tables(["none.parquet"], "o.csv")
