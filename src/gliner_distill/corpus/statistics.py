"""What is counted about a corpus: what was odd in its files, and what its passages hold.

`CorpusNotes` is filled while passages are read (`corpus.read_passages`), so that whatever a reader
changes or leaves out is reported; `describe_corpus` counts finished passages. Nothing here opens
a file.
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
"""Words that a GLiNER usually takes at once; longer passages go through it in windows."""


_N_KEPT_MESSAGES = 20


_N_FREQUENT_LABELS = 20


@dataclass(slots=True)
class CorpusNotes:
    """What a reader met in a file besides clean passages.

    Attributes:
        passages: Passages read.
        bad_records: Records left out because they were bad.
        bad_messages: What was wrong with the first 20 of them.
        string_indexes: Entities whose start or end was a number written as a string.
        changed_labels: Labels, of entities and of label lists, that cleaning changed.
        label_forms: For each clean label, the spellings it was found in.
        duplicate_entities: Entities dropped because the passage had the same span and label.
        multi_label_spans: Spans that carry several labels (kept).
        passages_without_entities: Passages with no entity (kept).
        long_passages: Passages of more than `TEACHER_WINDOW_WORDS` words (kept).
        spaced_words: Words with white space inside (kept).
        inside_starts: Entities of a column file that an I-, E- or L- tag begins (IOB1, or a slip).
        blank_lines: Blank lines of JSON lines and plain text, skipped.
        comment_lines: Comment and -DOCSTART- lines of a column file, skipped.
        ignored_keys: For each key of a JSON record that is not read, the records that have it.
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

    @property
    def merged_labels(self) -> int:
        """Distinct labels that became equal to another one when they were cleaned."""
        return sum(len(forms) - 1 for forms in self.label_forms.values())

    def add_bad_record(self, message: str) -> None:
        """Count a record that is left out; keep its message if it is among the first 20."""
        self.bad_records += 1
        if len(self.bad_messages) < _N_KEPT_MESSAGES:
            self.bad_messages.append(message)

    def add_label(self, raw: str, clean: str) -> None:
        """Count a label as the file has it and what cleaning made of it."""
        self.changed_labels += raw != clean
        self.label_forms.setdefault(clean, set()).add(raw)

    def lines(self) -> list[str]:
        """Return a readable line for each thing met, bad records last; none if all was clean."""
        counts = {
            "entities with a start or end written as a string": self.string_indexes,
            "labels cleaned (case, quotes, underscores, spaces)": self.changed_labels,
            "distinct labels merged with another by cleaning": self.merged_labels,
            "duplicate entities dropped": self.duplicate_entities,
            "spans with several labels (kept)": self.multi_label_spans,
            "passages without entities (kept)": self.passages_without_entities,
            f"passages of more than {TEACHER_WINDOW_WORDS} words (kept)": self.long_passages,
            "words with white space inside (kept)": self.spaced_words,
            "entities that an I-, E- or L- tag begins": self.inside_starts,
            "blank lines skipped": self.blank_lines,
            "comment and -DOCSTART- lines skipped": self.comment_lines,
        }
        counts |= {f"records with the key {key!r}, which is not read": n for key, n in self._keys()}
        return [f"{what}: {count:,}" for what, count in counts.items() if count] + self._bad_lines()

    def _keys(self) -> list[tuple[str, int]]:
        """Return the most frequent of the keys that are not read."""
        return self.ignored_keys.most_common(_N_KEPT_MESSAGES)

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
    """Smallest, middle, 95th-percentile and largest of some counts; all 0 where there are none."""

    min: int = 0
    median: float = 0.0
    p95: int = 0
    max: int = 0

    @classmethod
    def from_values(cls, values: Iterable[int]) -> "Spread":
        """Return the spread of the values; p95 is the smallest that 95% of them do not exceed."""
        ordered = sorted(values)
        if not ordered:
            return cls()
        n_below = (95 * len(ordered) + 99) // 100
        return cls(ordered[0], statistics.median(ordered), ordered[n_below - 1], ordered[-1])

    def __str__(self) -> str:
        return f"min {self.min:,}, median {self.median:g}, p95 {self.p95:,}, max {self.max:,}"


