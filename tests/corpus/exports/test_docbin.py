"""spaCy's DocBin, with spaCy and without it."""

import sys
import zlib
from pathlib import Path

import pytest

from corpus_files import error_of
from export_files import PASSAGE, TEXT, read_all
from gliner_distill.corpus.exports.docbin import read_docbin
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError, MissingExtraError


def write_docbin(path: Path, *, entities: list[tuple[int, int, str]]) -> Path:
    spacy = pytest.importorskip("spacy")
    doc = spacy.blank("en")(TEXT)
    spans = [doc.char_span(*entity) for entity in entities]
    doc.spans["sc"], doc.ents = spans[1:], spans[:1]
    spacy.tokens.DocBin(docs=[doc, doc]).to_disk(path)
    return path


def test_read_docbin_reads_entities_and_span_groups(tmp_path: Path) -> None:
    entities = [(0, 12, "person"), (20, 26, "city")]
    path = write_docbin(tmp_path / "a.spacy", entities=entities)
    assert read_all(path)[0] == [PASSAGE] * 2


def test_read_docbin_refuses_a_file_that_is_not_a_docbin(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    path = tmp_path / "a.spacy"
    for content in (b"text", zlib.compress(b"text"), zlib.compress(b"\x80")):
        path.write_bytes(content)
        assert error_of(path).startswith(f"{path}: ")


def test_read_docbin_refuses_a_file_that_expands_beyond_the_limit(tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    path = tmp_path / "a.spacy"
    path.write_bytes(zlib.compress(bytes(10_000_000)))
    with path.open("rb") as stream, pytest.raises(CorpusError, match="1,000,000 bytes"):
        list(read_docbin(stream, name="a", notes=CorpusNotes(), max_bytes=1_000_000))


def test_read_docbin_names_the_extra_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    path = tmp_path / "a.spacy"
    path.write_bytes(zlib.compress(b"\x80"))
    with pytest.raises(MissingExtraError, match=r"spaCy.*gliner-distill\[spacy\]"):
        read_all(path)
