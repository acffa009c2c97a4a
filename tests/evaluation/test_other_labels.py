"""The loss on labels that a student was not made for, with students that forget by construction."""

from dataclasses import replace

import pytest

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation.other_labels import OtherLabels, measure_other_labels
from gliner_distill.labels import clean_label
from gliner_distill.runtime.ner import StudentNER

LEXICON = {"mary": "person", "paris": "city", "rhine": "river", "acme": "company"}


class LexiconStudent:
    """Looks words up, and notes what it was asked."""

    def __init__(self, *labels):
        self.labels = labels
        self.asked = []

    def predict_words(self, passages, labels):
        self.asked += labels
        return [
            [
                Entity(place, place + 1, LEXICON[word])
                for place, word in enumerate(words)
                if LEXICON.get(word) in self.labels and LEXICON[word] in own
            ]
            for words, own in zip(passages, labels, strict=True)
        ]


def passage(text, labels=()):
    words = tuple(text.split())
    entities = [
        Entity(place, place + 1, LEXICON[word])
        for place, word in enumerate(words)
        if word in LEXICON
    ]
    return Passage(words, tuple(entities), labels)


PASSAGES = [
    passage("mary left paris"),
    passage("the rhine in paris", labels=("Person", "lake")),
    passage("acme and mary"),
    passage("mary left"),
]


class TestMeasureOtherLabels:
    def measure(self, student, start, labels=("PERSON",)):
        return measure_other_labels(student, start, labels, passages=PASSAGES)

    def test_measure_other_labels_compares_what_was_forgotten_with_the_start(self):
        student, start = LexiconStudent("person", "city"), LexiconStudent(*LEXICON.values())
        measured = self.measure(student, start)
        # Of paris, rhine, paris and acme, the student still finds the two cities.
        assert (measured.n_passages, measured.n_entities, measured.n_labels) == (3, 4, 4)
        assert measured.student_f1 == pytest.approx(2 * 2 / (2 + 4))
        assert measured.start_f1 == 1.0
        low, high = measured.difference_interval
        assert -1.0 <= low < 2 / 3 - 1 < high <= 0.0

    def test_measure_other_labels_asks_for_no_label_of_the_student_in_whatever_spelling(self):
        student = LexiconStudent("person")
        self.measure(student, None)
        assert student.asked == [("city",), ("river", "city", "lake"), ("company",)]

    def test_measure_other_labels_of_an_unchanged_student_finds_no_difference(self):
        measured = self.measure(LexiconStudent("city"), LexiconStudent("city"))
        assert measured.difference_interval == (0.0, 0.0)
        assert "(95% interval of the difference +0.0 to +0.0)" in measured.sentence

    def test_measure_other_labels_says_that_there_is_no_start(self):
        measured = self.measure(LexiconStudent("city"), None)
        assert (measured.start_f1, measured.difference_interval) == (None, None)
        assert measured.student_f1 == pytest.approx(2 / 3)
        assert "F1 66.7 on 4 entities of" in measured.sentence
        assert "cannot be loaded" in measured.sentence

    def test_measure_other_labels_of_all_labels_is_not_measured(self):
        every = self.measure(LexiconStudent(), LexiconStudent(), labels=LEXICON.values())
        assert (every.n_entities, every.difference_interval) == (0, None)
        assert "not measured" in every.sentence


def test_sentence_has_both_figures_and_the_interval():
    measured = OtherLabels(694, 2_137, 190, 0.4123, 0.7245, (-0.33, -0.29))
    assert measured.sentence == (
        "Labels not asked for: F1 41.2 on 2,137 entities of the English sample, and 72.5 for the "
        "student that it started from (95% interval of the difference -33.0 to -29.0)."
    )
    assert "not measured" in replace(measured, n_entities=0).sentence
    assert "41.2 on 1 entity of the" in replace(measured, n_entities=1).sentence


class Forgetful:
    """The bundled student, which has forgotten all labels of more than one word."""

    def __init__(self, student):
        self.student = student

    def predict_words(self, passages, labels):
        answers = self.student.predict_words(passages, labels)
        return [[entity for entity in own if " " not in entity.label] for own in answers]


@pytest.mark.slow
def test_measure_other_labels_reads_the_sample_with_the_bundled_student():
    start = StudentNER.from_pretrained(num_threads=1)
    measured = measure_other_labels(Forgetful(start), start, ["Person", "date"])
    passages = [*read_passages(sample_path("dev")), *read_passages(sample_path("test"))]
    entities = [
        entity
        for passage in passages
        for entity in passage.entities
        if clean_label(entity.label) not in ("person", "date")
    ]
    assert measured.n_entities == len(entities) > 1_000
    assert measured.start_f1 > measured.student_f1 > 0
    assert measured.difference_interval[1] < 0
    assert measure_other_labels(Forgetful(start), start, ["Person", "date"]) == measured
