"""A student as files that need no torch: what `export` writes and `StudentNER` reads.

- `words.onnx`: the LSTM and the word tower. Inputs `embedded` `(batch, words, width)`, `n_words`
  `(batch,)` int32 and `labels` `(states, columns)`; outputs `words` `(batch, words, states)`, the
  word vectors over the square root of their width, and `scores` `(batch, words, columns)`, their
  product with `labels`.
- `tables.safetensors`: the rest of the weights. Where it is missing, `student.safetensors`, which
  has them all.
- `student_config.json`: the shape and, in its field `runtime`, precision and thresholds.
- `tokenizer.json`: the vocabulary.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gliner_distill.errors import StudentError
from gliner_distill.files import replace_file
from gliner_distill.runtime.config import (
    BOUNDARY,
    CONFIG_FILE,
    FORMAT_VERSION,
    N_KINDS,
    WEIGHTS_FILE,
    StudentConfig,
    other_metadata,
    read_student_config,
)
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES, SHAPES
from gliner_distill.runtime.vocabulary import N_SHAPES, TOKENIZER_FILE, Vocabulary

GRAPH_FILE = "words.onnx"


TABLES_FILE = "tables.safetensors"


FP32, INT8 = "fp32", "int8"


# A student has at most 6M parameters, 24 MB.
_MAX_FILE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Bundle:
    """A student that needs no torch.

    Attributes:
        config: Its shape.
        vocabulary: Its pieces.
        tables: Weights by name; those of the LSTM and the word tower are in the graph.
        graph: The content of `words.onnx`.
        precision: `fp32` or `int8`, of the graph.
        threshold: Probability at which an answer is as likely wrong as right, as fitted; the
            runtime moves it to 0.5.
        label_thresholds: The same for some labels.
        metadata: What else the student's configuration holds.
    """

    config: StudentConfig
    vocabulary: Vocabulary
    tables: Mapping[str, NDArray[Any]]
    graph: bytes
    precision: str = FP32
    threshold: float = 0.5
    label_thresholds: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def weight_shapes(config: StudentConfig) -> dict[str, tuple[int, ...]]:
    """Return the tables that a student of a shape has, by name."""
    width = config.embedding_width
    out_width = config.hidden_width * (2 if config.bidirectional else 1)
    label_width, hidden = out_width * N_KINDS[config.head], config.label_hidden_width
    shapes: dict[str, tuple[int, ...]] = {
        PIECES: (config.n_pieces, width),
        SHAPES: (width, N_SHAPES),
    }
    layers = [("label_tower", width, label_width)]
    if hidden:
        layers = [("label_tower.0", width, hidden), ("label_tower.2", hidden, label_width)]
    for name, n_in, n_out in layers:
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    if config.head == BOUNDARY:
        return shapes | {"bias": (N_KINDS[BOUNDARY],)}
    return shapes | {"none.weight": (1, out_width), "none.bias": (1,)}


def read_bundle(folder: Path) -> Bundle:
    """Read a student that needs no torch.

    Raises:
        StudentError: A file is missing, cannot be read, or does not fit the others.
    """
    config, raw = read_student_config(folder)
    vocabulary = Vocabulary.from_file(folder / TOKENIZER_FILE)
    if len(vocabulary) != config.n_pieces:
        raise StudentError(
            f"{folder}: {TOKENIZER_FILE} has {len(vocabulary)} pieces, the weights have "
            f"{config.n_pieces}; they do not belong together"
        )
    runtime = raw.get("runtime", {})
    path = folder / CONFIG_FILE
    if not isinstance(runtime, dict):
        raise StudentError(f"{path}: field 'runtime' is {runtime!r}; expected an object")
    label_thresholds = runtime.get("label_thresholds", {})
    if not isinstance(label_thresholds, dict):
        raise StudentError(f"{path}: field 'label_thresholds' must give each label a probability")
    return Bundle(
        config=config,
        vocabulary=vocabulary,
        tables=_read_tables(folder, weight_shapes(config)),
        graph=_read_bytes(folder / GRAPH_FILE),
        precision=str(runtime.get("precision", FP32)),
        threshold=_check_threshold(path, runtime.get("threshold", config.threshold)),
        label_thresholds={
            label: _check_threshold(path, value) for label, value in label_thresholds.items()
        },
        metadata=other_metadata(raw),
    )


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a student's files, each to a temporary name first.

    Raises:
        StudentError: The folder cannot be written.
    """
    config = {
        "format_version": FORMAT_VERSION,
        "student": asdict(bundle.config),
        "runtime": {
            "precision": bundle.precision,
            "threshold": bundle.threshold,
            "label_thresholds": dict(bundle.label_thresholds),
        },
        **bundle.metadata,
    }
    tables = {name: np.ascontiguousarray(value) for name, value in bundle.tables.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / TOKENIZER_FILE, bundle.vocabulary.to_json().encode())
        replace_file(folder / TABLES_FILE, safetensors.numpy.save(tables))
        replace_file(folder / GRAPH_FILE, bundle.graph)
        replace_file(folder / CONFIG_FILE, (json.dumps(config, indent=1) + "\n").encode())
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _check_threshold(path: Path, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise StudentError(f"{path}: a threshold is {value!r}; expected a number between 0 and 1")
    return float(value)


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise StudentError(
                f"{path}: has more than {_MAX_FILE_BYTES:,} bytes, so is no student's"
            )
        return path.read_bytes()
    except OSError as error:
        raise StudentError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_tables(folder: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    path = folder / TABLES_FILE
    if not path.is_file() and (folder / WEIGHTS_FILE).is_file():
        path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="numpy") as stored:
            names = {*expected, PIECE_SCALES} & set(stored.keys())
            tables = {name: stored.get_tensor(name) for name in names}
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        # The last two where numpy lacks the type, such as bfloat16.
        raise StudentError(f"{path}: cannot be loaded: {error}") from error
    for name, shape in expected.items():
        if name not in tables or tables[name].shape != shape:
            found = tables[name].shape if name in tables else "nothing"
            raise StudentError(f"{path}: {name} should have shape {shape}; found {found}")
    is_scaled = PIECE_SCALES in tables
    if is_scaled and tables[PIECE_SCALES].shape != (expected[PIECES][0], 1):
        raise StudentError(f"{path}: {PIECE_SCALES} should have a number for each piece")
    for name, table in tables.items():
        kinds = "i" if is_scaled and name == PIECES else "f"
        if table.dtype.kind not in kinds:
            raise StudentError(f"{path}: {name} holds {table.dtype}, which no student has")
    return tables
