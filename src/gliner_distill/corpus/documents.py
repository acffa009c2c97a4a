"""A pile of documents as passages to distil on: read, cut, parted by document.

In: plain text, JSON lines, a CSV column, CoNLL columns, or a folder of text files. Out: the
passages of each part (train, dev, test), of documents that were not seen before. A document lies in
one part as a whole, so that test text is unseen text.
"""

import csv
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage, word_texts
from gliner_distill.errors import CorpusError

SPLITS = ("train", "dev", "test")


MAX_PASSAGE_WORDS = 120


MIN_PASSAGES = 20


_ENOUGH_WORDS = 60


_SENTENCE_ENDS = frozenset(".!?")


_FEW_DOCUMENTS = 10


_SHARE_OUT = 0.1


_MAX_PART_PASSAGES = 500


_MAX_FIELD_CHARS = 16_000_000


@dataclass(slots=True)
class SplitCorpus:
    """Passages by part.

    Attributes:
        passages: Of each of `SPLITS`.
        documents: Hashes of the documents that they come from.
        n_repeated: Documents that were left out because they stand there more than once.
        n_empty: Documents without a word.
        notes: What should be said of what was left out and how the rest was parted.
    """

    passages: dict[str, list[Passage]]
    documents: list[str] = field(default_factory=list)
    n_repeated: int = 0
    n_empty: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def n_words(self) -> int:
        """Words of all parts."""
        return sum(map(_count_words, self.passages.values()))


def read_documents(
    source: str, *, column: str | None = None, skip_bad: bool = False, notes: CorpusNotes
) -> Iterator[Passage]:
    """Return an iterator over the documents of a source, each as one passage of any length.

    Args:
        source: A folder, whose `*.txt` files are a document each; a CSV file (`.csv`, `.tsv`); or
            whatever `read_passages` reads, a document a record.
        column: The column of a CSV file, or the field of JSON lines, that holds the text.
        skip_bad: Leave bad records out.
        notes: Filled with what was cleaned or left out.

    Raises:
        CorpusError: The source is missing or cannot be read, or a record is bad.
    """
    path = Path(source)
    if path.is_dir():
        return _read_texts(_folder_texts(path), skip_bad=skip_bad, notes=notes)
    if path.suffix.lower() in (".csv", ".tsv") and column is not None:
        return _read_texts(_table_texts(path, column), skip_bad=skip_bad, notes=notes)
    if path.suffix.lower() == ".csv":
        raise CorpusError(f"{source}: say which column holds the text: --column NAME")
    if column is not None and column != "text":
        return _read_texts(_field_texts(path, column), skip_bad=skip_bad, notes=notes)
    return read_passages(source, skip_bad=skip_bad, notes=notes)


def split_documents(
    documents: Iterable[Passage],
    *,
    source: str,
    known: set[str],
    min_passages: int = MIN_PASSAGES,
    max_words: int | None = None,
    seed: int = 0,
) -> SplitCorpus:
    """Cut documents into passages and deal them out: a tenth of the documents each to dev and test.

    Of fewer than ten documents the passages are dealt out instead, and `notes` says so. Dev and
    test hold at most 500 passages each: documents beyond go to train, and the rest of one that is
    too long is left out. Of one or two all go to train.

    Args:
        documents: Passages of any length.
        source: Where they come from, for messages.
        known: Hashes of documents to leave out.
        min_passages: How many there must be.
        max_words: How many words to keep; the documents beyond, drawn by chance, are left out and
            may come in another time. Where every document is longer, the beginning of one is kept.
        seed: Of the draw.

    Raises:
        CorpusError: There are fewer passages than there must be.
    """
    corpus = SplitCorpus({part: [] for part in SPLITS})
    kept = _cut_new(documents, known, corpus)
    draw = random.Random(seed)
    order = sorted(kept)
    draw.shuffle(order)
    if max_words is not None:
        order = _fit(order, kept, max_words, corpus.notes)
    groups = [kept[digest] for digest in order]
    n_passages = sum(map(len, groups))
    if n_passages < min_passages:
        raise CorpusError(
            f"{source}: {n_passages} passages of at most {MAX_PASSAGE_WORDS} words in "
            f"{len(groups)} documents; at least {min_passages} are needed, and a student learns "
            f"well from a thousand: give more text{'' if max_words is None else ' or more time'}"
        )
    corpus.documents = order
    if len(groups) < min(_FEW_DOCUMENTS, n_passages):
        corpus.notes.append(
            f"{source}: fewer than {_FEW_DOCUMENTS} documents ({len(groups)}): dev and test are "
            "passages of documents that the student learns from, so the figures flatter it"
        )
        groups = [[passage] for document in groups for passage in document]
        draw.shuffle(groups)
    _deal(groups, corpus.passages)
    return corpus


def _cut_new(
    documents: Iterable[Passage], known: set[str], corpus: SplitCorpus
) -> dict[str, list[Passage]]:
    """Return the passages of each document that is not known, by its hash, and count the others."""
    kept: dict[str, list[Passage]] = {}
    for document in documents:
        digest = hashlib.sha256("\0".join(document.words).encode("utf-8", "replace")).hexdigest()
        if not document.words:
            corpus.n_empty += 1
        elif digest in kept:
            corpus.n_repeated += 1
        elif digest not in known:
            kept[digest] = list(cut_document(document))
    if corpus.n_empty:
        corpus.notes.append(f"documents without a word left out: {corpus.n_empty:,}")
    if corpus.n_repeated:
        corpus.notes.append(f"repeated documents left out: {corpus.n_repeated:,}")
    return kept


