"""A pile of documents: what is read of each form, where it is cut, and how it is dealt out."""

import json
from itertools import chain

import pytest

from gliner_distill.corpus import documents as domain_corpus
from gliner_distill.corpus.documents import (
    MAX_PASSAGE_WORDS,
    SPLITS,
    cut_document,
    read_documents,
    split_documents,
)
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError


@pytest.fixture
def file(tmp_path):
    """A function that writes a file and returns its path as text."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def read(source, **options):
    """Return the documents as texts, and the notes."""
    notes = CorpusNotes()
    documents = list(read_documents(str(source), notes=notes, **options))
    return [" ".join(one.words) for one in documents], notes


def make_document(n_words, number=0):
    return Passage(tuple(f"w{number}x{place}" for place in range(n_words)))


def part(documents, **options):
    return split_documents(documents, **({"source": "texts", "known": set()} | options))


def words_of(passages):
    return [word for passage in passages for word in passage.words]


class TestForms:
    def test_plain_text_is_a_document_a_line(self, file):
        texts, _ = read(file("notes.txt", "Mary left.\n\nJohn saw Paris\n"))
        assert texts == ["Mary left .", "John saw Paris"]

    def test_json_lines_have_text_or_another_field(self, file):
        lines = [{"text": "by text", "body": "by body", "n": 1}] * 2
        path = file("mails.jsonl", "\n".join(map(json.dumps, lines)))
        assert read(path)[0] == read(path, column="text")[0] == ["by text"] * 2
        assert read(path, column="body")[0] == ["by body"] * 2

    @pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("A.CSV", ","), ("a.tsv", "\t")])
    def test_tables_have_a_column_with_quoted_line_ends(self, file, name, mark):
        rows = [["id", "body"], ["1", '"Mary\nleft"'], ["2", "Paris"], [], ["3", ""]]
        path = file(name, "\ufeff" + "\r\n".join(map(mark.join, rows)))
        assert read(path, column="body")[0] == ["Mary left", "Paris", ""]

    def test_a_table_without_a_header_row_names_no_column(self, file):
        with pytest.raises(CorpusError, match=r"a.csv: no column 'body'; it has none"):
            read(file("a.csv", ""), column="body")

    def test_conll_columns_and_gliner_json_keep_their_entities(self, file):
        columns = file("a.conll", "Mary B-person\nleft O\n\nParis B-city\n")
        gliner = file("a.json", '[{"tokenized_text": ["Mary", "left"], "ner": [[0, 0, "x"]]}]')
        for path, label in ((columns, "person"), (gliner, "x")):
            first = next(read_documents(path, notes=CorpusNotes()))
            assert first == Passage(("Mary", "left"), (Entity(0, 1, label),))

    def test_a_folder_has_a_document_in_each_text_file_below_it(self, file, tmp_path):
        file("pile/b.txt", "\ufeffMary\nleft")
        file("pile/deep/a.txt", "Paris")
        file("pile/c.md", "not read")
        assert read(tmp_path / "pile")[0] == ["Mary left", "Paris"]


class TestBadInput:
    def assert_fails(self, message, source, **options):
        with pytest.raises(CorpusError) as caught:
            read(source, **options)
        assert str(caught.value) == message.replace("PATH", str(source))

    def test_missing_file(self, tmp_path):
        self.assert_fails(
            "PATH: cannot be read: No such file or directory", tmp_path / "no.csv", column="a"
        )
        self.assert_fails(
            "PATH: cannot be read: No such file or directory", tmp_path / "no.jsonl", column="a"
        )
        self.assert_fails(
            "PATH: no such file; expected the path of a corpus file, or a hub data set's "
            "owner/name",
            tmp_path / "no.txt",
        )

    def test_empty_file(self, file):
        self.assert_fails("PATH: the file is empty; expected passages", file("a.txt", ""))

    def test_folder_without_text_files(self, tmp_path):
        self.assert_fails(
            "PATH: no *.txt file in this folder; expected a document in each", tmp_path
        )

    def test_csv_needs_a_column_that_it_has(self, file):
        path = file("a.csv", "id,body\n1,x\n")
        self.assert_fails("PATH: say which column holds the text: --column NAME", path)
        self.assert_fails("PATH: no column 'text'; it has 'id', 'body'", path, column="text")

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            (
                "a.csv",
                b"id,body\n1,one\n2,Hello, Mary\n3,three\n",
                "line 3: the row has 3 fields, the header 2; a text with a delimiter or a line end "
                "in it must stand in quotes",
            ),
            (
                "a.csv",
                b"id,body\n1,one\n2\n3,three\n",
                "line 3: the row has 1 fields, the header 2; a text with a delimiter or a line end "
                "in it must stand in quotes",
            ),
            (
                "a.csv",
                b"id,body\n1,one\n2,caf\xe9\n3,three\n",
                "line 3: the text holds what is no character of UTF-8",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n\n{"id": 3, "to": 1}\n{"body": "three"}',
                "line 3: no field 'body'; the object has 'id', 'to'",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n{"body": 3}\n{"body": "three"}',
                "line 2: field 'body' holds no text",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n["body"]\n{"body": "three"}',
                "line 2: the line is no JSON object; expected one with 'body'",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n{"body"\n{"body": "three"}',
                "line 2: the line is not JSON (Expecting ':' delimiter: line 2 column 1 (char 8)); "
                "expected an object with 'body'",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n{"body": "caf\xe9"}\n{"body": "three"}',
                "line 2: byte 14 of the line is not UTF-8",
            ),
            (
                "a.jsonl",
                b'{"body": "one"}\n{"body": "\\ud800"}\n{"body": "three"}',
                "line 2: the text holds what is no character of UTF-8",
            ),
        ],
    )
    def test_bad_record_is_named_or_left_out(self, file, name, content, problem):
        path = file(name, content)
        hint = "; correct it, or leave bad records out with --skip-bad"
        self.assert_fails(f"PATH: {problem}{hint}", path, column="body")
        texts, notes = read(path, column="body", skip_bad=True)
        assert texts == ["one", "three"]
        assert (notes.bad_records, notes.bad_messages) == (1, [f"{path}: {problem}"])

    def test_bad_text_file_of_a_folder_is_named_or_left_out(self, file, tmp_path):
        path = file("pile/a.txt", b"caf\xe9")
        file("pile/b.txt", "Paris")
        with pytest.raises(CorpusError, match=r"a\.txt: byte 4 of the file is not UTF-8; correct"):
            read(tmp_path / "pile")
        texts, notes = read(tmp_path / "pile", skip_bad=True)
        assert texts == ["Paris"]
        assert notes.bad_messages == [f"{path}: byte 4 of the file is not UTF-8"]

    def test_bad_line_of_plain_text_is_named_or_left_out(self, file):
        path = file("a.txt", b"one\ncaf\xe9\n")
        with pytest.raises(CorpusError, match=r"a\.txt: record 2 \(line 2\): byte 0xe9"):
            read(path)
        texts, notes = read(path, skip_bad=True)
        assert (texts, notes.bad_records) == (["one"], 1)

    def test_table_cut_short_in_a_field_that_is_too_long(self, file, monkeypatch):
        monkeypatch.setattr(domain_corpus, "_MAX_FIELD_CHARS", 10)
        path = file("a.csv", f'body\n1\n"{"x" * 20}"\n')
        self.assert_fails(
            "PATH: line 3: is no CSV: field larger than field limit (10); a quote in a text must "
            "be doubled, and one that is opened must be closed",
            path,
            column="body",
        )

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('body\n"one\ntwo\n', "line 3: is no CSV: unexpected end of data"),
            ('body\n"one\ntwo\n"three"\n', "line 4: is no CSV: ',' expected after '\"'"),
        ],
    )
    def test_quote_that_is_never_closed_swallows_nothing(self, file, text, problem):
        hint = "a quote in a text must be doubled, and one that is opened must be closed"
        self.assert_fails(f"PATH: {problem}; {hint}", file("a.csv", text), column="body")


class TestCuts:
    def test_are_behind_sentences_within_120_words(self):
        words = []
        for length in (70, 40, 50, 130, 10):
            words += [*(f"w{place}" for place in range(length - 1)), "."]
        passages = list(cut_document(Passage(tuple(words))))
        assert words_of(passages) == words
        # Behind the 50 words that follow there is an end, but it comes too soon.
        assert [len(one.words) for one in passages] == [110, 120, 70]

    def test_are_at_120_words_where_no_sentence_ends(self):
        passages = list(cut_document(make_document(300)))
        assert [len(one.words) for one in passages] == [120, 120, 60]

    def test_go_through_no_entity(self):
        words = tuple(f"w{place}" for place in range(99)) + (".",) + ("v",) * 100
        entities = (Entity(0, 2, "a"), Entity(98, 104, "b"), Entity(118, 125, "c"))
        passages = list(cut_document(Passage(words, entities)))
        assert [len(one.words) for one in passages] == [125, 75]
        assert passages[0].entities == entities
        assert passages[1].entities == ()

    def test_move_entities_along(self):
        document = Passage(make_document(250).words, (Entity(130, 132, "a", 0.5),))
        passages = list(cut_document(document))
        assert passages[1].entities == (Entity(10, 12, "a"),)
        assert passages[1].words[10:12] == document.words[130:132]

    def test_of_an_entity_as_long_as_the_document_there_are_none(self):
        document = Passage(make_document(500).words, (Entity(0, 500, "a"),))
        assert list(cut_document(document)) == [document]

    def test_of_a_document_of_100_000_words(self):
        words = tuple("." if place % 17 == 16 else "w" for place in range(100_000))
        passages = list(cut_document(Passage(words)))
        assert words_of(passages) == list(words)
        assert max(len(one.words) for one in passages) <= MAX_PASSAGE_WORDS
        assert all(one.words[-1] == "." for one in passages[:-1])


class TestParts:
    @pytest.fixture
    def documents(self):
        return [make_document(250 + number, number) for number in range(40)]

    def test_have_whole_documents_a_tenth_in_dev_and_test(self, documents):
        corpus = part(documents)
        homes = {}
        for name in SPLITS:
            for passage in corpus.passages[name]:
                homes.setdefault(passage.words[0].split("x")[0], set()).add(name)
        assert {len(names) for names in homes.values()} == {1}
        counts = [sum(names == {name} for names in homes.values()) for name in SPLITS]
        assert counts == [32, 4, 4]
        assert len(corpus.documents) == 40
        assert corpus.notes == []
        assert corpus.n_words == sum(len(one.words) for one in documents)

    def test_are_the_same_each_time_and_in_any_order(self, documents):
        assert part(documents) == part(documents[::-1])
        assert part(documents) != part(documents, seed=1)

    @pytest.mark.parametrize("n_documents", [1, 9])
    def test_of_few_documents_are_by_passages_with_a_note(self, n_documents):
        corpus = part([make_document(3000, number) for number in range(n_documents)])
        assert all(corpus.passages.values())
        assert sum(map(len, corpus.passages.values())) == 25 * n_documents
        [note] = corpus.notes
        assert note.startswith(f"texts: fewer than 10 documents ({n_documents}): dev and test are")

    def test_of_few_documents_of_one_passage_need_no_note(self):
        corpus = part([make_document(9, number) for number in range(5)], min_passages=1)
        assert [len(corpus.passages[name]) for name in SPLITS] == [3, 1, 1]
        assert corpus.notes == []

    @pytest.mark.parametrize("n_documents", [1, 2])
    def test_of_one_or_two_passages_are_train_alone(self, n_documents):
        corpus = part([make_document(9, number) for number in range(n_documents)], min_passages=1)
        assert [len(corpus.passages[name]) for name in SPLITS] == [n_documents, 0, 0]

    def test_hold_at_most_500_passages_but_for_train(self):
        many = part([make_document(3, number) for number in range(6000)])
        assert [len(many.passages[name]) for name in SPLITS] == [5000, 500, 500]
        long = part([make_document(70_000, number) for number in range(10)])
        assert [len(long.passages[name]) for name in SPLITS] == [8 * 584, 500, 500]

    def test_leave_out_repeated_empty_and_known_documents(self, documents):
        known = set(part(documents[:30]).documents)
        corpus = part(
            [*documents, *documents, Passage(()), Passage(())], known=known, min_passages=1
        )
        assert sorted(words_of(chain(*corpus.passages.values()))) == sorted(
            words_of(documents[30:])
        )
        assert (corpus.n_repeated, corpus.n_empty) == (10, 2)
        assert corpus.notes == [
            "documents without a word left out: 2",
            "repeated documents left out: 10",
        ]

    def test_of_too_little_text_are_an_error(self):
        with pytest.raises(CorpusError) as caught:
            part([make_document(130, number) for number in range(9)])
        assert str(caught.value) == (
            "texts: 18 passages of at most 120 words in 9 documents; at least 20 are needed, and a "
            "student learns well from a thousand: give more text"
        )
        with pytest.raises(CorpusError, match="texts: 0 passages"):
            part([])


class TestTime:
    def test_leaves_documents_out_that_may_come_later(self):
        documents = [make_document(100, number) for number in range(50)]
        first = part(documents, max_words=3_050)
        assert first.n_words == 3_000
        assert first.notes == [
            "for the time given, 3,000 of 5,000 words are used, of 30 of 50 documents; the rest is "
            "left out"
        ]
        later = part(documents, known=set(first.documents), min_passages=0)
        assert later.n_words == 2_000
        assert not set(first.documents) & set(later.documents)

    def test_takes_the_beginning_of_a_document_that_is_too_long(self):
        corpus = part([make_document(100_000)], max_words=2_500)
        assert corpus.n_words == 2_400
        assert set(words_of(chain(*corpus.passages.values()))) == set(
            make_document(100_000).words[:2_400]
        )

    def test_for_nothing_takes_no_document(self):
        corpus = part([make_document(100_000)], max_words=100, min_passages=0)
        assert (corpus.documents, corpus.n_words) == ([], 0)
        assert len(corpus.notes) == 1

    def test_that_leaves_too_little_is_an_error(self):
        documents = [make_document(100, number) for number in range(50)]
        with pytest.raises(CorpusError, match=r"texts: 10 passages .* more text or more time"):
            part(documents, max_words=1_000)

    def test_of_all_leaves_nothing_out(self):
        documents = [make_document(100, number) for number in range(50)]
        assert part(documents, max_words=5_000) == part(documents)
