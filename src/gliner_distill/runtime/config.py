"""A student's shape and its folder: what is in it, without the weights. Needs no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gliner_distill.errors import StudentError

WEIGHTS_FILE = "student.safetensors"


CONFIG_FILE = "student_config.json"


FORMAT_VERSION = 1


SOFTMAX, BOUNDARY = "softmax", "boundary"


N_KINDS = {SOFTMAX: 1, BOUNDARY: 3}
"""Vectors that a head has for each label."""


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """The student's shape.

    Attributes:
        n_pieces: Rows of the embedding table.
        embedding_width: Columns of the embedding table.
        hidden_width: Units of the LSTM in each direction.
        n_layers: LSTM layers.
        bidirectional: Whether a second LSTM reads each layer from the end.
        embedding_dropout_prob: Of word and label vectors going in.
        dropout_prob: Of LSTM states, between layers and going out.
        threshold: Probability (of `softmax` against "none") above which a word counts as found,
            by default.
        head: `softmax` or `boundary`.
        label_hidden_width: Units of a hidden layer in the label tower; 0 for none, as in the
            report.
        feature_width: Of a teacher's representations, which word and label vectors are projected
            to; above 0 only in training.
    """

    n_pieces: int
    embedding_width: int = 128
    hidden_width: int = 192
    n_layers: int = 1
    bidirectional: bool = True
    embedding_dropout_prob: float = 0.2
    dropout_prob: float = 0.3
    threshold: float = 0.5
    head: str = SOFTMAX
    label_hidden_width: int = 0
    feature_width: int = 0


def read_student_config(folder: Path) -> tuple[StudentConfig, dict[str, Any]]:
    """Return the shape of a folder's student, and all that its `student_config.json` holds.

    Raises:
        StudentError: The file is missing, cannot be read, or holds something else.
    """
    path = folder / CONFIG_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudentError(f"{folder}: no {CONFIG_FILE} in it, so this is no student") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudentError(f"{path}: cannot be read: {error}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or version != FORMAT_VERSION:
        raise StudentError(f"{path}: format version {version}; this release reads {FORMAT_VERSION}")
    return _parse_shape(path, raw.get("student")), raw


def other_metadata(raw: dict[str, Any]) -> dict[str, Any]:
    """Return what a `student_config.json` holds beside the shape and how the student runs."""
    return {
        key: value
        for key, value in raw.items()
        if key not in ("format_version", "student", "runtime")
    }


def _parse_shape(path: Path, shape: object) -> StudentConfig:
    kinds = get_type_hints(StudentConfig)
    if not isinstance(shape, dict) or not set(shape) <= set(kinds) or "n_pieces" not in shape:
        raise StudentError(f"{path}: field 'student' must hold the shape: {sorted(kinds)}")
    for name, value in shape.items():
        allowed = (int, float) if kinds[name] is float else (kinds[name],)
        if type(value) not in allowed or (type(value) in (int, float) and value < 0):
            raise StudentError(
                f"{path}: field 'student' is no shape: {name} is {value!r}; expected "
                f"{kinds[name].__name__}, not below 0"
            )
    if shape.get("head", SOFTMAX) not in N_KINDS:
        raise StudentError(
            f"{path}: field 'student' is no shape: head must be one of {', '.join(N_KINDS)}; got "
            f"{shape['head']!r}"
        )
    return StudentConfig(**shape)


NONE = 0
"""Index of "none" on the last axis of a student's logits; label `i` has index `i + 1`."""
