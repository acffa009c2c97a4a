"""The documents of an argument, lines and JSON lines, and how many are held at once."""

import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import make_passages, write_corpus
from gliner_distill.cli.reading.input import (
    DocumentSource,
    find_source,
    read_annotated,
)
from gliner_distill.cli.tables.records import BadRecords, Document
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError
from locked_files import unreadable


def write(name, content):
    Path(name).write_bytes(content)
    return name


def texts_of(source):
    return [document.text for document in source.read()]


class TestFindSource:
    def test_find_source_tells_text_from_files_and_standard_input(self):
        write("notes", b"a\n")
        write("more.txt", b"b\n")
        assert find_source([]) == find_source(["-"]) == DocumentSource()
        assert find_source(["some text"]) == DocumentSource("some text", ())
        assert find_source([""]) == DocumentSource("", ())
        assert find_source(["a\0b"]).text == "a\0b"
        assert find_source(["x" * 5000]).text == "x" * 5000
        assert find_source(["notes"]).files == ("notes",)
        assert texts_of(find_source(["notes", "more.txt"])) == ["a", "b"]

    def test_find_source_takes_a_pipe_for_a_file(self):
        os.mkfifo("pipe")
        source = find_source(["pipe"])
        writer = threading.Thread(target=write, args=("pipe", b"a\nb\n"))
        writer.start()
        assert texts_of(source) == ["a", "b"]
        writer.join()
        assert source.n_bytes is None

    def test_source_knows_the_number_of_bytes_only_for_files(self):
        write("one", b"12345")
        write("two", b"123")
        assert find_source(["one", "two"]).n_bytes == 8
        assert find_source([]).n_bytes is None
        assert find_source(["text"]).n_bytes is None

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["none.ndjson"], "none.ndjson: .* standard input"),
            (["one", "some text"], "some text: .* each must be a file"),
            (["a", "list,", "of"], "a: .* put quotes around a text or a list of labels"),
            (["ones.txt"], r"ones.txt: .* \(did you mean one.txt\?\); if it is"),
            (["one", "one.tx"], r"one.tx: .* \(did you mean one.txt\?\); if there are"),
            (["one", "-"], "-: .* each must be a file"),
            (["folder"], "folder: .* --model"),
            (["one", "folder"], "folder: .* --model"),
        ],
    )
    def test_find_source_refuses_everything_but_files(self, arguments, message):
        write("one", b"")
        write("one.txt", b"")
        Path("folder").mkdir()
        with pytest.raises(CorpusError, match=f"^{message}"):
            find_source(arguments)


