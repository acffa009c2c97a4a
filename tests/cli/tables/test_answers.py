"""`predict --out` as a user runs it, with the bundled student: here and on a Ray cluster."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from command_line import MAIN, assert_fails, start_process
from gliner_distill import StudentNER
from gliner_distill.entities import table_entities
from ray_clusters import stop_cluster

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import parquet as pq  # noqa: E402

LABELS = ["person", "city", "email"]
ASKED = ("-l", ",".join(LABELS), "--threads", "1")
TEXTS = [
    "Ada Lovelace lived in London.",
    None,
    "Write to ada@example.org.",
    "",
    *(f"Number {number}: Marie Curie left Warsaw for Paris." for number in range(600)),
    "nothing here",
]


@pytest.fixture(scope="module")
def expected():
    """The entities that the student itself finds."""
    student = StudentNER.from_pretrained(num_threads=1)
    return list(map(table_entities, student.inference([text or "" for text in TEXTS], LABELS)))


@pytest.fixture
def table():
    """A Parquet file of the texts."""
    pq.write_table(pa.table({"id": range(len(TEXTS)), "body": TEXTS}), "a.parquet")
    return "a.parquet"


def test_predict_writes_a_table_with_all_columns(run_cli, table, expected):
    done = run_cli("predict", table, "--column", "body", *ASKED, "--out", "b.parquet")
    n_entities = sum(map(len, expected))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"b.parquet: {len(TEXTS)} rows, {n_entities:,} entities\n"
    found = pq.read_table("b.parquet")
    assert found.drop_columns("entities").equals(pq.read_table(table))
    assert found["entities"].to_pylist() == expected
    assert [entity["text"] for entity in expected[0]] == ["Ada Lovelace", "London"]
    assert expected[1] == []
    assert [entity["score"] for entity in expected[2]] == [1.0]


def test_predict_prints_the_rows_of_a_parquet_file(run_cli, table, expected):
    done = run_cli("predict", table, "--column", "body", *ASKED)
    assert done.code == 0
    rows = list(map(json.loads, done.out.splitlines()))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["id"] for row in rows] == list(range(len(TEXTS)))
    assert [table_entities(row["entities"]) for row in rows] == expected


def test_predict_writes_a_file_for_each_table_of_a_folder(run_cli, capsys):
    Path("in").mkdir()
    Path("in/a.csv").write_text("id,text\n1,Ada left London.\n", encoding="utf-8")
    Path("in/b.jsonl").write_text('{"text": "Marie Curie"}\n{"text": null}\n', encoding="utf-8")
    done = run_cli("predict", "in", *ASKED, "--out", "found")
    assert done.code == 0
    assert done.out.splitlines() == [
        "found/a.csv: 1 row, 2 entities",
        "found/b.jsonl: 2 rows, 1 entity",
    ]
    assert Path("found/a.csv").read_text().startswith('id,text,entities\n1,Ada left London.,"[{')
    first, second = map(json.loads, Path("found/b.jsonl").read_text().splitlines())
    assert [entity["text"] for entity in first["entities"]] == ["Marie Curie"]
    assert second == {"text": None, "entities": []}


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("text,entities\nx,y\n", ("a.csv", "'entities'")),
        ("body\nx\n", ("a.csv", "'text'", "'body'", "--column")),
        ("id,text\n1,x\n2\n", ("a.csv: line 3", "1 fields")),
        ('id,text\n1,"x\n', ("a.csv: line", "not valid CSV")),
    ],
)
def test_predict_writes_nothing_from_a_bad_table(run_cli, content, facts):
    Path("a.csv").write_text(content, encoding="utf-8")
    assert_fails(run_cli("predict", "a.csv", *ASKED, "--out", "b.csv"), *facts)
    assert [path.name for path in Path.cwd().iterdir()] == ["a.csv"]


def test_predict_gives_a_bad_row_of_a_table_an_empty_answer(run_cli):
    Path("a.csv").write_text("id,text\n1,Ada\n2\n3,Marie Curie\n", encoding="utf-8")
    done = run_cli("predict", "a.csv", *ASKED, "--out", "b.csv", "--skip-bad")
    assert done.code == 0
    assert "a.csv: line 3" in done.err
    assert Path("b.csv").read_text().splitlines()[2] == ",,[]"


def test_predict_says_what_to_install_for_parquet(run_cli, monkeypatch):
    Path("a.txt").write_text("Ada", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run_cli("predict", "a.txt", *ASKED, "--out", "b.parquet")
    assert_fails(done, "pyarrow", "pip install 'gliner-distill[parquet]'")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("--out", "b.csv", "--output", "csv"), "--out"),
        (("--workers", "2"), "without --ray"),
    ],
)
def test_predict_names_wrong_usage(run_cli, args, part):
    done = run_cli("predict", "text", "-l", "city", *args)
    assert done.code == 2
    assert part in done.err


@pytest.mark.slow
def test_predict_leaves_no_file_if_it_is_stopped():
    texts = ["Ada Lovelace lived in London. " * 40] * 5000
    pq.write_table(pa.table({"text": texts}), "a.parquet")
    process = start_process(MAIN, "predict", "a.parquet", *ASKED, "--out", "b.parquet")
    while not list(Path.cwd().glob("b.parquet.*.part")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "b.parquet" in err
    assert [path.name for path in Path.cwd().iterdir()] == ["a.parquet"]


@pytest.fixture(scope="module")
def cluster():
    """A cluster on this machine with no more cores than workers, which the commands use."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    stop_cluster(ray)


@pytest.mark.ray
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.context")
@pytest.mark.parametrize(("form", "precision"), [("parquet", "int8"), ("jsonl", "fp32")])
def test_predict_writes_the_same_bytes_with_ray(run_cli, table, cluster, world, precision, form):
    model = () if precision == "int8" else ("-m", world / "run")
    args = ("predict", table, "--column", "body", "-l", ",".join(LABELS), *model)
    assert run_cli(*args, "--threads", "2", "--out", f"alone.{form}").code == 0
    done = run_cli(*args, "--out", f"together.{form}", "--ray", "--workers", "2")
    assert done.code == 0, done.err
    assert Path(f"together.{form}").read_bytes() == Path(f"alone.{form}").read_bytes()


@pytest.mark.ray
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.context")
def test_predict_with_ray_names_a_bad_row(run_cli, cluster):
    Path("a.csv").write_text("id,text\n1,x\n2\n", encoding="utf-8")
    args = ("predict", "a.csv", *ASKED, "--out", "b.csv", "--ray")
    assert_fails(run_cli(*args), "a.csv: line 3", "1 fields")
    assert [path.name for path in Path.cwd().iterdir()] == ["a.csv"]


def test_predict_with_ray_needs_files(run_cli):
    pytest.importorskip("ray", reason="ray is not installed")
    assert_fails(run_cli("predict", "Ada", *ASKED, "--ray"), "--ray", "files")
