"""The small world of the distillation tests: texts, annotated passages, and how to compare runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gliner_distill.entities import Entity, Passage

LEXICON = {
    **{"paris": "city", "london": "city", "rhine": "river", "thames": "river", "acme": "company"},
    **{"globex": "company", "mary": "person", "john": "person", "ann": "person"},
}
LABELS = {"person": "", "city": "", "river": ""}
NAMES = ("paris", "london", "rhine", "thames", "mary", "john", "ann")


def make_texts(n_documents, first=0):
    """Return texts of five words each."""
    verbs = ("saw", "left", "built")
    return [
        f"{NAMES[number % 7]} {verbs[number % 3]} {NAMES[number * 3 % 7]} in {number}"
        for number in range(first, first + n_documents)
    ]


def write_texts(texts, name="texts.txt"):
    Path(name).write_text("\n".join(texts) + "\n", encoding="utf-8")


def make_gold(n_passages, first=1000, label=str.upper):
    """Return passages whose annotation has the lexicon's entities and, beside them, "in" as one."""
    passages = []
    for text in make_texts(n_passages, first):
        words = tuple(text.split())
        entities = [
            Entity(place, place + 1, label(LEXICON[word]))
            for place, word in enumerate(words)
            if word in LEXICON
        ]
        passages.append(Passage(words, (*entities, Entity(3, 4, "preposition"))))
    return passages


def texts_of(passages):
    return sorted(" ".join(passage.passage.words) for passage in passages)


def all_of(splits):
    """Return the passages of all splits."""
    return [passage for split in ("train", "dev", "test") for passage in splits[split]]


def count_splits(splits):
    return {split: len(passages) for split, passages in splits.items()}


def weights_of(folder):
    from gliner_distill.student.files import load_student

    return load_student(folder)[0].state_dict()


def assert_same_weights(first, second):
    import torch

    ours, theirs = weights_of(first), weights_of(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def assert_same_targets(first, second):
    assert first.keys() == second.keys()
    for split, passages in first.items():
        assert [passage.passage for passage in passages] == [
            passage.passage for passage in second[split]
        ]
        for passage, same in zip(passages, second[split], strict=True):
            np.testing.assert_array_equal(passage.probs, same.probs)


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def annotate(passage, *entities):
    """Return a labeled passage with another annotation."""
    return replace(passage, passage=Passage(passage.passage.words, entities))
