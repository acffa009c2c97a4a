"""Read the labels of a call: a list, a mapping to descriptions, or one of these per text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import InputError, shorten
from gliner_distill.labels import clean_label
from gliner_distill.specificity import LabelKinds

MAX_LABELS = 10_000
_SHOWN_LABELS = 20
"""The number of labels that an error lists."""


@dataclass(frozen=True, slots=True)
class EncodedLabels:
    """Labels with their vectors, as `StudentNER.encode_labels` returns them.

    Attributes:
        names: The labels, as in an entity's `label`.
        prompts: The texts that the student reads, each a name or its description.
        vectors: Shape `(labels, vectors per label, width)`, float32.
        kinds: The numbers by which labels are compared, to keep the more specific of two; None if
            the student does not compare labels.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    vectors: NDArray[np.float32]
    kinds: LabelKinds | None = None


LabelSet = Sequence[str] | Mapping[str, str] | str | EncodedLabels

Labels = LabelSet | Sequence[Sequence[str]] | Sequence[Mapping[str, str]]

Prompts = tuple[tuple[str, str], ...]
"""Pairs of a label and the text that the student reads for it."""


def is_per_text(labels: Labels) -> bool:
    """Return whether labels hold one set per text, by GLiNER's rule."""
    return isinstance(labels, list | tuple) and any(
        isinstance(item, list | tuple | Mapping) for item in labels
    )


def read_label_set(labels: object, *, where: str = "labels") -> Prompts:
    """Return the labels of one set, each once, in order.

    Args:
        labels: Strings; or, as in GLiNER, a mapping from each label to a description that the
            student reads in its place; or a single string.
        where: The name of the argument, for messages.

    Raises:
        InputError: It is something else, or it holds blank labels, more than 10,000 labels, or two
            spellings of one label; see `clean_label`.
    """
    if isinstance(labels, EncodedLabels):
        return tuple(zip(labels.names, labels.prompts, strict=True))
    if isinstance(labels, str):
        labels = [labels]
    if isinstance(labels, bytes) or not isinstance(labels, Iterable):
        raise InputError(f"{where} is {shorten(labels)}; expected a list of strings")
    pairs = labels.items() if isinstance(labels, Mapping) else ((label, label) for label in labels)
    prompts: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for name, prompt in pairs:
        _check_label(name, prompt, where)
        # A member of an enumeration or a string of numpy would be kept for other callers, too.
        name = str.__str__(name)
        prompts.setdefault(name, str.__str__(prompt))
        spelling = spellings.setdefault(clean_label(name), name)
        if spelling != name:
            raise InputError(
                f"{where}: {shorten(spelling)} and {shorten(name)} are the same label to a model, "
                "because upper case, underscores and white space make no difference; leave one of "
                "them out"
            )
        if len(prompts) > MAX_LABELS:
            raise InputError(
                f"{where} holds more than {MAX_LABELS:,} labels; ask for fewer at once"
            )
    return tuple(prompts.items())


def _check_label(name: object, prompt: object, where: str) -> None:
    for text in (name, prompt):
        if not isinstance(text, str):
            raise InputError(f"{where} holds {shorten(text)}; expected only strings")
        if not clean_label(text):
            raise InputError(f"{where} holds a blank label; a label must name what to find")


def read_labels(labels: Labels, n_texts: int | None) -> Prompts | list[Prompts]:
    """Return the labels for all texts, or the label sets of the single texts.

    Args:
        labels: See `StudentNER.inference`.
        n_texts: The number of texts; None if it is not known in advance.

    Raises:
        InputError: The labels are not valid, or there is not one set of them per text.
    """
    if not is_per_text(labels) or not isinstance(labels, Sequence):
        return read_label_set(labels)
    sets = read_per_text(labels)
    if n_texts is not None and len(sets) != n_texts:
        shown = "one text; expected one" if n_texts == 1 else f"{n_texts} texts"
        raise InputError(f"labels holds {len(sets)} lists for {shown}")
    return sets


def read_per_text(labels: Sequence[object]) -> list[Prompts]:
    """Return the label sets of several texts.

    Raises:
        InputError: One of them is neither a list nor a mapping, or `read_label_set` refuses it.
    """
    for position, item in enumerate(labels):
        if not isinstance(item, list | tuple | Mapping):
            raise InputError(
                f"labels[{position}] is {shorten(item)}; expected a list or a mapping, as "
                "for the other texts"
            )
    return [read_label_set(item, where=f"labels[{row}]") for row, item in enumerate(labels)]


def check_asked(
    thresholds: Mapping[str, float], labels: LabelSet, *, where: str = "labels"
) -> None:
    """Check that the labels of thresholds are among those that are looked for.

    Args:
        thresholds: The threshold of each label.
        labels: The labels; see `read_label_set`.
        where: The name of the argument that has the labels, for messages.

    Raises:
        InputError: A threshold is for another label, so that it would have no effect.
    """
    names = [name for name, _ in read_label_set(labels, where=where)]
    known = set(map(clean_label, names))
    for label in thresholds:
        if clean_label(label) not in known:
            raise InputError(
                f"thresholds: {shorten(label)} is not in {where}; choose from "
                f"{', '.join(map(shorten, names[:_SHOWN_LABELS]))}"
            )


def rename_labels(encoded: object, labels: Sequence[str]) -> dict[str, str]:
    """Return labels with the texts that the student reads, for labels that were encoded before.

    Args:
        encoded: The labels as `StudentNER.encode_labels` has returned them.
        labels: Their names in the answers, in the same order.

    Raises:
        InputError: `encoded` is something else, it has another number of labels, or one of them is
            given twice.
    """
    if not isinstance(encoded, EncodedLabels):
        raise InputError(
            f"labels_embeddings is {shorten(encoded)}; expected the result of encode_labels"
        )
    names = [labels] if isinstance(labels, str) else list(labels)
    if len(names) != len(encoded.prompts):
        raise InputError(
            f"labels holds {len(names)} labels, and labels_embeddings {len(encoded.prompts)}; "
            "expected one label for each"
        )
    renamed = dict(zip(names, encoded.prompts, strict=True))
    if len(renamed) < len(names):
        raise InputError("labels holds a label twice; expected a different one for each vector")
    return renamed
