"""Counts of a corpus: the contents of its passages, and anything unusual about its files.

`CorpusNotes` is filled while passages are read (`read_passages`), so that everything a reader
changes or leaves out is reported. `describe_corpus` counts finished passages, and `scan_corpus`
computes what labeling has to know in advance. Nothing here opens a file.
"""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from gliner_distill.entities import Passage

TEACHER_WINDOW_WORDS = 384
"""The number of words that a GLiNER usually reads at once; longer passages are cut into windows."""

_N_KEPT_MESSAGES = 20
_N_FREQUENT_LABELS = 20


@dataclass(slots=True)
class CorpusNotes:
    """Counts of everything unusual that a reader found in a file.

    Attributes:
        passages: The passages read.
        bad_records: The records left out because they were bad.
        bad_messages: The problems of the first 20 bad records.
        string_indexes: The entities whose start or end was a number written as a string.
        changed_labels: The labels, of entities and of label lists, that cleaning changed.
        label_forms: For each clean label, the spellings that the file has for it.
        duplicate_entities: The entities dropped because the passage had the same span and label.
        multi_label_spans: The spans that have several labels (kept).
        passages_without_entities: The passages without an entity (kept).
        long_passages: The passages of more than `TEACHER_WINDOW_WORDS` words (kept).
        spaced_words: The words with white space inside (kept).
        inside_starts: The entities of a column file that begin with an I-, E- or L- tag, as in
            IOB1 or by mistake.
        blank_lines: The blank lines of JSON lines and plain text (skipped).
        comment_lines: The comment and -DOCSTART- lines of a column file (skipped).
        ignored_keys: For each key of JSON records that is not read, the number of records with it.
        left_out: For each reason for which entities were left out, their number and the first one.
        skipped: For each kind of records or lines that were left out although they are not bad,
            their number.
        files: A line for each folder that was read, with the numbers of its files.
    """

    passages: int = 0
    bad_records: int = 0
    bad_messages: list[str] = field(default_factory=list)
    string_indexes: int = 0
    changed_labels: int = 0
    label_forms: dict[str, set[str]] = field(default_factory=dict, repr=False)
    duplicate_entities: int = 0
    multi_label_spans: int = 0
    passages_without_entities: int = 0
    long_passages: int = 0
    spaced_words: int = 0
    inside_starts: int = 0
    blank_lines: int = 0
    comment_lines: int = 0
    ignored_keys: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)

    @property
    def merged_labels(self) -> int:
        """The number of distinct labels that cleaning made equal to another label."""
        return sum(len(forms) - 1 for forms in self.label_forms.values())

    def add_bad_record(self, message: str) -> None:
        """Count a record that is left out; keep its message if it is among the first 20."""
        self.bad_records += 1
        if len(self.bad_messages) < _N_KEPT_MESSAGES:
            self.bad_messages.append(message)

    def add_left_out(self, reason: str, example: str) -> None:
        """Count an entity that is left out; keep it as an example if it is the first.

        Args:
            reason: A clause that says why entities are left out.
            example: The place of the entity, its characters and its label.
        """
        count, first = self.left_out.get(reason, (0, example))
        self.left_out[reason] = count + 1, first

    def add_label(self, raw: str, clean: str) -> None:
        """Count a label, given as in the file and as cleaned."""
        self.changed_labels += raw != clean
        self.label_forms.setdefault(clean, set()).add(raw)

    def lines(self) -> list[str]:
        """Return a readable line per kind of finding, bad records last; [] if all was clean."""
        counts = {
            "entities with a start or end written as a string": self.string_indexes,
            "labels cleaned (case, quotes, underscores, spaces)": self.changed_labels,
            "distinct labels merged with another by cleaning": self.merged_labels,
            "duplicate entities dropped": self.duplicate_entities,
            "spans with several labels (kept)": self.multi_label_spans,
            "passages without entities (kept)": self.passages_without_entities,
            f"passages of more than {TEACHER_WINDOW_WORDS} words (kept)": self.long_passages,
            "words with white space inside (kept)": self.spaced_words,
            "entities that begin with an I-, E- or L- tag": self.inside_starts,
            "blank lines skipped": self.blank_lines,
            "comment and -DOCSTART- lines skipped": self.comment_lines,
        }
        for key, count in self.ignored_keys.most_common(_N_KEPT_MESSAGES):
            counts[f"records with the key {key!r}, which is not read"] = count
        lines = [f"{finding}: {count:,}" for finding, count in counts.items() if count]
        return [
            *self.files,
            *lines,
            *self.skipped_lines(),
            *self.left_out_lines(),
            *self._bad_lines(),
        ]

    def skipped_lines(self) -> list[str]:
        """Return a readable line per kind of records or lines that were left out."""
        return [f"{kind} (left out): {count:,}" for kind, count in self.skipped.items()]

    def left_out_lines(self) -> list[str]:
        """Return a readable line per reason for which entities were left out."""
        return [
            f"entities left out because {reason}: {count:,} (the first: {example})"
            for reason, (count, example) in self.left_out.items()
        ]

    def _bad_lines(self) -> list[str]:
        if not self.bad_records:
            return []
        n_more = self.bad_records - len(self.bad_messages)
        more = [f"  and {n_more:,} more"] if n_more else []
        return [
            f"bad records left out: {self.bad_records:,}",
            *(f"  {message}" for message in self.bad_messages),
            *more,
        ]


