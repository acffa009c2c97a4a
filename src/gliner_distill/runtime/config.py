"""The architecture of a student, its file names, and `student_config.json`, without torch.

The configuration names the SHA-256 of each file of the student, and of itself. A file with another
content is refused, because a changed weight would give other entities without any warning.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from gliner_distill.errors import StudentError, shorten
from gliner_distill.files import check_regular_file, find_content, reason_of
from gliner_distill.runtime.heads import HEAD_NAMES, SOFTMAX

CONFIG_FILE: Final = "student_config.json"
TORCH_WEIGHTS_FILE: Final = "student.safetensors"
"""The weights of a student, which torch and the runtime read."""
RUNTIME_WEIGHTS_FILE: Final = "weights.safetensors"
"""The weights of an export, which only the runtime reads."""
GRAPH_FILE: Final = "words.onnx"
"""The graph of an export for other runtimes, which no student of this package reads."""

FP32: Final = "fp32"
INT8: Final = "int8"

FORMAT_VERSION: Final = 4
_VERSION_WITHOUT_CHECKSUMS: Final = 2
_CHECKSUMS: Final = "sha256"

MAX_PARAMETERS: Final = 6_000_000
MAX_FILE_BYTES: Final = 64_000_000
"""The largest file that is read: a student has at most 6M parameters, 24 MB in single precision."""
_MAX_CONFIG_BYTES = 4_000_000

_logger = logging.getLogger(__name__)


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


def pack_student_config(fields: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    """Return the content of a configuration file, with the checksums of a student's other files.

    Args:
        fields: The fields of the configuration.
        contents: The content of each other file by name.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    signed = {"format_version": FORMAT_VERSION, **fields}
    # Read as it will be stored, a list takes the place of a tuple.
    digests[CONFIG_FILE] = _digest_fields(json.loads(json.dumps(signed)))
    return (json.dumps(signed | {_CHECKSUMS: digests}, indent=1) + "\n").encode()


