import json
import logging
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gliner_distill.corpus.formats as corpus_formats
from gliner_distill.corpus import reader as corpus
from gliner_distill.corpus.formats import recognize_form
from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile, read_passages, sample_path, write_passages
from gliner_distill.corpus.statistics import (
    CorpusHash,
    CorpusNotes,
    Spread,
    corpus_fingerprint,
    describe_corpus,
)
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError
from gliner_distill.reproduction.experiment import split_first_last

SHARED = Path(__file__).resolve().parents[3] / "shared"
GOOD = {"tokenized_text": ["Anna", "lives", "in", "New", "York"], "ner": [[3, 4, "city"]]}
GOOD_PASSAGE = Passage(("Anna", "lives", "in", "New", "York"), (Entity(3, 5, "city"),))


def record(**changes: Any) -> dict[str, Any]:
    """Return a good record with some keys changed; a key set to None is left out."""
    return {key: value for key, value in (GOOD | changes).items() if value is not None}


def write_json(path: Path, *records: object) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read_one(path: Path) -> Passage:
    [passage] = read_passages(path)
    return passage


def error_of(source: str | Path, **options: Any) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_passages(source, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reading_imports_neither_torch_nor_the_hub_library() -> None:
    code = "import sys, gliner_distill.corpus.reader; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pyarrow", "huggingface_hub", "gliner"} & set(run.stdout.split())


class TestJsonForms:
    def test_json_list_gives_passages_with_exclusive_ends(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", GOOD, record(ner=[]))
        assert list(read_passages(path)) == [GOOD_PASSAGE, Passage(GOOD_PASSAGE.words)]

    @pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt", "a"])
    def test_json_lines_are_recognized_whatever_the_name(self, tmp_path: Path, name: str) -> None:
        path = write_lines(tmp_path / name, json.dumps(GOOD), "", json.dumps(GOOD, indent=None))
        notes = CorpusNotes()
        assert list(read_passages(path, notes=notes)) == [GOOD_PASSAGE] * 2
        assert notes.lines() == ["blank lines skipped: 1"]

    def test_label_lists_become_the_passages_labels(self, tmp_path: Path) -> None:
        lists = record(ner_labels=["City", "river"], ner_negatives=["river", "job"], source="x")
        passage = read_one(write_json(tmp_path / "a.json", lists))
        assert passage.labels == ("city", "river", "job")
        assert passage.own_labels == ("city", "river", "job")

    def test_null_label_list_is_an_absent_one(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.jsonl", json.dumps(GOOD | {"ner_labels": None}))
        assert read_one(path).labels == ()

    def test_text_is_split_into_words_and_has_no_entities(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.jsonl", '{"text": "Mary-Ann left."}')
        assert read_one(path) == Passage(("Mary-Ann", "left", "."))

    def test_byte_order_mark_and_windows_line_ends_are_tolerated(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
        assert read_one(path) == GOOD_PASSAGE
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps([GOOD]).encode())
        assert read_one(path) == GOOD_PASSAGE

    def test_single_passage_is_a_corpus(self, tmp_path: Path) -> None:
        assert read_one(write_json(tmp_path / "a.json", GOOD)) == GOOD_PASSAGE

    def test_corpus_without_entities_is_read(self, tmp_path: Path) -> None:
        notes = CorpusNotes()
        path = write_json(tmp_path / "a.json", record(ner=[]), record(ner=[]))
        assert len(list(read_passages(path, notes=notes))) == 2
        assert notes.lines() == ["passages without entities (kept): 2"]

    @pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 64])
    def test_json_list_streams_alike_whatever_the_chunks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
    ) -> None:
        monkeypatch.setattr(corpus_formats, "_CHUNK_BYTES", chunk_bytes)
        words = ['quote "', "naïve", "日本", "\\", "ok"]
        path = tmp_path / "a.json"
        path.write_text(json.dumps([GOOD, record(tokenized_text=words)], indent=1), "utf-8")
        passages = list(read_passages(path))
        assert [passage.words for passage in passages] == [GOOD_PASSAGE.words, tuple(words)]
        path.write_text(
            json.dumps([GOOD, record(tokenized_text=words)], ensure_ascii=False), "utf-8"
        )
        assert list(read_passages(path)) == passages
        assert "record 1: the record is a number" in error_of(write_json(path, 123456))

    def test_json_list_is_not_held_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes = []
        read_on = corpus_formats._JsonText._read_on

        def measured(text: corpus_formats._JsonText) -> None:
            read_on(text)
            sizes.append(len(text._text))

        monkeypatch.setattr(corpus_formats._JsonText, "_read_on", measured)
        path = write_json(tmp_path / "a.json", *[GOOD] * 20_000)
        assert sum(1 for _ in read_passages(path)) == 20_000
        assert path.stat().st_size > 1_500_000
        assert max(sizes) < 200_000


