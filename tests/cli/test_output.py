"""The forms in which `predict` and `redact` print their answers."""

import csv
import io
import json

import pytest

from gliner_distill.cli.output import (
    ColoredText,
    CsvRows,
    JsonLines,
    ProdigyTasks,
    json_line,
    make_writer,
    text_line,
)
from gliner_distill.cli.tables.records import Document
from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity
from gliner_distill.errors import CorpusError


def entity(start, end, label, text, score=0.123456):
    return {"start": start, "end": end, "text": text[start:end], "label": label, "score": score}


@pytest.mark.parametrize(
    ("form", "kind"),
    [("jsonl", JsonLines), ("csv", CsvRows), ("color", ColoredText), ("prodigy", ProdigyTasks)],
)
def test_make_writer_gives_the_writer_of_each_form(form, kind):
    assert isinstance(make_writer(form, ["city"]), kind)


class TestJsonLines:
    def test_json_lines_are_one_line_per_document(self):
        text = "in\nParís"
        documents = [Document(text, {"id": 1}), Document("")]
        lines = JsonLines().answers(0, documents, [[entity(3, 8, "city", text)], []])
        assert lines.decode() == (
            '{"text": "in\\nParís", "entities": [{"start": 3, "end": 8, "text": "París", '
            '"label": "city", "score": 0.1235}], "id": 1}\n'
            '{"text": "", "entities": []}\n'
        )

    @pytest.mark.parametrize(
        ("fields", "rest"),
        [
            (
                {"id": 1, "text": "x", "entities": [2]},
                {"id": 1, "input": {"text": "x", "entities": [2]}},
            ),
            ({"text": "x", "input": 3}, {"input": {"text": "x", "input": 3}}),
            ({"input": 3}, {"input": 3}),
        ],
    )
    def test_json_lines_keep_fields_of_their_own_names(self, fields, rest):
        line = JsonLines().answers(0, [Document("a", fields)], [[]])
        assert json.loads(line) == {"text": "a", "entities": [], **rest}
        assert list(json.loads(line))[:2] == ["text", "entities"]

    def test_json_lines_escape_half_of_a_surrogate_pair(self):
        line = JsonLines().answers(0, [Document("é\ud800")], [[]])
        assert line == b'{"text": "\\u00e9\\ud800", "entities": []}\n'
        assert JsonLines().answers(0, [Document("é", {"\udfff": 1})], [[]]).isascii()

    def test_json_lines_refuse_fields_nested_too_deep(self):
        nested = []
        for _ in range(100_000):
            nested = [nested]
        documents = [Document("fine"), Document("a", {"b": nested})]
        with pytest.raises(CorpusError, match="document 5"):
            JsonLines().answers(4, documents, [[], []])


class TestProdigyTasks:
    def test_prodigy_tasks_have_words_as_tokens_and_inclusive_last_tokens(self):
        text = "Ann left New York."
        found = [entity(0, 3, "person", text, 0.95), entity(9, 17, "city", text, 0.61234)]
        [line] = ProdigyTasks().answers(0, [Document(text)], [found]).splitlines()
        task = json.loads(line)
        assert task == {
            "text": text,
            "tokens": [
                {"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": True},
                {"text": "left", "start": 4, "end": 8, "id": 1, "ws": True},
                {"text": "New", "start": 9, "end": 12, "id": 2, "ws": True},
                {"text": "York", "start": 13, "end": 17, "id": 3, "ws": False},
                {"text": ".", "start": 17, "end": 18, "id": 4, "ws": False},
            ],
            "spans": [
                {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "person"},
                {"start": 9, "end": 17, "token_start": 2, "token_end": 3, "label": "city"},
            ],
            "meta": {"score": 0.6123},
        }

    def test_prodigy_tasks_keep_other_fields_and_drop_old_answers(self):
        fields = {"id": 7, "meta": {"source": "mail"}, "answer": "reject", "spans": [], "_hash": 1}
        line = ProdigyTasks().answers(0, [Document("Hi", fields)], [[]])
        task = json.loads(line)
        assert task.pop("tokens")
        assert task == {"text": "Hi", "spans": [], "meta": {"source": "mail"}, "id": 7}

    def test_prodigy_tasks_widen_an_entity_to_whole_words(self):
        text = "see a-b/c now"
        line = ProdigyTasks().answers(0, [Document(text)], [[entity(6, 8, "part", text)]])
        [span] = json.loads(line)["spans"]
        assert (span["start"], span["end"]) == (4, 8)
        assert (span["token_start"], span["token_end"]) == (1, 2)

    def test_prodigy_tasks_with_an_answer_are_read_as_gold(self, tmp_path):
        text = "Ann left New York."
        found = [[entity(0, 3, "person", text), entity(9, 17, "city", text)], []]
        lines = ProdigyTasks().answers(0, [Document(text), Document("Nobody.")], found)
        tasks = [json.loads(line) | {"answer": "accept"} for line in lines.splitlines()]
        path = tmp_path / "annotated.jsonl"
        path.write_text("\n".join(map(json.dumps, tasks)), encoding="utf-8")
        first, second = read_passages(path)
        assert first.entities == (Entity(0, 1, "person"), Entity(2, 4, "city"))
        assert second.entities == ()


