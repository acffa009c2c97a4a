"""`gliner-distill redact`: modes, forms, the mapping and its permissions, and restoring."""

import json
import stat
from pathlib import Path

import pytest

from command_line import assert_fails
from gliner_distill.redaction.keys import KEY_VARIABLE

LABELS = ("-l", "person", "-l", "email")
LINES = b"in mary saw jo@x.org on 7\n\n[PERSON_1] the\nin john saw the on\n"


@pytest.fixture
def redact(run_cli, world):
    """A function that runs the command with a small student and two labels."""
    return lambda *args, **options: run_cli(
        *("redact", "-m", world / "run", *LABELS, *args), **options
    )


def read(path):
    return Path(path).read_bytes()


def test_redact_replaces_by_the_label_line_by_line(redact):
    finished = redact("-", stdin=LINES)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out == (
        "in [PERSON] saw [EMAIL] on 7\n\n[PERSON_1] the\nin [PERSON] saw the on\n"
    )
    assert redact("in mary\nsaw jo@x.org on 7").out == "in [PERSON]\nsaw [EMAIL] on 7\n"


def test_redact_masks_and_hashes(redact, monkeypatch):
    assert redact("-", "--mode", "mask", stdin=LINES).out.splitlines()[0] == (
        "in **** saw ******** on 7"
    )
    Path("key").write_bytes(b"0123456789abcdef\n")
    hashed = redact("-", "--mode", "hash", "--key-file", "key", stdin=LINES).out
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    assert redact("-", "--mode", "hash", stdin=LINES).out == hashed
    assert "mary" not in hashed
    assert hashed.count("[PERSON:") == 2
    monkeypatch.delenv(KEY_VARIABLE)
    assert_fails(redact("-", "--mode", "hash", stdin=LINES), KEY_VARIABLE, "--key-file")


def test_redact_with_a_mapping_is_restored_exactly(redact, run_cli):
    Path("notes.txt").write_bytes(LINES)
    redacted = redact("notes.txt", "--mapping", "values.json").out
    assert redacted == (
        "in [PERSON_1] saw [EMAIL_1] on 7\n\n[LITERAL_1] the\nin [PERSON_2] saw the on\n"
    )
    assert stat.S_IMODE(Path("values.json").stat().st_mode) == 0o600
    values = json.loads(read("values.json"))
    assert values["[EMAIL_1]"] == "jo@x.org"
    restored = run_cli("redact", "--restore", "--mapping", "values.json", stdin=redacted.encode())
    assert restored.out.encode() == LINES


def test_redact_continues_an_existing_mapping(redact):
    args = ("--mapping", "values.json")
    assert redact("in mary saw", *args).out == "in [PERSON_1] saw\n"
    assert redact("in john saw mary on", *args).out == "in [PERSON_2] saw [PERSON_1] on\n"
    assert len(json.loads(read("values.json"))) == 2


def test_redact_keeps_objects_and_adds_positions_without_values(redact, run_cli):
    documents = [{"id": 7, "body": "in mary\nsaw \ud83d", "entities": ["mary"]}, {"body": ""}]
    content = "".join(json.dumps(document) + "\n" for document in documents)
    Path("mails.jsonl").write_text(f'{content}"in john saw"\n', encoding="utf-8")
    args = ("mails.jsonl", "--field", "body")
    finished = redact(*args, "--mapping", "values.json")
    answers = [json.loads(line) for line in finished.out.splitlines()]
    assert [answer["body"] for answer in answers] == [
        *("in [PERSON_1]\nsaw \ud83d", "", "in [PERSON_2] saw")
    ]
    assert list(answers[0]) == ["body", "entities", "id"]
    assert "mary" not in finished.out
    (entity,) = answers[0]["entities"]
    score = entity.pop("score")
    assert 0.5 < score <= 1
    assert entity == {
        **{"start": 3, "end": 7, "redacted_start": 3, "redacted_end": 13, "label": "person"}
    }
    Path("redacted.jsonl").write_text(finished.out, encoding="utf-8")
    restored = run_cli(
        *("redact", "redacted.jsonl", "--field", "body", "--restore", "--mapping", "values.json")
    )
    bodies = [json.loads(line)["body"] for line in restored.out.splitlines()]
    assert bodies == [documents[0]["body"], "", "in john saw"]