class TestQuirks:
    def test_indexes_written_as_strings_are_read_and_counted(self, tmp_path: Path) -> None:
        notes = CorpusNotes()
        path = write_json(tmp_path / "a.json", record(ner=[["3", " 4", "city"], [0, 0, "name"]]))
        [passage] = read_passages(path, notes=notes)
        assert passage.entities[0] == Entity(3, 5, "city")
        assert notes.lines() == ["entities with a start or end written as a string: 1"]

    @pytest.mark.parametrize(
        ("raw", "clean"),
        [
            ('"Village"', "village"),
            ('\\"Village\\"', "village"),
            ('""Village""', "village"),
            ("work_of  art", "work of art"),
            ("\tORG \n", "org"),
            ('6" pipe', '6" pipe'),
            ("pipe", "pipe"),
        ],
    )
    def test_labels_lose_quotes_underscores_case_and_spare_spaces(
        self, raw: str, clean: str
    ) -> None:
        assert clean_label(raw) == clean

    def test_changed_and_merged_labels_are_counted(self, tmp_path: Path) -> None:
        ner = [[0, 0, "Person"], [1, 1, "person"], [2, 2, "PERSON"], [3, 3, "Big_City"]]
        notes = CorpusNotes()
        path = write_json(tmp_path / "a.json", record(ner=ner))
        [passage] = read_passages(path, notes=notes)
        assert [entity.label for entity in passage.entities] == ["person"] * 3 + ["big city"]
        assert (notes.changed_labels, notes.merged_labels) == (3, 2)
        assert "labels cleaned (case, quotes, underscores, spaces): 3" in notes.lines()
        assert "distinct labels merged with another by cleaning: 2" in notes.lines()

    def test_duplicates_go_and_several_types_on_a_span_stay(self, tmp_path: Path) -> None:
        ner = [[3, 4, "city"], [3, 4, "City"], [3, 4, "place"], [3, 4, "city"]]
        notes = CorpusNotes()
        [passage] = read_passages(write_json(tmp_path / "a.json", record(ner=ner)), notes=notes)
        assert passage.entities == (Entity(3, 5, "city"), Entity(3, 5, "place"))
        assert "duplicate entities dropped: 2" in notes.lines()
        assert "spans with several labels (kept): 1" in notes.lines()

    def test_long_passages_and_spaced_words_are_kept_and_counted(self, tmp_path: Path) -> None:
        words = ["1 1/2", *["cups"] * 384]
        notes = CorpusNotes()
        path = write_json(tmp_path / "a.json", record(tokenized_text=words))
        [passage] = read_passages(path, notes=notes)
        assert passage.words == tuple(words)
        assert notes.lines() == [
            "passages of more than 384 words (kept): 1",
            "words with white space inside (kept): 1",
        ]

    def test_keys_that_are_not_read_are_counted(self, tmp_path: Path) -> None:
        notes = CorpusNotes()
        path = write_json(tmp_path / "a.json", record(source="x"), record(source="y", negative=[]))
        list(read_passages(path, notes=notes))
        assert notes.lines() == [
            "records with the key 'source', which is not read: 2",
            "records with the key 'negative', which is not read: 1",
        ]


