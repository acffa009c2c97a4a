"""Download data sets, models and stores from the Hugging Face Hub, and upload stores to it.

`huggingface_hub` does the work, with its own cache and its settings HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. `huggingface_hub` reads these settings when it is imported, so it is imported only
inside functions here. Each download first lists the files on the hub, with a short time limit, and
falls back to the cache: without a network the answer comes quickly. Pickled weights are never
downloaded.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gliner_distill.errors import HubError

# Long enough for a slow network, short enough not to look frozen without one.
_HUB_TIMEOUT_S = 5.0
_DATA_FILE = "data.json"
_DATA_SUFFIXES = (".json", ".jsonl")
_METADATA_FILES = {"dataset_info.json", "dataset_infos.json"}
_TABLE_SUFFIXES = (".tsv", ".csv", ".conll", ".bio", ".iob", ".parquet")
_FILE_SUFFIXES = (*_DATA_SUFFIXES, *_TABLE_SUFFIXES, ".txt", ".gz")
_MODEL_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.onnx"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_RepoType = Literal["dataset", "model"]
_logger = logging.getLogger(__name__)


def looks_like_hub_id(text: str) -> bool:
    """Return whether a text has the form owner/name and does not look like the path of a data file.

    >>> looks_like_hub_id("urchade/pile-mistral-v0.1"), looks_like_hub_id("corpora/train.jsonl")
    (True, False)
    """
    # The hub itself forbids ".." and "--" in names.
    is_id = _HUB_ID.fullmatch(text) is not None and ".." not in text and "--" not in text
    return is_id and len(text) <= 96 and not text.lower().endswith(_FILE_SUFFIXES)


def download_dataset_file(repo_id: str) -> Path:
    """Download the `data.json` of a data set, or its only JSON file, and return its path.

    Raises:
        HubError: The hub and its cache cannot provide the data set, or it has several JSON files
            or none.
    """
    names = _list_files(repo_id, "dataset")
    if isinstance(names, HubError):
        # Without the hub, the cache may still have a complete copy.
        folder = _cached_snapshot(repo_id, "dataset", [_DATA_FILE], why_no_hub=names)
        cached_names = [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ]
        return folder / _choose_data_file(repo_id, cached_names)
    file_name = _choose_data_file(repo_id, names)

    def download() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(repo_id, file_name, repo_type="dataset", etag_timeout=_HUB_TIMEOUT_S)

    return _fetch(repo_id, "dataset", download)


def download_model(repo_id: str) -> Path:
    """Download the weights, tokenizer and settings of a model, and return their folder.

    Raises:
        HubError: The hub and its cache cannot provide the model, or its weights are not in the
            safetensors format.
    """
    names = _list_files(repo_id, "model")
    if isinstance(names, HubError):
        folder = _cached_snapshot(repo_id, "model", _MODEL_PATTERNS, why_no_hub=names)
        _check_weights(repo_id, [path.name for path in folder.rglob("*")])
        return folder
    _check_weights(repo_id, names)

    def download() -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(
            repo_id, allow_patterns=_MODEL_PATTERNS, etag_timeout=_HUB_TIMEOUT_S
        )

    return _fetch(repo_id, "model", download)


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
    names = _list_files(repo_id, "dataset")
    if isinstance(names, HubError):
        folder = _cached_snapshot(repo_id, "dataset", patterns, why_no_hub=names)
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
            etag_timeout=_HUB_TIMEOUT_S,
        )

    return _fetch(repo_id, "dataset", download)


def upload_store(
    folder: Path,
    repo_id: str,
    patterns: Sequence[str],
    *,
    manifest: str,
    private: bool = False,
) -> str:
    """Upload the files of a folder that match patterns as a hub data set, and return its URL.

    A new data set is public, unless `private` is set or its owner keeps new ones private. In an
    existing data set, files that match the patterns but are not in the folder are deleted.

    Args:
        folder: The store's folder.
        repo_id: The data set, as owner/name.
        patterns: Which files to upload.
        manifest: The file by which an existing data set is known to be a soft-label store.
        private: Whether a new data set is visible only to its owner.

    Raises:
        HubError: The hub cannot be reached or refuses the upload, or `private` is set but the data
            set exists and is public.
    """
    if not looks_like_hub_id(repo_id):
        raise HubError(
            f"{repo_id!r} is not the name of a hub data set; expected owner/name, such as "
            "me/my-labels"
        )
    _check_target(repo_id, manifest=manifest, private=private)
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        # With None, the hub applies the owner's default: an organization may keep new data sets
        # private.
        url = hub.create_repo(
            repo_id, repo_type="dataset", exist_ok=True, private=True if private else None
        )
        hub.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=list(patterns),
            # Shards of an earlier upload must not remain beside the new ones.
            delete_patterns=list(patterns),
            commit_message="Upload a soft-label store",
        )
    except Exception as error:  # see _list_files; hf_xet raises its own as well
        raise HubError(_explain_upload(repo_id, error)) from error
    return str(url)


def _check_target(repo_id: str, *, manifest: str, private: bool) -> None:
    """Check that an upload would not overwrite other data or make private data public.

    Raises:
        HubError: The data set exists and holds other data, or it is public although it should be
            private, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = HfApi().dataset_info(repo_id, timeout=_HUB_TIMEOUT_S)
    except RepositoryNotFoundError:
        return
    except Exception as error:  # see _list_files
        raise HubError(_explain_upload(repo_id, error)) from error
    names = [sibling.rfilename for sibling in info.siblings or []]
    if manifest not in names and any(name.endswith(".parquet") for name in names):
        raise HubError(
            f"data set {repo_id} holds Parquet files but is not a soft-label store; the upload "
            "would delete them, so choose another name"
        )
    if private and info.private is False:
        raise HubError(
            f"data set {repo_id} already exists and is public; make it private in its settings on "
            "the hub, or choose another name"
        )


