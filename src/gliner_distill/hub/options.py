"""The options of a download from the hub."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HubOptions:
    """The options of the download of a model; the names are those of `huggingface_hub`.

    Attributes:
        revision: A branch, a tag or a commit; None for the main branch.
        token: The token to ask with; None for the one of your login, and False for no token.
        cache_dir: The folder of the cache; None for the usual one.
        local_files_only: Whether only the cache is used.
        force_download: Whether files are downloaded again although the cache has them.
    """

    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False
