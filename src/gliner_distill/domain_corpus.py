"""A pile of documents as passages to distil on: read, cut, parted by document.

In: plain text, JSON lines, a CSV column, CoNLL columns, or a folder of text files. Out: the
passages of each part (train, dev, test), of documents that were not seen before. A document lies in
one part as a whole, so that test text is unseen text.
"""

import csv
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gliner_distill.corpus import CorpusNotes, read_passages
from gliner_distill.entities import Entity, Passage, word_texts
from gliner_distill.errors import CorpusError

PARTS = ("train", "dev", "test")
MAX_PASSAGE_WORDS = 120
MIN_PASSAGES = 20
_ENOUGH_WORDS = 60
_SENTENCE_ENDS = frozenset(".!?")
_FEW_DOCUMENTS = 10
_SHARE_OUT = 0.1
_MAX_PART_PASSAGES = 500
_MAX_FIELD_CHARS = 16_000_000


@dataclass(slots=True)
class PartedCorpus:
    """Passages by part.

    Attributes:
        passages: Of each of `PARTS`.
        documents: Hashes of the documents that they come from.
        n_repeated: Documents that were left out because they were there already.
        n_empty: Documents without a word.
        notes: What should be said about how they were parted.
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


def read_domain(
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
        return _read_folder(path, skip_bad=skip_bad, notes=notes)
    if path.suffix.lower() in (".csv", ".tsv") and column is not None:
        return _read_table(path, column, skip_bad=skip_bad, notes=notes)
    if path.suffix.lower() == ".csv":
        raise CorpusError(f"{source}: say which column holds the text: --column NAME")
    if column is not None and column != "text":
        return _read_field(path, column, skip_bad=skip_bad, notes=notes)
    return read_passages(source, skip_bad=skip_bad, notes=notes)


def part_documents(
    documents: Iterable[Passage],
    *,
    known: set[str],
    min_passages: int = MIN_PASSAGES,
    max_words: int | None = None,
    seed: int = 0,
) -> PartedCorpus:
    """Cut documents into passages and deal them out: a tenth of the documents each to dev and test.

    Of fewer than ten documents the passages are dealt out instead, and `notes` says so. Dev and
    test hold at most 500 passages each; what is beyond goes to train.

    Args:
        documents: Passages of any length.
        known: Hashes of documents to leave out.
        min_passages: How many there must be where none are known.
        max_words: How many words to keep; the documents beyond, drawn by chance, are left out and
            may come in another time.
        seed: Of the draw.

    Raises:
        CorpusError: There are fewer passages than there must be.
    """
    corpus, kept = PartedCorpus({part: [] for part in PARTS}), dict[str, list[Passage]]()
    for document in documents:
        digest = hashlib.sha256("\0".join(document.words).encode("utf-8", "replace")).hexdigest()
        if not document.words:
            corpus.n_empty += 1
        elif digest in known or digest in kept:
            corpus.n_repeated += 1
        else:
            kept[digest] = list(cut_document(document))
    n_passages = sum(map(len, kept.values()))
    if n_passages < min_passages and not known:
        raise CorpusError(
            f"there are {n_passages} passages of at most {MAX_PASSAGE_WORDS} words in "
            f"{len(kept)} documents; at least {min_passages} are needed, and a student learns well "
            "from a thousand: give more text"
        )
    draw = random.Random(seed)
    order = sorted(kept)
    draw.shuffle(order)
    if max_words is not None:
        order = _fit(order, kept, max_words, corpus.notes)
    corpus.documents = order
    groups = [kept[digest] for digest in order]
    if 0 < len(groups) < _FEW_DOCUMENTS:
        corpus.notes.append(
            f"{len(groups)} documents are too few to keep some apart: dev and test are passages of "
            "the documents that the student learns from, so the figures flatter it"
        )
        groups = [[passage] for document in groups for passage in document]
        draw.shuffle(groups)
    _deal(groups, corpus.passages)
    return corpus


def _fit(
    order: list[str], kept: dict[str, list[Passage]], max_words: int, notes: list[str]
) -> list[str]:
    """Return the first documents that have so many words together, at least one."""
    chosen, n_words = order[:1], _count_words(kept[order[0]]) if order else 0
    for digest in order[1:]:
        words = _count_words(kept[digest])
        if n_words + words <= max_words:
            chosen.append(digest)
            n_words += words
    if len(chosen) < len(order):
        notes.append(
            f"for the time given, {n_words:,} words in {len(chosen):,} documents are used; "
            f"{len(order) - len(chosen):,} documents are left out"
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
    n_out = max(1, round(_SHARE_OUT * len(groups))) if groups else 0
    for position, group in enumerate(groups):
        part = "dev" if position < n_out else "test" if position < 2 * n_out else "train"
        if part != "train" and len(passages[part]) >= _MAX_PART_PASSAGES:
            part = "train"
        passages[part] += group


def _read_folder(folder: Path, *, skip_bad: bool, notes: CorpusNotes) -> Iterator[Passage]:
    paths = sorted(folder.rglob("*.txt"))
    if not paths:
        raise CorpusError(f"{folder}: no *.txt file in this folder; expected a document in each")
    for path in paths:
        try:
            yield Passage(tuple(word_texts(path.read_text(encoding="utf-8-sig"))))
        except (OSError, UnicodeDecodeError) as error:
            _report(f"{path}: is not UTF-8 text: {error}", skip_bad=skip_bad, notes=notes)


def _read_table(
    path: Path, column: str, *, skip_bad: bool, notes: CorpusNotes
) -> Iterator[Passage]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    limit = csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, delimiter=delimiter)
            if column not in (rows.fieldnames or ()):
                raise CorpusError(
                    f"{path}: no column {column!r}; it has {', '.join(rows.fieldnames or ['none'])}"
                )
            for row in rows:
                if row[column] is None:
                    problem = f"{path}: line {rows.line_num}: the row has no {column!r}"
                    _report(problem, skip_bad=skip_bad, notes=notes)
                else:
                    yield Passage(tuple(word_texts(row[column])))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _read_field(path: Path, name: str, *, skip_bad: bool, notes: CorpusNotes) -> Iterator[Passage]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    text = json.loads(line.decode("utf-8-sig"))[name]
                    yield Passage(tuple(word_texts(text)))
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    problem = (
                        f"{path}: line {number}: no JSON object with text in {name!r}: {error}"
                    )
                    _report(problem, skip_bad=skip_bad, notes=notes)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _report(problem: str, *, skip_bad: bool, notes: CorpusNotes) -> None:
    if not skip_bad:
        raise CorpusError(f"{problem}; correct it, or leave bad records out with --skip-bad")
    notes.add_bad_record(problem)
