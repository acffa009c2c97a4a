"""Documents: what an argument stands for, lines and JSON lines, and how many are held at once."""

import os
import threading
from pathlib import Path

import pytest

from gliner_distill.cli import input as documents
from gliner_distill.cli.input import Document, DocumentSource, Prefetcher, find_source
from gliner_distill.errors import CorpusError


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    Path(name).write_bytes(content)
    return name


def texts_of(source):
    return [document.text for document in source.read()]


class TestFindSource:
    def test_tells_text_from_files_and_standard_input(self):
        write("notes", b"a\n")
        write("more.txt", b"b\n")
        assert find_source([]) == find_source(["-"]) == DocumentSource()
        assert find_source(["some text"]) == DocumentSource("some text", ())
        assert find_source([""]) == DocumentSource("", ())
        assert find_source(["a\0b"]).text == "a\0b"
        assert find_source(["x" * 5000]).text == "x" * 5000
        assert find_source(["notes"]).files == ("notes",)
        assert texts_of(find_source(["notes", "more.txt"])) == ["a", "b"]

    def test_takes_a_pipe_for_a_file(self):
        os.mkfifo("pipe")
        source = find_source(["pipe"])
        writer = threading.Thread(target=write, args=("pipe", b"a\nb\n"))
        writer.start()
        assert texts_of(source) == ["a", "b"]
        writer.join()
        assert source.n_bytes is None

    def test_knows_the_bytes_of_files_alone(self):
        write("one", b"12345")
        write("two", b"123")
        assert find_source(["one", "two"]).n_bytes == 8
        assert find_source([]).n_bytes is None
        assert find_source(["text"]).n_bytes is None

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["none.ndjson"], "none.ndjson: no such file; if it is the text itself, give it on"),
            (["one", "some text"], "some text: no such file; where several inputs are given"),
            (["one", "-"], "-: no such file; where several inputs are given"),
            (["folder"], "folder: this is a folder, not a file of documents"),
            (["one", "folder"], "folder: this is a folder, not a file of documents"),
        ],
    )
    def test_refuses_what_is_no_file(self, arguments, message):
        write("one", b"")
        Path("folder").mkdir()
        with pytest.raises(CorpusError, match=f"^{message}"):
            find_source(arguments)


class TestLines:
    def test_are_documents_without_their_ends(self):
        write("a.txt", b"\xef\xbb\xbfone\r\n\n two\rthree \nlast")
        assert texts_of(find_source(["a.txt"])) == ["one", "", " two\rthree ", "last"]

    def test_of_json_are_strings_or_objects(self):
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
            (b"{", "is not JSON: Expecting property name enclosed in double quotes at character 2"),
            (b"7", "holds a number; expected a string, or an object with the text in its field"),
            (b"true", "holds true or false; expected"),
            (b"null", "holds null; expected"),
            (b"[]", "holds a list; expected"),
            (b"{}", r"there is no field 'text' \(fields: none\); name the text's with --field"),
            (b'{"text": ["a"]}', "field 'text' holds a list; expected a string"),
            (b'{"text": {}}', "field 'text' holds an object; expected a string"),
            (b'{"text": "a", "b": NaN}', "is not JSON that can be passed on: NaN is no number"),
            (b'{"text": "a", "b": 1e999}', "is not JSON that can be passed on: 1e999 is too large"),
            (b'{"text": "a", "b": ' + b"9" * 5000 + b"}", "is not JSON that can be passed on: "),
            (b"[" * 100_000, "is nested too deep"),
            (b'"caf\xe9"', "byte 0xe9 at position 5 of the line is not UTF-8"),
        ],
    )
    def test_name_file_line_and_reason_when_bad(self, line, problem):
        write("a.jsonl", b'"fine"\n' + line + b"\n")
        reading = find_source(["a.jsonl"]).read()
        assert next(reading).text == "fine"
        with pytest.raises(CorpusError, match=f"^a.jsonl: line 2: {problem}"):
            next(reading)

    @pytest.mark.parametrize("letter", ["a", "é", "🙂"])
    def test_may_not_be_too_long(self, monkeypatch, letter):
        monkeypatch.setattr(documents, "MAX_LINE_CHARS", 10)
        write("a.txt", f"\ufeff{letter * 10}\r\n{letter * 200}".encode())
        reading = find_source(["a.txt"]).read()
        assert next(reading).text == letter * 10
        with pytest.raises(
            CorpusError, match="line 2: is longer than 10 characters; split the document"
        ):
            next(reading)

    def test_of_a_file_that_cannot_be_read(self):
        source = find_source([write("a.txt", b"")])
        Path("a.txt").unlink()
        with pytest.raises(CorpusError, match=r"^a.txt: the file cannot be read: No such file"):
            texts_of(source)


class TestReadAhead:
    def test_gives_all_documents_in_order(self):
        made = (Document(str(number)) for number in range(2000))
        with Prefetcher(made, max_documents=7) as batches:
            found = list(batches)
        assert [int(one.text) for batch in found for one in batch] == list(range(2000))
        assert max(map(len, found)) <= 7

    @pytest.mark.parametrize(
        ("n_chars", "max_documents", "held"), [(1, 5, 5), (10, 100, 3), (1000, 100, 1)]
    )
    def test_holds_no_more_than_its_limits(self, n_chars, max_documents, held):
        made, is_full = [], threading.Event()

        def make():
            while True:
                # One more than are held is made before there must be room for it.
                if len(made) == held:
                    is_full.set()
                assert len(made) <= held
                made.append(Document("x" * n_chars))
                yield made[-1]

        with Prefetcher(make(), max_documents=max_documents, max_chars=30) as batches:
            assert is_full.wait(timeout=60)
            assert len(next(iter(batches))) == held
            made.clear()

    def test_hands_an_error_on_after_the_documents_before_it(self):
        def make():
            yield Document("one")
            yield Document("two")
            raise CorpusError("line 3 is bad")

        found = []

        def take_all(batches):
            for batch in batches:
                found.extend(one.text for one in batch)

        with Prefetcher(make()) as batches, pytest.raises(CorpusError, match="line 3 is bad"):
            take_all(batches)
        assert found == ["one", "two"]

    def test_closes_its_documents_when_it_is_left(self):
        is_closed = threading.Event()

        def make():
            try:
                while True:
                    yield Document("x")
            finally:
                is_closed.set()

        with Prefetcher(make()) as batches:
            next(iter(batches))
        assert is_closed.wait(timeout=60)
