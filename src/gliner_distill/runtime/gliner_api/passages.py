"""Passages and scores in the form of GLiNER's `evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gliner_distill.entities import Entity
from gliner_distill.errors import InputError, shorten
from gliner_distill.labels import clean_label
from gliner_distill.metrics import SpanScores
from gliner_distill.runtime.labels import Prompts, read_label_set


@dataclass(frozen=True, slots=True)
class AnnotatedPassages:
    """Passages with their annotation and the labels to ask.

    Attributes:
        words: The words of each passage.
        gold: The annotated entities of each passage, with labels in their clean form.
        asked: The labels to ask for in each passage, in the same form.
    """

    words: list[Sequence[str]]
    gold: list[list[Entity]]
    asked: list[Prompts]


def read_test_data(
    test_data: Sequence[Mapping[str, Any]], entity_types: Sequence[Any] | None
) -> AnnotatedPassages:
    """Return passages that are given as for GLiNER's `evaluate`.

    Args:
        test_data: A mapping for each passage, with its words in `tokenized_text` and its entities
            in `ner`, each as [first word, last word, label]; optionally, the labels to ask for in
            `ner_labels`.
        entity_types: The labels to ask for in all passages, or a list of them for each passage.
            None stands for `ner_labels`, or for all labels of `test_data` if a passage has none.

    Raises:
        InputError: The passages or the labels do not have this form.
    """
    if not isinstance(test_data, Sequence) or isinstance(test_data, str):
        raise InputError(f"test_data is {shorten(test_data)}; expected a list of mappings")
    words = [_read_words(passage, number) for number, passage in enumerate(test_data)]
    gold = [
        [_read_entity(span, number, len(words[number])) for span in passage["ner"]]
        for number, passage in enumerate(test_data)
    ]
    annotated = list(dict.fromkeys(entity.label for entities in gold for entity in entities))
    if entity_types is not None:
        entity_types = [entity_types] if isinstance(entity_types, str) else list(entity_types)
    if entity_types is None:
        labels = [passage.get("ner_labels") or annotated for passage in test_data]
    elif entity_types and isinstance(entity_types[0], list | tuple):
        labels = list(entity_types)
    else:
        labels = [entity_types] * len(test_data)
    if len(labels) != len(test_data):
        raise InputError(f"entity_types holds {len(labels)} lists for {len(test_data)} passages")
    asked = [read_label_set([clean_label(label) for label in own]) for own in labels]
    return AnnotatedPassages(words, gold, asked)


def report_scores(scores: SpanScores) -> tuple[str, float]:
    r"""Return precision, recall and F1 as GLiNER's `evaluate` does: as a line, and F1 alone.

    As in GLiNER, a share is 0 if its denominator is 0.

    >>> report_scores(SpanScores(1.0, 0.5, 2 / 3, 1, 1, 2))
    ('P: 100.00%\tR: 50.00%\tF1: 66.67%\n', 0.6666666666666666)
    """
    precision = scores.precision if scores.n_predicted else 0.0
    recall = scores.recall if scores.n_reference else 0.0
    f1 = scores.f1 if scores.n_correct else 0.0
    return f"P: {precision:.2%}\tR: {recall:.2%}\tF1: {f1:.2%}\n", f1


def _read_words(passage: object, number: int) -> Sequence[str]:
    where = f"test_data[{number}]"
    if not isinstance(passage, Mapping):
        raise InputError(f"{where} is {shorten(passage)}; expected tokenized_text and ner")
    words, spans = passage.get("tokenized_text"), passage.get("ner")
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{where}: tokenized_text is {shorten(words)}; expected a list of words")
    if not isinstance(spans, list | tuple):
        raise InputError(f"{where}: ner is {shorten(spans)}; expected a list of spans")
    return words


def _read_entity(span: Any, number: int, n_words: int) -> Entity:
    try:
        first, last, label = span
        is_valid = isinstance(label, str) and 0 <= first <= last < n_words
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise InputError(
            f"test_data[{number}]: ner holds {shorten(span)}; expected [first word, last word, "
            f"label] within {n_words} words"
        )
    return Entity(int(first), int(last) + 1, clean_label(label))
