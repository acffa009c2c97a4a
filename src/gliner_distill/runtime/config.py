"""The architecture of a student, its file names, and `student_config.json`, without torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from gliner_distill.errors import StudentError
from gliner_distill.runtime.heads import HEAD_NAMES, SOFTMAX

CONFIG_FILE: Final = "student_config.json"
GRAPH_FILE: Final = "words.onnx"
TORCH_WEIGHTS_FILE: Final = "student.safetensors"
"""All weights of a student. Torch needs all of them, and the runtime reads those that it needs."""
RUNTIME_WEIGHTS_FILE: Final = "weights.safetensors"
"""The weights that the runtime needs besides the graph; an export has only these."""

FORMAT_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """The architecture of a student.

    Attributes:
        n_pieces: The number of rows of the embedding table; 0 until a vocabulary is known.
        embedding_width: The number of columns of the embedding table.
        hidden_width: The number of LSTM units per direction.
        n_layers: The number of LSTM layers.
        bidirectional: Whether a second LSTM reads each layer backward.
        embedding_dropout_prob: The dropout probability of the input vectors of words and labels.
        dropout_prob: The dropout probability of LSTM states, between layers and at the output.
        threshold: The default probability above which an answer counts.
        head: The name of the head, `softmax` or `boundary`.
        label_hidden_width: The number of units in the hidden layer of the label tower. With 0 the
            tower is a single layer, as in Xu et al.
        label_lstm_width: The number of units per direction of the LSTM that reads the pieces of a
            label in order; with 0 the label tower sees only the mean of the pieces.
        relation_width: The width of the two vectors by which one label is compared with another, to
            tell which is the more specific; 0 for a student that does not compare labels.
        feature_width: The width of the teacher's representations, to which word and label vectors
            are projected during training; 0 without feature matching and in every saved student.
    """

    n_pieces: int = 0
    embedding_width: int = 128
    hidden_width: int = 192
    n_layers: int = 1
    bidirectional: bool = True
    embedding_dropout_prob: float = 0.2
    dropout_prob: float = 0.3
    threshold: float = 0.5
    head: str = SOFTMAX
    label_hidden_width: int = 0
    label_lstm_width: int = 0
    relation_width: int = 0
    feature_width: int = 0


def read_student_config(folder: Path) -> tuple[StudentConfig, dict[str, Any]]:
    """Return the architecture of the student in a folder, and the whole configuration file.

    Raises:
        StudentError: The file is missing, cannot be read, or is not a student's configuration.
    """
    path = folder / CONFIG_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudentError(
            f"{folder}: {CONFIG_FILE} is missing; expected the folder of a student"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudentError(f"{path}: cannot be read: {error}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or version != FORMAT_VERSION:
        raise StudentError(
            f"{path}: the format version is {version!r}; this release reads version "
            f"{FORMAT_VERSION}; make the student again, or read it with the release that wrote it"
        )
    return _parse_architecture(path, raw.get("architecture")), raw


def other_metadata(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration file that only describe the student."""
    return {
        key: value
        for key, value in raw.items()
        if key not in ("format_version", "architecture", "runtime")
    }


def _parse_architecture(path: Path, raw: object) -> StudentConfig:
    types = get_type_hints(StudentConfig)
    where = f"{path}: field 'architecture'"
    if not isinstance(raw, dict):
        raise StudentError(f"{where} is {raw!r}; expected an object")
    if "n_pieces" not in raw:
        raise StudentError(f"{where} lacks n_pieces")
    for name, value in raw.items():
        if name not in types:
            raise StudentError(f"{where} has {name!r}; expected only {', '.join(types)}")
        allowed = (int, float) if types[name] is float else (types[name],)
        if type(value) not in allowed or (type(value) in (int, float) and value < 0):
            raise StudentError(
                f"{where}: {name} is {value!r}; expected {types[name].__name__}, not below 0"
            )
    if raw.get("head", SOFTMAX) not in HEAD_NAMES:
        raise StudentError(
            f"{where}: head is {raw['head']!r}; expected one of {', '.join(HEAD_NAMES)}"
        )
    config = StudentConfig(**raw)
    if config.relation_width and not config.label_hidden_width:
        raise StudentError(f"{where}: label_hidden_width is 0; expected more with relation_width")
    return config
