"""The files of a student: this module alone reads them for the runtime, and it alone writes them.

- `student.safetensors` holds the weights of a student that torch can load. An export has
  `weights.safetensors` in its place, which may hold them in fewer bits.
- `student_config.json` holds the architecture and, in its field `runtime`, the precision, the
  thresholds and the map of scores. It also names the SHA-256 of all files.
- `tokenizer.json` holds the vocabulary.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from gliner_distill.errors import SettingsError, StudentError, shorten
from gliner_distill.files import reason_of, replace_together
from gliner_distill.hub.card_files import read_card
from gliner_distill.hub.cards import CARD_FILE
from gliner_distill.runtime.config import (
    CONFIG_FILE,
    FP32,
    GRAPH_FILE,
    INT8,
    RUNTIME_WEIGHTS_FILE,
    TORCH_WEIGHTS_FILE,
    StudentConfig,
    check_has_all_weights,
    check_student_config,
    find_student_file,
    has_checksums,
    names_file,
    other_metadata,
    pack_student_config,
    read_student_config,
    warn_without_checksums,
)
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.runtime.score_map import ScoreMap, parse_score_map
from gliner_distill.runtime.vocabulary import MAX_TOKENIZER_BYTES, TOKENIZER_FILE, Vocabulary
from gliner_distill.runtime.weights import (
    check_size,
    count_parameters,
    read_weights,
    weight_shapes,
)

EXPORT_FILES: Final = (RUNTIME_WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
"""The files of an export, apart from its card."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a student's folder, as the runtime needs it (without torch).

    Attributes:
        config: The architecture.
        vocabulary: The subword pieces.
        weights: The weights by name.
        precision: The precision of the computation, `fp32` or `int8`; 8-bit weights are made from
            `weights` when the student is loaded.
        threshold: The probability computed by the student that the runtime reports as 0.5.
        label_thresholds: The same for single labels; all other labels use `threshold`.
        score_map: The map from scores whose threshold lies at 0.5 to those that are reported; None
            to report them as they are. Only for a boundary head.
        metadata: The other fields of the configuration file.
        card: The content of the model card; empty if there is none.
    """

    config: StudentConfig
    vocabulary: Vocabulary
    weights: Mapping[str, NDArray[Any]]
    precision: str = FP32
    threshold: float = 0.5
    label_thresholds: Mapping[str, float] = field(default_factory=dict)
    score_map: ScoreMap | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""

    @property
    def n_parameters(self) -> int:
        """The number of the student's parameters."""
        return count_parameters(self.config)


def read_bundle(folder: Path) -> Bundle:
    """Read a student from its folder: an export, or a folder with the weights of torch.

    Raises:
        StudentError: A file is missing, cannot be read, or does not fit the others.
    """
    config, raw = read_student_config(folder)
    check_has_all_weights(folder, raw)
    warn_without_checksums(folder, raw)
    path = folder / CONFIG_FILE
    try:
        check_size(config)
    except SettingsError as error:
        raise StudentError(f"{path}: field 'architecture': {error}") from error
    vocabulary = read_vocabulary(folder, config, raw)
    weights = read_weights(_find_weights(folder, raw), weight_shapes(config))
    return _make_bundle(path, config, raw, vocabulary, weights, read_card(folder))


def unpack_bundle(files: Mapping[str, bytes]) -> Bundle:
    """Return the student that `pack_bundle` has packed.

    Args:
        files: The content of each file by name, with the weights in `weights.safetensors`, and
            the card if there is one.

    Raises:
        StudentError: Another release has packed it, in a format that this one does not read.
    """
    path = Path(CONFIG_FILE)
    raw = json.loads(files[CONFIG_FILE])
    config = check_student_config(path, raw)
    check_has_all_weights(path, raw)
    vocabulary = Vocabulary.from_json(files[TOKENIZER_FILE].decode())
    weights = safetensors.numpy.load(files[RUNTIME_WEIGHTS_FILE])
    card = files.get(CARD_FILE, b"").decode()
    return _make_bundle(path, config, raw, vocabulary, weights, card)


def read_vocabulary(folder: Path, config: StudentConfig, raw: Mapping[str, Any]) -> Vocabulary:
    """Read the vocabulary of a student.

    Raises:
        StudentError: The file is missing, changed or broken, or has another size than the
            architecture expects.
    """
    path = find_student_file(folder, TOKENIZER_FILE, raw, max_bytes=MAX_TOKENIZER_BYTES)
    vocabulary = Vocabulary.from_file(path)
    if len(vocabulary) != config.n_pieces:
        raise StudentError(
            f"{folder}: {TOKENIZER_FILE} has {len(vocabulary)} pieces, but {CONFIG_FILE} says "
            f"{config.n_pieces}; the files do not belong together"
        )
    return vocabulary


def read_score_map(folder: Path) -> ScoreMap | None:
    """Return the map of scores of the student in a folder; None if it reports them as they are.

    Raises:
        StudentError: The configuration cannot be read, or the map is wrong or has no use.
    """
    config, raw = read_student_config(folder)
    return _parse_score_map(folder / CONFIG_FILE, config, raw)


