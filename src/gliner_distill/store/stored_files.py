"""Find the files of a store: regular files inside its folder, of a size that can be read.

A store may come from the hub, so the names in its manifest are not trusted.
"""

import re
from pathlib import Path
from typing import Final

from gliner_distill.files import check_regular_file

MAX_FILE_BYTES: Final = 256 * 2**20
"""The size up to which a file of a store is read, and the limit for the decompressed content of a
shard. With the default limits of labeling, a shard has 6 MB of scores per teacher and a few
megabytes of text; writing refuses a shard that reading would refuse."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_plain_name(name: object) -> bool:
    """Return whether a value is the name of a file without a folder.

    >>> is_plain_name("tokenizer.json"), is_plain_name("../tokenizer.json"), is_plain_name("..")
    (True, False, False)
    """
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None


def locate_stored(folder: Path, name: str, *, max_bytes: int = MAX_FILE_BYTES) -> Path:
    """Return the path of a file of a store, which can be read without danger.

    Args:
        folder: The store.
        name: The path below the folder.
        max_bytes: The largest size to accept.

    Raises:
        OSError: The file is missing, is not a regular file, is too large, or lies elsewhere.
    """
    path = folder / name
    check_regular_file(path, max_bytes=max_bytes)
    root, target = folder.resolve(), path.resolve()
    # In the cache of the hub, the files of a snapshot are links into the folder of its contents.
    contents = root.parent.parent / "blobs" if root.parent.name == "snapshots" else root
    if not target.is_relative_to(root) and not target.is_relative_to(contents):
        raise OSError(f"this is a link to {target}, which lies outside the store")
    return path
