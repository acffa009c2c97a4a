"""Download data sets, models and stores from the Hugging Face Hub.

`huggingface_hub` does the work, with its own cache and its settings HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. `huggingface_hub` reads these settings when it is imported, so it is imported only
inside functions here. Each download first lists the files on the hub, with a short time limit, and
falls back to the cache: without a network the answer comes quickly. Pickled weights are never
downloaded, and the JSON files of a model are checked before its weights are downloaded. No message
holds a password or a token.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote
from urllib.request import getproxies

from gliner_distill.errors import HubError

# Long enough for a slow network, short enough not to look frozen without one.
HUB_TIMEOUT_S = 5.0
"""The seconds after which a request to the hub is given up."""

_DATA_FILE = "data.json"
_DATA_SUFFIXES = (".json", ".jsonl")
_METADATA_FILES = {"dataset_info.json", "dataset_infos.json"}
_TABLE_SUFFIXES = (".tsv", ".csv", ".conll", ".bio", ".iob", ".parquet")
_FILE_SUFFIXES = (*_DATA_SUFFIXES, *_TABLE_SUFFIXES, ".txt", ".gz")
_MODEL_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.onnx"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

MAX_TEXT_BYTES = 64_000_000
"""The largest file of settings or of a vocabulary that is read; that of Gemma has 34 MB."""

TEXT_SUFFIXES = (".json", ".txt", ".model", ".jinja")
"""The suffixes of the files of a model that hold settings or a vocabulary."""

# A password may hold "/" or "@", although it should be quoted.
_USER_INFO = re.compile(r"://(\S*)@")
_TOKEN = re.compile(r"\bhf_\w{8,}")
_RepoType = Literal["dataset", "model"]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """The place and the manner of a download; the names are those of `huggingface_hub`.

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


def download_dataset_file(repo_id: str) -> Path:
    """Download the `data.json` of a data set, or its only JSON file, and return its path.

    Raises:
        HubError: The hub and its cache cannot provide the data set, or it has several JSON files
            or none.
    """
    names = _list_files(repo_id, "dataset", HubOptions())
    if isinstance(names, HubError):
        # Without the hub, the cache may still have a complete copy.
        folder = _cached_snapshot(repo_id, "dataset", [_DATA_FILE], names, HubOptions())
        cached_names = [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ]
        return folder / _choose_data_file(repo_id, cached_names)
    file_name = _choose_data_file(repo_id, names)

    def download() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(repo_id, file_name, repo_type="dataset", etag_timeout=HUB_TIMEOUT_S)

    return _fetch(repo_id, "dataset", download)


def download_model(
    repo_id: str, *, approve: Callable[[Path], None], options: HubOptions | None = None
) -> Path:
    """Download the weights, tokenizer and settings of a model, and return their folder.

    Args:
        repo_id: The model.
        approve: Called with the folder when it holds the JSON files, before other files are
            downloaded. It raises an error if the model is not wanted.
        options: Where the model is looked up; None for the usual places.

    Raises:
        HubError: The hub and its cache cannot provide the model, its weights are not in the
            safetensors format, or a file of settings is too large.
    """
    options = options or HubOptions()
    sizes = _list_files(repo_id, "model", options)
    if isinstance(sizes, HubError):
        folder = _cached_snapshot(repo_id, "model", _MODEL_PATTERNS, sizes, options)
        approve(folder)
        _check_weights(repo_id, [path.name for path in folder.rglob("*")])
        return folder
    _check_sizes(repo_id, sizes)

    def download(patterns: list[str]) -> Path:
        from huggingface_hub import snapshot_download

        return _fetch(
            repo_id,
            "model",
            lambda: snapshot_download(
                repo_id,
                allow_patterns=patterns,
                etag_timeout=HUB_TIMEOUT_S,
                revision=options.revision,
                token=options.token,
                cache_dir=options.cache_dir,
                force_download=options.force_download,
            ),
        )

    approve(download(["*.json"]))
    _check_weights(repo_id, sizes)
    return download(_MODEL_PATTERNS)


