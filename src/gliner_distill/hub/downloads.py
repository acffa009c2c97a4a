"""Download data sets, models and stores from the Hugging Face Hub.

`huggingface_hub` does the work, with its own cache and its settings HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. `huggingface_hub` reads these settings when it is imported, so it is imported only
inside functions here. Each download first lists the files on the hub, with a short time limit, and
falls back to the cache: without a network the answer comes quickly. Pickled weights are never
downloaded, and the JSON files of a model are checked before its weights are downloaded. No message
holds a password or a token.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gliner_distill.errors import HubError
from gliner_distill.gate import MAX_TEXT_BYTES, TEXT_SUFFIXES
from gliner_distill.hub.ids import DATA_SUFFIXES
from gliner_distill.hub.messages import (
    RepoType,
    describe_repo,
    explain_download,
    explain_local_only,
    status_of,
)
from gliner_distill.hub.options import HubOptions
from gliner_distill.hub.secrets import check_endpoint

# Long enough for a slow network, short enough not to look frozen without one.
HUB_TIMEOUT_S: Final = 5.0
"""The seconds after which a request to the hub is given up."""

_DATA_FILE = "data.json"
_METADATA_FILES = {"dataset_info.json", "dataset_infos.json"}
_JSON_PATTERNS = ("*.json",)
_WEIGHT_PATTERNS = ("*.safetensors", "*.txt", "*.model", "*.onnx", "README.md")
_MODEL_PATTERNS = (*_JSON_PATTERNS, *_WEIGHT_PATTERNS)

_logger = logging.getLogger(__name__)


def download_dataset_file(repo_id: str) -> Path:
    """Download the `data.json` of a data set, or its only JSON file, and return its path.

    Raises:
        HubError: The hub and its cache cannot provide the data set, or it has several JSON files
            or none.
    """
    repo = _Repo(repo_id, "dataset")
    names = repo.list_files()
    if isinstance(names, _NoList):
        # Without the hub, the cache may still have a complete copy.
        folder = repo.find_cached([_DATA_FILE], why_no_hub=names)
        cached_names = [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ]
        return folder / _choose_data_file(repo_id, cached_names)
    return repo.download_file(_choose_data_file(repo_id, names))


def download_model(
    repo_id: str, *, approve: Callable[[Path], None], options: HubOptions | None = None
) -> Path:
    """Download the weights, tokenizer, settings and card of a model, and return their folder.

    Args:
        repo_id: The model.
        approve: Called with the folder when it holds the JSON files, before other files are
            downloaded. It raises an error if the model is not wanted.
        options: How to download; None for the main branch, with the usual token and cache.

    Raises:
        HubError: The hub and its cache cannot provide the model, its weights are not in the
            safetensors format, or a file of settings is too large.
    """
    repo = _Repo(repo_id, "model", options or HubOptions())
    sizes = repo.list_files()
    if isinstance(sizes, _NoList):
        folder = repo.find_cached(_MODEL_PATTERNS, why_no_hub=sizes)
        approve(folder)
        if not any(folder.rglob("*.safetensors")):  # the download was cut off before the weights
            raise sizes.error
        return folder
    _check_sizes(repo_id, sizes)
    approve(repo.download(_JSON_PATTERNS, force=repo.options.force_download))
    _check_weights(repo_id, sizes)
    if repo.options.force_download:
        repo.download(_WEIGHT_PATTERNS, force=True)
    # If there has been a commit meanwhile, this completes its files.
    return repo.download(_MODEL_PATTERNS)


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
    repo = _Repo(repo_id, "dataset")
    names = repo.list_files()
    if isinstance(names, _NoList):
        folder = repo.find_cached(patterns, why_no_hub=names)
        if not (folder / manifest).is_file():
            raise names.error
        return folder
    _check_manifest(repo_id, names, manifest)
    return repo.download(patterns)


@dataclass(frozen=True, slots=True)
class _NoList:
    """The reason why the hub did not list the files of a repository.

    Attributes:
        error: The error to raise if the cache does not help.
        is_answer: Whether the hub answered, but with an error.
    """

    error: HubError
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class _Repo:
    """A repository, and how the hub is asked for it."""

    repo_id: str
    repo_type: RepoType
    options: HubOptions = field(default_factory=HubOptions)

    def list_files(self) -> "dict[str, int | None] | _NoList":
        """Return the names of the files on the hub, or the reason why they are not known.

        Returns:
            Each name with the size of the file in bytes, or None where the hub does not tell it.
        """
        if self.options.local_files_only:
            return _NoList(HubError(explain_local_only(self.repo_id, self.options)))
        try:
            check_endpoint()
            from huggingface_hub import HfApi

            hub = HfApi(token=self.options.token)
            ask = hub.dataset_info if self.repo_type == "dataset" else hub.model_info
            siblings = ask(
                self.repo_id,
                revision=self.options.revision,
                timeout=HUB_TIMEOUT_S,
                files_metadata=True,
            ).siblings
        except Exception as error:  # from httpx or requests, depending on huggingface_hub's version
            # The error is not the cause of ours, since its message may hold the token.
            return _NoList(HubError(self._explain(error)), status_of(error) is not None)
        return {sibling.rfilename: sibling.size for sibling in siblings or []}

    def find_cached(self, patterns: Sequence[str], *, why_no_hub: "_NoList") -> Path:
        """Return the folder in the cache that holds the files.

        Raises:
            HubError: The cache holds no file, is known to lack some that match the patterns, or
                must not be used. The error says why the hub was not used.
        """
        from huggingface_hub.errors import LocalEntryNotFoundError

        if self.options.force_download:
            raise why_no_hub.error
        try:
            check_endpoint()
            from huggingface_hub import snapshot_download

            folder = snapshot_download(
                self.repo_id,
                repo_type=self.repo_type,
                revision=self.options.revision,
                cache_dir=self.options.cache_dir,
                allow_patterns=list(patterns),
                local_files_only=True,
            )
        except LocalEntryNotFoundError as error:
            raise why_no_hub.error from error
        except ValueError:  # see list_files
            raise why_no_hub.error from None
        # The hub's own refusal, such as that of an old token, should not go unnoticed.
        _logger.log(
            logging.WARNING if why_no_hub.is_answer else logging.INFO,
            "the hub was not used (%s), but its cache: %s",
            why_no_hub.error,
            folder,
        )
        return Path(folder)

    def download(self, patterns: Sequence[str], *, force: bool = False) -> Path:
        """Download the files that match patterns, and return their folder.

        Raises:
            HubError: The hub does not provide them, or they cannot be written.
        """
        from huggingface_hub import snapshot_download

        try:
            return Path(
                snapshot_download(
                    self.repo_id,
                    repo_type=self.repo_type,
                    revision=self.options.revision,
                    token=self.options.token,
                    cache_dir=self.options.cache_dir,
                    allow_patterns=list(patterns),
                    force_download=force,
                    etag_timeout=HUB_TIMEOUT_S,
                )
            )
        except Exception as error:  # see list_files; the disk may be full, too
            raise HubError(self._explain(error)) from error

    def download_file(self, name: str) -> Path:
        """Download one file, and return its path.

        Raises:
            HubError: See `download`.
        """
        from huggingface_hub import hf_hub_download

        try:
            return Path(
                hf_hub_download(
                    self.repo_id,
                    name,
                    repo_type=self.repo_type,
                    revision=self.options.revision,
                    token=self.options.token,
                    cache_dir=self.options.cache_dir,
                    etag_timeout=HUB_TIMEOUT_S,
                )
            )
        except Exception as error:  # see download
            raise HubError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        return explain_download(self.repo_id, self.repo_type, error, self.options)


def _choose_data_file(repo_id: str, names: Iterable[str]) -> str:
    if _DATA_FILE in names:
        return _DATA_FILE
    candidates = sorted(
        name
        for name in names
        if name.lower().endswith(DATA_SUFFIXES) and name not in _METADATA_FILES
    )
    if len(candidates) == 1:
        return candidates[0]
    repo = describe_repo(repo_id, "dataset")
    if candidates:
        raise HubError(
            f"{repo} has no {_DATA_FILE} but {len(candidates)} other JSON files: "
            f"{_enumerate(candidates)}; download the one you mean and give its path"
        )
    raise HubError(
        f"{repo} has no JSON file (its files: {_enumerate(sorted(names))}); "
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
        is_text = name.endswith(TEXT_SUFFIXES) or name == "README.md"
        if is_text and size is not None and size > MAX_TEXT_BYTES:
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