def read_student_config(folder: Path) -> tuple[StudentConfig, dict[str, Any]]:
    """Return the architecture of the student in a folder, and the whole configuration file.

    Raises:
        StudentError: The file is missing, cannot be read, was changed, or is not a student's
            configuration.
    """
    path = folder / CONFIG_FILE
    try:
        check_regular_file(path, max_bytes=_MAX_CONFIG_BYTES)
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudentError(
            f"{folder}: {CONFIG_FILE} is missing; expected the folder of a student"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudentError(f"{path}: cannot be read: {reason_of(error)}") from error
    return check_student_config(path, raw), raw


def check_student_config(path: Path, raw: Any) -> StudentConfig:
    """Return the architecture of the student that a configuration describes.

    Args:
        path: The place of the configuration in messages.
        raw: The configuration.

    Raises:
        StudentError: It was changed, or it is not a student's configuration.
    """
    version = raw.get("format_version") if isinstance(raw, dict) else None
    # A boolean equals a number in Python.
    if type(version) is not int or not _VERSION_WITHOUT_CHECKSUMS <= version <= FORMAT_VERSION:
        if isinstance(version, int) and version > FORMAT_VERSION:
            advice = "a newer version of gliner-distill wrote it, so upgrade gliner-distill"
        else:
            advice = (
                "make the student again with `gliner-distill distill`, or read it with the release "
                "that wrote it"
            )
        raise StudentError(
            f"{path}: the format version is {shorten(version)}; this release reads versions "
            f"{_VERSION_WITHOUT_CHECKSUMS} to {FORMAT_VERSION}; {advice}"
        )
    if has_checksums(raw):
        _check_config(path, raw)
    return _parse_architecture(path, raw.get("architecture"))


def has_checksums(raw: Mapping[str, Any]) -> bool:
    """Return whether a configuration holds checksums; earlier releases did not write any."""
    return bool(raw["format_version"] > _VERSION_WITHOUT_CHECKSUMS)


def check_has_all_weights(folder: Path, raw: Mapping[str, Any]) -> None:
    """Check that a student does not keep a part of its weights in a graph.

    Args:
        folder: The student's folder.
        raw: The student's configuration file.

    Raises:
        StudentError: An earlier release exported the student, so that its graph holds its LSTM.
    """
    if names_file(folder, GRAPH_FILE, raw) and names_file(folder, RUNTIME_WEIGHTS_FILE, raw):
        raise StudentError(
            f"{folder}: an earlier release exported this student with its LSTM in {GRAPH_FILE}, "
            "which this release does not read; export it again from its training run with "
            "`gliner-distill export RUN --out FOLDER`, or run it with the release that wrote it"
        )


def warn_without_checksums(folder: Path, raw: Mapping[str, Any]) -> None:
    """Log a warning if the files of a student cannot be compared with checksums."""
    if not has_checksums(raw):
        _logger.warning(
            "%s: this student has no checksums, because an earlier release wrote it, so a damaged "
            "file may go unnoticed; write the student again with `gliner-distill export`",
            folder,
        )


def find_student_file(
    folder: Path, name: str, raw: Mapping[str, Any], *, max_bytes: int = MAX_FILE_BYTES
) -> Path:
    """Return the path of a file of a student, after comparing its content with its checksum.

    Args:
        folder: The student's folder.
        name: The name of the file.
        raw: The student's configuration file.
        max_bytes: The size above which the file is refused.

    Raises:
        StudentError: The file is missing, cannot be read, is too large, or has another content than
            the one that was written.
    """
    path = folder / name
    try:
        if not has_checksums(raw):
            check_regular_file(path, max_bytes=max_bytes)
            return path
        if name not in raw[_CHECKSUMS]:
            raise StudentError(
                f"{folder}: {CONFIG_FILE} does not list {name}, so the student has no such file; "
                "copy or export the student again"
            )
        found = find_content(path, raw[_CHECKSUMS][name], max_bytes=max_bytes)
    except OSError as error:
        raise StudentError(
            f"{path}: cannot be read: {reason_of(error)}; copy or export the student again"
        ) from error
    if found is None:
        raise StudentError(
            f"{path}: is not the file that the student was written with (its SHA-256 is not the "
            f"one in {CONFIG_FILE}); copy or export the student again"
        )
    return found


def missing_student_files(folder: Path) -> list[str]:
    """Return the names of the files that a student should have but that are not in its folder.

    Without a readable configuration, none is known.
    """
    try:
        _, raw = read_student_config(folder)
    except StudentError:
        return []
    names = raw[_CHECKSUMS] if has_checksums(raw) else ()
    return sorted(name for name in names if not (folder / name).exists())


def names_file(folder: Path, name: str, raw: Mapping[str, Any]) -> bool:
    """Return whether a student has a file of this name."""
    return name in raw[_CHECKSUMS] if has_checksums(raw) else (folder / name).is_file()


def other_metadata(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration file that only describe the student."""
    return {
        key: value
        for key, value in raw.items()
        if key not in ("format_version", "architecture", "runtime", _CHECKSUMS)
    }


def _check_config(path: Path, raw: dict[str, Any]) -> None:
    digests = raw.get(_CHECKSUMS)
    if not isinstance(digests, dict) or not all(isinstance(d, str) for d in digests.values()):
        raise StudentError(
            f"{path}: field '{_CHECKSUMS}' is {shorten(digests)}; expected an object that maps the "
            "name of each file to its SHA-256"
        )
    try:
        is_whole = digests.get(CONFIG_FILE) == _digest_fields(raw)
    except RecursionError:  # writing JSON allows fewer levels than reading it
        raise StudentError(f"{path}: cannot be read: it is nested too deeply") from None
    if not is_whole:
        raise StudentError(
            f"{path}: has changed since it was written (its content does not have the SHA-256 in "
            f"field '{_CHECKSUMS}'); copy or export the student again"
        )


def _digest_fields(raw: Mapping[str, Any]) -> str:
    fields = {key: value for key, value in raw.items() if key != _CHECKSUMS}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _parse_architecture(path: Path, raw: object) -> StudentConfig:
    types = get_type_hints(StudentConfig)
    where = f"{path}: field 'architecture'"
    if not isinstance(raw, dict):
        raise StudentError(f"{where} is {shorten(raw)}; expected an object")
    if "n_pieces" not in raw:
        raise StudentError(f"{where} lacks n_pieces")
    for name, value in raw.items():
        if name not in types:
            raise StudentError(f"{where} has {shorten(name)}; expected only {', '.join(types)}")
        allowed = (int, float) if types[name] is float else (types[name],)
        # Each number is either a probability or at most as large as the number of parameters.
        most = 1 if types[name] is float else MAX_PARAMETERS
        if type(value) not in allowed or (type(value) in (int, float) and not 0 <= value <= most):
            raise StudentError(
                f"{where}: {name} is {shorten(value)}; expected {types[name].__name__}, from 0 to "
                f"{most:,}"
            )
    if raw.get("head", SOFTMAX) not in HEAD_NAMES:
        raise StudentError(
            f"{where}: head is {shorten(raw['head'])}; expected one of {', '.join(HEAD_NAMES)}"
        )
    config = StudentConfig(**raw)
    if config.relation_width and not config.label_hidden_width:
        raise StudentError(f"{where}: label_hidden_width is 0; expected more with relation_width")
    return config
