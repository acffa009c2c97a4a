"""A line for each error of the hub: what failed, why, and what to do. No line holds a token."""

from pathlib import Path
from typing import Literal

from gliner_distill.hub.options import HubOptions
from gliner_distill.hub.secrets import describe_cause, has_token, hide_secrets

RepoType = Literal["dataset", "model"]

_LOG_IN = "log in (`hf auth login` or HF_TOKEN)"
_LOG_IN_TO_WRITE = f"{_LOG_IN} with a token that has write permission"

# Why the hub refuses an upload, and what to do, by the HTTP status of its answer.
_UPLOAD_REFUSALS = {
    401: "you are not logged in, or your token is no longer valid (HTTP 401); " + _LOG_IN_TO_WRITE,
    403: "your token may not write there (HTTP 403); check the name of the owner, and "
    + _LOG_IN_TO_WRITE,
    404: "it is not there, or its owner is unknown (HTTP 404); check the name, the address of the "
    "hub (HF_ENDPOINT), and that your token may read it",
    429: "the hub was asked too often (HTTP 429); wait some minutes, and push again",
}


def describe_repo(repo_id: str, repo_type: RepoType, *, revision: str | None = None) -> str:
    """Return the name of a repository for a message.

    >>> describe_repo("me/passages", "dataset"), describe_repo("me/student", "model", revision="v1")
    ('data set me/passages', "model me/student at revision 'v1'")
    """
    kind = "data set" if repo_type == "dataset" else "model"
    return f"{kind} {repo_id}" + ("" if revision is None else f" at revision {revision!r}")


def explain_local_only(repo_id: str, options: HubOptions) -> str:
    """Return one line on a model that `local_files_only` keeps from being downloaded."""
    repo = describe_repo(repo_id, "model", revision=options.revision)
    return (
        f"{repo} is not completely in the cache {cache_folder(options)}, and local_files_only=True "
        "forbids asking the hub; give a local path, or leave local_files_only out once"
    )


def explain_download(
    repo_id: str, repo_type: RepoType, error: Exception, options: HubOptions
) -> str:
    """Return one line on what went wrong with a download and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repo = describe_repo(repo_id, repo_type, revision=options.revision)
    endpoint = hide_secrets(constants.ENDPOINT)
    status = status_of(error)
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{repo} is not completely in the cache {cache_folder(options)}, and HF_HUB_OFFLINE "
            "forbids asking the hub; give a local path, or run once with a network and without "
            "HF_HUB_OFFLINE to fill the cache"
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{describe_repo(repo_id, repo_type)} has no revision {options.revision!r} on "
            f"{endpoint} (HTTP 404); expected the name of a branch or of a tag, or the hash of a "
            "commit"
        )
    if isinstance(error, GatedRepoError) or status == 403:
        return (
            f"{repo} is gated, or you have no access to it (HTTP {status}); accept its terms on "
            f"{endpoint} and {_LOG_IN}, or give a local path"
        )
    if status == 401 and has_token(options.token):
        return (
            f"{repo} is not on {endpoint}, or your token is not valid or may not read it (HTTP "
            f"401); check the name, {_LOG_IN} with a token that may read it, or give a local path"
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"{repo} is not on {endpoint}, or it is private (HTTP {status}); check the "
            f"name, {_LOG_IN} if it is private, or give a local path"
        )
    if type(error).__name__ == "LocalTokenNotFoundError":
        return f"{repo} was asked for with token=True, but you are not logged in; {_LOG_IN}"
    return _explain_outage(f"{repo} cannot be downloaded", error, endpoint, options)


def _explain_outage(problem: str, error: Exception, endpoint: str, options: HubOptions) -> str:
    """Return a line on a hub that does not answer and a cache that does not help."""
    no_copy = (
        "force_download=True does not use the cache"
        if options.force_download
        else f"the cache {cache_folder(options)} has no complete copy"
    )
    status = status_of(error)
    if status == 429:
        return (
            f"{problem} now: {endpoint} was asked too often (HTTP 429), and {no_copy}; wait some "
            f"minutes, {_LOG_IN} for a higher limit, or give a local path"
        )
    if status is not None and status >= 500:
        return (
            f"{problem} now: {endpoint} had an internal error (HTTP {status}), and {no_copy}; try "
            "again later, or give a local path"
        )
    return (
        f"{problem} from {endpoint} ({describe_cause(error, token=options.token)}), and {no_copy}; "
        "give a local path, or run once with a network to fill the cache (afterwards "
        "HF_HUB_OFFLINE=1 uses only the cache)"
    )


def explain_upload(
    repo_id: str,
    repo_type: RepoType,
    error: BaseException,
    *,
    token: str | bool | None = None,
    branch: str | None = None,
) -> str:
    """Return one line on why the hub did not accept an upload and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError

    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # the RuntimeError itself only names the file
    repo = describe_repo(repo_id, repo_type)
    problem = f"{repo} cannot be uploaded to {hide_secrets(constants.ENDPOINT)}"
    status = status_of(error)
    if isinstance(error, OfflineModeIsEnabled):
        return f"{problem}: HF_HUB_OFFLINE forbids asking the hub; push again without it"
    if type(error).__name__ == "LocalTokenNotFoundError":
        return f"{problem}: you are not logged in; {_LOG_IN_TO_WRITE}"
    if isinstance(error, RevisionNotFoundError) and branch is not None:
        return (
            f"{problem}: it has no branch {branch!r} (HTTP 404); make the branch on the hub, and "
            "push again"
        )
    if status in _UPLOAD_REFUSALS:
        return f"{problem}: {_UPLOAD_REFUSALS[status]}"
    if status is not None and status >= 500:
        return (
            f"{problem}: the hub had an internal error (HTTP {status}); push again "
            "later: files that have arrived are not sent twice"
        )
    return (
        f"{problem} ({describe_cause(error, token=token)}); correct that and push again: files "
        "that have arrived are not sent twice"
    )


def cache_folder(options: HubOptions) -> Path:
    """Return the folder of the cache, as `huggingface_hub` chooses it."""
    from huggingface_hub import constants

    return Path(options.cache_dir or constants.HF_HUB_CACHE)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status with which the hub answered; None if it did not answer."""
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None
