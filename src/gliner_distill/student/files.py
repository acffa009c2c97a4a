"""TODO-DOC."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.files import replace_file
from gliner_distill.runtime.bundle import GRAPH_FILE
from gliner_distill.runtime.config import (
    CONFIG_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    read_student_config,
)
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.student.model import _PROJECTIONS, Student


def save_student(
    folder: Path,
    student: Student,
    vocabulary: Vocabulary,
    *,
    metadata: Mapping[str, object],
    half: bool = False,
) -> None:
    """Write a student's weights, shape and tokenizer, each to a temporary name first.

    Projections to a teacher's features are left out, and the shape says that there are none.

    Args:
        folder: Made where it does not exist.
        student: On any device.
        vocabulary: Its pieces.
        metadata: Plain JSON values to keep beside the shape, such as what it was trained on.
        half: Write the weights in half precision; it is read back to single precision.

    Raises:
        StudentError: The folder cannot be written.
    """
    tensors = {
        key: (value.half() if half else value).detach().cpu().contiguous()
        for key, value in student.state_dict().items()
        if not key.startswith(_PROJECTIONS)
    }
    shape = replace(student.config, feature_width=0)
    config = {"format_version": FORMAT_VERSION, "student": asdict(shape), **metadata}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / TOKENIZER_FILE, vocabulary.to_json().encode())
        replace_file(folder / CONFIG_FILE, (json.dumps(config, indent=1) + "\n").encode())
        replace_file(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {error.strerror or error}") from error


def load_student(folder: str | Path) -> tuple[Student, Vocabulary]:
    """Read a student, ready to predict.

    Raises:
        StudentError: The folder is missing, lacks a file, or holds something else.
    """
    folder = Path(folder)
    config, _ = read_student_config(folder)
    if (folder / GRAPH_FILE).is_file() and not (folder / WEIGHTS_FILE).is_file():
        raise StudentError(
            f"{folder}: this is an export, without the weights ({WEIGHTS_FILE}) that torch needs; "
            f"give the student that it was made of"
        )
    try:
        student = Student(config)
    except (ValueError, RuntimeError, SettingsError) as error:
        raise StudentError(
            f"{folder / CONFIG_FILE}: field 'student' is no shape: {error}"
        ) from error
    vocabulary = Vocabulary.from_file(folder / TOKENIZER_FILE)
    weights_path = folder / WEIGHTS_FILE
    try:
        student.load_state_dict(safetensors.torch.load_file(weights_path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StudentError(f"{weights_path}: cannot be loaded: {reason}") from error
    if len(vocabulary) != student.config.n_pieces:
        raise StudentError(
            f"{folder}: {TOKENIZER_FILE} has {len(vocabulary)} pieces, the weights have "
            f"{student.config.n_pieces}; they do not belong together"
        )
    return student.eval(), vocabulary
