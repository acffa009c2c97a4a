"""Files that are there whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file to a temporary name beside it, flush it to disk, and rename it.

    Raises:
        OSError: The disk is full, or the folder cannot be written; the old file is untouched and
            the temporary one is gone.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
