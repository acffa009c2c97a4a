"""Files that this process may not read, also where the tests run as root."""

import os
from contextlib import contextmanager

NOBODY = 65_534


@contextmanager
def unreadable(path):
    """Take away the right to read a file or folder while the block runs."""
    mode = path.stat().st_mode
    path.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:  # root may read everything
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(mode)
