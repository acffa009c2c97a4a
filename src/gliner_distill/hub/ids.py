"""The names of repositories on the hub."""

import re
from pathlib import PurePath
from typing import Final

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

DATA_SUFFIXES: Final = (".json", ".jsonl")
_TABLE_SUFFIXES = (".tsv", ".csv", ".conll", ".bio", ".iob", ".parquet")
_FILE_SUFFIXES = (*DATA_SUFFIXES, *_TABLE_SUFFIXES, ".txt", ".gz")


def looks_like_hub_id(text: str) -> bool:
    """Return whether a text has the form owner/name and does not look like the path of a data file.

    >>> looks_like_hub_id("urchade/pile-mistral-v0.1"), looks_like_hub_id("corpora/train.jsonl")
    (True, False)
    """
    if _HUB_ID.fullmatch(text) is None or text.lower().endswith(_FILE_SUFFIXES):
        return False
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(text)  # it refuses "--", "..", ".git" and long names
    except HFValidationError:
        return False
    return True


def public_name(teacher: str) -> str:
    """Return the name of a teacher, or of several, without the folders that they are in.

    >>> public_name("/home/ann/models/my-gliner + urchade/gliner_small-v2.1")
    'my-gliner + urchade/gliner_small-v2.1'
    """
    names = teacher.split(" + ")
    return " + ".join(name if looks_like_hub_id(name) else PurePath(name).name for name in names)
