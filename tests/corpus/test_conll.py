"""CoNLL columns: every tag scheme, comments, and rows that are bad."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_files import GOOD_PASSAGE, error_of, read_only_passage, write_lines
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage


def to_columns(passages: list[Passage], *, scheme: str, separator: str = "\t") -> str:
    """Write flat entities as CoNLL columns: an independent encoder for round trips."""
    lines = []
    for passage in passages:
        tags = ["O"] * len(passage.words)
        for entity in passage.entities:
            first, last = entity.start_word, entity.end_word - 1
            touches = first > 0 and tags[first - 1].endswith(f"-{entity.label}")
            for position in range(first, last + 1):
                tags[position] = f"I-{entity.label}"
            if scheme != "IOB1" or touches:
                tags[first] = f"B-{entity.label}"
            if scheme in ("BIOES", "BILOU"):
                tags[last] = f"{scheme[3]}-{entity.label}" if scheme == "BIOES" else tags[last]
                tags[last] = f"L-{entity.label}" if scheme == "BILOU" else tags[last]
                if first == last:
                    tags[first] = f"{'S' if scheme == 'BIOES' else 'U'}-{entity.label}"
        lines += [separator.join(row) for row in zip(passage.words, tags, strict=True)] + [""]
    return "\n".join(lines)


@st.composite
def flat_passages(draw: st.DrawFn) -> Passage:
    words = draw(st.lists(st.sampled_from(["Anna", "#", "-", "O", "B-x", "naïve"]), min_size=1))
    entities, position = [], 0
    while position < len(words):
        width = draw(st.integers(0, 3))
        if width and position + width <= len(words):
            label = draw(st.sampled_from(["person", "work of art"]))
            entities.append(Entity(position, position + width, label))
        position += max(width, 1)
    return Passage(tuple(words), tuple(entities))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES", "BILOU"])
@given(passages=st.lists(flat_passages(), min_size=1, max_size=4))
def test_read_columns_restores_entities_of_every_tag_scheme(
    tmp_path_factory: pytest.TempPathFactory, scheme: str, passages: list[Passage]
) -> None:
    path = tmp_path_factory.mktemp("columns") / "a.conll"
    path.write_text(to_columns(passages, scheme=scheme), encoding="utf-8")
    assert list(read_passages(path)) == passages


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.tsv", "a"])
@pytest.mark.parametrize("separator", ["\t", " ", "   ", " NNP "])
def test_read_columns_recognizes_columns_by_their_tags(
    tmp_path: Path, name: str, separator: str
) -> None:
    path = tmp_path / name
    path.write_text(to_columns([GOOD_PASSAGE] * 2, scheme="BIO", separator=separator))
    assert list(read_passages(path)) == [GOOD_PASSAGE] * 2


def test_read_columns_joins_types_without_a_prefix(tmp_path: Path) -> None:
    rows = ["Anna PER", "in O", "New LOC", "York LOC", "Ed PER", "a O", "b O", "c O", "d O"]
    path = write_lines(tmp_path / "a.txt", *rows)
    assert read_only_passage(path).entities == (
        Entity(0, 1, "per"),
        Entity(2, 4, "loc"),
        Entity(4, 5, "per"),
    )


def test_read_columns_counts_entities_that_begin_with_an_inside_tag(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.conll", "a I-x", "b I-x", "c I-y", "d O", "e B-y", "f I-y")
    notes = CorpusNotes()
    [passage] = read_passages(path, notes=notes)
    assert passage.entities == (Entity(0, 2, "x"), Entity(2, 3, "y"), Entity(4, 6, "y"))
    assert notes.inside_starts == 2
    assert len(notes.lines()) == 1


def test_read_columns_skips_comments_but_keeps_hash_words(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.conll",
        "# global.columns = a b O",
        "-DOCSTART- -X- O",
        "",
        "# id 17\tdomain=en",
        "# text = # 1 in O",
        "# NN O",
        "1 CD B-rank",
        "",
        "# newdoc",
        "Anna NNP O",
        "# SYM O",
        "",
    )
    notes = CorpusNotes()
    first, second = read_passages(path, notes=notes)
    assert first == Passage(("#", "1"), (Entity(1, 2, "rank"),))
    assert second == Passage(("Anna", "#"))
    assert notes.comment_lines == 5


def test_read_columns_keeps_spaces_in_words_between_tabs(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.tsv", "1 1/2\tB-Amount of food", "cups\tO")
    assert read_only_passage(path) == Passage(("1 1/2", "cups"), (Entity(0, 1, "amount of food"),))


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        ("Anna", ["one column"]),
        ("Anna X-PER", ["'X-PER'", "B-"]),
        ("Anna B_PER", ["'B_PER'", "B-"]),
        ("Anna b-PER", ["'b-PER'", "B-"]),
        ("Anna o", ["'o'", "B-"]),
        ("Anna B-", ["'B-'", "TYPE"]),
        ("Anna PER", ["'PER'", "with a prefix"]),
        ("Anna Lee B-PER", ["3 columns", "have 2"]),
        ("\tB-PER", ["word", "empty"]),
        ("Anna B-PER\rleft O", ["carriage return"]),
        ("Anna B-_", ["ner[0]: type", "'_'"]),
    ],
)
def test_read_columns_names_the_line_of_a_bad_row_and_leaves_out_only_its_passage(
    tmp_path: Path, row: str, facts: list[str]
) -> None:
    path = write_lines(tmp_path / "a.txt", "Ed B-PER", "", row, "left O", "", "Ed O")
    message = error_of(path)
    assert message.startswith(f"{path}: record 2 (line 3): ")
    assert all(fact in message for fact in facts)
    assert len(list(read_passages(path, skip_bad=True))) == 2


def test_read_columns_refuses_a_prefix_after_types_without_one(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.conll", "Ed PER", "left O", "Anna B-PER")
    message = error_of(path)
    assert "line 3" in message
    assert "'B-PER'" in message
