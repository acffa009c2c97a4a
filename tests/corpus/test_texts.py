"""Texts of folders, tables and JSON fields: what is read, and what is refused or left out."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gliner_distill.corpus.documents import read_documents
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.corpus.texts import table_texts
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError

WriteFile = Callable[[str, str | bytes], str]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Return a function that writes a file and returns its path as text."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def read_texts(source: str | Path, **options: Any) -> tuple[list[str], CorpusNotes]:
    """Return the documents of a source as texts, and the notes on them."""
    notes = CorpusNotes()
    documents = list(read_documents(source, notes=notes, **options))
    return [" ".join(document.words) for document in documents], notes


def test_read_documents_takes_each_line_of_plain_text_as_a_document(
    write_file: WriteFile,
) -> None:
    texts, _ = read_texts(write_file("notes.txt", "Mary left.\n\nJohn saw Paris\n"))
    assert texts == ["Mary left .", "John saw Paris"]


def test_read_documents_reads_the_text_or_another_field_of_json_lines(
    write_file: WriteFile,
) -> None:
    lines = [{"text": "by text", "body": "by body", "n": 1}] * 2
    path = write_file("mails.jsonl", "\n".join(map(json.dumps, lines)))
    assert read_texts(path)[0] == read_texts(path, column="text")[0] == ["by text"] * 2
    assert read_texts(path, column="body")[0] == ["by body"] * 2


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("A.CSV", ","), ("a.tsv", "\t")])
def test_read_documents_reads_a_column_of_a_table_with_quoted_line_breaks(
    write_file: WriteFile, name: str, mark: str
) -> None:
    rows = [["id", "body"], ["1", '"Mary\nleft"'], ["2", "Paris"], [], ["3", ""]]
    path = write_file(name, "\ufeff" + "\r\n".join(map(mark.join, rows)))
    assert read_texts(path, column="body")[0] == ["Mary left", "Paris", ""]


def test_read_documents_keeps_the_entities_of_conll_columns_and_json(
    write_file: WriteFile,
) -> None:
    columns = write_file("a.conll", "Mary B-person\nleft O\n\nParis B-city\n")
    gliner = write_file("a.json", '[{"tokenized_text": ["Mary", "left"], "ner": [[0, 0, "x"]]}]')
    for path, label in ((columns, "person"), (gliner, "x")):
        first = next(read_documents(path, notes=CorpusNotes()))
        assert first == Passage(("Mary", "left"), (Entity(0, 1, label),))


def test_read_documents_says_that_a_table_needs_commas(write_file: WriteFile) -> None:
    with pytest.raises(CorpusError, match=r"a\.csv: .*'id;body'.*commas"):
        read_texts(write_file("a.csv", "id;body\n1;x\n"), column="body")


def test_read_documents_reads_each_text_file_below_a_folder(
    write_file: WriteFile, tmp_path: Path
) -> None:
    write_file("pile/b.txt", "\ufeffMary\nleft")
    write_file("pile/deep/a.txt", "Paris")
    write_file("pile/c.md", "not read")
    assert read_texts(tmp_path / "pile")[0] == ["Mary left", "Paris"]


@pytest.mark.parametrize(("name", "column"), [("no.csv", "a"), ("no.jsonl", "a"), ("no.txt", None)])
def test_read_documents_refuses_a_missing_file(
    tmp_path: Path, name: str, column: str | None
) -> None:
    with pytest.raises(CorpusError, match=rf"{name}: .*(No such file|does not exist)"):
        read_texts(tmp_path / name, column=column)


def test_read_documents_refuses_an_empty_file(write_file: WriteFile) -> None:
    with pytest.raises(CorpusError, match=r"a\.txt: .*empty"):
        read_texts(write_file("a.txt", ""))


def test_read_documents_refuses_a_folder_without_text_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=rf"{tmp_path}: .* no \.txt files"):
        read_texts(tmp_path)


def test_read_documents_asks_for_the_column_of_a_csv_file(write_file: WriteFile) -> None:
    with pytest.raises(CorpusError, match=r"a\.csv: .*--column"):
        read_texts(write_file("a.csv", "id,body\n1,x\n"))


@pytest.mark.parametrize(("content", "columns"), [("id,body\n1,x\n", "'id', 'body'"), ("", "none")])
def test_read_documents_names_the_columns_of_a_table_without_the_one_asked(
    write_file: WriteFile, content: str, columns: str
) -> None:
    with pytest.raises(CorpusError, match=rf"a\.csv: .*'text'.*columns: {columns}\)"):
        read_texts(write_file("a.csv", content), column="text")


@pytest.mark.parametrize(
    ("name", "content", "line", "facts"),
    [
        ("a.csv", b"id,body\n1,one\n2,Hello, Mary\n3,three\n", 3, ["3 fields", "has 2"]),
        ("a.csv", b"id,body\n1,one\n2\n3,three\n", 3, ["1 fields", "has 2"]),
        ("a.csv", b"id,body\n1,one\n2,caf\xe9\n3,three\n", 3, ["UTF-8"]),
        (
            "a.jsonl",
            b'{"body": "one"}\n\n{"id": 3, "to": 1}\n{"body": "three"}',
            3,
            ["'body'", "'id', 'to'"],
        ),
        ("a.jsonl", b'{"body": "one"}\n{"body": 3}\n{"body": "three"}', 2, ["'body'", "number"]),
        ("a.jsonl", b'{"body": "one"}\n["body"]\n{"body": "three"}', 2, ["'body'", "a list"]),
        ("a.jsonl", b'{"body": "one"}\n{"body"\n{"body": "three"}', 2, ["'body'", "char 8"]),
        ("a.jsonl", b'{"body": "one"}\n{"body": "caf\xe9"}\n{"body": "three"}', 2, ["byte 14"]),
        ("a.jsonl", b'{"body": "one"}\n{"body": "\\ud800"}\n{"body": "three"}', 2, ["UTF-8"]),
    ],
)
def test_read_documents_names_a_bad_record_or_leaves_it_out(
    write_file: WriteFile, name: str, content: bytes, line: int, facts: list[str]
) -> None:
    path = write_file(name, content)
    with pytest.raises(CorpusError, match="--skip-bad") as caught:
        read_texts(path, column="body")
    texts, notes = read_texts(path, column="body", skip_bad=True)
    assert texts == ["one", "three"]
    assert notes.bad_records == 1
    [message] = notes.bad_messages
    assert str(caught.value).startswith(message)
    assert message.startswith(f"{path}: line {line}: ")
    assert all(fact in message for fact in facts)


def test_read_documents_names_a_bad_file_of_a_folder_or_leaves_it_out(
    write_file: WriteFile, tmp_path: Path
) -> None:
    path = write_file("pile/a.txt", b"caf\xe9")
    write_file("pile/b.txt", "Paris")
    with pytest.raises(CorpusError, match=r"a\.txt: byte 4 .*--skip-bad"):
        read_texts(tmp_path / "pile")
    texts, notes = read_texts(tmp_path / "pile", skip_bad=True)
    assert texts == ["Paris"]
    [message] = notes.bad_messages
    assert message.startswith(f"{path}: byte 4 ")


def test_read_documents_names_a_bad_line_of_text_or_leaves_it_out(write_file: WriteFile) -> None:
    path = write_file("a.txt", b"one\ncaf\xe9\n")
    with pytest.raises(CorpusError, match=r"a\.txt: record 2 \(line 2\): byte 0xe9"):
        read_texts(path)
    texts, notes = read_texts(path, skip_bad=True)
    assert (texts, notes.bad_records) == (["one"], 1)


def test_table_texts_refuses_a_field_that_is_too_long(write_file: WriteFile) -> None:
    path = Path(write_file("a.csv", f'body\n1\n"{"x" * 20}"\n'))
    with pytest.raises(CorpusError, match=r"a\.csv: line 3: .*limit \(10\)"):
        list(table_texts(path, "body", max_field_chars=10))
    assert len(list(table_texts(path, "body", max_field_chars=20))) == 2


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('body\n"one\ntwo\n', 3, "unexpected end of data"),
        ('body\n"one\ntwo\n"three"\n', 4, "',' expected"),
    ],
)
def test_table_texts_refuses_a_quote_that_is_never_closed(
    write_file: WriteFile, text: str, line: int, problem: str
) -> None:
    with pytest.raises(CorpusError, match=rf"a\.csv: line {line}: .*{problem}"):
        read_texts(write_file("a.csv", text), column="body")


def test_folder_takes_suffixes_in_any_case_and_leaves_hidden_files_out(
    write_file: WriteFile, tmp_path: Path
) -> None:
    for name in ("a.txt", "B.TXT", "deep/c.Txt"):
        write_file(f"pile/{name}", name)
    for name in (".hidden.txt", ".git/x.txt", "deep/.x/y.txt", "n.pdf", "m.PDF", "README"):
        write_file(f"pile/{name}", "no")
    os.mkfifo(tmp_path / "pile" / "pipe.txt")
    texts, notes = read_texts(tmp_path / "pile")
    assert texts == ["B . TXT", "a . txt", "deep / c . Txt"]
    [line] = notes.lines()
    assert line == (
        f"{tmp_path / 'pile'}: .txt files read: 3; files left out: 2 .pdf, 1 without a suffix, "
        "1 .txt, 3 hidden"
    )


def test_folder_without_text_files_says_what_it_has(write_file: WriteFile, tmp_path: Path) -> None:
    write_file("pile/a.md", "no")
    with pytest.raises(CorpusError, match=r"pile: .*1 \.md"):
        read_texts(tmp_path / "pile")


def test_read_documents_recognizes_json_and_tables_by_content(write_file: WriteFile) -> None:
    listed = json.dumps([{"body": "one"}, {"body": "two"}], indent=1)
    lines = '{"body": "one"}\n\n{"body": "two"}\n'
    table = 'id,body\r\n1,one\r\n2,"two"\r\n'
    for content in (listed, lines, table):
        for name in ("a.txt", "a", "a.dat"):
            path = write_file(name, "\ufeff" + content)
            assert read_texts(path, column="body")[0] == ["one", "two"]
    with pytest.raises(CorpusError, match=r"a\.jsonl: record 2: field 'body' is a whole number"):
        read_texts(write_file("a.jsonl", '[{"body": "one"}, {"body": 3}]'), column="body")


def test_read_documents_refuses_a_column_of_plain_text(write_file: WriteFile) -> None:
    path = write_file("a.txt", "Mary left.\nJohn stayed.\n")
    with pytest.raises(CorpusError, match=r"a\.txt: .*'body'.*'Mary left\.'.*--column"):
        read_texts(path, column="body")


def test_read_documents_with_a_column_does_not_read_annotation(write_file: WriteFile) -> None:
    record = {"text": "Mary left", "entities": [{"start": 0, "end": 99, "label": "x"}]}
    path = write_file("a.jsonl", json.dumps(record))
    assert read_texts(path, column="text")[0] == ["Mary left"]
    with pytest.raises(CorpusError, match=r"end 99"):
        read_texts(path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "pile/a.txt"])
def test_read_documents_names_utf16(write_file: WriteFile, tmp_path: Path, name: str) -> None:
    path = write_file(name, "body\nx".encode("utf-16"))
    with pytest.raises(CorpusError, match=rf"{name}: .*UTF-16"):
        read_texts(tmp_path / "pile" if "/" in name else path, column="body")