@dataclass(frozen=True, slots=True)
class CorpusDescription:
    """Counts of a corpus.

    Attributes:
        n_passages: Passages.
        n_words: Words of all passages.
        n_entities: Entities of all passages.
        n_labels: Distinct labels of the entities.
        n_asked_labels: Distinct labels that only the passages' label lists name.
        passage_words: Words a passage.
        entity_words: Words an entity.
        passage_labels: Distinct labels a passage, its entities' and those its list names.
        n_wider_than_8: Entities of more than 8 words.
        n_wider_than_12: Entities of more than 12 words, beyond a usual span GLiNER.
        n_nested_pairs: Pairs of entities of which one lies inside the other.
        n_crossing_pairs: Pairs of entities that share words, neither inside the other.
        n_multi_label_spans: Spans with several labels.
        n_empty_passages: Passages without entities.
        n_repeated_passages: Passages whose words an earlier passage has, word for word.
        n_singleton_labels: Labels of one entity in the whole corpus.
        frequent_labels: The 20 most frequent labels and their counts.
        oddities: What the reader noted (`CorpusNotes.lines`).
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

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as what `json.dumps` takes."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the counts as readable lines, for a terminal."""
        top = ", ".join(f"{label} ({count:,})" for label, count in self.frequent_labels.items())
        return [
            f"passages: {self.n_passages:,} ({self.n_empty_passages:,} without entities, "
            f"{self.n_repeated_passages:,} repeated word for word)",
            f"words: {self.n_words:,}; a passage: {self.passage_words}",
            f"entities: {self.n_entities:,}; words an entity: {self.entity_words}; "
            f"wider than 8: {self.n_wider_than_8:,}, than 12: {self.n_wider_than_12:,}",
            f"pairs of entities that share words: {self.n_nested_pairs:,} nested, "
            f"{self.n_crossing_pairs:,} crossing; "
            f"spans with several labels: {self.n_multi_label_spans:,}",
            f"labels: {self.n_labels:,} ({self.n_singleton_labels:,} seen once), "
            f"{self.n_asked_labels:,} more only asked for; a passage: {self.passage_labels}",
            *([f"most frequent labels: {top}"] if top else []),
            *self.oddities,
        ]


def describe_corpus(passages: Iterable[Passage], notes: CorpusNotes) -> CorpusDescription:
    """Return the counts of a corpus, read once and not kept.

    Args:
        passages: Any number of passages; of none, every count is 0.
        notes: What the reader of these passages notes; looked at after the last of them.
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
        # Hashes instead of words keep a large corpus out of memory.
        self.text_hashes.add(hash(passage.words))

    def describe(self, notes: CorpusNotes) -> CorpusDescription:
        """Return what was counted."""
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
    """Yield, for each pair of entities with different spans that share a word, whether it nests."""
    ordered = sorted(spans.items())
    for index, ((start, end), count) in enumerate(ordered):
        for (other_start, other_end), other_count in ordered[index + 1 :]:
            if other_start >= end:
                break
            is_nested = other_start == start or other_end <= end
            yield from [is_nested] * (count * other_count)


class CorpusHash:
    """A hash of a corpus, taken passage by passage.

    It depends on the words, entities and listed labels and on the order of the passages, not on
    the file form nor on the order of a passage's entities and labels.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, passage: Passage) -> None:
        """Take the next passage in."""
        spans = sorted((one.start_word, one.end_word, one.label) for one in passage.entities)
        canonical = [passage.words, spans, sorted(passage.labels)]
        line = json.dumps(canonical, ensure_ascii=False, separators=(",", ":"))
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        """Return the SHA-256 of the passages so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def corpus_fingerprint(passages: Iterable[Passage]) -> str:
    """Return the `CorpusHash` of all passages."""
    corpus_hash = CorpusHash()
    for passage in passages:
        corpus_hash.update(passage)
    return corpus_hash.hexdigest()


@dataclass(frozen=True, slots=True)
class CorpusScan:
    """What must be known of a corpus before it can be labeled.

    Attributes:
        fingerprint: Its `CorpusHash`.
        n_passages: How many there are.
        n_words: How many words they have.
        label_counts: In how many passages each label is one of their own.
    """

    fingerprint: str
    n_passages: int
    n_words: int
    label_counts: dict[str, int]


def scan_corpus(passages: Iterable[Passage]) -> CorpusScan:
    """Return a corpus's counts and fingerprint; it is read once, passage by passage."""
    fingerprint, labels = CorpusHash(), Counter[str]()
    n_passages = n_words = 0
    for passage in passages:
        fingerprint.update(passage)
        labels.update(passage.own_labels)
        n_passages += 1
        n_words += len(passage.words)
    return CorpusScan(fingerprint.hexdigest(), n_passages, n_words, dict(labels))
