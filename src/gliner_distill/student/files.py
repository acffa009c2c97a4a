"""Save a student to its folder and load it again; the runtime reads the same folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.files import check_readable
from gliner_distill.runtime.bundle import read_vocabulary, write_bundle
from gliner_distill.runtime.config import (
    CONFIG_FILE,
    TORCH_WEIGHTS_FILE,
    find_student_file,
    names_file,
    read_student_config,
    warn_without_checksums,
)
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.student.bundling import make_bundle, student_weights
from gliner_distill.student.model import Student


def save_student(
    folder: Path,
    student: Student,
    vocabulary: Vocabulary,
    *,
    score_map: ScoreMap | None = None,
    metadata: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a student so that both torch and the runtime, which needs no torch, can load it.

    The projections to a teacher's features are left out, and the configuration says that there are
    none. A folder in which the writing was cut off holds the earlier student or none; see
    `write_bundle`.

    Args:
        folder: The folder; it is made if it does not exist.
        student: The student, on any device.
        vocabulary: Its subword pieces.
        score_map: The map of its scores; None to report them as they are.
        metadata: Plain JSON values to keep in the configuration file, such as the teacher's name.
        half: Whether to round the weights to half precision, which halves the file. Loading turns
            them back into single precision.

    Raises:
        StudentError: The folder cannot be written.
    """
    bundle = make_bundle(student, vocabulary, half=half, score_map=score_map, metadata=metadata)
    write_bundle(folder, bundle, torch_weights=student_weights(student, half=half))


def load_student(folder: str | Path) -> tuple[Student, Vocabulary]:
    """Load a student, ready to predict, with its vocabulary.

    Raises:
        StudentError: The folder is missing, lacks a file, or holds something else.
    """
    folder = Path(folder)
    config, raw = read_student_config(folder)
    warn_without_checksums(folder, raw)
    if not names_file(folder, TORCH_WEIGHTS_FILE, raw):
        raise StudentError(
            f"{folder}: {TORCH_WEIGHTS_FILE} is missing, which torch needs; if this is an export, "
            "give the folder of the student that it was made from"
        )
    try:
        student = Student(config)
    except (ValueError, RuntimeError, SettingsError) as error:
        raise StudentError(f"{folder / CONFIG_FILE}: field 'architecture': {error}") from error
    vocabulary = read_vocabulary(folder, config, raw)
    weights_path = find_student_file(folder, TORCH_WEIGHTS_FILE, raw)
    try:
        check_readable(weights_path)
        student.load_state_dict(safetensors.torch.load_file(weights_path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise StudentError(f"{weights_path}: cannot be loaded: {reason}") from error
    return student.eval(), vocabulary


def weights_size_bytes(folder: Path) -> int:
    """Return the bytes of the files from which torch loads a student.

    These are the weights, the configuration and the tokenizer.
    """
    names = (TORCH_WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
    return sum((folder / name).stat().st_size for name in names)
