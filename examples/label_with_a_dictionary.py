"""Teach with a dictionary: `python examples/label_with_a_dictionary.py FOLDER`.

A teacher is any object with a name, a fingerprint and `score_passages`. This one looks up words in
a dictionary. The example labels three passages and writes a soft-label store into FOLDER. For a
teacher that finds entities in another way, replace `find_entities`. With spaCy (3.2 or later), and
our words as its tokens:

    doc = nlp(spacy.tokens.Doc(nlp.vocab, words=list(words)))
    for span in doc.ents:  # spaCy gives no scores, so they are 1.0
        yield Entity(span.start, span.end, span.label_)
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence

from gliner_distill import Entity, LabelPolicy, Passage, label_corpus
from gliner_distill.decoding import decode_entities, entities_to_probs
from gliner_distill.entities import split_words
from gliner_distill.teacher.base import Probabilities

FORMS = {
    "Ada Lovelace": {"person": 0.98},
    "New York": {"city": 0.97},
    "York": {"city": 0.9},
    "Washington": {"city": 0.6, "person": 0.55},
    "St. Lawrence River": {"river": 0.99},
}
TEXTS = (
    "Ada Lovelace lived in London.",
    "From York she wrote to New York and Washington.",
    "The St. Lawrence River is long.",
)


class DictionaryTeacher:
    """A teacher that looks up names, the longest first, with a confidence for each label."""

    def __init__(self, forms: dict[str, dict[str, float]]) -> None:
        self.name = "dictionary"
        # The fingerprint changes with the dictionary, so that a store never mixes two versions.
        self.fingerprint = hashlib.sha256(json.dumps(forms, sort_keys=True).encode()).hexdigest()
        self._forms = {words_of(form): labels for form, labels in forms.items()}
        self._max_words = max(map(len, self._forms))

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`."""
        return [
            entities_to_probs(self.find_entities(words), asked, len(words))
            for words, asked in zip(passages, labels, strict=True)
        ]

    def find_entities(self, words: Sequence[str]) -> Iterator[Entity]:
        """Yield the entities of a passage: one for each label of each name in it."""
        start = 0
        while start < len(words):
            ends = range(min(start + self._max_words, len(words)), start, -1)
            end = next((end for end in ends if tuple(words[start:end]) in self._forms), start + 1)
            for label, confidence in self._forms.get(tuple(words[start:end]), {}).items():
                yield Entity(start, end, label, confidence)
            start = end


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text, as a passage holds them."""
    return tuple(word.text for word in split_words(text))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python label_with_a_dictionary.py FOLDER")
    corpus = [Passage(words_of(text)) for text in TEXTS]
    policy = LabelPolicy(fixed=("person", "city", "river"))
    for item in label_corpus(corpus, DictionaryTeacher(FORMS), sys.argv[1], policy=policy):
        print(*item.passage.words)
        for entity in decode_entities(item.probs, item.labels):
            form = " ".join(item.passage.words[entity.start_word : entity.end_word])
            print(f"  {form}: {entity.label} {entity.score:.2f}")