def _fit(
    order: list[str], kept: dict[str, list[Passage]], max_words: int, notes: list[str]
) -> list[str]:
    """Return the first documents that have so many words together, or one that is shortened."""
    chosen, n_words = [], 0
    for digest in order:
        words = _count_words(kept[digest])
        if n_words + words <= max_words:
            chosen.append(digest)
            n_words += words
    total = sum(map(_count_words, kept.values()))
    if order and not chosen:
        first = kept[order[0]]
        sums = accumulate(len(passage.words) for passage in first)
        kept[order[0]] = [
            one for one, so_far in zip(first, sums, strict=True) if so_far <= max_words
        ]
        n_words = _count_words(kept[order[0]])
        chosen = order[:1] if n_words else []
    if n_words < total:
        notes.append(
            f"for the time given, {n_words:,} of {total:,} words are used, of {len(chosen):,} of "
            f"{len(order):,} documents; the rest is left out"
        )
    return chosen


def cut_document(document: Passage) -> Iterator[Passage]:
    """Yield a document's passages of at most 120 words, cut behind a sentence where possible.

    No cut goes through an entity.
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
            Entity(one.start_word - start, one.end_word - start, one.label, one.score)
            for one in document.entities
            if start <= one.start_word and one.end_word <= end
        )
        yield Passage(document.words[start:end], entities, document.labels)
        start = end


def _count_words(passages: Sequence[Passage]) -> int:
    return sum(len(passage.words) for passage in passages)


def _find_cut(words: Sequence[str], start: int, inside: set[int]) -> int:
    last = start + MAX_PASSAGE_WORDS
    if last >= len(words):
        return len(words)
    for end in range(last, start + _ENOUGH_WORDS, -1):
        if words[end - 1] in _SENTENCE_ENDS and end not in inside:
            return end
    end = last
    while end in inside and end < len(words):
        end += 1
    return end


def _deal(groups: Sequence[list[Passage]], passages: dict[str, list[Passage]]) -> None:
    n_out = max(1, round(_SHARE_OUT * len(groups))) if len(groups) >= len(SPLITS) else 0
    for position, group in enumerate(groups):
        part = "dev" if position < n_out else "test" if position < 2 * n_out else "train"
        room = _MAX_PART_PASSAGES - len(passages[part])
        if part != "train" and room > 0:
            passages[part] += group[:room]
        else:
            passages["train"] += group


def _read_texts(
    texts: Iterable[tuple[str, str | ValueError]], *, skip_bad: bool, notes: CorpusNotes
) -> Iterator[Passage]:
    """Yield the document of each text; instead of a text there may be what is wrong with it."""
    for place, text in texts:
        problem = text if isinstance(text, ValueError) else _find_problem(text)
        if problem is None:
            yield Passage(tuple(word_texts(str(text))))
        elif skip_bad:
            notes.add_bad_record(f"{place}: {problem}")
        else:
            raise CorpusError(
                f"{place}: {problem}; correct it, or leave bad records out with --skip-bad"
            )


def _find_problem(text: str) -> ValueError | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return ValueError("the text holds what is no character of UTF-8")
    return None


def _folder_texts(folder: Path) -> Iterator[tuple[str, str | ValueError]]:
    paths = sorted(folder.rglob("*.txt"))
    if not paths:
        raise CorpusError(f"{folder}: no *.txt file in this folder; expected a document in each")
    for path in paths:
        try:
            yield str(path), path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            yield str(path), ValueError(f"byte {error.start + 1} of the file is not UTF-8")
        except OSError as error:
            yield str(path), ValueError(f"the file cannot be read: {error.strerror or error}")


def _table_texts(path: Path, column: str) -> Iterator[tuple[str, str | ValueError]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    limit = csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        # What is not UTF-8 arrives as lone surrogates, so that its row can be named.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            rows = csv.DictReader(stream, delimiter=delimiter, strict=True)
            try:
                names = rows.fieldnames or ()
                if column not in names:
                    has = ", ".join(map(repr, names)) or "none"
                    raise CorpusError(f"{path}: no column {column!r}; it has {has}")
                for row in rows:
                    fits = None not in row and row[column] is not None
                    text = row[column] if fits else _ragged(row, len(names))
                    yield f"{path}: line {rows.line_num}", text
            except csv.Error as error:
                place = f"{path}: line {rows.reader.line_num}"
                raise CorpusError(
                    f"{place}: is no CSV: {error}; a quote in a text must be doubled, and one "
                    "that is opened must be closed"
                ) from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    finally:
        csv.field_size_limit(limit)


def _ragged(row: Mapping[Any, Any], n_names: int) -> ValueError:
    known = [value for name, value in row.items() if name is not None and value is not None]
    n_fields = len(known) + len(row.get(None, ()))
    return ValueError(
        f"the row has {n_fields} fields, the header {n_names}; a text with a delimiter or a line "
        "end in it must stand in quotes"
    )


def _field_texts(path: Path, name: str) -> Iterator[tuple[str, str | ValueError]]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{path}: line {number}", _field_of(line, name)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _field_of(line: bytes, name: str) -> str | ValueError:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return ValueError(f"byte {error.start + 1} of the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return ValueError(f"the line is not JSON ({error}); expected an object with {name!r}")
    if not isinstance(record, dict):
        return ValueError(f"the line is no JSON object; expected one with {name!r}")
    if name not in record:
        has = ", ".join(map(repr, list(record)[:8])) or "none"
        return ValueError(f"no field {name!r}; the object has {has}")
    text = record[name]
    return text if isinstance(text, str) else ValueError(f"field {name!r} holds no text")