def cached_model(name: str) -> Path | None:
    """Return the folder of a model in the cache of the hub; None if its settings are not there.

    Args:
        name: The model: owner/name, or the old form without an owner.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in ("config.json", "tokenizer_config.json"):
        try:
            path = try_to_load_from_cache(name, file)
        except (HFValidationError, OSError, ValueError):  # not the name of a model
            return None
        if isinstance(path, str):
            return Path(path).parent
    return None


def download_store(repo_id: str, patterns: Sequence[str], *, manifest: str) -> Path:
    """Download the files of a soft-label store that match patterns, and return their folder.

    Args:
        repo_id: The data set.
        patterns: The patterns of the names of the files to download.
        manifest: The file that a soft-label store must have.

    Raises:
        HubError: The hub and its cache cannot provide the data set, or it is not a soft-label
            store.
    """
    names = _list_files(repo_id, "dataset", HubOptions())
    if isinstance(names, HubError):
        folder = _cached_snapshot(repo_id, "dataset", patterns, names, HubOptions())
        if not (folder / manifest).is_file():
            raise names
        return folder
    _check_manifest(repo_id, names, manifest)

    def download() -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(
            repo_id,
            repo_type="dataset",
            allow_patterns=list(patterns),
            etag_timeout=HUB_TIMEOUT_S,
        )

    return _fetch(repo_id, "dataset", download)


def describe_cause(error: BaseException) -> str:
    """Return the class and the message of an error as one line of at most 200 characters."""
    kind = type(error).__name__
    if kind in ("InvalidURL", "LocationParseError"):  # its message quotes a part of the address
        return (
            f"{kind}: HF_ENDPOINT or the address of a proxy is not a URL; special characters of a "
            "password must be quoted, such as / by %2F"
        )
    return hide_secrets(" ".join(f"{kind}: {error}".split()))[:200]


def hide_secrets(text: str) -> str:
    """Return a text without the passwords in its URLs and without tokens.

    The user and the password of HF_ENDPOINT and of the proxies, and the token of the hub, are
    hidden wherever they stand.

    >>> hide_secrets("http://ann:s3cret@hub.example.org/api with Bearer hf_abcdefgh")
    'http://[hidden]@hub.example.org/api with Bearer [hidden]'
    """
    from huggingface_hub import constants, get_token

    text = _USER_INFO.sub("://[hidden]@", text)
    urls = [constants.ENDPOINT, *getproxies().values()]
    secrets = [get_token(), *(part for url in urls for part in _passwords(url))]
    # The longest comes first, because one secret may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return _TOKEN.sub("[hidden]", text)


def _passwords(url: str) -> list[str]:
    """Return the secrets of a URL as they are written there and as they are sent.

    These are the password, also in a URL without a scheme, and the query, which may be a token.
    """
    before, _, address = url.rpartition("@")
    password = before.removeprefix("http://").removeprefix("https://").partition(":")[2]
    return [password, unquote(password), address.partition("?")[2]]


def _list_files(
    repo_id: str, repo_type: _RepoType, options: HubOptions
) -> dict[str, int | None] | HubError:
    """Return the names of a repository's files on the hub, or the error that the hub caused.

    Returns:
        Each name with the size of the file in bytes, or None where the hub does not tell it.
    """
    from huggingface_hub import HfApi

    if options.local_files_only:
        return HubError(
            f"model {repo_id} is not completely in the cache, and local_files_only=True forbids "
            "asking the hub; give a local path, or leave local_files_only out once"
        )
    try:
        hub = HfApi(token=options.token)
        ask = hub.dataset_info if repo_type == "dataset" else hub.model_info
        siblings = ask(
            repo_id, revision=options.revision, timeout=HUB_TIMEOUT_S, files_metadata=True
        ).siblings
    except Exception as error:  # from httpx or requests, depending on huggingface_hub's version
        return HubError(_explain(repo_id, repo_type, error))
    return {sibling.rfilename: sibling.size for sibling in siblings or []}


def _cached_snapshot(
    repo_id: str,
    repo_type: _RepoType,
    patterns: Sequence[str],
    why_no_hub: HubError,
    options: HubOptions,
) -> Path:
    """Return the folder in the cache that holds the files of a repository.

    Raises:
        HubError: `why_no_hub`, if the cache holds no file or is known to lack some that match the
            patterns.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repo_id,
            repo_type=repo_type,
            allow_patterns=list(patterns),
            local_files_only=True,
            revision=options.revision,
            cache_dir=options.cache_dir,
        )
    except LocalEntryNotFoundError as error:
        raise why_no_hub from error
    _logger.info("the hub was not used (%s), but its cache: %s", why_no_hub, folder)
    return Path(folder)