@dataclass(frozen=True, slots=True)
class Spread:
    """The minimum, median, 95th percentile and maximum of some counts; all 0 without counts."""

    min: int = 0
    median: float = 0.0
    p95: int = 0
    max: int = 0

    @classmethod
    def from_values(cls, values: Iterable[int]) -> "Spread":
        """Return the spread of some values; p95 is the smallest that 95% of them do not exceed."""
        ordered = sorted(values)
        if not ordered:
            return cls()
        # Integer arithmetic rounds up without the errors of floating point.
        n_below = (95 * len(ordered) + 99) // 100
        return cls(ordered[0], statistics.median(ordered), ordered[n_below - 1], ordered[-1])

    def __str__(self) -> str:
        return f"min {self.min:,}, median {self.median:g}, p95 {self.p95:,}, max {self.max:,}"


@dataclass(frozen=True, slots=True)
class CorpusDescription:
    """The counts of a corpus.

    Attributes:
        n_passages: The number of passages.
        n_words: The number of words in all passages.
        n_entities: The number of entities in all passages.
        n_labels: The number of distinct labels of the entities.
        n_asked_labels: The number of distinct labels that only the label lists name.
        passage_words: The words per passage.
        entity_words: The words per entity.
        passage_labels: The distinct labels per passage, both of its entities and of its list.
        n_wider_than_8: The number of entities of more than 8 words.
        n_wider_than_12: The number of entities of more than 12 words, too wide for most span
            GLiNERs.
        n_nested_pairs: The number of pairs of entities of which one lies inside the other.
        n_crossing_pairs: The number of pairs of entities that share words without nesting.
        n_multi_label_spans: The number of spans with several labels.
        n_empty_passages: The number of passages without entities.
        n_repeated_passages: The number of passages with the same words as an earlier one.
        n_singleton_labels: The number of labels with one entity in the whole corpus.
        frequent_labels: The 20 most frequent labels and their counts.
        oddities: The findings of the reader (`CorpusNotes.lines`).
    """

    n_passages: int
    n_words: int
    n_entities: int
    n_labels: int
    n_asked_labels: int
    passage_words: Spread
    entity_words: Spread
    passage_labels: Spread
    n_wider_than_8: int
    n_wider_than_12: int
    n_nested_pairs: int
    n_crossing_pairs: int
    n_multi_label_spans: int
    n_empty_passages: int
    n_repeated_passages: int
    n_singleton_labels: int
    frequent_labels: dict[str, int]
    oddities: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return the counts in plain JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the counts as readable lines, for a terminal."""
        top = ", ".join(f"{label} ({count:,})" for label, count in self.frequent_labels.items())
        return [
            f"passages: {self.n_passages:,} ({self.n_empty_passages:,} without entities, "
            f"{self.n_repeated_passages:,} repeated word for word)",
            f"words: {self.n_words:,}; per passage: {self.passage_words}",
            f"entities: {self.n_entities:,}; words per entity: {self.entity_words}; "
            f"wider than 8: {self.n_wider_than_8:,}, than 12: {self.n_wider_than_12:,}",
            f"pairs of entities that share words: {self.n_nested_pairs:,} nested, "
            f"{self.n_crossing_pairs:,} crossing; "
            f"spans with several labels: {self.n_multi_label_spans:,}",
            f"labels: {self.n_labels:,} ({self.n_singleton_labels:,} seen once), "
            f"{self.n_asked_labels:,} more only asked for; per passage: {self.passage_labels}",
            *([f"most frequent labels: {top}"] if top else []),
            *self.oddities,
        ]


def describe_corpus(passages: Iterable[Passage], notes: CorpusNotes) -> CorpusDescription:
    """Return the counts of a corpus, which is read once and not kept in memory.

    Args:
        passages: Any number of passages.
        notes: The notes that the reader of these passages fills; used after the last passage.
    """
    tally = _Tally()
    for passage in passages:
        tally.add(passage)
    return tally.describe(notes)


@dataclass(slots=True)
class _Tally:
    """Running counts of the passages seen so far."""

    passage_words: list[int] = field(default_factory=list)
    passage_labels: list[int] = field(default_factory=list)
    entity_words: list[int] = field(default_factory=list)
    label_counts: Counter[str] = field(default_factory=Counter)
    asked_labels: set[str] = field(default_factory=set)
    n_nested: int = 0
    n_crossing: int = 0
    n_multi_label: int = 0
    n_empty: int = 0
    text_hashes: set[int] = field(default_factory=set)

    def add(self, passage: Passage) -> None:
        """Count one passage."""
        self.passage_words.append(len(passage.words))
        self.passage_labels.append(len(passage.own_labels))
        self.entity_words += [entity.end_word - entity.start_word for entity in passage.entities]
        self.label_counts.update(entity.label for entity in passage.entities)
        self.asked_labels.update(passage.labels)
        spans = Counter((entity.start_word, entity.end_word) for entity in passage.entities)
        self.n_multi_label += sum(count > 1 for count in spans.values())
        for is_nested in _shared_word_pairs(spans):
            self.n_nested += is_nested
            self.n_crossing += not is_nested
        self.n_empty += not passage.entities
        # Keeping hashes instead of words keeps a large corpus out of memory.
        self.text_hashes.add(hash(passage.words))

    def describe(self, notes: CorpusNotes) -> CorpusDescription:
        """Return the counts as a `CorpusDescription`."""
        return CorpusDescription(
            n_passages=len(self.passage_words),
            n_words=sum(self.passage_words),
            n_entities=len(self.entity_words),
            n_labels=len(self.label_counts),
            n_asked_labels=len(self.asked_labels - self.label_counts.keys()),
            passage_words=Spread.from_values(self.passage_words),
            entity_words=Spread.from_values(self.entity_words),
            passage_labels=Spread.from_values(self.passage_labels),
            n_wider_than_8=sum(width > 8 for width in self.entity_words),
            n_wider_than_12=sum(width > 12 for width in self.entity_words),
            n_nested_pairs=self.n_nested,
            n_crossing_pairs=self.n_crossing,
            n_multi_label_spans=self.n_multi_label,
            n_empty_passages=self.n_empty,
            n_repeated_passages=len(self.passage_words) - len(self.text_hashes),
            n_singleton_labels=sum(count == 1 for count in self.label_counts.values()),
            frequent_labels=dict(self.label_counts.most_common(_N_FREQUENT_LABELS)),
            oddities=notes.lines(),
        )


def _shared_word_pairs(spans: Counter[tuple[int, int]]) -> Iterator[bool]:
    """Yield, for each pair of entities on different spans that share a word, if one is nested."""
    ordered = sorted(spans.items())
    for index, ((start, end), count) in enumerate(ordered):
        for (other_start, other_end), other_count in ordered[index + 1 :]:
            # The spans are sorted, so no later one can share a word with this one.
            if other_start >= end:
                break
            is_nested = other_start == start or other_end <= end
            yield from [is_nested] * (count * other_count)


class CorpusHash:
    """A hash of a corpus that is computed passage by passage.

    It depends on the order of the passages and on their words, entities and listed labels. It does
    not depend on the format of the file or on the order of entities and labels within a passage.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, passage: Passage) -> None:
        """Add the next passage."""
        spans = sorted(
            (entity.start_word, entity.end_word, entity.label) for entity in passage.entities
        )
        # Sorting makes the hash independent of the order of entities and labels in the file.
        canonical = [passage.words, spans, sorted(passage.labels)]
        line = json.dumps(canonical, ensure_ascii=False, separators=(",", ":"))
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        """Return the SHA-256 of all passages added so far as 64 hexadecimal digits."""
        return self._hash.hexdigest()


def corpus_fingerprint(passages: Iterable[Passage]) -> str:
    """Return the `CorpusHash` of all passages."""
    corpus_hash = CorpusHash()
    for passage in passages:
        corpus_hash.update(passage)
    return corpus_hash.hexdigest()


@dataclass(frozen=True, slots=True)
class CorpusScan:
    """The facts about a corpus that are needed before it can be labeled.

    Attributes:
        fingerprint: The `CorpusHash` of all passages.
        n_passages: The number of passages.
        n_words: The number of words in all passages.
        label_counts: For each label, the number of passages that have it among their own labels.
    """

    fingerprint: str
    n_passages: int
    n_words: int
    label_counts: dict[str, int]


def scan_corpus(passages: Iterable[Passage]) -> CorpusScan:
    """Return the counts and the fingerprint of a corpus, which is read once, passage by passage."""
    fingerprint, labels = CorpusHash(), Counter[str]()
    n_passages = n_words = 0
    for passage in passages:
        fingerprint.update(passage)
        labels.update(passage.own_labels)
        n_passages += 1
        n_words += len(passage.words)
    return CorpusScan(fingerprint.hexdigest(), n_passages, n_words, dict(labels))
