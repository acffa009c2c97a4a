"""Answers of texts that crowd with candidates, alone and beside others."""

from itertools import pairwise

import numpy as np
import pytest

from gliner_distill.runtime.ner import StudentNER

LABELS = ["date", "weekday"]


@pytest.fixture(scope="module")
def ner():
    return StudentNER.from_pretrained(num_threads=1)


def spans(found):
    return [[(e["start"], e["end"], e["label"]) for e in entities] for entities in found]


@pytest.mark.slow
def test_inference_answers_a_word_that_is_repeated_460_times(ner):
    (found,) = ner.inference(["Monday " * 460], ["date"])
    covered = sum((entity["end"] - entity["start"] + 1) // 7 for entity in found)
    assert covered > 400
    (long,) = ner.inference(["Monday " * 3000], ["date"])
    covered = sum((entity["end"] - entity["start"] + 1) // 7 for entity in long)
    assert covered > 2_600


@pytest.mark.slow
def test_inference_answers_each_text_as_without_a_crowded_one(ner):
    texts = ["Ada Lovelace met Babbage on 5 June 1833.", "Nothing here.", "It rained on Tuesday."]
    crowded = "Monday " * 460
    alone = [ner.predict_entities(text, LABELS, threshold=0.3) for text in [*texts, crowded]]
    # In batches of one window, no other text changes the numbers of the graph.
    together = ner.inference([*texts, crowded], LABELS, threshold=0.3, batch_size=1)
    assert spans(together) == spans(alone)
    assert together == alone


@pytest.mark.slow
def test_inference_needs_no_higher_threshold_for_many_words(ner):
    words = np.random.default_rng(0).choice(["Ada", "saw", "Paris", "on", "Monday", "."], 8_000)
    labels = ["person", "city", "date", "thing"]
    (found,) = ner.inference([" ".join(words)], labels, threshold=0.1)
    assert len(found) > 1500
    assert all(a["end"] <= b["start"] for a, b in pairwise(found))