class TestLines:
    def test_find_source_says_why_a_file_cannot_be_read(self, tmp_path):
        folder = tmp_path / "locked"
        folder.mkdir()
        path = folder / "a.txt"
        path.touch()
        for arguments in ([str(path)], [str(path), str(path)]):
            with (
                unreadable(folder),
                pytest.raises(CorpusError, match=rf"^{path}: .*Permission denied"),
            ):
                find_source(arguments)

    def test_find_source_takes_a_text_that_is_too_long_for_a_path(self):
        text = "word/" * 2_000
        assert find_source([text]).text == text

    def test_lines_are_documents_without_their_ends(self):
        write("a.txt", b"\xef\xbb\xbfone\r\n\n two\rthree \nlast")
        assert texts_of(find_source(["a.txt"])) == ["one", "", " two\rthree ", "last"]

    def test_json_lines_are_strings_or_objects(self):
        write("a.jsonl", b'"one\\n"\n\n{"id": [1], "text": "two"}\r\n')
        found = list(find_source(["a.jsonl"]).read())
        assert found == [
            Document("one\n", {}, 8),
            Document("", {}, 1),
            Document("two", {"id": [1]}, 28),
        ]
        assert texts_of(find_source(["a.jsonl"], form="lines"))[0] == '"one\\n"'
        assert texts_of(find_source(["a.jsonl"], form="jsonl"))[0] == "one\n"

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            (b"{", "double quotes at character 2"),
            (b"7", "a whole number.* 'text'"),
            (b"true", "a boolean"),
            (b"null", "null"),
            (b"[]", "a list"),
            (b"{}", "'text'.*--field"),
            (b'{"text": ["a"]}', "'text' .*a list"),
            (b'{"text": {}}', "'text' .*an object"),
            (b'{"text": "a", "b": NaN}', "NaN"),
            (b'{"text": "a", "b": 1e999}', "1e999"),
            (b'{"text": "a", "b": ' + b"9" * 5000 + b"}", "JSON"),
            (b"[" * 100_000, "nested"),
            (b'"caf\xe9"', "0xe9 at position 5.*UTF-8"),
        ],
    )
    def test_bad_lines_are_reported_with_file_line_and_reason(self, line, problem):
        write("a.jsonl", b'"fine"\n' + line + b"\n")
        reading = find_source(["a.jsonl"]).read()
        assert next(reading).text == "fine"
        with pytest.raises(CorpusError, match=f"^a.jsonl: line 2: .*{problem}"):
            next(reading)

    @pytest.mark.parametrize("letter", ["a", "é", "🙂"])
    def test_lines_may_not_be_too_long(self, letter):
        write("a.txt", f"\ufeff{letter * 10}\r\n{letter * 200}".encode())
        reading = DocumentSource(files=("a.txt",), max_line_chars=10).read()
        assert next(reading).text == letter * 10
        with pytest.raises(CorpusError, match=r"a.txt: line 2: .* 10 characters"):
            next(reading)

    def test_file_that_cannot_be_read_is_named(self):
        source = find_source([write("a.txt", b"")])
        Path("a.txt").unlink()
        with pytest.raises(CorpusError, match=r"^a.txt: .*No such file"):
            texts_of(source)

    def test_bad_lines_become_empty_documents_if_they_are_skipped(self):
        bad = [b"null", b'"caf\xe9"', b'{"text": "a", "b": NaN}', b"{"]
        write("a.jsonl", b"\n".join([b'"one"', *bad, b'{"text": "two", "n": 1}']))
        source = find_source(["a.jsonl", write("b.txt", b"three\ncaf\xe9\n")], skip_bad=True)
        documents = list(source.read())
        assert [document.text for document in documents] == ["one", *[""] * 4, "two", "three", ""]
        assert [document.is_record for document in documents] == [True] * 6 + [False] * 2
        assert (source.bad.n_records, source.bad.n_bad) == (8, 5)
        head, *listed = source.bad.lines()
        assert head.startswith("5 of 8 records ")
        places = [("a.jsonl", number) for number in range(2, 6)] + [("b.txt", 2)]
        for line, (name, number) in zip(listed, places, strict=True):
            assert line.startswith(f"{name}: line {number}: ")

    @pytest.mark.parametrize(
        ("name", "content", "texts"),
        [
            ("a.json", b'[{"text": "one"}, null, {"text": 7}, {"text": "two"}]', 4),
            ("a.csv", b"id,text\n1,one\n2,caf\xe9\n3,two\n", 3),
        ],
    )
    def test_bad_records_of_lists_and_tables_are_skipped(self, name, content, texts):
        source = find_source([write(name, content)], skip_bad=True)
        found = [document.text for document in source.read()]
        assert (found[0], found[-1], len(found)) == ("one", "two", texts)
        assert found.count("") == source.bad.n_bad == texts - 2

    def test_too_long_line_is_skipped_as_one(self):
        write("a.txt", b"one\n" + b"x" * 500 + b"\ntwo")
        bad = BadRecords()
        source = DocumentSource(files=("a.txt",), max_line_chars=10, bad=bad)
        assert texts_of(source) == ["one", "", "two"]
        assert (bad.n_records, bad.n_bad) == (3, 1)

    def test_bad_line_names_the_option_to_skip_it(self):
        with pytest.raises(CorpusError, match=r"line 1: .*--skip-bad"):
            texts_of(find_source([write("a.jsonl", b"null\n")], form="jsonl"))


RECORDS = [{"id": 1, "text": "Mary left"}, {"id": 2, "text": "Ada 😀"}]
DOCUMENTS = [Document(record["text"], {"id": record["id"]}) for record in RECORDS]


