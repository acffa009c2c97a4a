"""Documents: where they are cut into passages, and how they are assigned to the splits."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest

from gliner_distill.corpus.documents import (
    MAX_PASSAGE_WORDS,
    SPLITS,
    SplitCorpus,
    cut_document,
    split_documents,
)
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError


def make_document(n_words: int, number: int = 0) -> Passage:
    return Passage(tuple(f"w{number}x{place}" for place in range(n_words)))


def split(documents: Iterable[Passage], **options: Any) -> SplitCorpus:
    return split_documents(documents, source="texts", **options)


def words_of(passages: Iterable[Passage]) -> list[str]:
    return [word for passage in passages for word in passage.words]


def n_passages_of(corpus: SplitCorpus) -> list[int]:
    return [len(corpus.passages[name]) for name in SPLITS]


@pytest.fixture
def documents() -> list[Passage]:
    return [make_document(250 + number, number) for number in range(40)]


def test_cut_document_cuts_behind_sentences_within_120_words() -> None:
    words: list[str] = []
    for length in (70, 40, 50, 130, 10):
        words += [*(f"w{place}" for place in range(length - 1)), "."]
    passages = list(cut_document(Passage(tuple(words))))
    assert words_of(passages) == words
    # Behind the 50 words that follow there is the end of a sentence, but it comes too soon.
    assert [len(passage.words) for passage in passages] == [110, 120, 70]


def test_cut_document_cuts_at_120_words_if_no_sentence_ends() -> None:
    passages = list(cut_document(make_document(300)))
    assert [len(passage.words) for passage in passages] == [120, 120, 60]


def test_cut_document_does_not_cut_through_an_entity() -> None:
    words = tuple(f"w{place}" for place in range(99)) + (".",) + ("v",) * 100
    entities = (Entity(0, 2, "a"), Entity(98, 104, "b"), Entity(118, 125, "c"))
    passages = list(cut_document(Passage(words, entities)))
    assert [len(passage.words) for passage in passages] == [125, 75]
    assert passages[0].entities == entities
    assert passages[1].entities == ()


def test_cut_document_moves_entities_with_their_words() -> None:
    document = Passage(make_document(250).words, (Entity(130, 132, "a", 0.5),))
    passages = list(cut_document(document))
    assert passages[1].entities == (Entity(10, 12, "a"),)
    assert passages[1].words[10:12] == document.words[130:132]


def test_cut_document_keeps_an_entity_as_long_as_the_document_whole() -> None:
    document = Passage(make_document(500).words, (Entity(0, 500, "a"),))
    assert list(cut_document(document)) == [document]


def test_cut_document_cuts_a_document_of_100_000_words() -> None:
    words = tuple("." if place % 17 == 16 else "w" for place in range(100_000))
    passages = list(cut_document(Passage(words)))
    assert words_of(passages) == list(words)
    assert max(len(passage.words) for passage in passages) <= MAX_PASSAGE_WORDS
    assert all(passage.words[-1] == "." for passage in passages[:-1])


def test_split_documents_keeps_documents_whole_and_a_tenth_each_in_dev_and_test(
    documents: list[Passage],
) -> None:
    corpus = split(documents)
    homes: dict[str, set[str]] = {}
    for name in SPLITS:
        for passage in corpus.passages[name]:
            homes.setdefault(passage.words[0].split("x")[0], set()).add(name)
    assert {len(names) for names in homes.values()} == {1}
    counts = [sum(names == {name} for names in homes.values()) for name in SPLITS]
    assert counts == [32, 4, 4]
    assert len(corpus.documents) == 40
    assert corpus.warnings == ()
    assert corpus.n_words == sum(len(document.words) for document in documents)


def test_split_documents_is_the_same_each_time_and_in_any_order(documents: list[Passage]) -> None:
    assert split(documents) == split(documents[::-1])
    assert split(documents) != split(documents, seed=1)


@pytest.mark.parametrize("n_documents", [1, 9])
def test_split_documents_splits_few_documents_by_passage_and_warns(n_documents: int) -> None:
    corpus = split([make_document(3000, number) for number in range(n_documents)])
    assert all(corpus.passages.values())
    assert sum(n_passages_of(corpus)) == 25 * n_documents
    [warning] = corpus.warnings
    assert warning.startswith("texts: ")
    assert f"10 documents ({n_documents})" in warning


def test_split_documents_does_not_warn_about_few_documents_of_one_passage() -> None:
    corpus = split([make_document(9, number) for number in range(5)], min_passages=1)
    assert n_passages_of(corpus) == [3, 1, 1]
    assert corpus.warnings == ()


@pytest.mark.parametrize("n_documents", [1, 2])
def test_split_documents_puts_one_or_two_passages_into_train(n_documents: int) -> None:
    corpus = split([make_document(9, number) for number in range(n_documents)], min_passages=1)
    assert n_passages_of(corpus) == [n_documents, 0, 0]


def test_split_documents_holds_out_at_most_500_passages_each() -> None:
    many = split([make_document(3, number) for number in range(6000)])
    assert n_passages_of(many) == [5000, 500, 500]
    long = split([make_document(70_000, number) for number in range(10)])
    assert n_passages_of(long) == [8 * 584, 500, 500]


def test_split_documents_leaves_out_repeated_empty_and_known_documents(
    documents: list[Passage],
) -> None:
    known = split(documents[:30]).documents
    corpus = split([*documents, *documents, Passage(()), Passage(())], known=known, min_passages=1)
    assert sorted(words_of(chain(*corpus.passages.values()))) == sorted(words_of(documents[30:]))
    assert (corpus.n_repeated, corpus.n_empty) == (10, 2)
    empty, repeated = corpus.warnings
    assert "without a word" in empty
    assert empty.endswith(": 2")
    assert "repeated" in repeated
    assert repeated.endswith(": 10")


def test_split_documents_refuses_too_little_text() -> None:
    with pytest.raises(CorpusError) as caught:
        split([make_document(130, number) for number in range(9)])
    message = str(caught.value)
    assert message.startswith("texts: ")
    for fact in ("18 passages", "120 words", "9 documents", "at least 20"):
        assert fact in message
    assert "--minutes" not in message
    with pytest.raises(CorpusError, match=r"texts: .* 0 passages"):
        split([])


def test_split_documents_keeps_within_max_words_and_leaves_the_rest_for_later() -> None:
    documents = [make_document(100, number) for number in range(50)]
    first = split(documents, max_words=3_050)
    assert first.n_words == 3_000
    [warning] = first.warnings
    for fact in ("3,000 of 5,000 words", "30 of 50 documents"):
        assert fact in warning
    later = split(documents, known=first.documents, min_passages=0)
    assert later.n_words == 2_000
    assert not set(first.documents) & set(later.documents)


def test_split_documents_takes_the_beginning_of_a_document_that_is_too_long() -> None:
    document = make_document(100_000)
    corpus = split([document], max_words=2_500)
    assert corpus.n_words == 2_400
    assert set(words_of(chain(*corpus.passages.values()))) == set(document.words[:2_400])


def test_split_documents_takes_nothing_if_max_words_has_no_room_for_a_passage() -> None:
    corpus = split([make_document(100_000)], max_words=100, min_passages=0)
    assert (corpus.documents, corpus.n_words) == ((), 0)
    assert len(corpus.warnings) == 1


def test_split_documents_refuses_max_words_that_leave_too_little_text() -> None:
    documents = [make_document(100, number) for number in range(50)]
    with pytest.raises(CorpusError, match=r"texts: .* 10 passages .* --minutes"):
        split(documents, max_words=1_000)


def test_split_documents_leaves_nothing_out_if_all_words_fit() -> None:
    documents = [make_document(100, number) for number in range(50)]
    assert split(documents, max_words=5_000) == split(documents)
