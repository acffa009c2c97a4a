"""`gliner-distill predict`: inputs, outputs, options, slow writers and readers that leave."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from command_line import MAIN, assert_fails, make_passages, start_process, write_corpus


def test_predict_refuses_a_model_that_is_not_a_folder(run_cli):
    args = ("text", "-l", "city")
    assert_fails(run_cli("predict", "-m", "none", *args), "none: ", "folder", "owner/name")
    Path("file").touch()
    assert_fails(run_cli("predict", "-m", "file", *args), "file: ", "folder", "owner/name")


def predict_json(run_cli, world, *args, **options):
    labels = ("-l", "person", "-l", "city")
    finished = run_cli("predict", "-m", world / "run", *args, *labels, **options)
    assert finished.code == 0
    assert finished.err == ""
    documents = [json.loads(line) for line in finished.out.splitlines()]
    for document in documents:
        for entity in document["entities"]:
            assert document["text"][entity["start"] : entity["end"]] == entity["text"]
            assert entity["label"] in ("person", "city")
            assert 0.5 < entity["score"] <= 1
    return documents


@pytest.mark.slow
def test_predict_finds_entities_in_a_text(run_cli, world):
    (document,) = predict_json(run_cli, world, "in  mary saw the paris on 7")
    assert document["text"] == "in  mary saw the paris on 7"
    found = [(entity["start"], entity["end"], entity["label"]) for entity in document["entities"]]
    assert found == [(4, 8, "person"), (17, 22, "city")]


def test_predict_reads_a_file_or_standard_input_line_by_line(run_cli, world):
    content = "\ufeffin mary saw the paris on 7\n\nno one\r\nin john".encode()
    Path("my notes.txt").write_bytes(content)
    documents = predict_json(run_cli, world, "my notes.txt")
    texts = ["in mary saw the paris on 7", "", "no one", "in john"]
    assert [document["text"] for document in documents] == texts
    assert documents[1]["entities"] == []
    assert predict_json(run_cli, world, "-", stdin=content) == documents
    assert predict_json(run_cli, world, stdin=content) == documents


def test_predict_prints_nothing_for_an_empty_file(run_cli, world):
    Path("empty.txt").touch()
    assert predict_json(run_cli, world, "empty.txt") == []
    assert predict_json(run_cli, world, "-") == []


def test_predict_reads_a_text_of_10000_words_to_its_end(run_cli, world):
    text = "in mary saw the paris on 7 . " * 1250
    (document,) = predict_json(run_cli, world, text)
    assert document["text"] == text
    assert max(entity["end"] for entity in document["entities"]) > len(text) - 30


@pytest.mark.parametrize("model", ["student", "gliner"])
def test_predict_finds_structured_types_by_patterns(run_cli, world, gliner_folder, model):
    folder = world / "run" if model == "student" else gliner_folder
    args = ("predict", "-m", folder, "mary uses jo@x.org", "-l", "email")
    answer = json.loads(run_cli(*args).out)
    found = [entity for entity in answer["entities"] if entity.get("source") == "pattern"]
    assert [(entity["text"], entity["score"]) for entity in found] == [("jo@x.org", 1.0)]
    without = json.loads(run_cli(*args, "--no-patterns").out)
    assert not any("source" in entity for entity in without["entities"])


def test_predict_answers_with_a_gliner(run_cli, gliner_folder):
    finished = run_cli("predict", "-m", gliner_folder, "mary saw paris " * 40, "-l", "city")
    assert finished.code == 0
    assert json.loads(finished.out)["text"] == "mary saw paris " * 40


def test_predict_says_what_is_wrong_with_a_file(run_cli, world):
    Path("latin.txt").write_bytes(b"caf\xe9\n")
    Path("folder").mkdir()
    cases = {
        "latin.txt": ("latin.txt", "line 1", "0xe9", "position 4", "UTF-8"),
        "-": ("standard input", "line 1", "0xe9", "position 4", "UTF-8"),
        "none.txt": ("none.txt", "does not exist", "standard input"),
        "folder": ("folder", "--model"),
    }
    for text, facts in cases.items():
        args = ("predict", "--model", world / "run", text, "-l", "city")
        assert_fails(run_cli(*args, stdin=b"caf\xe9\n"), *facts)


def test_predict_reads_a_file_whose_name_is_not_utf8(run_cli, world):
    name = os.fsdecode(b"caf\xe9")
    Path(name).write_text("in paris", encoding="utf-8")
    assert predict_json(run_cli, world, name)[0]["text"] == "in paris"
    assert_fails(
        run_cli("predict", "-m", name, "x", "-l", "city"), r"caf\udce9", "file, not a folder"
    )
    assert_fails(run_cli("predict", name + "e", "-l", "city"), "INPUT", "UTF-8", code=2)
    corpus = write_corpus(name, make_passages(3))
    shown = run_cli("evaluate", world / "run", corpus)
    assert shown.code == 0
    assert r"caf\udce9" in shown.out


def test_predict_counts_documents_over_several_files(run_cli, world):
    Path("one.txt").write_text("in paris\nthe\n", encoding="utf-8")
    Path("two.jsonl").write_text(
        '"mary left"\n\n{"text": "in \\"london\\"", "id": 7}\n', encoding="utf-8"
    )
    args = (
        "predict",
        "-m",
        world / "run",
        "one.txt",
        "two.jsonl",
        "-l",
        "person",
        "-l",
        "city",
    )
    rows = [line.split(",") for line in run_cli(*args, "--output", "csv").out.splitlines()]
    assert rows[0] == ["document", "start", "end", "text", "label", "score"]
    assert [row[:5] for row in rows[1:]] == [
        ["0", "3", "8", "paris", "city"],
        ["2", "0", "4", "mary", "person"],
        ["4", "4", "10", "london", "city"],
    ]
    documents = [json.loads(line) for line in run_cli(*args).out.splitlines()]
    assert [document["text"] for document in documents] == [
        *("in paris", "the", "mary left", "", 'in "london"')
    ]
    assert [document.get("id") for document in documents] == [None, None, None, None, 7]
    assert [list(document) for document in documents][-1] == ["text", "entities", "id"]
    assert_fails(
        run_cli(*args, "none"),
        "none: ",
        "each must be a file",
    )


def test_predict_answers_the_documents_before_a_bad_line(run_cli, world):
    args = ("predict", "-m", world / "run", "-", "-l", "city", "--input", "jsonl")
    finished = run_cli(*args, "--field", "body", stdin=b'{"body": "in paris"}\n{"text": "x"}\n')
    assert_fails(
        finished,
        "standard input",
        "line 2",
        "'body'",
        "'text'",
        "--field",
    )
    assert json.loads(finished.out)["text"] == "in paris"


def test_predict_colors_text_and_lets_nothing_steer_the_terminal(run_cli, world, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    args = ("predict", "-m", world / "run", "in \x1b[31m paris\tand mary", "--output", "color")
    labels = ("-l", "person", "-l", "city")
    assert run_cli(*args, *labels).out == (
        "in \u241b[31m \x1b[1;32mparis\x1b[0m\x1b[2m (city)\x1b[0m   and "
        "\x1b[1;36mmary\x1b[0m\x1b[2m (person)\x1b[0m\n"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1mparis\x1b[0m" in run_cli(*args, *labels).out


@pytest.mark.parametrize("form", ["jsonl", "csv", "color", "prodigy"])
def test_predict_escapes_half_of_a_surrogate_pair(run_cli, world, form):
    line = b'"in \\ud800 paris"\n"in london"\n'
    args = ("predict", "-m", world / "run", "-l", "city", "--input", "jsonl", "--output", form)
    finished = run_cli(*args, stdin=line)
    assert (finished.code, finished.err) == (0, "")
    assert "london" in finished.out
    assert ("\\ud800" in finished.out) == (form != "csv")


def test_predict_reads_labels_and_descriptions_from_a_file(run_cli, world):
    Path("labels.txt").write_text("place: city\n\nPerson\n", encoding="utf-8")
    args = ("predict", "-m", world / "run", "in mary saw the paris on 7", "--labels")
    (found,) = map(json.loads, run_cli(*args, "labels.txt").out.splitlines())
    assert [(entity["text"], entity["label"]) for entity in found["entities"]] == [
        ("mary", "Person"),
        ("paris", "place"),
    ]
    assert run_cli(*args, "labels.txt", "-l", "company").code == 0
    assert_fails(run_cli(*args, "labels.txt", "-l", "PERSON"), "'PERSON'", "'Person'")
    assert_fails(
        run_cli(*args, "none.txt"),
        "none.txt",
        "does not exist",
    )


def test_predict_keeps_the_spelling_of_labels_and_reads_lists_with_commas(run_cli, world):
    args = ("predict", "-m", world / "run", "in mary saw the paris on 7")
    (plain,) = map(json.loads, run_cli(*args, "-l", "person", "-l", "city").out.splitlines())
    (found,) = map(json.loads, run_cli(*args, "-l", "PERSON, City").out.splitlines())
    names = {"person": "PERSON", "city": "City"}
    assert len(plain["entities"]) == 2
    assert found["entities"] == [e | {"label": names[e["label"]]} for e in plain["entities"]]
    assert_fails(run_cli(*args, "-l", "US", "-l", "us"), "'US'", "'us'")
    assert_fails(run_cli(*args, "-l", " , "), "label", "empty", code=2)


def test_predict_threshold_is_the_score_to_exceed(run_cli, world):
    args = ("predict", "-m", world / "run", "in paris", "-l", "city")
    [[entity]] = [json.loads(run_cli(*args).out)["entities"]]
    for threshold, n_found in ((entity["score"] - 0.001, 1), (entity["score"] + 0.001, 0)):
        found = json.loads(run_cli(*args, "--threshold", threshold, "--threads", 1).out)
        assert len(found["entities"]) == n_found


def test_predict_with_a_gliner_has_the_same_options(run_cli, gliner_folder):
    Path("labels.txt").write_text("place: a town\nperson\n", encoding="utf-8")
    line = b'{"body": "mary saw \\ud800 paris", "id": 1}\n'
    args = ("predict", "-m", gliner_folder, "--labels", "labels.txt", "--input", "jsonl")
    options = ("--field", "body", "--threshold", 0, "--nested", "--multi-label", "--threads", 1)
    finished = run_cli(*args, *options, stdin=line)
    assert finished.code == 0
    answer = json.loads(finished.out)
    assert (answer["text"], answer["id"]) == ("mary saw \ud800 paris", 1)
    spans = [(entity["start"], entity["end"]) for entity in answer["entities"]]
    assert len(set(spans)) < len(spans)  # several labels
    assert {entity["label"] for entity in answer["entities"]} == {"place", "person"}
    flat = json.loads(run_cli(*args, *options[:4], stdin=line).out)["entities"]
    assert 0 < len(flat) < len(spans)


@pytest.mark.slow
def test_predict_answers_a_slow_writer_line_by_line(world):
    """In processes of their own: each answer is read before the next line is written."""
    args = ("predict", "--model", world / "run", "-l", "city")
    process = start_process(MAIN, *args, stdin=subprocess.PIPE)
    for text in ("in paris", "", "in london"):
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_predict_ends_with_one_line_after_ctrl_c(world):
    """In a process of its own, which waits for a line that does not come."""
    args = ("predict", "--model", world / "run", "-l", "city")
    process = start_process(MAIN, *args, stdin=subprocess.PIPE)
    process.stdin.write("in paris\n")
    process.stdin.flush()
    assert process.stdout.readline().endswith("}\n")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == "gliner-distill: stopped; what was printed is whole\n"


@pytest.mark.slow
def test_predict_is_quiet_when_its_reader_leaves(world):
    """In processes of their own, joined by a pipe."""
    args = ("predict", "--model", world / "run", "-", "-l", "city")
    process = start_process(MAIN, *args, stdin=subprocess.PIPE)
    process.stdin.write("in paris\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["text"] == "in paris"
    process.stdout.close()
    with suppress(BrokenPipeError):
        process.stdin.write("in paris\n" * 2000)
        process.stdin.close()
    process.stdin = None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_predict_holds_little_of_a_long_input(world):
    """In a process of its own, which may take far less memory than its input has bytes."""
    script = f"""