BAD_RECORDS = [
    ([], "the record is a list; expected an object"),
    (None, "the record is null; expected an object"),
    (
        {"words": ["a"], "tags": []},
        "\"tokenized_text\" is missing (the record has 'words', 'tags')",
    ),
    ({"tokenized_text": ["a"]}, '"ner" is missing'),
    (record(ner={}), "ner: an object was found; expected a list"),
    (record(ner=["city"]), "ner[0]: a string was found; expected [start, end, type]"),
    (record(ner=[[0, 0, "x"], [3, 4]]), "ner[1]: 2 values were found; expected [start, end, type]"),
    (record(ner=[[3, 4, "city", 1]]), "ner[0]: 4 values were found"),
    (record(ner=[[3.0, 4, "city"]]), "ner[0]: start 3.0 is a fraction; expected a whole number"),
    (record(ner=[[3, True, "city"]]), "ner[0]: end True is a truth value"),
    (record(ner=[["three", 4, "city"]]), "ner[0]: start 'three' is a string"),
    (record(ner=[[3, None, "city"]]), "ner[0]: end None is null"),
    (record(ner=[[-1, 4, "city"]]), "ner[0]: start -1 is negative"),
    (record(ner=[["-1", 4, "city"]]), "ner[0]: start -1 is negative"),
    (record(ner=[[4, 3, "city"]]), "ner[0]: start 4 is behind end 3"),
    (record(ner=[[3, 5, "city"]]), "ner[0]: end 5 is beyond the passage's 5 words"),
    (record(ner=[[3, 4, ""]]), "ner[0]: type: the string is empty"),
    (record(ner=[[3, 4, '"_"']]), "ner[0]: type: label '\"_\"' is empty once"),
    (record(ner=[[3, 4, 7]]), "ner[0]: type: 7 is a number; expected a string"),
    (record(ner=[[3, 4, "\ud800"]]), "ner[0]: type: '\\ud800' holds half of a surrogate pair"),
    (record(tokenized_text="Anna"), "tokenized_text: a string was found; expected a list"),
    (record(tokenized_text=[]), "tokenized_text: the list is empty"),
    (record(tokenized_text=["a", 5]), "tokenized_text[1]: 5 is a number; expected a string"),
    (record(tokenized_text=["a", ""]), "tokenized_text[1]: the string is empty"),
    (record(tokenized_text=["\u00a0"]), "tokenized_text[0]: the string is empty or white space"),
    (record(tokenized_text=["\udc80"]), "tokenized_text[0]: '\\udc80' holds half of a surrogate"),
    (record(ner_labels="city"), "ner_labels: a string was found; expected a list"),
    (record(ner_negatives=["city", 3]), "ner_negatives[1]: 3 is a number"),
    ({"text": 3}, "text: 3 is a number; expected a string"),
    ({"text": " "}, "text: the string is empty or white space"),
    ({"text": "Anna left", "ner": [[0, 0, "person"]]}, 'ner: positions count the words of "tok'),
]


