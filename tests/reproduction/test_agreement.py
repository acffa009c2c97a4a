"""The start of a student that is to agree with a teacher, and its threshold."""

import numpy as np
import pytest

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.reproduction.agreement import (
    THRESHOLDS,
    agreement_at_best_threshold,
    load_bundled,
    only_annotated,
)
from gliner_distill.training.data import make_split


def test_only_annotated_keeps_the_labels_of_the_annotation_and_their_probabilities():
    passage = Passage(("mary", "left"), (Entity(0, 1, "person"),))
    probs = np.arange(18, dtype=np.float32).reshape(2, 3, 3) / 18
    kept = only_annotated(LabeledPassage(passage, ("city", "person", "year"), probs))
    assert kept.labels == ("person",)
    np.testing.assert_array_equal(kept.probs, probs[:, 1:2])


@pytest.mark.slow
def test_the_threshold_comes_from_dev_and_the_scores_from_test():
    student, vocabulary = load_bundled()
    assert student.config.relation_width == 0
    words = ("Marie", "Curie", "was", "born", "in", "Warsaw", "in", "1867", ".")
    labels = ("person", "city")

    def split(name, entities):
        probs = np.full((len(words), 2, 3), 0.02, dtype=np.float32)
        for entity in entities:
            place = labels.index(entity.label)
            probs[entity.start_word, place, 0] = probs[entity.end_word - 1, place, 1] = 0.9
            probs[entity.start_word : entity.end_word, place, 2] = 0.9
        return make_split(name, [LabeledPassage(Passage(words), labels, probs)], vocabulary)

    person, city = Entity(0, 2, "person"), Entity(5, 6, "city")
    test = split("test", [person])
    threshold, evaluation = agreement_at_best_threshold(
        student, vocabulary, split("dev", [person, city]), test
    )
    assert threshold in THRESHOLDS
    assert evaluation.teacher is not None
    assert evaluation.teacher.words.recall == 1.0
    assert evaluation.teacher.words.accuracy == pytest.approx(8 / 9)  # the city is too much
