"""The formats of files, judged by their first bytes and their suffixes."""

from pathlib import Path

import pytest

from corpus_files import error_of
from gliner_distill.corpus.recognition import recognize_format, suffix_of

JSON_LISTS = [
    '[{"text": "a"}]',
    '[\n {\n  "text": "a"',
    '["one", "two"]',
    '["one \\" [ ] {"]',
    "[]",
    "[{}, {}]",
]
JSON_LINES = ['{"text": "a"}', '{"te\\"xt" : [', ' \n{ "a": 1}\n{']
TEXTS = [
    "[ ] buy milk\n[x] call Ada\n",
    "[] buy milk\n[] call Ada\n",
    "{}\n{} was left empty\n",
    "{ } is a pair of braces",
    "[1] Smith et al.",
    '["Hello" he said]',
    '["Hello", he said]',
    '{"Hello", he said}',
    "[{}] are brackets in braces",
    "{sic} he wrote",
    '"Quoted," she said.\nThen nothing.',
    "# A heading\nSome prose follows it here.\n",
    "She gave blood, type O",
    "Word and Tag, a song\n",
]


@pytest.mark.parametrize("suffix", ["", ".txt", ".json", ".jsonl", ".csv", ".conll"])
def test_recognize_format_finds_json_under_any_suffix(suffix: str) -> None:
    assert {recognize_format(text.encode(), suffix=suffix) for text in JSON_LISTS} == {"json list"}
    assert {recognize_format(text.encode(), suffix=suffix) for text in JSON_LINES} == {"json lines"}


@pytest.mark.parametrize("text", TEXTS)
def test_recognize_format_takes_notes_and_prose_for_text(text: str) -> None:
    for suffix in ("", ".txt", ".md"):
        assert recognize_format(text.encode(), suffix=suffix) == "text"


@pytest.mark.parametrize(
    ("text", "suffix", "form"),
    [
        ("7", ".jsonl", "json lines"),
        ("7", ".ndjson", "json lines"),
        ("<html>", ".json", "json list"),
        ("{'a'}", ".json", "json lines"),
        ("id,body\n1,Ada", ".csv", "table"),
        ("id\tbody\n1\tAda", ".tsv", "table"),
        ("Ada\tB-PER\nleft\tO\n", ".tsv", "columns"),
        ("Ada PER\nBob PER", ".conll", "columns"),
        ("Sentence #,Word,POS,Tag\n", ".csv", "word table"),
        ("PAR1\x15", "", "parquet"),
        ("x", ".spacy", "spacy"),
    ],
)
def test_recognize_format_uses_the_suffix_where_the_content_does_not_tell(
    text: str, suffix: str, form: str
) -> None:
    assert recognize_format(text.encode(), suffix=suffix) == form


def test_recognize_format_knows_the_mark_of_a_docbin() -> None:
    assert recognize_format(b"\x78\x9c\x01", suffix="") == "spacy"


def test_recognize_format_reads_hostile_quotes_in_linear_time() -> None:
    assert recognize_format(b'["' + b"\\" * 60_001 + b"a", suffix=".txt") == "text"


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.conll", "a.csv"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf16_is_named_in_files_of_every_kind(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes("[Ada left.\n".encode(encoding))
    message = error_of(path, skip_bad=True)
    assert message.startswith(f"{path}: ")
    assert "UTF-16" in message
    assert "UTF-8" in message


def test_suffix_of_is_lower_case_and_may_be_missing() -> None:
    assert [suffix_of(name) for name in ("A.TXT", "a.b.Json", "a")] == [".txt", ".json", ""]