class TestRecognition:
    @pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt", "a"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_json_is_recognized_by_its_content(self, name, mark):
        lines = "\r\n".join(map(json.dumps, RECORDS))
        listed = json.dumps(RECORDS, indent=1, ensure_ascii=False)
        for content in (lines, listed):
            write(name, (mark + content).encode())
            source = find_source([name])
            found = [replace(document, n_bytes=0) for document in source.read()]
            assert found == DOCUMENTS
            assert source.has_records
            assert all(document.is_record for document in source.read())

    def test_json_on_standard_input_is_recognized_by_its_content(self, monkeypatch):
        content = json.dumps(RECORDS).encode()
        for given, texts in ((content, ["Mary left", "Ada 😀"]), (b"[ ] a\n", ["[ ] a"])):
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
            assert texts_of(find_source(["-"])) == texts

    @pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("A.CSV", ","), ("a.tsv", "\t")])
    def test_a_column_of_a_table_holds_the_text(self, name, mark):
        rows = ["\ufeffid,text,body", '1,x,"Mary\nleft"', "2,y,Ada 😀", ""]
        write(name, "\r\n".join(row.replace(",", mark) for row in rows).encode())
        first, second = find_source([name], text_field="body").read()
        assert (first.text, first.fields) == ("Mary\nleft", {"id": "1", "text": "x"})
        assert (second.text, second.is_record) == ("Ada 😀", True)
        assert texts_of(find_source([name])) == ["x", "y"]
        assert len(texts_of(find_source([name], form="lines"))) == 4

    @pytest.mark.parametrize(
        ("name", "content", "facts"),
        [
            ("a.csv", b"id,body\n1,x\n", "^a.csv: .*'text'.*'id', 'body'.*--column"),
            ("a.csv", b"id,text\n1,x\n2\n", "^a.csv: line 3: .*1 fields.*has 2"),
            ("a.csv", b"id,text\n1,caf\xe9\n", "^a.csv: line 2: .*UTF-8"),
            ("a.csv", b"Sentence #,Word,Tag\n", "^a.csv: .*one word per row.*--input lines"),
            ("a.txt", b"Ada B-PER\nleft O\n", "^a.txt: .*one word per line.*--input lines"),
            ("a.conll", b"Ada B-PER\nleft O\n", "^a.conll: .*one word per line"),
            ("a.bin", b"PAR1\x15", "^a.bin: .*Parquet.*not a Parquet file"),
            ("a.spacy", b"x", "^a.spacy: .*spaCy.*JSON lines"),
            ("a.json", b'[{"text": "a"}, {"body": "b"}]', "^a.json: record 2: .*'text'.*--field"),
            ("a.json", b'[{"text": "a"}, 7]', "^a.json: record 2: .*whole number"),
            ("a.json", b'[{"text": "a", "x": NaN}]', "^a.json: record 1: .*copied"),
            ("a.json", b'[{"text": "a", "x": 1e999}]', "^a.json: record 1: .*copied"),
            ("a.json", b'[{"text": "a"}, {"te', "^a.json: record 2: .*cut off"),
            ("a.json", b"Mary left", "^a.json: .*'M'.*JSON list"),
            ("a.txt", "Mary".encode("utf-16"), "^a.txt: .*UTF-16.*UTF-8"),
        ],
    )
    def test_other_files_are_refused_with_the_way_out(self, name, content, facts):
        write(name, content)
        with pytest.raises(CorpusError, match=facts):
            texts_of(find_source([name]))

    @pytest.mark.parametrize("name", ["a.txt", "a.json", "a.jsonl", "a.csv", "a.tsv"])
    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
    def test_an_empty_file_has_no_document(self, name, content):
        write(name, content)
        assert texts_of(find_source([name])) == []

    def test_lists_and_tables_may_not_have_texts_that_are_too_long(self):
        write("a.json", b'["' + b"x" * 11 + b'"]')
        write("a.csv", b"text\n" + b"x" * 11)
        for name in ("a.json", "a.csv"):
            with pytest.raises(CorpusError, match=r"\b10\b"):
                texts_of(DocumentSource(files=(name,), max_line_chars=10))

    def test_notes_with_brackets_are_text(self):
        write("a.txt", b"[ ] buy milk\n{}\n")
        source = find_source(["a.txt"])
        assert texts_of(source) == ["[ ] buy milk", "{}"]
        assert not source.has_records


class TestReadAnnotated:
    def test_read_annotated_returns_passages_and_prints_what_was_cleaned(self, capsys):
        corpus = write_corpus("corpus.json", make_passages(3))
        assert read_annotated(corpus) == make_passages(3)
        assert capsys.readouterr().err == ""
        text = Path(corpus).read_text(encoding="utf-8")
        Path("bad.json").write_text(f'[{{"words": []}}, {text[1:]}', encoding="utf-8")
        assert len(read_annotated("bad.json", skip_bad=True)) == 3
        assert "1" in capsys.readouterr().err

    def test_read_annotated_refuses_a_corpus_without_an_entity(self):
        corpus = write_corpus("plain.json", [Passage(("nothing", "here"))])
        with pytest.raises(CorpusError, match=r"plain.json: .* gold entity"):
            read_annotated(corpus)