def _fetch(repo_id: str, repo_type: _RepoType, download: Callable[[], str]) -> Path:
    try:
        return Path(download())
    except Exception as error:  # see _list_files; the disk may be full, too
        raise HubError(_explain(repo_id, repo_type, error)) from error


def _choose_data_file(repo_id: str, names: Iterable[str]) -> str:
    if _DATA_FILE in names:
        return _DATA_FILE
    candidates = sorted(
        name
        for name in names
        if name.lower().endswith(_DATA_SUFFIXES) and name not in _METADATA_FILES
    )
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise HubError(
            f"data set {repo_id} has no {_DATA_FILE} but {len(candidates)} other JSON files: "
            f"{_enumerate(candidates)}; download the one you mean and give its path"
        )
    raise HubError(
        f"data set {repo_id} has no JSON file (its files: {_enumerate(sorted(names))}); "
        "convert its passages to the pile-mistral format and give the path of that file"
    )


def _check_weights(repo_id: str, names: Iterable[str]) -> None:
    if not any(name.endswith(".safetensors") for name in names):
        raise HubError(
            f"model {repo_id} has no *.safetensors file (its files: {_enumerate(sorted(names))}); "
            "pickled weights are not loaded, so convert them and give the path of the folder"
        )


def _check_sizes(repo_id: str, sizes: Mapping[str, int | None]) -> None:
    for name, size in sizes.items():
        if name.endswith(TEXT_SUFFIXES) and size is not None and size > MAX_TEXT_BYTES:
            raise HubError(
                f"model {repo_id}: {name} has {size:,} bytes; expected at most "
                f"{MAX_TEXT_BYTES:,}, so the model is not downloaded"
            )


def _check_manifest(repo_id: str, names: Iterable[str], manifest: str) -> None:
    if manifest not in names:
        raise HubError(
            f"data set {repo_id} has no {manifest}, so it is not a soft-label store (its "
            f"files: {_enumerate(sorted(names))}); check the name"
        )


def _enumerate(names: list[str]) -> str:
    # A data set may have thousands of files, and a message is one line.
    n_shown = 8
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return (", ".join(names[:n_shown]) or "no files") + more


def _explain(repo_id: str, repo_type: _RepoType, error: Exception) -> str:
    """Return one line on what went wrong with the hub and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    repo = f"{'data set' if repo_type == 'dataset' else 'model'} {repo_id}"
    endpoint = hide_secrets(constants.ENDPOINT)
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{repo} is not completely in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE "
            "forbids asking the hub; give a local path, or run once with a network and without "
            "HF_HUB_OFFLINE to fill the cache"
        )
    if isinstance(error, GatedRepoError) or status == 403:
        return (
            f"{repo} is gated, or you have no access to it (HTTP {status}); accept its terms on "
            f"{endpoint} and log in (`hf auth login` or HF_TOKEN), or give a local path"
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"{repo} is not on {endpoint}, or it is private (HTTP {status}); check the "
            "name, log in (`hf auth login` or HF_TOKEN) if it is private, or give a local path"
        )
    return (
        f"{repo} cannot be downloaded from {endpoint} ({describe_cause(error)}), and the cache "
        f"{constants.HF_HUB_CACHE} has no complete copy; give a local path, or run once with a "
        "network to fill the cache (afterwards HF_HUB_OFFLINE=1 uses only the cache)"
    )
