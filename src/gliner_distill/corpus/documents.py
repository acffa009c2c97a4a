"""Plain documents: read them, cut them into passages, and split those into train, dev and test.

The documents may be lines of text, JSON lines, a column of a CSV file, CoNLL columns or a folder
of text files. All passages of a document go to the same split, so that the test passages come
from documents that training has not seen.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from gliner_distill.corpus.formats import open_and_recognize
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.records import BadRecordError
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.corpus.texts import (
    MAX_FIELD_CHARS,
    column_texts,
    field_texts,
    folder_texts,
    table_texts,
)
from gliner_distill.entities import Entity, Passage, count_words, word_texts
from gliner_distill.errors import CorpusError

SPLITS = ("train", "dev", "test")

MAX_PASSAGE_WORDS = 120
"""The largest number of words in a passage that `cut_document` makes."""

MIN_PASSAGES = 20
"""The smallest number of passages that a student can be trained and tested on."""

# A passage may end with a sentence only after this many words: shorter passages waste context.
_MIN_CUT_WORDS = 60
_SENTENCE_ENDS = frozenset(".!?")

# With fewer documents than this, whole documents do not make three useful splits.
_FEW_DOCUMENTS = 10
_HELD_OUT_SHARE = 0.1
_MAX_HELD_OUT_PASSAGES = 500


@dataclass(frozen=True, slots=True)
class SplitCorpus:
    """The passages of some documents, by split.

    Attributes:
        passages: The passages of each of `SPLITS`.
        documents: The hashes of the documents that the passages come from.
        n_repeated: The number of documents left out because an earlier one has the same words.
        n_empty: The number of documents left out because they have no word.
        warnings: Sentences for the user on documents left out and on how the rest was split.
    """

    passages: Mapping[str, Sequence[Passage]]
    documents: tuple[str, ...] = ()
    n_repeated: int = 0
    n_empty: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def n_words(self) -> int:
        """The number of words in all splits."""
        return sum(map(count_words, self.passages.values()))


def read_documents(
    source: str | Path,
    *,
    column: str | None = None,
    skip_bad: bool = False,
    notes: CorpusNotes,
    max_field_chars: int = MAX_FIELD_CHARS,
) -> Iterator[Passage]:
    """Return an iterator over the documents of a source; each document is one passage.

    Args:
        source: A folder in which each `*.txt` file is a document; a CSV file; or anything that
            `read_passages` reads, where each record is a document.
        column: The column of a CSV or Parquet file, or the field of JSON records, that holds the
            text.
        skip_bad: Whether to leave bad records out and count them instead of raising an error.
        notes: Counts what was cleaned or left out; filled while the iterator runs.
        max_field_chars: The largest number of characters in a field of a CSV file.

    Raises:
        CorpusError: The source is missing or cannot be read, or a record is bad.
        HubError: The hub and its cache cannot provide the data set that the source names.
    """
    path = Path(source)
    if path.is_dir():
        return _read_texts(folder_texts(path, notes), skip_bad=skip_bad, notes=notes)
    # A source that is not a file is the hub id of a data set, a pipe, or a mistake.
    form = open_and_recognize(path) if path.is_file() else None
    if column is None and form == "table":
        raise CorpusError(
            f"{source}: a CSV file may have several columns; name the one that holds the text with "
            "--column"
        )
    if column is None:
        return read_passages(source, skip_bad=skip_bad, notes=notes)
    if form == "spacy":
        raise CorpusError(
            f"{source}: --column is for CSV, Parquet and JSON files; leave it out for a DocBin, "
            "which has no columns"
        )
    if form == "parquet":
        return _read_texts(column_texts(path, column), skip_bad=skip_bad, notes=notes)
    if form in ("json lines", "json list", None):
        return _read_texts(field_texts(path, column), skip_bad=skip_bad, notes=notes)
    texts = table_texts(path, column, max_field_chars=max_field_chars)
    return _read_texts(texts, skip_bad=skip_bad, notes=notes)


def split_documents(
    documents: Iterable[Passage],
    *,
    source: str | Path,
    known: Iterable[str] = (),
    min_passages: int = MIN_PASSAGES,
    max_words: int | None = None,
    seed: int = 0,
) -> SplitCorpus:
    """Cut documents into passages, and assign a tenth of the documents each to dev and test.

    Dev and test hold at most 500 passages each: further documents go to train, and the rest of a
    document that is too long is left out. If there are fewer than ten documents, passages are
    assigned one by one instead, and a warning says so. If there are fewer than three, all
    passages go to train.

    Args:
        documents: Passages of any length.
        source: The origin of the documents, for messages.
        known: The hashes of documents to leave out.
        min_passages: The smallest number of passages that is accepted.
        max_words: The largest number of words to keep, or None for no limit. Documents are chosen
            at random until it is reached; a later call may take the others. If every document is
            longer than that, the beginning of one is kept.
        seed: The seed of the random order.

    Raises:
        CorpusError: There are fewer than `min_passages` passages.
    """
    cut = _cut_unseen(documents, frozenset(known))
    rng = random.Random(seed)
    # Sorting first makes the split independent of the order of the documents in the source.
    order = sorted(cut.passages)
    rng.shuffle(order)
    chosen = {digest: cut.passages[digest] for digest in order}
    if max_words is not None:
        chosen = _choose_documents(chosen, max_words)
    groups = list(chosen.values())
    n_passages = sum(map(len, groups))
    if n_passages < min_passages:
        raise CorpusError(
            f"{source}: found {n_passages} passages of at most {MAX_PASSAGE_WORDS} words in "
            f"{len(groups)} documents; at least {min_passages} are needed, and a thousand are a "
            f"good number; give more text{'' if max_words is None else ' or a longer --minutes'}"
        )
    is_split_by_passage = len(groups) < min(_FEW_DOCUMENTS, n_passages)
    if is_split_by_passage:
        groups = [[passage] for group in groups for passage in group]
        rng.shuffle(groups)
    return SplitCorpus(
        passages=_assign(groups),
        documents=tuple(chosen),
        n_repeated=cut.n_repeated,
        n_empty=cut.n_empty,
        warnings=tuple(_warnings(cut, chosen, source, is_split_by_passage=is_split_by_passage)),
    )


def cut_document(document: Passage) -> Iterator[Passage]:
    """Yield a document's passages of at most 120 words, cut after a sentence where possible.

    An entity is never cut, so a passage is longer than 120 words if an entity crosses its end.
    """
    inside = {
        word
        for entity in document.entities
        for word in range(entity.start_word + 1, entity.end_word)
    }
    start, n_words = 0, len(document.words)
    while start < n_words:
        end = _find_cut(document.words, start, inside)
        entities = tuple(
            Entity(entity.start_word - start, entity.end_word - start, entity.label, entity.score)
            for entity in document.entities
            if start <= entity.start_word and entity.end_word <= end
        )
        yield Passage(document.words[start:end], entities, document.labels)
        start = end


@dataclass(frozen=True, slots=True)
class _CutDocuments:
    """The passages of each document by its hash, and the numbers of documents left out."""

    passages: dict[str, list[Passage]]
    n_repeated: int
    n_empty: int


def _cut_unseen(documents: Iterable[Passage], known: frozenset[str]) -> _CutDocuments:
    """Cut the documents that are not known, each once."""
    passages: dict[str, list[Passage]] = {}
    n_repeated = n_empty = 0
    for document in documents:
        digest = hashlib.sha256("\0".join(document.words).encode("utf-8", "replace")).hexdigest()
        if not document.words:
            n_empty += 1
        elif digest in passages:
            n_repeated += 1
        elif digest not in known:
            passages[digest] = list(cut_document(document))
    return _CutDocuments(passages, n_repeated, n_empty)


def _choose_documents(
    documents: Mapping[str, list[Passage]], max_words: int
) -> dict[str, list[Passage]]:
    """Return the documents that fit into `max_words`, in order, or the beginning of the first."""
    chosen: dict[str, list[Passage]] = {}
    n_words = 0
    for digest, passages in documents.items():
        n_document_words = count_words(passages)
        if n_words + n_document_words <= max_words:
            chosen[digest] = passages
            n_words += n_document_words
    if documents and not chosen:
        digest, passages = next(iter(documents.items()))
        totals = accumulate(len(passage.words) for passage in passages)
        n_fitting = sum(total <= max_words for total in totals)
        return {digest: passages[:n_fitting]} if n_fitting else {}
    return chosen


def _warnings(
    cut: _CutDocuments,
    chosen: Mapping[str, list[Passage]],
    source: str | Path,
    *,
    is_split_by_passage: bool,
) -> Iterator[str]:
    if cut.n_empty:
        yield f"documents without a word left out: {cut.n_empty:,}"
    if cut.n_repeated:
        yield f"repeated documents left out: {cut.n_repeated:,}"
    n_all = sum(map(count_words, cut.passages.values()))
    n_chosen = sum(map(count_words, chosen.values()))
    if n_chosen < n_all:
        yield (
            f"to keep within the time, {n_chosen:,} of {n_all:,} words are used, from "
            f"{len(chosen):,} of {len(cut.passages):,} documents"
        )
    if is_split_by_passage:
        yield (
            f"{source}: there are fewer than {_FEW_DOCUMENTS} documents ({len(chosen)}), so the "
            "dev and test passages come from documents that the student also learns from, and its "
            "scores look better than they will on new documents"
        )


def _find_cut(words: Sequence[str], start: int, inside: set[int]) -> int:
    last = start + MAX_PASSAGE_WORDS
    if last >= len(words):
        return len(words)
    for end in range(last, start + _MIN_CUT_WORDS, -1):
        if words[end - 1] in _SENTENCE_ENDS and end not in inside:
            return end
    end = last
    while end in inside and end < len(words):
        end += 1
    return end


def _assign(groups: Sequence[list[Passage]]) -> dict[str, list[Passage]]:
    """Return the passages of each split, where a group stays together."""
    splits: dict[str, list[Passage]] = {split: [] for split in SPLITS}
    n_held_out = max(1, round(_HELD_OUT_SHARE * len(groups))) if len(groups) >= len(SPLITS) else 0
    for position, group in enumerate(groups):
        split = "train"
        if position < 2 * n_held_out:
            split = "dev" if position < n_held_out else "test"
        # Passages beyond the limit are dropped: in train they would share a document with test.
        room = _MAX_HELD_OUT_PASSAGES - len(splits[split])
        if split == "train" or room <= 0:
            splits["train"] += group
        else:
            splits[split] += group[:room]
    return splits


def _read_texts(
    texts: Iterable[tuple[str, str | ValueError]], *, skip_bad: bool, notes: CorpusNotes
) -> Iterator[Passage]:
    """Yield the document of each text; in place of a text there may be the error it caused."""
    for place, text in texts:
        problem = text if isinstance(text, ValueError) else _check_text(text)
        if problem is None:
            yield Passage(tuple(word_texts(str(text))))
        elif skip_bad:
            notes.add_bad_record(f"{place}: {problem}")
        else:
            raise BadRecordError(f"{place}: {problem}")


def _check_text(text: str) -> ValueError | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return ValueError("the text holds bytes or characters that are not UTF-8")
    return None