class TestBadRecords:
    @pytest.mark.parametrize(("bad", "said"), BAD_RECORDS)
    def test_bad_record_names_file_record_field_and_reason(
        self, tmp_path: Path, bad: object, said: str
    ) -> None:
        path = write_json(tmp_path / "a.json", GOOD, bad, GOOD)
        message = error_of(path)
        assert message.startswith(f"{path}: record 2: ")
        assert said in message
        assert message.endswith("; correct it, or leave bad records out with --skip-bad")

    @pytest.mark.parametrize(("bad", "said"), BAD_RECORDS)
    def test_skipped_record_is_counted_and_leaves_no_trace(
        self, tmp_path: Path, bad: object, said: str
    ) -> None:
        path = write_lines(tmp_path / "a.jsonl", *map(json.dumps, (GOOD, bad, GOOD)))
        notes = CorpusNotes()
        assert list(read_passages(path, skip_bad=True, notes=notes)) == [GOOD_PASSAGE] * 2
        [message] = notes.bad_messages
        assert message.startswith(f"{path}: record 2 (line 2): ")
        assert said in message
        assert notes.lines() == ["bad records left out: 1", f"  {message}"]
        assert notes.passages == 2

    def test_good_passages_come_out_before_the_error(self, tmp_path: Path) -> None:
        passages = read_passages(write_json(tmp_path / "a.json", GOOD, []))
        assert next(passages) == GOOD_PASSAGE
        with pytest.raises(CorpusError, match="record 2: the record is a list"):
            next(passages)

    def test_json_line_that_does_not_parse_names_the_line_and_can_be_skipped(
        self, tmp_path: Path
    ) -> None:
        good = json.dumps(GOOD)
        path = write_lines(tmp_path / "a.jsonl", good, "", good[:40], "[" * 10**5, good)
        message = error_of(path)
        assert f"{path}: record 2 (line 3): the line is not JSON (" in message
        assert "expected one whole object a line" in message
        notes = CorpusNotes()
        assert len(list(read_passages(path, skip_bad=True, notes=notes))) == 2
        assert "record 3 (line 4): the line's JSON cannot be read" in notes.bad_messages[1]

    def test_first_twenty_messages_are_kept(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", GOOD, *[{}] * 25)
        notes = CorpusNotes()
        list(read_passages(path, skip_bad=True, notes=notes))
        assert (notes.bad_records, len(notes.bad_messages)) == (25, 20)
        assert notes.lines()[-1] == "  and 5 more"

    def test_skipping_without_notes_is_logged(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write_json(tmp_path / "a.json", GOOD, {}, {})
        with caplog.at_level(logging.WARNING):
            list(read_passages(path, skip_bad=True))
        [message] = caplog.messages
        assert "left out 2 bad records; the first: " in message
        assert "the record has none" in message

    def test_file_of_bad_records_alone_is_an_error(self, tmp_path: Path) -> None:
        message = error_of(write_json(tmp_path / "a.json", {}, {}), skip_bad=True)
        assert "none of its 2 records can be used; the first: " in message


class TestBrokenFiles:
    @pytest.mark.parametrize("chunk_bytes", [5, 1 << 16])
    def test_cut_off_list_names_the_record_after_the_whole_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
    ) -> None:
        monkeypatch.setattr(corpus_formats, "_CHUNK_BYTES", chunk_bytes)
        path = tmp_path / "a.json"
        whole = json.dumps([GOOD, GOOD, record(tokenized_text=["é"] * 5)])
        second_ends = len(json.dumps([GOOD, GOOD])) - 1
        for n_chars in range(second_ends, len(whole)):
            path.write_text(whole[:n_chars], encoding="utf-8")
            passages = read_passages(path, skip_bad=True)
            complete = 3 if n_chars == len(whole) - 1 else 2
            assert len(list(islice(passages, complete))) == complete
            with pytest.raises(CorpusError) as caught:
                next(passages)
            assert "the file is cut off" in str(caught.value)
            assert any(f"record {n}: " in str(caught.value) for n in (2, 3))
        assert str(caught.value).startswith(f"{path}: after record 3: the file is cut off here")

    @pytest.mark.parametrize("text", ["[", "[ ", "[{"])
    def test_list_that_is_cut_off_at_once(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "a.json"
        path.write_text(text)
        assert "record 1: the file is cut off" in error_of(path)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[%s %s]", "after record 1: expected a comma or the closing bracket, found '{'"),
            ("[%s, %s] x", "record 2: expected the end of the file behind the list, found 'x'"),
            ("[%s, %s}", "after record 2: expected a comma or the closing bracket, found '}'"),
            ("[%s, {'a': %s}]", "record 2: this is not JSON ("),
            ("[%s, %s, ]", "record 3: this is not JSON (Expecting value) near ']'"),
        ],
    )
    def test_broken_list_names_where_it_breaks(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "a.json"
        path.write_text(text % (json.dumps(GOOD), json.dumps(GOOD)))
        message = error_of(path, skip_bad=True)
        assert said in message
        assert "nothing behind this point can be read" in message

    def test_syntax_error_in_a_large_list_is_found_without_reading_on(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        good = json.dumps(GOOD)
        path.write_text("[" + ",".join([good] * 3000 + ["{'x'}"] + [good] * 30_000) + "]")
        passages = read_passages(path)
        assert sum(1 for _ in islice(passages, 3000)) == 3000
        with pytest.raises(CorpusError, match="record 3001: this is not JSON"):
            next(passages)

    def test_json_nested_too_deeply_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text("[{}, " + "[" * 10**5 + "]" * 10**5 + "]")
        assert "record 2: its JSON cannot be read" in error_of(path, skip_bad=True)

    @pytest.mark.parametrize("chunk_bytes", [3, 1 << 16])
    def test_byte_that_is_not_utf8_names_the_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
    ) -> None:
        monkeypatch.setattr(corpus_formats, "_CHUNK_BYTES", chunk_bytes)
        path = tmp_path / "a.json"
        path.write_bytes(json.dumps([GOOD, GOOD, GOOD]).encode()[:-30] + b"\xff" + b" " * 40)
        passages = read_passages(path)
        assert len(list(islice(passages, 2))) == 2
        with pytest.raises(CorpusError, match="record 3: byte 0xff is not UTF-8"):
            next(passages)

    @pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.conll"])
    def test_byte_that_is_not_utf8_names_the_line_and_can_be_skipped(
        self, tmp_path: Path, name: str
    ) -> None:
        good, blank = {
            "a.jsonl": (json.dumps(GOOD), ""),
            "a.txt": ("Anna left", ""),
            "a.conll": ("Anna O", "\n"),
        }[name]
        path = tmp_path / name
        path.write_bytes(
            f"{good}\n{blank}".encode() + b"\xe9t\xe9 O\n" + f"{blank}{good}\n".encode()
        )
        line = 3 if blank else 2
        assert f"record 2 (line {line}): byte 0xe9 at position 1 of the line is not UTF-8" in (
            error_of(path)
        )
        assert len(list(read_passages(path, skip_bad=True))) == 2

    @pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
    def test_empty_file_is_an_error(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(data)
        assert error_of(path) == f"{path}: the file is empty; expected passages"

    @pytest.mark.parametrize("text", ["[]", " [ ] ", "\n\n", "-DOCSTART- O\n\n"])
    def test_file_without_passages_is_an_error(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "a.conll"
        path.write_text(text)
        assert error_of(path) == f"{path}: the file holds no passage"

    def test_json_name_without_json_is_an_error(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.json", "<html>not found</html>")
        assert "expected a JSON list, found '<' at its start" in error_of(path)

    def test_missing_file_folder_and_odd_path_are_errors_at_the_call(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"a\.json: no such file; expected the path"):
            read_passages(tmp_path / "a.json")
        with pytest.raises(CorpusError, match="this is a folder; expected one corpus file"):
            read_passages(tmp_path)
        with pytest.raises(CorpusError, match="the file cannot be read: "):
            read_passages("x" * 5000)
        with pytest.raises(CorpusError, match="the file cannot be read: "):
            read_passages("a\0b")

    def test_unreadable_file_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

        path = write_json(tmp_path / "a.json", GOOD)
        monkeypatch.setattr(Path, "open", refuse)
        assert error_of(path) == f"{path}: the file cannot be read: Permission denied"

    def test_name_like_a_hub_id_goes_to_the_hub_only_if_no_such_file_exists(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = write_json(tmp_path / "data.json", GOOD)
        monkeypatch.setattr(corpus, "download_dataset_file", lambda repo_id: stored)
        assert list(read_passages("me/passages")) == [GOOD_PASSAGE]
        monkeypatch.chdir(tmp_path)
        (tmp_path / "me").mkdir()
        write_lines(tmp_path / "me/passages", "a local file")
        assert next(read_passages("me/passages")).words == ("a", "local", "file")


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


class TestColumns:
    @pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES", "BILOU"])
    @given(passages=st.lists(flat_passages(), min_size=1, max_size=4))
    def test_entities_survive_every_scheme(
        self, tmp_path_factory: pytest.TempPathFactory, scheme: str, passages: list[Passage]
    ) -> None:
        path = tmp_path_factory.mktemp("columns") / "a.conll"
        path.write_text(to_columns(passages, scheme=scheme), encoding="utf-8")
        assert list(read_passages(path)) == passages

    @pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.tsv", "a"])
    @pytest.mark.parametrize("separator", ["\t", " ", "   ", " NNP "])
    def test_columns_are_recognized_by_their_tags(
        self, tmp_path: Path, name: str, separator: str
    ) -> None:
        path = tmp_path / name
        path.write_text(to_columns([GOOD_PASSAGE] * 2, scheme="BIO", separator=separator))
        assert list(read_passages(path)) == [GOOD_PASSAGE] * 2

    def test_types_without_prefix_join_into_entities(self, tmp_path: Path) -> None:
        rows = ["Anna PER", "in O", "New LOC", "York LOC", "Ed PER", "a O", "b O", "c O", "d O"]
        path = write_lines(tmp_path / "a.txt", *rows)
        assert read_one(path).entities == (
            Entity(0, 1, "per"),
            Entity(2, 4, "loc"),
            Entity(4, 5, "per"),
        )

    def test_inside_tags_that_begin_an_entity_are_counted(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.conll", "a I-x", "b I-x", "c I-y", "d O", "e B-y", "f I-y")
        notes = CorpusNotes()
        [passage] = read_passages(path, notes=notes)
        assert passage.entities == (Entity(0, 2, "x"), Entity(2, 3, "y"), Entity(4, 6, "y"))
        assert notes.lines() == ["entities that an I-, E- or L- tag begins: 2"]

    def test_document_marks_and_comments_are_skipped_and_hash_words_kept(
        self, tmp_path: Path
    ) -> None:
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
        assert "comment and -DOCSTART- lines skipped: 5" in notes.lines()

    def test_words_may_hold_spaces_between_tabs(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.tsv", "1 1/2\tB-Amount of food", "cups\tO")
        assert read_one(path) == Passage(("1 1/2", "cups"), (Entity(0, 1, "amount of food"),))

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("Anna", "the row has one column; expected a word first and its tag last"),
            ("Anna X-PER", "tag 'X-PER' is none of O, B-TYPE, I-TYPE"),
            ("Anna B_PER", "tag 'B_PER' is none of"),
            ("Anna b-PER", "tag 'b-PER' is none of"),
            ("Anna o", "tag 'o' is none of"),
            ("Anna B-", "tag 'B-' is none of"),
            ("Anna PER", "tag 'PER' does not fit the file's earlier tags, which are with a prefix"),
            ("Anna Lee B-PER", "the row has 3 columns, but the file's first row 2"),
            ("\tB-PER", "the row's word is empty"),
            ("Anna B-_", "ner[0]: type: label '_' is empty once"),
        ],
    )
    def test_bad_row_names_its_line_and_spoils_its_passage_alone(
        self, tmp_path: Path, row: str, said: str
    ) -> None:
        path = write_lines(tmp_path / "a.txt", "Ed B-PER", "", row, "left O", "", "Ed O")
        message = error_of(path)
        assert message.startswith(f"{path}: record 2 (line 3): ")
        assert said in message
        assert len(list(read_passages(path, skip_bad=True))) == 2

    def test_prefix_after_types_without_one_is_an_error(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.conll", "Ed PER", "left O", "Anna B-PER")
        assert "line 3): tag 'B-PER' does not fit" in error_of(path)


class TestPlainText:
    def test_each_line_is_a_passage_and_blank_lines_are_counted(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "a.txt", "Anna left.", "", " \t", "Ed took B-12\x0bpills")
        notes = CorpusNotes()
        first, second = read_passages(path, notes=notes)
        assert first == Passage(("Anna", "left", "."))
        assert second.words == ("Ed", "took", "B-12", "pills")
        assert "blank lines skipped: 2" in notes.lines()

    @pytest.mark.parametrize(
        "text",
        [
            "[1] Smith et al.",
            "{sic} he wrote",
            "She gave blood, type O",
            '"Quoted," she said.\nThen nothing.',
            "# A heading\nSome prose follows it here.\n",
        ],
    )
    def test_prose_is_not_taken_for_json_or_columns(self, text: str) -> None:
        assert recognize_form(text.encode(), suffix=".txt") == "text"


class TestWriting:
    words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)
    labels = st.sampled_from(["person", "work of art", "日本"])

    @given(data=st.data())
    def test_passages_survive_writing_and_reading(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        passages = []
        for _ in range(data.draw(st.integers(1, 3))):
            words = tuple(data.draw(st.lists(self.words, min_size=1, max_size=6)))
            entities = []
            for _ in range(data.draw(st.integers(0, 3))):
                start = data.draw(st.integers(0, len(words) - 1))
                end = data.draw(st.integers(start + 1, len(words)))
                entities.append(Entity(start, end, data.draw(self.labels)))
            listed = tuple(data.draw(st.lists(self.labels, unique=True)))
            passages.append(Passage(words, tuple(dict.fromkeys(entities)), listed))
        path = tmp_path_factory.mktemp("written") / "a.json"
        write_passages(path, passages)
        assert list(read_passages(path)) == passages

    def test_file_is_a_pile_mistral_list(self, tmp_path: Path) -> None:
        write_passages(tmp_path / "a.json", [GOOD_PASSAGE, GOOD_PASSAGE])
        assert json.loads((tmp_path / "a.json").read_text("utf-8")) == [GOOD, GOOD]
        write_passages(tmp_path / "a.json", [])
        assert json.loads((tmp_path / "a.json").read_text("utf-8")) == []

    def test_file_can_be_rewritten_from_itself(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", *[record(ner=[["3", "4", "City"]])] * 3)
        write_passages(path, read_passages(path))
        assert json.loads(path.read_text("utf-8")) == [GOOD] * 3

    def test_failed_write_leaves_the_old_file_and_no_partial_one(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", GOOD)
        bad = write_json(tmp_path / "b.json", GOOD, {})
        with pytest.raises(CorpusError, match="record 2"):
            write_passages(path, read_passages(bad))
        assert read_one(path) == GOOD_PASSAGE
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "b.json"]

    @pytest.mark.parametrize("name", ["missing/a.json", "file/a.json"])
    def test_unwritable_place_is_an_error(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CorpusError, match=r"a\.json: the file cannot be written: "):
            write_passages(tmp_path / name, [GOOD_PASSAGE])


class TestCorpusFile:
    def test_gives_the_same_passages_each_time(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", GOOD, record(ner=[]))
        for source in (path, str(path)):
            passages = CorpusFile(source)
            assert list(passages) == list(passages) == list(read_passages(path))

    def test_can_be_read_twice_at_once(self, tmp_path: Path) -> None:
        passages = CorpusFile(write_json(tmp_path / "a.json", GOOD, record(ner=[])))
        pairs = list(zip(passages, passages, strict=True))
        assert len(pairs) == 2
        assert all(one == other for one, other in pairs)

    def test_reads_the_file_anew(self, tmp_path: Path) -> None:
        passages = CorpusFile(write_json(tmp_path / "a.json", GOOD))
        assert len(list(passages)) == 1
        write_json(tmp_path / "a.json", GOOD, GOOD)
        assert len(list(passages)) == 2

    def test_is_read_when_iterated_over_and_not_before(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("[{", encoding="utf-8")
        passages = CorpusFile(tmp_path / "a.json")
        with pytest.raises(CorpusError, match=r"a\.json: record 1"):
            list(passages)

    def test_notes_are_those_of_one_reading(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "a.json", GOOD, {"words": []}, record(ner=[]))
        passages = CorpusFile(path, skip_bad=True)
        assert passages.notes.lines() == []
        for _ in range(3):
            assert len(list(passages)) == 2
            assert passages.notes.bad_records == 1
            assert "passages without entities (kept): 1" in passages.notes.lines()

    def test_bad_records_are_errors_unless_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write_json(tmp_path / "a.json", GOOD, {"words": []})
        with pytest.raises(CorpusError, match=r"a\.json: record 2: .*--skip-bad"):
            list(CorpusFile(path))
        assert list(CorpusFile(path, skip_bad=True)) == [GOOD_PASSAGE]
        assert caplog.messages == []  # the notes have them

    @pytest.mark.parametrize(("name", "reason"), [("none", "no such file"), (".", "is a folder")])
    def test_a_source_that_is_no_file_is_an_error_at_once(
        self, tmp_path: Path, name: str, reason: str
    ) -> None:
        with pytest.raises(CorpusError, match=reason):
            CorpusFile(tmp_path / name)


class TestFingerprint:
    def test_form_and_order_within_a_passage_do_not_matter(self, tmp_path: Path) -> None:
        one = Passage(("a", "b"), (Entity(0, 1, "x", 0.5), Entity(1, 2, "y")), ("y", "x"))
        other = Passage(("a", "b"), (Entity(1, 2, "y"), Entity(0, 1, "x")), ("x", "y"))
        assert corpus_fingerprint([one]) == corpus_fingerprint([other])
        write_passages(tmp_path / "a.json", [one])
        assert corpus_fingerprint(read_passages(tmp_path / "a.json")) == corpus_fingerprint([one])

    def test_words_entities_labels_and_passage_order_matter(self) -> None:
        corpora = [
            [Passage(("a", "b"))],
            [Passage(("ab",))],
            [Passage(("a",)), Passage(("b",))],
            [Passage(("b",)), Passage(("a",))],
            [Passage(("a", "b"), (Entity(0, 1, "x"),))],
            [Passage(("a", "b"), (Entity(0, 2, "x"),))],
            [Passage(("a", "b"), (Entity(0, 1, "y"),))],
            [Passage(("a", "b"), (), ("x",))],
            [],
        ]
        assert len({corpus_fingerprint(passages) for passages in corpora}) == len(corpora)

    def test_incremental_hash_equals_the_whole(self) -> None:
        corpus_hash = CorpusHash()
        corpus_hash.update(GOOD_PASSAGE)
        corpus_hash.update(GOOD_PASSAGE)
        assert corpus_hash.hexdigest() == corpus_fingerprint([GOOD_PASSAGE] * 2)
        assert len(corpus_hash.hexdigest()) == 64


class TestSplit:
    passages = tuple(Passage((str(i),)) for i in range(10))

    def test_first_train_and_last_test(self) -> None:
        train, test = split_first_last(self.passages, 3, 2)
        assert [p.words[0] for p in train] == ["0", "1", "2"]
        assert [p.words[0] for p in test] == ["8", "9"]

    def test_parts_may_use_up_the_corpus_or_be_empty(self) -> None:
        assert [len(part) for part in split_first_last(self.passages, 7, 3)] == [7, 3]
        assert [len(part) for part in split_first_last(self.passages, 7, 0)] == [7, 0]

    def test_too_few_passages_is_an_error_with_the_three_numbers(self) -> None:
        with pytest.raises(CorpusError) as caught:
            split_first_last(self.passages, 8, 3)
        assert str(caught.value) == (
            "the corpus has 10 passages, fewer than the 8 to train on and 3 to test on; "
            "ask for fewer, or give a larger corpus"
        )


class TestDescription:
    def test_counts_of_a_small_corpus(self) -> None:
        words = tuple("abcdefghijklmnop")
        entities = (
            Entity(0, 13, "long"),
            Entity(0, 2, "x"),
            Entity(1, 3, "y"),
            Entity(1, 3, "z"),
            Entity(14, 15, "x"),
        )
        notes = CorpusNotes(duplicate_entities=4)
        passages = [Passage(words, entities, ("x", "asked")), Passage(words), Passage(("q",))]
        description = describe_corpus(iter(passages), notes)
        assert description.as_dict() == {
            "n_passages": 3,
            "n_words": 33,
            "n_entities": 5,
            "n_labels": 4,
            "n_asked_labels": 1,
            "passage_words": {"min": 1, "median": 16, "p95": 16, "max": 16},
            "entity_words": {"min": 1, "median": 2, "p95": 13, "max": 13},
            "passage_labels": {"min": 0, "median": 0, "p95": 5, "max": 5},
            "n_wider_than_8": 1,
            "n_wider_than_12": 1,
            "n_nested_pairs": 3,
            "n_crossing_pairs": 2,
            "n_multi_label_spans": 1,
            "n_empty_passages": 2,
            "n_repeated_passages": 1,
            "n_singleton_labels": 3,
            "frequent_labels": {"x": 2, "long": 1, "y": 1, "z": 1},
            "oddities": ["duplicate entities dropped: 4"],
        }
        assert json.loads(json.dumps(description.as_dict())) == description.as_dict()
        text = "\n".join(description.lines())
        assert "passages: 3 (2 without entities, 1 repeated word for word)" in text
        assert "words: 33; a passage: min 1, median 16, p95 16, max 16" in text
        assert "most frequent labels: x (2), long (1)" in text
        assert text.endswith("duplicate entities dropped: 4")

    def test_empty_corpus_has_zero_counts(self) -> None:
        description = describe_corpus([], CorpusNotes())
        assert description.passage_words == Spread(0, 0.0, 0, 0)
        assert description.lines()[0].startswith("passages: 0")

    @given(st.lists(st.integers(0, 50), min_size=1))
    def test_p95_is_the_smallest_value_that_covers_95_percent(self, values: list[int]) -> None:
        p95 = Spread.from_values(values).p95
        assert sum(value <= p95 for value in values) >= 0.95 * len(values)
        assert sum(value < p95 for value in values) < 0.95 * len(values)

    @given(st.sets(st.tuples(st.integers(0, 8), st.integers(1, 4)), max_size=8))
    def test_shared_word_pairs_equal_brute_force(self, spans: set[tuple[int, int]]) -> None:
        entities = [Entity(start, start + width, "x") for start, width in spans]
        pairs = [(a, b) for i, a in enumerate(entities) for b in entities[i + 1 :]]
        covered = [
            (set(range(a.start_word, a.end_word)), set(range(b.start_word, b.end_word)))
            for a, b in pairs
        ]
        n_sharing = sum(bool(a & b) for a, b in covered)
        n_nested = sum(a <= b or b <= a for a, b in covered)
        passage = Passage(tuple("abcdefghijkl"), tuple(entities))
        description = describe_corpus([passage], CorpusNotes())
        assert description.n_nested_pairs == n_nested
        assert description.n_crossing_pairs == n_sharing - n_nested


class TestSample:
    @pytest.mark.parametrize(("split", "n_passages"), [("train", 1000), ("dev", 90), ("test", 100)])
    def test_sample_reads_clean(
        self, split: Literal["train", "dev", "test"], n_passages: int
    ) -> None:
        notes = CorpusNotes()
        assert sum(1 for _ in read_passages(sample_path(split), notes=notes)) == n_passages
        assert notes.lines() == []

    def test_sample_readme_states_the_counts(self) -> None:
        readme = (sample_path("train").parent / "README.md").read_text("utf-8")
        for split in ("train", "dev", "test"):
            description = describe_corpus(read_passages(sample_path(split)), CorpusNotes())
            counts = (description.n_passages, description.n_words, description.n_entities)
            row = " | ".join(f"{count:,}" for count in (*counts, description.n_labels))
            assert f"| `{split}.json` | {row} |" in readme


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development corpora are not on this machine")
def test_development_corpora_read_without_a_bad_record() -> None:
    paths = [*sorted((SHARED / "data/corpora").glob("*.jsonl")), SHARED / "data/open/train.json"]
    assert len(paths) > 100
    for path in paths:
        passages = list(islice(read_passages(path), 50))
        assert passages, path
        assert all(passage.words for passage in passages)
