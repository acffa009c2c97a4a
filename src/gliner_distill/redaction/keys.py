"""The secret key with which values are hashed."""

import os
from pathlib import Path
from typing import Final

from gliner_distill.errors import InputError, RedactionError
from gliner_distill.files import reason_of

KEY_VARIABLE: Final = "GLINER_DISTILL_KEY"
"""The environment variable that may hold the key."""

MIN_KEY_BYTES: Final = 16


def check_key(key: object) -> bytes:
    """Return a key as bytes; a string is encoded as UTF-8.

    Raises:
        InputError: It is neither a string nor bytes, or shorter than 16 bytes.
    """
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogatepass")
    # The messages do not show the key.
    if not isinstance(key, bytes):
        problem = "is missing" if key is None else "is not a string"
        raise InputError(
            f"key {problem}; the mode 'hash' needs a secret of at least {MIN_KEY_BYTES} bytes"
        )
    if len(key) < MIN_KEY_BYTES:
        raise InputError(
            f"key has {len(key)} bytes; expected at least {MIN_KEY_BYTES}, so that it cannot be "
            "guessed"
        )
    return key


def read_key(file: Path | None) -> bytes:
    """Return the key in a file, without the line end behind it, or that of `GLINER_DISTILL_KEY`.

    Args:
        file: The file; None for the environment variable.

    Raises:
        RedactionError: The key is missing, cannot be read, or is shorter than 16 bytes.
    """
    try:
        if file is not None:
            return check_key(file.read_bytes().rstrip(b"\r\n"))
        if KEY_VARIABLE in os.environ:
            return check_key(os.environ[KEY_VARIABLE])
    except OSError as error:
        raise RedactionError(f"{file}: the key cannot be read: {reason_of(error)}") from error
    except InputError as error:
        raise RedactionError(f"{file or KEY_VARIABLE}: {error}") from error
    raise RedactionError(
        f"the key is missing; set the environment variable {KEY_VARIABLE}, or name a file that "
        "holds it (--key-file FILE)"
    )