class TestCsvRows:
    def test_csv_rows_come_back_from_the_csv_module(self):
        text = 'a "b",c\nd\re \ud800'
        spans = [entity(0, 3, "x", text), entity(2, len(text), 'y,"z', text)]
        rows = CsvRows()
        written = rows.head() + rows.answers(2, [Document(""), Document(text)], [[], spans])
        read = list(csv.reader(io.StringIO(written.decode(), newline="")))
        assert read == [
            ["document", "start", "end", "text", "label", "score"],
            ["3", "0", "3", 'a "', "x", "0.1235"],
            ["3", "2", "13", '"b",c\nd\re \\ud800', 'y,"z', "0.1235"],
        ]
        assert b"\r\n" not in written

    @pytest.mark.parametrize("text", ["=1+2", "+44 20 7946", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
    def test_csv_rows_put_a_quote_before_what_a_spreadsheet_would_compute(self, text):
        written = CsvRows().answers(0, [Document(text)], [[entity(0, len(text), text, text)]])
        (row,) = csv.reader(io.StringIO(written.decode(), newline=""))
        assert row == ["0", "0", str(len(text)), f"'{text}", f"'{text}", "0.1235"]

    @pytest.mark.parametrize("text", ["-1", "+3.5", "-1,000.25", "a=b", "1-2", "'=1", "x@y.org"])
    def test_csv_rows_leave_numbers_and_other_texts_as_they_are(self, text):
        written = CsvRows().answers(0, [Document(text)], [[entity(0, len(text), "x", text)]])
        (row,) = csv.reader(io.StringIO(written.decode(), newline=""))
        assert row[3] == text


class TestColoredText:
    @pytest.fixture(autouse=True)
    def a_terminal(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("COLORTERM", raising=False)

    def test_colored_text_puts_labels_behind_entities_that_may_nest(self):
        text = "at New York University today"
        spans = [entity(3, 22, "school", text), entity(3, 11, "city", text)]
        shown = ColoredText(["city", "school"]).answers(0, [Document(text)], [spans]).decode()
        plain = "at New York (city) University (school) today\n"
        for code in ("\x1b[0m", "\x1b[2m", "\x1b[1;36m", "\x1b[1;32m"):
            assert code in shown
            shown = shown.replace(code, "")
        assert shown == plain

    def test_colored_text_without_an_entity_is_the_text(self):
        writer = make_writer("color", ["a"])
        documents = [Document("[bold]plain[/] :smile: " * 30), Document("")]
        assert writer.answers(0, documents, [[], []]).decode() == (
            "[bold]plain[/] :smile: " * 30 + "\n\n"
        )

    def test_colored_text_shows_control_characters_as_symbols(self):
        text = "".join(map(chr, [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]))
        shown = make_writer("color", ["a"]).answers(0, [Document(text)], [[]]).decode()
        assert len(shown) == len(text) + 1
        assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in shown[:-1])
        assert shown.startswith("\u2400\u2401")


def test_text_line_refuses_what_is_not_one_line_of_utf8():
    assert text_line(0, "Zoë 🙂\t") == "Zoë 🙂\t\n".encode()
    assert text_line(0, "a\nb", may_break=True) == b"a\nb\n"
    for text in ("a\nb", "\ud83d"):
        with pytest.raises(CorpusError, match=r"document 7: .*--output jsonl"):
            text_line(7, text)


def test_json_line_escapes_control_characters_and_keeps_their_value():
    text = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), 0x2066]))
    line = json_line(0, {"text": text, text: 1})
    assert json.loads(line) == {"text": text, text: 1}
    shown = line.decode()
    assert not set(shown[:-1]) & set(text)


def test_json_line_escapes_lone_surrogates_alone():
    assert json_line(0, {"text": "Zoë"}) == '{"text": "Zoë"}\n'.encode()
    assert json.loads(json_line(0, {"text": "Zoë \ud83d"})) == {"text": "Zoë \ud83d"}
