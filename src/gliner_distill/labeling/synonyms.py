"""Decide whether two labels overlap in meaning or mean the same, judging by their words.

`labels_overlap` is for negatives: a label that overlaps with an annotated one must not be asked as
a negative. It is true for equal meanings and for a broader and a narrower label, such as person and
employee. `labels_mean_the_same` is for advice to users: it is true only for equal meanings. Both
use only the two strings and a thesaurus, `synonyms.txt`. The rules are:

1. `word_forms.word_form`: a plural or a British spelling becomes the form that it shares with its
   counterpart.
2. `word_forms.ordered_words`: the head comes last, without articles ("city in france" becomes
   "france city").
3. `_readings`: a label may also mean what it names ("person name" may mean "person"), and "album or
   song" may mean both. A reading is a concept with modifiers: "toy company" is the concept company
   with the modifier toy.
4. `synonyms.txt`: synonyms and abbreviations are one concept, and a concept has broader ones.
5. `_covers`: a label covers another one if a reading of the other has the same or a narrower
   concept and at least the same modifiers. Two labels overlap if either covers the other, so
   siblings ("toy company", "car company") do not overlap.

A missing negative costs little, but a wrong negative teaches the student an error. Therefore
`labels_overlap` answers true if a word is ambiguous.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from gliner_distill.labeling.word_forms import joined_words, ordered_words, split_alternatives

_N_CACHED_LABELS = 2**16

# A label with one of these heads may mean the word before it: "dog breed", "type of food".
_NAMING_HEAD = re.compile(
    "name|title|mention|entity|type|kind|category|class|model|make|item|amount|value|measurement|"
    "breed|specy|genus|variety"
)

_PERSON = re.compile(r".*\w\w(?:er|or|ist|ian|man|person)")

# Words that end like words for persons but are not. Words in the thesaurus do not have to be
# listed.
_NOT_PERSON = re.compile(
    ".*(?:computer|factor|flower|inhibitor|liner|marker|meter|paper|power|processor|receptor|sensor|"
    "vector|water)|adapter|answer|bladder|border|browser|center|chamber|chapter|cluster|color|"
    "container|converter|corner|cover|cylinder|detector|door|error|fiber|filter|finger|flavor|floor|"
    "flour|folder|header|indicator|integer|lander|layer|letter|list|liter|matter|motor|offer|order|"
    "parser|pepper|playlist|pointer|polymer|printer|quarter|reactor|register|router|scanner|sector|"
    "server|summer|timber|tower|transformer|weather|winter"
)


@dataclass(frozen=True, slots=True)
class ThesaurusEntry:
    """An entry of the thesaurus: synonyms, and the narrower concepts that they cover."""

    synonyms: tuple[str, ...]
    narrower: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Lexicon:
    """The thesaurus by word: the concept of each term, and the next broader concepts."""

    concepts: dict[str, str]
    broader: dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One thing that a label may mean; `broader` holds the concept itself, too."""

    concept: str
    broader: frozenset[str]
    modifiers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The readings of a label, with the union of their concepts and of all that is broader."""

    readings: tuple[_Reading, ...]
    concepts: frozenset[str]
    broader: frozenset[str]


def labels_overlap(first: str, second: str) -> bool:
    """Return whether two labels overlap so far that neither may be a negative of the other.

    The result is symmetric, and true for equal labels and for a broader and a narrower label.

    >>> labels_overlap("person", "employee"), labels_overlap("toy company", "firms")
    (True, True)
    >>> labels_overlap("toy company", "car company")
    False
    """
    if first == second:
        return True
    meaning, other = _meaning(first), _meaning(second)
    return _covers(meaning, other) or _covers(other, meaning)


def labels_mean_the_same(first: str, second: str) -> bool:
    """Return whether two labels have an equal meaning, so that one of them is enough.

    The result is symmetric. Plurals, spellings, word order and synonyms make no difference; a
    broader and a narrower label differ.

    >>> labels_mean_the_same("film titles", "movie title"), labels_mean_the_same("firm", "company")
    (True, True)
    >>> labels_mean_the_same("person", "employee"), labels_mean_the_same("date", "year")
    (False, False)
    """
    if first == second:
        return True
    phrases, others = split_alternatives(first), split_alternatives(second)
    # "smart card" and "smartcard" are equal only when their words are joined.
    joined = frozenset(map(joined_words, phrases))
    is_same = joined == frozenset(map(joined_words, others))
    is_same |= frozenset(map(_whole_reading, phrases)) == frozenset(map(_whole_reading, others))
    return is_same and joined != {""}


def read_thesaurus() -> Iterator[ThesaurusEntry]:
    """Yield the entries of `synonyms.txt`, with the terms as they are written there."""
    text = files("gliner_distill.labeling").joinpath("synonyms.txt").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))
    for entry in re.split(r";|\n(?! )", lines):
        synonyms, _, narrower = entry.partition(":")
        yield ThesaurusEntry(_terms(synonyms), _terms(narrower))


def _terms(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\s,][^,]*", text))


def _covers(general: _Meaning, special: _Meaning) -> bool:
    # This quick test settles nearly all pairs.
    if general.concepts.isdisjoint(special.broader):
        return False
    return any(
        ours.concept in theirs.broader and ours.modifiers <= theirs.modifiers
        for ours in general.readings
        for theirs in special.readings
    )


@lru_cache(_N_CACHED_LABELS)
def _meaning(label: str) -> _Meaning:
    readings = tuple(
        reading for phrase in split_alternatives(label) for reading in _readings(phrase)
    )
    return _Meaning(
        readings,
        frozenset(reading.concept for reading in readings),
        frozenset().union(*(reading.broader for reading in readings)),
    )


def _readings(phrase: str) -> Iterator[_Reading]:
    """Yield the readings of a phrase: of its last word, of each ending in the thesaurus, of all.

    Words are joined, so that "smart phone" and "smartphone" are one concept.
    """
    words, concepts = ordered_words(phrase), _lexicon().concepts
    while words:
        for start in range(len(words)):
            ending = "".join(words[start:])
            if start in (0, len(words) - 1) or ending in concepts:
                concept, modifiers = _concept_at(words, start)
                yield _Reading(concept, _broader(ending, words[-1]), modifiers)
        words = words[:-1] if _NAMING_HEAD.fullmatch(words[-1]) else []


def _whole_reading(phrase: str) -> tuple[str, frozenset[str]]:
    """Return the concept and the modifiers of a phrase: of its longest ending in the thesaurus."""
    words, concepts = ordered_words(phrase), _lexicon().concepts
    if not words:
        return "", frozenset()
    endings = (start for start in range(len(words)) if "".join(words[start:]) in concepts)
    return _concept_at(words, next(endings, len(words) - 1))


def _concept_at(words: list[str], start: int) -> tuple[str, frozenset[str]]:
    """Return the concept of `words[start:]` and the modifiers before it."""
    concepts = _lexicon().concepts
    ending = "".join(words[start:])
    modifiers = frozenset(concepts.get(word, word) for word in words[:start])
    return concepts.get(ending, ending), modifiers


def _broader(ending: str, head: str) -> frozenset[str]:
    """Return the concept of a phrase's ending and all broader concepts.

    If the thesaurus has neither the ending nor its head, the form of the head may show a person.
    """
    lexicon = _lexicon()
    pending = [lexicon.concepts.get(ending, ending)]
    if lexicon.concepts.keys().isdisjoint((ending, head)) and not _NOT_PERSON.fullmatch(head):
        pending += ["person"] if _PERSON.fullmatch(head) else []
    broader: set[str] = set()
    while pending:
        broader.add(concept := pending.pop())
        pending += lexicon.broader.get(concept, set()) - broader
    return frozenset(broader)


@lru_cache(1)
def _lexicon() -> _Lexicon:
    lexicon = _Lexicon({}, {})
    entries = list(read_thesaurus())
    for entry in entries:
        concept = joined_words(entry.synonyms[0])
        lexicon.concepts.update(dict.fromkeys(map(joined_words, entry.synonyms), concept))
    for entry in entries:
        for term in map(joined_words, entry.narrower):
            concept = lexicon.concepts.setdefault(term, term)
            lexicon.broader.setdefault(concept, set()).add(joined_words(entry.synonyms[0]))
    return lexicon
