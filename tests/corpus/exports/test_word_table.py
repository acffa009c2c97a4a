"""CSV files with a word per row, as on Kaggle."""

from pathlib import Path

import pytest

from corpus_files import error_of
from export_files import read_all
from gliner_distill.corpus.exports.word_table import looks_like_word_table
from gliner_distill.entities import Entity, Passage

KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,Ada,NNP,B-per
,Lovelace,NNP,I-per
,",",",",O
,left,VBD,O
Sentence: 2,London,NNP,B-geo
"""
PASSAGES = [
    Passage(("Ada", "Lovelace", ",", "left"), (Entity(0, 2, "per"),)),
    Passage(("London",), (Entity(0, 1, "geo"),)),
]


@pytest.mark.parametrize("name", ["ner_dataset.csv", "a.txt", "a"])
def test_read_word_table_reads_the_corpus_of_kaggle(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (KAGGLE, "\ufeff" + KAGGLE.replace("\n", "\r\n")):
        path.write_bytes(content.encode())
        assert read_all(path)[0] == PASSAGES


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_read_word_table_finds_columns_by_their_names(tmp_path: Path, mark: str) -> None:
    rows = ["id lemma sentence_idx word tag", "0 ada 1 Ada B-per", "1 go 1 left O", "0 x 2 x O"]
    path = tmp_path / "ner.csv"
    path.write_text("\n".join(row.replace(" ", mark) for row in rows))
    assert [passage.words for passage in read_all(path)[0]] == [("Ada", "left"), ("x",)]


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        (b",caf\xe9,NN,O", ["line 7", "UTF-8"]),
        (b",a,NN", ["line 7", "3 fields", "has 4"]),
        (b",a,NN,X-per", ["line 7", "'X-per'"]),
        (b',"a,NN,O', ["line 7", "CSV"]),
        (b",,NN,O", ["tokenized_text[1]"]),
    ],
)
def test_read_word_table_names_a_bad_row_and_leaves_out_only_its_sentence(
    tmp_path: Path, row: bytes, facts: list[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(KAGGLE.encode() + row + b"\nSentence: 3,x,NN,O\n")
    message = error_of(path)
    assert message.startswith(f"{path}: record 2 (line ")
    assert all(fact in message for fact in facts)
    passages, notes = read_all(path, skip_bad=True)
    assert [passage.words[0] for passage in passages] == ["Ada", "x"]
    assert notes.bad_records == 1


def test_looks_like_word_table_leaves_other_headers_alone(tmp_path: Path) -> None:
    assert not looks_like_word_table("Sentence #,Sentence,POS,Tag")
    assert not looks_like_word_table("word,tag")
    assert not looks_like_word_table("Ada B-PER\rleft O\r")
    path = tmp_path / "a.csv"
    path.write_text("id,body\n1,Ada left\n")
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert "'word'" in message
