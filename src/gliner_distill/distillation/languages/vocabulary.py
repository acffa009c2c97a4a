"""The vocabulary for text in another language: the teacher's pieces, or pieces trained on the text.

Pieces are chosen so that words that the text lacks can be read, too. A vocabulary that is trained
on the text therefore counts each word once: a piece must occur in three different words, and only
frequent words become pieces as a whole.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final

from gliner_distill.runtime.vocabulary import (
    UNKNOWN_PIECE,
    Vocabulary,
    choose_vocabulary,
    list_alphabet,
    part_splitter,
    train_pieces,
)

_FREQUENT: Final = 8
"""The number of occurrences from which a word is a piece of its own."""


def train_text_vocabulary(
    texts: Iterable[str], known: Vocabulary, *, max_pieces: int
) -> Vocabulary:
    """Return a vocabulary of pieces that are trained on a text, and of known ones that occur in it.

    Args:
        texts: The words and labels, as often as they occur.
        known: The vocabulary of the student that the weights come from. Its pieces of the text
            stay, since their vectors are trained.
        max_pieces: The largest number of pieces. With more, the rarest words are left out first,
            and the rarest characters last.
    """
    counts = Counter(texts)
    split = part_splitter(lowercase=True)
    parts = Counter[str]()
    for text, n in counts.items():
        for part in split(text):
            parts[part] += n
    alphabet = list_alphabet(parts)
    names = known.pieces()
    used = Counter[str]()
    for text, n in counts.items():
        for piece in known.encode_words([text]).piece_ids.tolist():
            used[names[piece]] += n
    trained = train_pieces(
        sorted(part for part in parts if not any(map(str.isdigit, part))), alphabet
    )
    frequent = [part for part, n in _ranked(parts) if n >= _FREQUENT]
    chosen = [UNKNOWN_PIECE, *alphabet, *(piece for piece, _ in _ranked(used)), *trained]
    distinct = dict.fromkeys([*chosen, *frequent])
    return choose_vocabulary(islice(distinct, max_pieces), lowercase=True)


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