import resource, sys
from gliner_distill.evaluation import models

class Nobody:
    def inference(self, texts, *args, **options):
        return [[] for _ in texts]

models.load_model = lambda *args, **options: Nobody()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
{MAIN}"""
    process = start_process(
        script,
        *("predict", "-l", "city"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={"MALLOC_ARENA_MAX": "1"},  # each arena reserves 64 MB that nobody uses
    )
    block = ("word " * 2000 + "\n") * 100
    for _ in range(300):
        process.stdin.write(block)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")


def test_predict_gives_bad_records_an_empty_answer(run_cli, world):
    Path("a.jsonl").write_bytes(b'"in paris"\nnull\n"caf\xe9"\n{"text": "in mary", "n": 1}\n')
    args = ("predict", "-m", world / "run", "a.jsonl", "-l", "city")
    assert_fails(run_cli(*args), "a.jsonl", "line 2", "--skip-bad")
    finished = run_cli(*args, "--skip-bad")
    assert finished.code == 0
    answers = [json.loads(line) for line in finished.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["in paris", "", "", "in mary"]
    assert answers[1] == answers[2] == {"text": "", "entities": []}
    assert answers[3]["n"] == 1
    head, second, third = finished.err.splitlines()
    assert "2 of 4 records" in head
    assert second.startswith("a.jsonl: line 2: ")
    assert third.startswith("a.jsonl: line 3: ")


def test_predict_fails_if_all_records_are_bad(run_cli, world):
    Path("a.jsonl").write_text('{"body": "x"}\n{"body": "y"}\n')
    args = ("predict", "-m", world / "run", "a.jsonl", "-l", "city", "--skip-bad")
    finished = run_cli(*args)
    assert len(finished.out.splitlines()) == 2
    assert finished.code == 1
    assert "all records are bad" in finished.err.splitlines()[-1]


def test_predict_takes_a_limit_of_memory(run_cli, world):
    args = ("predict", "-m", world / "run", "in mary saw the paris", "-l", "city")
    expected = run_cli(*args)
    assert run_cli(*args, "--max-memory", "400MB").out == expected.out
    assert_fails(run_cli(*args, "--max-memory", "2XB"), "2XB", "512MB", code=2)
    assert_fails(run_cli(*args, "--max-memory", "1MB"), "1MB", "192 MB", code=2)


@pytest.mark.slow
def test_predict_runs_as_the_page_on_prodigy_says(run_cli):
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "integrations" / "prodigy.md").read_text(encoding="utf-8")
    [command] = [line for line in page.splitlines() if line.startswith("gliner-distill predict")]
    words, _, _ = command.partition(" > ")
    for name in ("letters.txt", "labels.txt"):
        text = (root / "examples" / "workshop" / name).read_text(encoding="utf-8")
        Path(name).write_text("\n".join(text.splitlines()[:20]), encoding="utf-8")
    finished = run_cli(*words.split()[1:])
    tasks = [json.loads(line) for line in finished.out.splitlines()]
    assert len(tasks) == 20
    spans = [(task, span) for task in tasks for span in task["spans"]]
    assert spans
    for task, span in spans:
        assert task["tokens"][span["token_start"]]["start"] == span["start"]
        assert task["tokens"][span["token_end"]]["end"] == span["end"]