def test_redact_writes_the_form_that_is_asked_for(redact):
    (answer,) = redact("in mary saw", "--output", "jsonl").out.splitlines()
    assert json.loads(answer)["text"] == "in [PERSON] saw"
    Path("a.jsonl").write_text('"in mary"\n"a\\nb"\n', encoding="utf-8")
    finished = redact("a.jsonl", "--output", "lines")
    assert_fails(finished, "document 1", "--output jsonl")


def test_redact_without_labels_looks_for_personal_data(run_cli, world):
    text = "in mary saw 203.0.113.7 and 4111 1111 1111 1111"
    args = ("redact", "-m", world / "run", text)
    assert run_cli(*args).out == "in [PERSON] saw [IP_ADDRESS] and [CREDIT_CARD_NUMBER]\n"
    assert "203.0.113.7" in run_cli(*args, "-l", "person").out


def test_redact_uses_patterns_beside_a_gliner_unless_switched_off(run_cli, gliner_folder):
    args = ("redact", "-m", gliner_folder, "at jo@x.org", "-l", "email", "--threshold", "0.99")
    assert run_cli(*args).out == "at [EMAIL]\n"
    assert run_cli(*args, "--no-patterns").out == "at jo@x.org\n"


def test_redact_saves_the_values_of_what_it_printed_before_a_bad_line(redact, run_cli):
    args = ("-", "--input", "jsonl", "--mapping", "values.json", "--output", "lines")
    finished = redact(*args, stdin=b'"in mary saw"\n7\n')
    assert_fails(finished, "line 2")
    restored = run_cli("redact", "--restore", "--mapping", "values.json", finished.out)
    assert restored.out.splitlines()[0] == "in mary saw"


@pytest.mark.parametrize(
    ("args", "facts"),
    [
        (("--mode", "mapping"), ["--mapping"]),
        (("--mode", "label", "--mapping", "m"), ["--mapping", "label"]),
        (("--restore",), ["--mapping"]),
        (("--key-file", "k"), ["--mode hash"]),
        (("--field", "entities"), ["entities"]),
    ],
)
def test_redact_refuses_options_that_do_not_fit(run_cli, args, facts):
    finished = run_cli("redact", "text", *args)
    assert finished.code == 2
    assert not [fact for fact in facts if fact not in finished.err]


def test_redact_refuses_a_broken_mapping_before_it_prints(redact, run_cli):
    Path("values.json").write_text("[]", encoding="utf-8")
    for finished in (
        redact("in mary", "--mapping", "values.json"),
        run_cli("redact", "[PERSON_1]", "--restore", "--mapping", "values.json"),
    ):
        assert_fails(finished, "values.json")
        assert finished.out == ""
    assert read("values.json") == b"[]"
    missing = run_cli("redact", "x", "--restore", "--mapping", "none.json")
    assert_fails(missing, "none.json", "No such file")


def test_redact_reads_tables_and_json_lists_and_prints_objects(run_cli, world):
    Path("a.csv").write_text("id,body\n1,mary left\n", encoding="utf-8")
    Path("a.json").write_text('[{"id": "1", "body": "mary left", "entities": [1]}]')
    for name in ("a.csv", "a.json"):
        args = ("redact", "-m", world / "run", name, "--column", "body", "-l", "person")
        answer = json.loads(run_cli(*args).out)
        assert (answer["id"], answer["body"]) == ("1", "[PERSON] left")
        assert [entity["start"] for entity in answer["entities"]] == [0]
    piped = run_cli(*args[:3], "-", *args[4:], stdin=Path("a.json").read_bytes())
    assert json.loads(piped.out) == answer


def test_redact_gives_bad_records_an_empty_answer(run_cli, world):
    Path("a.jsonl").write_bytes(b'{"text": "mail jo@x.org"}\n{"text": 7}\n')
    args = ("redact", "-m", world / "run", "a.jsonl", "-l", "email")
    assert_fails(run_cli(*args), "a.jsonl", "line 2", "--skip-bad")
    finished = run_cli(*args, "--skip-bad", "--max-memory", "1GB")
    assert finished.code == 0
    first, second = map(json.loads, finished.out.splitlines())
    assert first["text"] == "mail [EMAIL]"
    assert second == {"text": "", "entities": []}
    assert "a.jsonl: line 2: " in finished.err
