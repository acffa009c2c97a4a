"""Upload the files of a student to the hub, in one commit."""

import logging
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gliner_distill.errors import HubError
from gliner_distill.hub.card_files import read_card, update_card
from gliner_distill.hub.cards import CARD_FILE, Card
from gliner_distill.hub.downloads import HUB_TIMEOUT_S
from gliner_distill.hub.messages import explain_upload
from gliner_distill.hub.secrets import check_endpoint, hide_secrets

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".onnx", ".gguf", ".h5")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """The options of the upload of a model; the names are those of `huggingface_hub`.

    Attributes:
        private: Whether a new model is visible only to its owner; None for the owner's default.
        token: The token to upload with; None for the one that you are logged in with.
        commit_message: The message of the commit.
        branch: The branch to commit to, which is created if it does not exist; None for `main`.
        create_pr: Whether to open a pull request instead of changing the branch.
    """

    private: bool | None = None
    token: str | bool | None = None
    commit_message: str = "Upload a student"
    branch: str | None = None
    create_pr: bool = False


def push_student(
    repo_id: str,
    contents: Mapping[str, bytes],
    card: Card,
    *,
    own_files: Set[str],
    settings_file: str,
    options: PushOptions,
) -> str:
    """Upload a student and its card in one commit, and return the URL of the commit.

    The repository is created if it does not exist. If the upload is cut off, an existing repository
    stays as it was.

    Args:
        repo_id: The model, as owner/name, or as a name of your own.
        contents: The content of each file, apart from the card.
        card: The card. The parts of the card on the hub that were edited by hand stay.
        own_files: The names of all files that a student may have. Those of an earlier student that
            this one lacks are deleted.
        settings_file: The file by which a student is recognized.
        options: How to upload.

    Raises:
        HubError: The hub cannot be reached or refuses the upload, the repository holds another
            model, or `private` is set but the repository exists and is public.
    """
    try:
        return _push(repo_id, contents, card, own_files, settings_file, options)
    except HubError:
        raise
    except Exception as error:  # from httpx, requests or hf_xet, depending on the versions
        raise HubError(
            explain_upload(repo_id, "model", error, token=options.token, branch=options.branch)
        ) from None


def _push(
    repo_id: str,
    contents: Mapping[str, bytes],
    card: Card,
    own_files: Set[str],
    settings_file: str,
    options: PushOptions,
) -> str:
    check_endpoint()
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    hub = HfApi(token=options.token)
    repo_id = _full_name(hub, repo_id)
    present, revision = _files_on_hub(hub, repo_id, settings_file, options)
    # With None, the hub applies the owner's default: an organization may keep new models private.
    hub.create_repo(repo_id, private=options.private, exist_ok=True)
    new_card = card.render()
    if CARD_FILE in present:
        earlier = _read_card(hub, repo_id, revision)
        new_card = update_card(earlier, card, where=f"{repo_id}: {CARD_FILE}") or earlier
    if options.branch is not None and not options.create_pr:
        hub.create_branch(repo_id, branch=options.branch, exist_ok=True)
    added = {**contents, CARD_FILE: new_card.encode()}
    commit = hub.create_commit(
        repo_id,
        [
            *(CommitOperationAdd(name, content) for name, content in added.items()),
            *(CommitOperationDelete(name) for name in sorted(present & own_files - added.keys())),
        ],
        commit_message=options.commit_message,
        revision=options.branch,
        create_pr=options.create_pr,
    )
    if commit.pr_url is not None:
        _logger.info("the pull request is at %s", hide_secrets(commit.pr_url))
    return hide_secrets(commit.commit_url, token=options.token)


def _full_name(hub: "HfApi", repo_id: str) -> str:
    """Return the name of a repository with its owner, who is the user if the name has none.

    Raises:
        HubError: The hub does not allow this name.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise HubError(
            f"{repo_id!r} is not the name of a model on the hub; expected owner/name, such as "
            "me/my-student"
        ) from None
    return repo_id if "/" in repo_id else f"{hub.whoami()['name']}/{repo_id}"


def _files_on_hub(
    hub: "HfApi", repo_id: str, settings_file: str, options: PushOptions
) -> tuple[set[str], str | None]:
    """Return the names of the files of a repository, and the branch that they are on.

    A new branch begins with the files of the main one.

    Raises:
        HubError: The repository holds another model, or is public although it should be private.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    revision = None
    try:
        info = hub.model_info(repo_id, timeout=HUB_TIMEOUT_S)
        if options.private and info.private is False:
            raise HubError(
                f"model {repo_id} already exists and is public; make it private in its settings on "
                "the hub, or choose another name"
            )
        with suppress(RevisionNotFoundError):
            if options.branch is not None:
                info = hub.model_info(repo_id, revision=options.branch, timeout=HUB_TIMEOUT_S)
                revision = options.branch
    except RepositoryNotFoundError:
        return set(), None
    names = {sibling.rfilename for sibling in info.siblings or []}
    if settings_file not in names and any(name.endswith(_WEIGHT_SUFFIXES) for name in names):
        raise HubError(
            f"model {repo_id} holds weights but no {settings_file}, so it is another kind of "
            "model; choose another name"
        )
    return names, revision


def _read_card(hub: "HfApi", repo_id: str, revision: str | None) -> str:
    with TemporaryDirectory() as folder:
        hub.hf_hub_download(
            repo_id, CARD_FILE, revision=revision, local_dir=folder, etag_timeout=HUB_TIMEOUT_S
        )
        return read_card(Path(folder))
