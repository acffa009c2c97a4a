"""Pack the files of a student into bytes and back, for `nlp.to_bytes`.

The bytes are in the format of safetensors, with one array of bytes for each file.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from gliner_distill.errors import StudentError
from gliner_distill.files import write_file
from gliner_distill.runtime.bundle import EXPORT_FILES
from gliner_distill.runtime.ner import StudentNER


def pack_student(student: StudentNER) -> bytes:
    """Return the files of a student as bytes."""
    with TemporaryDirectory() as folder:
        student.save_pretrained(folder)
        contents = {name: (Path(folder) / name).read_bytes() for name in EXPORT_FILES}
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in contents.items()}
    return safetensors.numpy.save(arrays)


def unpack_student(data: bytes, *, num_threads: int | None) -> StudentNER:
    """Return the student that `pack_student` has packed.

    Args:
        data: The bytes.
        num_threads: See `StudentNER`.

    Raises:
        StudentError: The bytes are damaged, or they are not those of a student.
    """
    try:
        arrays = safetensors.numpy.load(data)
    except SafetensorError as error:
        raise StudentError(f"these bytes are not those of a student: {error}") from error
    # Names from outside must not become paths.
    if arrays.keys() != set(EXPORT_FILES):
        raise StudentError(
            f"these bytes hold {sorted(arrays)}; expected the files {sorted(EXPORT_FILES)}"
        )
    with TemporaryDirectory() as folder:
        for name in EXPORT_FILES:
            write_file(Path(folder) / name, arrays[name].tobytes(), error=StudentError)
        return StudentNER.from_pretrained(folder, num_threads=num_threads)