def pack_bundle(
    bundle: Bundle, *, torch_weights: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, bytes]:
    """Return the content of the files of a student by name, without its card.

    Equal students have equal files.

    Args:
        bundle: The student.
        torch_weights: See `write_bundle`.
    """
    stored = bundle.weights if torch_weights is None else torch_weights
    weights_file = RUNTIME_WEIGHTS_FILE if torch_weights is None else TORCH_WEIGHTS_FILE
    weights = {name: np.ascontiguousarray(value) for name, value in stored.items()}
    fields = {
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
        TOKENIZER_FILE: bundle.vocabulary.to_json().encode(),
        weights_file: safetensors.numpy.save(weights),
    }
    return {CONFIG_FILE: pack_student_config(fields, contents)} | contents


def write_bundle(
    folder: Path, bundle: Bundle, *, torch_weights: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write the files of a student except its card; other files in the folder stay.

    All of them are on the disk under temporary names before the configuration, which names their
    checksums, is renamed. A full disk or a killed process therefore leaves either the earlier
    student or the new one, and never a mixture.

    Args:
        folder: The folder; it is created if it does not exist.
        bundle: The student.
        torch_weights: All weights by name, for a folder that torch can load. They are written to
            `student.safetensors`, which the runtime then reads, too. If None, the weights of the
            bundle are written to `weights.safetensors`.

    Raises:
        StudentError: The folder cannot be written.
    """
    files = pack_bundle(bundle, torch_weights=torch_weights)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _finish_earlier_write(folder)
        replace_together(folder, files)
        # Files of an earlier export, which the student lacks.
        (folder / GRAPH_FILE).unlink(missing_ok=True)
        if torch_weights is not None:
            (folder / RUNTIME_WEIGHTS_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {reason_of(error)}") from error


def quantize_weights(bundle: Bundle) -> Bundle:
    """Return a bundle that computes in 8 bits, with pieces in 8 bits and the rest in half.

    Each piece has a scale of its own: its largest absolute value becomes 127.
    """
    pieces = bundle.weights[PIECES].astype(np.float32)
    # The lower limit avoids a division by zero for a row of zeros.
    scales = np.maximum(np.abs(pieces).max(axis=1, keepdims=True), 1e-8) / 127
    weights = {
        name: weight.astype(np.float16 if weight.ndim == 2 else np.float32)
        for name, weight in bundle.weights.items()
    }
    codes = np.rint(pieces / scales).astype(np.int8)
    weights |= {PIECES: codes, PIECE_SCALES: scales.astype(np.float32)}
    return replace(bundle, weights=weights, precision=INT8)


def _make_bundle(
    path: Path,
    config: StudentConfig,
    raw: dict[str, Any],
    vocabulary: Vocabulary,
    weights: Mapping[str, NDArray[Any]],
    card: str,
) -> Bundle:
    runtime = _runtime_fields(path, raw)
    label_thresholds = runtime.get("label_thresholds", {})
    if not isinstance(label_thresholds, dict):
        raise StudentError(
            f"{path}: field 'label_thresholds' is {shorten(label_thresholds)}; expected an object "
            "that maps labels to probabilities"
        )
    return Bundle(
        config=config,
        vocabulary=vocabulary,
        weights=weights,
        precision=_check_precision(path, runtime.get("precision", FP32)),
        threshold=_check_threshold(path, "threshold", runtime.get("threshold", config.threshold)),
        label_thresholds={
            label: _check_threshold(path, f"threshold of {shorten(label)}", value)
            for label, value in label_thresholds.items()
        },
        score_map=_parse_score_map(path, config, raw),
        metadata=other_metadata(raw),
        card=card,
    )


def _parse_score_map(path: Path, config: StudentConfig, raw: Mapping[str, Any]) -> ScoreMap | None:
    score_map = parse_score_map(path, _runtime_fields(path, raw).get("score_map"))
    if score_map is not None and config.head != BOUNDARY:
        raise StudentError(
            f"{path}: field 'score_map' needs a {BOUNDARY} head; this student has a {config.head} "
            "head"
        )
    return score_map


def _check_threshold(path: Path, name: str, value: object) -> float:
    # A bool is an int in Python, but not a threshold.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise StudentError(f"{path}: {name} is {shorten(value)}; expected a number between 0 and 1")
    return float(value)


def _check_precision(path: Path, value: object) -> str:
    if value not in (FP32, INT8):
        raise StudentError(f"{path}: precision is {shorten(value)}; expected {FP32} or {INT8}")
    return str(value)


def _runtime_fields(path: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    runtime = raw.get("runtime", {})
    if not isinstance(runtime, dict):
        raise StudentError(f"{path}: field 'runtime' is {shorten(runtime)}; expected an object")
    return runtime


def _find_weights(folder: Path, raw: Mapping[str, Any]) -> Path:
    for name in (RUNTIME_WEIGHTS_FILE, TORCH_WEIGHTS_FILE):
        if names_file(folder, name, raw):
            return find_student_file(folder, name, raw)
    raise StudentError(
        f"{folder}: the weights are missing; expected {RUNTIME_WEIGHTS_FILE} or "
        f"{TORCH_WEIGHTS_FILE}, named in {CONFIG_FILE}; copy or export the student again"
    )


def _finish_earlier_write(folder: Path) -> None:
    """Give the files of a write that was cut off their names, which a new write would take."""
    try:
        _, raw = read_student_config(folder)
        for name in (*EXPORT_FILES, TORCH_WEIGHTS_FILE):
            if name != CONFIG_FILE and has_checksums(raw) and names_file(folder, name, raw):
                found = find_student_file(folder, name, raw)
                if found != folder / name:
                    found.replace(folder / name)
    except (StudentError, OSError):
        return  # a folder without a student, or with a broken one
