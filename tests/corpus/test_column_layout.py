"""The columns of the word and the tags: read where they are certain, and refused elsewhere."""

from pathlib import Path

import pytest

from corpus_files import error_of, read_only_passage, write_lines
from gliner_distill.corpus.column_layout import ColumnLayout, find_layout, looks_like_columns
from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity, Passage

ADA = Passage(("Ada", "Lovelace", "left"), (Entity(0, 2, "per"),))
BOB = Passage(("Bob", "stayed"), (Entity(0, 1, "per"),))


def read_rows(path: Path, rows: str) -> list[Passage]:
    """Return the passages of rows that are separated by slashes; an empty row is a blank line."""
    return list(read_passages(write_lines(path, *(row.strip() for row in rows.split("/")))))


@pytest.mark.parametrize("name", ["a.conll", "a.txt"])
@pytest.mark.parametrize(
    "rows",
    [
        "Ada B-PER / Lovelace I-PER / left O // Bob B-PER / stayed O",
        # The position of the word, or the number of the sentence, or both.
        "1 Ada B-PER / 2 Lovelace I-PER / 3 left O // 1 Bob B-PER / 2 stayed O",
        "0 Ada B-PER / 1 Lovelace I-PER / 2 left O // 0 Bob B-PER / 1 stayed O",
        "1 Ada NNP B-NP B-PER / 2 Lovelace NNP I-NP I-PER / 3 left VBD B-VP O // 1 Bob NNP B-NP "
        "B-PER / 2 stayed VBD B-VP O",
        "1 Ada B-PER / 1 Lovelace I-PER / 1 left O // 2 Bob B-PER / 2 stayed O",
        "7 1 Ada B-PER / 7 2 Lovelace I-PER / 7 3 left O // 8 1 Bob B-PER / 8 2 stayed O",
        # The same without blank lines.
        "1 Ada B-PER / 2 Lovelace I-PER / 3 left O / 1 Bob B-PER / 2 stayed O",
        "0 Ada B-PER / 1 Lovelace I-PER / 2 left O / 0 Bob B-PER / 1 stayed O",
        "1 Ada B-PER / 1 Lovelace I-PER / 1 left O / 2 Bob B-PER / 2 stayed O",
        "Sentence:1 Ada B-PER / Sentence:1 Lovelace I-PER / Sentence:1 left O / Sentence:2 Bob "
        "B-PER / Sentence:2 stayed O",
        # The tag comes first, or between other columns.
        "B-PER Ada / I-PER Lovelace / O left // B-PER Bob / O stayed",
        "Ada B-PER NNP / Lovelace I-PER NNP / left O VBD // Bob B-PER NNP / stayed O VBD",
        # A column of chunks does not hold entities.
        "Ada B-PER B-NP / Lovelace I-PER I-NP / left O B-VP // Bob B-PER B-NP / stayed O B-VP",
    ],
)
def test_find_layout_reads_columns_that_are_certain(tmp_path: Path, name: str, rows: str) -> None:
    for form in (rows, rows.replace(" / ", " \r / ").replace(" // ", " \r / \r / ")):
        assert read_rows(tmp_path / name, form) == [ADA, BOB]
    tabs = "/".join("\t".join(row.split()) for row in rows.split("/"))
    assert read_rows(tmp_path / name, "\ufeff" + tabs) == [ADA, BOB]


def test_find_layout_reads_a_number_beside_the_first_word_of_a_sentence(tmp_path: Path) -> None:
    rows = ("1\tAda\tB-PER", "\tLovelace\tI-PER", "\tleft\tO", "2\tBob\tB-PER", "\tstayed\tO")
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(rows))
    assert list(read_passages(path)) == [ADA, BOB]


def test_find_layout_reads_nested_columns(tmp_path: Path) -> None:
    rows = (
        "# http://example.com [2009-10-17]",
        *("1\tBank\tB-ORG\tO", "2\tof\tI-ORG\tO", "3\tNew\tI-ORG\tB-LOC"),
        *("4\tYork\tI-ORG\tI-LOC", "5\tcloses\tO\tO"),
    )
    passage = read_only_passage(write_lines(tmp_path / "a.tsv", *rows))
    assert passage.words == ("Bank", "of", "New", "York", "closes")
    assert passage.entities == (Entity(0, 4, "org"), Entity(2, 4, "loc"))


