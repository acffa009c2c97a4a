"""The labels that users give: a list, a mapping to descriptions, or one of these for each text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import InputError

MAX_LABELS = 10_000


@dataclass(frozen=True, slots=True)
class EncodedLabels:
    """Labels as a student's label tower sees them; `StudentNER.encode_labels` makes them.

    Attributes:
        names: What an entity's `label` says.
        prompts: What the student reads: the name, or its description.
        vectors: Shape `(labels, kinds, width)`, float32.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    vectors: NDArray[np.float32]


LabelSet = Sequence[str] | Mapping[str, str] | str | EncodedLabels


Labels = LabelSet | Sequence[Sequence[str]] | Sequence[Mapping[str, str]]


Prompts = tuple[tuple[str, str], ...]
"""Names with what the student reads of each."""


def is_per_text(labels: Labels) -> bool:
    """Say whether labels are given for each text by itself, as GLiNER tells it."""
    return isinstance(labels, list | tuple) and any(
        isinstance(item, list | tuple | Mapping) for item in labels
    )


def read_label_set(labels: object, *, where: str = "labels") -> Prompts:
    """Return the labels of one set, each once, in order.

    Args:
        labels: Strings; or a mapping from label to the description that the student reads in its
            place, as in GLiNER; or one string.
        where: How to call it in an error.

    Raises:
        InputError: It is something else, or holds blank labels, or more than 10,000.
    """
    if isinstance(labels, EncodedLabels):
        return tuple(zip(labels.names, labels.prompts, strict=True))
    if isinstance(labels, str):
        labels = [labels]
    if isinstance(labels, bytes) or not isinstance(labels, Iterable):
        raise InputError(f"{where} is {_shown(labels)}; expected a list of strings")
    pairs = labels.items() if isinstance(labels, Mapping) else ((label, label) for label in labels)
    prompts: dict[str, str] = {}
    for name, prompt in pairs:
        for text in (name, prompt):
            if not isinstance(text, str):
                raise InputError(f"{where} holds {_shown(text)}; expected strings alone")
            if not text.strip():
                raise InputError(f"{where} holds a blank label; a label must say what to find")
        prompts.setdefault(name, prompt)
        if len(prompts) > MAX_LABELS:
            raise InputError(
                f"{where} holds more than {MAX_LABELS:,} labels; ask for fewer at once"
            )
    return tuple(prompts.items())


def read_per_text(labels: Sequence[object]) -> list[Prompts]:
    """Return the label sets of several texts.

    Raises:
        InputError: One of them is no list or mapping, or `read_label_set` refuses it.
    """
    for position, item in enumerate(labels):
        if not isinstance(item, list | tuple | Mapping):
            raise InputError(
                f"labels[{position}] is {_shown(item)}; where one text has a list of labels of "
                "its own, all must"
            )
    return [read_label_set(item, where=f"labels[{row}]") for row, item in enumerate(labels)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
