"""The files of a student: this module alone reads them for the runtime, and it alone writes them.

- `words.onnx` holds the LSTM and the word tower. Its inputs are `embedded` `(batch, words, width)`,
  `n_words` `(batch,)` int32 and `labels` `(states, columns)`. Its outputs are `words`
  `(batch, words, states)`, the word vectors divided by the square root of their width, and `scores`
  `(batch, words, columns)`, their product with `labels`.
- `student.safetensors` holds all weights of a student that torch can load. An export has
  `weights.safetensors` in its place, with only the weights that are not in the graph.
- `student_config.json` holds the architecture and, in its field `runtime`, the precision, the
  thresholds and the map of scores.
- `tokenizer.json` holds the vocabulary.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gliner_distill.errors import StudentError
from gliner_distill.files import reason_of, replacing
from gliner_distill.runtime.config import (
    CONFIG_FILE,
    FORMAT_VERSION,
    GRAPH_FILE,
    RUNTIME_WEIGHTS_FILE,
    TORCH_WEIGHTS_FILE,
    StudentConfig,
    other_metadata,
    read_student_config,
)
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES, SHAPES
from gliner_distill.runtime.heads import BOUNDARY, head_named
from gliner_distill.runtime.label_tower import KINDS, LSTMS
from gliner_distill.runtime.score_map import ScoreMap, parse_score_map
from gliner_distill.runtime.vocabulary import N_SHAPES, TOKENIZER_FILE, Vocabulary

FP32: Final = "fp32"
INT8: Final = "int8"
EXPORT_FILES: Final = (GRAPH_FILE, RUNTIME_WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
"""The files of an export."""

# A student has at most 6M parameters, which is 24 MB in single precision.
_MAX_FILE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a student's folder, as the runtime needs it (without torch).

    Attributes:
        config: The architecture.
        vocabulary: The subword pieces.
        weights: The weights by name, except those in the graph.
        graph: The content of `words.onnx`.
        precision: The precision of the graph, `fp32` or `int8`.
        threshold: The probability computed by the student that the runtime reports as 0.5.
        label_thresholds: The same for single labels; all other labels use `threshold`.
        score_map: The map from scores whose threshold lies at 0.5 to those that are reported; None
            to report them as they are. Only for a boundary head.
        metadata: The other fields of the configuration file.
    """

    config: StudentConfig
    vocabulary: Vocabulary
    weights: Mapping[str, NDArray[Any]]
    graph: bytes
    precision: str = FP32
    threshold: float = 0.5
    label_thresholds: Mapping[str, float] = field(default_factory=dict)
    score_map: ScoreMap | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def weight_shapes(config: StudentConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each weight that a student has outside its graph."""
    head = head_named(config.head)
    width = config.embedding_width
    state_width = config.hidden_width * (2 if config.bidirectional else 1)
    label_width, hidden = state_width * head.n_vectors, config.label_hidden_width
    units = config.label_lstm_width
    label_in = width + 2 * units
    layers = [("label_tower", label_in, label_width)]
    if hidden:
        layers = [("label_tower.0", label_in, hidden), ("label_tower.2", hidden, label_width)]
    if config.relation_width:
        layers.append((KINDS, hidden, 2 * config.relation_width + 1))
    shapes: dict[str, tuple[int, ...]] = {
        PIECES: (config.n_pieces, width),
        SHAPES: (width, N_SHAPES),
    }
    for name, n_in, n_out in layers:
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for name in LSTMS if units else ():
        shapes |= {f"{name}.weight_ih_l0": (4 * units, width)}
        shapes |= {f"{name}.weight_hh_l0": (4 * units, units)}
        shapes |= {f"{name}.bias_{part}_l0": (4 * units,) for part in ("ih", "hh")}
    return shapes | head.weight_shapes(state_width)


def read_bundle(folder: Path) -> Bundle:
    """Read a student from its folder: an export, or a folder with the weights of torch.

    Raises:
        StudentError: A file is missing, cannot be read, or does not fit the others.
    """
    # Everything is checked before the graph is loaded, so that a broken folder gives a clear error.
    config, raw = read_student_config(folder)
    vocabulary = Vocabulary.from_file(folder / TOKENIZER_FILE)
    check_n_pieces(folder, vocabulary, config)
    path = folder / CONFIG_FILE
    runtime = _runtime_fields(path, raw)
    label_thresholds = runtime.get("label_thresholds", {})
    if not isinstance(label_thresholds, dict):
        raise StudentError(
            f"{path}: field 'label_thresholds' is {label_thresholds!r}; expected an object that "
            "maps labels to probabilities"
        )
    return Bundle(
        config=config,
        vocabulary=vocabulary,
        weights=_read_weights(folder, weight_shapes(config)),
        graph=_read_graph(folder / GRAPH_FILE),
        precision=str(runtime.get("precision", FP32)),
        threshold=_check_threshold(path, "threshold", runtime.get("threshold", config.threshold)),
        label_thresholds={
            label: _check_threshold(path, f"threshold of {label!r}", value)
            for label, value in label_thresholds.items()
        },
        score_map=read_score_map(folder),
        metadata=other_metadata(raw),
    )


def read_score_map(folder: Path) -> ScoreMap | None:
    """Return the map of scores of the student in a folder; None if it reports them as they are.

    Raises:
        StudentError: The configuration cannot be read, or the map is wrong or has no use.
    """
    config, raw = read_student_config(folder)
    path = folder / CONFIG_FILE
    score_map = parse_score_map(path, _runtime_fields(path, raw).get("score_map"))
    if score_map is not None and config.head != BOUNDARY:
        raise StudentError(
            f"{path}: field 'score_map' needs a {BOUNDARY} head; this student has a {config.head} "
            "head"
        )
    return score_map


def write_bundle(
    folder: Path, bundle: Bundle, *, torch_weights: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write the files of a student, each whole or not at all.

    All files are on the disk under temporary names before the first of them is renamed, so a full
    disk leaves an earlier student as it was. The old configuration is removed before the renaming,
    and the new one is renamed last. If a process is killed in between, the folder has no
    configuration and is refused, so it is never read as a mixture of two students.

    Args:
        folder: The folder; it is created if it does not exist.
        bundle: The student.
        torch_weights: All weights by name, for a folder that torch can load. They are written to
            `student.safetensors`, which the runtime then reads, too. If None, the weights of the
            bundle are written to `weights.safetensors`.

    Raises:
        StudentError: The folder cannot be written.
    """
    stored = bundle.weights if torch_weights is None else torch_weights
    weights_file = RUNTIME_WEIGHTS_FILE if torch_weights is None else TORCH_WEIGHTS_FILE
    weights = {name: np.ascontiguousarray(value) for name, value in stored.items()}
    config = {
        "format_version": FORMAT_VERSION,
        "architecture": asdict(bundle.config),
        "runtime": {
            "precision": bundle.precision,
            "threshold": bundle.threshold,
            "label_thresholds": dict(bundle.label_thresholds),
            **({} if bundle.score_map is None else {"score_map": bundle.score_map.as_json()}),
        },
        **bundle.metadata,
    }
    contents = {
        CONFIG_FILE: (json.dumps(config, indent=1) + "\n").encode(),
        TOKENIZER_FILE: bundle.vocabulary.to_json().encode(),
        weights_file: safetensors.numpy.save(weights),
        GRAPH_FILE: bundle.graph,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The stack renames in the reverse order of entry: the configuration comes last.
        with ExitStack() as stack:
            for name, content in contents.items():
                stream = stack.enter_context(replacing(folder / name))
                stream.write(content)
                stream.flush()
            (folder / CONFIG_FILE).unlink(missing_ok=True)
            if (
                torch_weights is not None
            ):  # the runtime would prefer the weights of an earlier export
                (folder / RUNTIME_WEIGHTS_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {reason_of(error)}") from error


def check_n_pieces(folder: Path, vocabulary: Vocabulary, config: StudentConfig) -> None:
    """Check that a vocabulary has the size that an architecture expects.

    Raises:
        StudentError: The sizes differ.
    """
    if len(vocabulary) != config.n_pieces:
        raise StudentError(
            f"{folder}: {TOKENIZER_FILE} has {len(vocabulary)} pieces, but {CONFIG_FILE} says "
            f"{config.n_pieces}; the files do not belong together"
        )


def _check_threshold(path: Path, name: str, value: object) -> float:
    # A bool is an int in Python, but not a threshold.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise StudentError(f"{path}: {name} is {value!r}; expected a number between 0 and 1")
    return float(value)


def _runtime_fields(path: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    runtime = raw.get("runtime", {})
    if not isinstance(runtime, dict):
        raise StudentError(f"{path}: field 'runtime' is {runtime!r}; expected an object")
    return runtime


def _read_graph(path: Path) -> bytes:
    try:
        n_bytes = path.stat().st_size
        if n_bytes > _MAX_FILE_BYTES:
            raise StudentError(
                f"{path}: has {n_bytes:,} bytes; the graph of a student has at most "
                f"{_MAX_FILE_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise StudentError(f"{path}: cannot be read: {reason_of(error)}") from error


def _read_weights(folder: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    path = folder / RUNTIME_WEIGHTS_FILE
    if not path.is_file():
        path = folder / TORCH_WEIGHTS_FILE
    if not path.is_file():
        raise StudentError(
            f"{folder}: the weights are missing; expected {RUNTIME_WEIGHTS_FILE} or "
            f"{TORCH_WEIGHTS_FILE}; copy or export the student again"
        )
    try:
        with safe_open(path, framework="numpy") as stored:
            names = {*expected, PIECE_SCALES} & set(stored.keys())
            # Shapes are compared first, so that a file of another student is not read into memory.
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in names}
            _check_shapes(path, shapes, expected)
            weights = {name: stored.get_tensor(name) for name in names}
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        # The last two where numpy lacks the type, such as bfloat16.
        raise StudentError(f"{path}: cannot be loaded: {error}") from error
    is_scaled = PIECE_SCALES in weights
    for name, weight in weights.items():
        # Only the table of pieces may hold integers, and only together with its scales.
        allowed = "i" if is_scaled and name == PIECES else "f"
        if weight.dtype.kind not in allowed:
            raise StudentError(
                f"{path}: {name} is of type {weight.dtype}; expected "
                f"{'integers' if allowed == 'i' else 'floating-point numbers'}"
            )
    return weights


def _check_shapes(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    for name, shape in expected.items():
        if name not in shapes:
            raise StudentError(f"{path}: {name} is missing; expected shape {shape}")
        if shapes[name] != shape:
            raise StudentError(f"{path}: {name} has shape {shapes[name]}; expected {shape}")
    n_pieces = expected[PIECES][0]
    if shapes.get(PIECE_SCALES, (n_pieces, 1)) != (n_pieces, 1):
        raise StudentError(
            f"{path}: {PIECE_SCALES} has shape {shapes[PIECE_SCALES]}; expected one number per "
            f"piece, shape {(n_pieces, 1)}"
        )
