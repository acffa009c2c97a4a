"""Which text a student learns from, and which labels are asked about it."""

from gliner_distill.entities import Entity, Passage
from gliner_distill.reproduction.transfer import (
    MAX_OWN,
    N_ABSENT,
    N_FITTING,
    ask_like_test,
    leave_out_copies,
)


def passage(text, *entities):
    return Passage(tuple(text.split()), tuple(Entity(*entity) for entity in entities))


class WordFinder:
    """A model that finds words by a lexicon of words and (label, score)."""

    def __init__(self, lexicon):
        self.lexicon = lexicon

    def predict_words(self, passages, labels):
        return [
            [
                Entity(place, place + 1, *self.lexicon[word])
                for place, word in enumerate(words)
                if word in self.lexicon and self.lexicon[word][0] in asked
            ]
            for words, asked in zip(passages, labels, strict=True)
        ]


def test_leave_out_copies_drops_exact_copies_whatever_their_case():
    held_out = [passage("The Rhine flows")]
    text = [passage("the rhine FLOWS"), passage("A boat"), passage("a boat"), passage("a ship")]
    kept = leave_out_copies(text, held_out)
    assert [item.words for item in kept.passages] == [("A", "boat"), ("a", "ship")]
    assert (kept.n_exact, kept.n_near) == (2, 0)


def test_leave_out_copies_drops_what_shares_more_than_a_fifth_of_the_word_triples():
    held_out = [passage("a b c d e f g h i j k l")]  # ten triples
    two, three = passage("a b c d x y z u v w q r"), passage("a b c d e x y z u v w q")
    kept = leave_out_copies([two, three], held_out)
    assert [item.words for item in kept.passages] == [two.words]
    assert (kept.n_exact, kept.n_near) == (0, 1)


def test_leave_out_copies_counts_triples_of_the_shorter_passage():
    held_out = [passage("a b c d e f g h i j k l")]
    kept = leave_out_copies([passage("a b c x y")], held_out)  # one of its three triples
    assert kept.n_near == 1


def test_ask_like_test_asks_one_label_per_span_and_prefers_those_of_the_test():
    text = passage("mary saw paris", (0, 1, "person"), (0, 1, "friend"), (2, 3, "capital"))
    [asked] = ask_like_test([text], ["friend", "river"], WordFinder({}))
    assert {entity.label for entity in asked.entities} == {"friend", "capital"}
    assert asked.words == text.words


def test_ask_like_test_asks_for_the_labels_that_a_student_finds_and_for_some_at_random():
    labels = ["city", "river", "ship", "year", "coin"]
    lexicon = {"paris": ("city", 0.9), "rhine": ("river", 0.7), "1900": ("year", 0.8)}
    lexicon["sou"] = ("coin", 0.6)
    text = passage("paris rhine 1900 sou sou")
    [asked] = ask_like_test([text], labels, WordFinder(lexicon))
    assert asked.labels[:N_FITTING] == ("city", "year", "river")
    assert len(asked.labels) == N_FITTING + N_ABSENT
    assert set(asked.labels) <= set(labels)


def test_ask_like_test_asks_for_at_most_some_labels_of_the_annotation():
    words = [f"w{number}" for number in range(20)]
    text = passage(" ".join(words), *((place, place + 1, f"l{place}") for place in range(20)))
    [asked] = ask_like_test([text], ["l7", "l9"], WordFinder({}))
    own = {entity.label for entity in asked.entities}
    assert len(own) == MAX_OWN
    assert {"l7", "l9"} <= own


def test_ask_like_test_depends_on_the_words_and_the_seed_alone():
    labels = [f"l{number}" for number in range(50)]
    text = [passage(f"a text number {number}") for number in range(20)]
    forward = list(ask_like_test(text, labels, WordFinder({})))
    assert list(ask_like_test(text[::-1], labels, WordFinder({})))[::-1] == forward
    assert list(ask_like_test(text, labels, WordFinder({}), seed=1)) != forward