@pytest.mark.parametrize("name", ["a.conll", "a.txt"])
@pytest.mark.parametrize(
    ("rows", "facts"),
    [
        ("Ada B / Lovelace I / left O", ["B, I and O", "B-disease"]),
        ("B Ada / I Lovelace / O left", ["B, I and O"]),
        # Gold and a prediction, or two annotators.
        ("Ada B-PER B-PER / Lovelace I-PER I-PER / left O O", ["columns 2 and 3", "'PER'"]),
        ("Ada B-PER O / Lovelace I-PER O / left O B-VERB", ["columns 2 and 3", "'VERB'"]),
        ("B-PER Ada NNP / I-PER Lovelace NNP / O left VBD", ["column 1", "2 columns"]),
        ("7 Ada B-PER / 3 Lovelace I-PER / 9 left O", ["column 1", "numbers"]),
        ("1 Ada B-PER / 2 left O", ["column 1", "numbers"]),
        # Words of several parts, and words that are left out, as in CoNLL-U.
        ("1-2 Ada B-PER / 1 A O / 2 da O // 1 Bob B-PER", ["column 1", "1-2"]),
        ("1 Ada B-PER / 1.1 who O / 2 left O", ["column 1", "1.1"]),
    ],
)
def test_find_layout_refuses_columns_that_are_not_certain(
    tmp_path: Path, name: str, rows: str, facts: list[str]
) -> None:
    path = write_lines(tmp_path / name, "", *(row.strip() for row in rows.split("/")))
    message = error_of(path)
    assert message.startswith(f"{path}: line 2 ({rows.split(' / ')[0]!r}): ")
    assert all(fact in message for fact in facts)


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        ("9 Bob B-PER", ["line 4", "'9'", "'3'"]),
        ("3-4 Bob B-PER", ["line 4", "'3-4'"]),
        ("x Bob B-PER", ["line 4", "'x'"]),
    ],
)
def test_read_columns_refuses_a_position_that_does_not_follow(
    tmp_path: Path, row: str, facts: list[str]
) -> None:
    block = ("1 Ada B-PER", "2 Lovelace I-PER", "3 left O")
    many = [line for _ in range(200) for line in (*block, "")]
    path = write_lines(tmp_path / "a.conll", *block, "4 . O", "", *many, *block, row)
    message = error_of(path)
    assert f"line {5 + 800 + 4}" in message
    assert all(fact in message for fact in facts[1:])
    assert len(list(read_passages(path, skip_bad=True))) == 201


def test_read_columns_refuses_crossing_entities_behind_the_first_lines(tmp_path: Path) -> None:
    good = ["Ada B-PER O", "Lovelace I-PER B-NAME", "left O O", ""] * 200
    path = write_lines(tmp_path / "a.conll", *good, "Ada B-PER B-PER", "left O O")
    message = error_of(path)
    assert "line 801" in message
    assert "columns 2 and 3" in message


def test_find_layout_takes_numbers_in_a_text_for_words(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.conll", "1 CD B-NUM", "2 CD O", "and CC O", "3 CD O")
    assert read_only_passage(path).words == ("1", "2", "and", "3")
    two = write_lines(tmp_path / "b.conll", "1 B-NUM", "2 O", "3 O")
    assert read_only_passage(two).words == ("1", "2", "3")


def test_find_layout_without_rows_leaves_the_columns_to_the_first_row() -> None:
    assert find_layout("# a comment\n", "a.conll") == ColumnLayout()


@pytest.mark.parametrize(
    "text",
    [
        "I came.\nI saw.\nI left.\n",
        "1 apple\n2 pears\n3 plums\n",
        "a b c\nd e f\ng h i\n",
        "Blood type O\nBlood type A\nBlood type B\n",
    ],
)
def test_looks_like_columns_takes_lines_of_equal_length_for_text(text: str) -> None:
    assert not looks_like_columns(text)