def _list_files(repo_id: str, repo_type: _RepoType) -> list[str] | HubError:
    """Return the names of a repository's files on the hub, or the error that the hub caused."""
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        ask = hub.dataset_info if repo_type == "dataset" else hub.model_info
        siblings = ask(repo_id, timeout=_HUB_TIMEOUT_S).siblings
    except Exception as error:  # from httpx or requests, depending on huggingface_hub's version
        return HubError(_explain(repo_id, repo_type, error))
    return [sibling.rfilename for sibling in siblings or []]


def _cached_snapshot(
    repo_id: str, repo_type: _RepoType, patterns: Sequence[str], *, why_no_hub: HubError
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
            repo_id, repo_type=repo_type, allow_patterns=list(patterns), local_files_only=True
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


def _choose_data_file(repo_id: str, names: list[str]) -> str:
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


def _check_weights(repo_id: str, names: list[str]) -> None:
    if not any(name.endswith(".safetensors") for name in names):
        raise HubError(
            f"model {repo_id} has no *.safetensors file (its files: {_enumerate(sorted(names))}); "
            "pickled weights are not loaded, so convert them and give the path of the folder"
        )


def _check_manifest(repo_id: str, names: list[str], manifest: str) -> None:
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
            f"{constants.ENDPOINT} and log in (`hf auth login` or HF_TOKEN), or give a local path"
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"{repo} is not on {constants.ENDPOINT}, or it is private (HTTP {status}); check the "
            "name, log in (`hf auth login` or HF_TOKEN) if it is private, or give a local path"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return (
        f"{repo} cannot be downloaded from {constants.ENDPOINT} ({reason}), and the cache "
        f"{constants.HF_HUB_CACHE} has no complete copy; give a local path, or run once with a "
        "network to fill the cache (afterwards HF_HUB_OFFLINE=1 uses only the cache)"
    )


def _explain_upload(repo_id: str, error: BaseException) -> str:
    """Return one line on why the hub did not accept a data set and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # the RuntimeError itself only names the file
    problem = f"data set {repo_id} cannot be uploaded to {constants.ENDPOINT}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, OfflineModeIsEnabled):
        return f"{problem}: HF_HUB_OFFLINE forbids asking the hub; push again without it"
    if status == 401:
        return (
            f"{problem}: you are not logged in, or your token is no longer valid (HTTP 401); log "
            "in (`hf auth login` or HF_TOKEN) with a token that has write permission"
        )
    if status == 403:
        return (
            f"{problem}: your token may not write there (HTTP 403); check the name of the owner, "
            "and log in (`hf auth login` or HF_TOKEN) with a token that has write permission"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return (
        f"{problem} ({reason}); correct that and push again: files that have arrived are not sent "
        "twice"
    )
