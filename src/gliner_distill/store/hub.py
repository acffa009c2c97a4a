"""Upload a soft-label store to the Hugging Face Hub with a data set card, and download it."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from gliner_distill.errors import HubError
from gliner_distill.hub.downloads import HUB_TIMEOUT_S, download_store
from gliner_distill.hub.ids import looks_like_hub_id, public_name
from gliner_distill.hub.messages import explain_upload
from gliner_distill.hub.secrets import check_endpoint, hide_secrets
from gliner_distill.store.manifest import DATA_FOLDER, MANIFEST, Manifest, write_stored_file

_FILES = (MANIFEST, f"{DATA_FOLDER}/*.parquet", "*.safetensors", "tokenizer.json", "README.md")


def fetch_store(repo_id: str) -> Path:
    """Download a store from the hub, or find it in the local cache, and return its folder.

    Raises:
        HubError: The hub and its cache cannot provide it, or it is not a soft-label store.
    """
    return download_store(repo_id, _FILES, manifest=MANIFEST)


def push_store(folder: Path, manifest: Manifest, repo_id: str, *, private: bool = False) -> str:
    """Write the data set card of a store, upload its files as a data set, and return the URL.

    Args:
        folder: The store's folder.
        manifest: The store's manifest.
        repo_id: The data set, as owner/name.
        private: Whether a new data set is visible only to its owner.

    Raises:
        HubError: The hub cannot be reached, or refuses the upload.
        StoreError: The card cannot be written.
    """
    write_stored_file(folder, "README.md", data_set_card(manifest).encode())
    return _upload(folder, repo_id, _FILES, manifest=MANIFEST, private=private)


def data_set_card(manifest: Manifest) -> str:
    """Return the data set card of a store: Markdown, with the metadata that `datasets` reads."""
    template = files("gliner_distill").joinpath("resources", "templates", "data_set_card.md")
    return template.read_text(encoding="utf-8").format(
        data_folder=DATA_FOLDER,
        teacher=public_name(manifest.teacher),
        fingerprint=manifest.teacher_fingerprint[:12],
        n_passages=manifest.n_passages,
        n_words=manifest.n_words,
        n_pairs=sum(shard.n_pairs for shard in manifest.shards),
        format_version=manifest.format_version,
        quantization=manifest.quantization,
    )


def _upload(
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
        raise HubError(explain_upload(repo_id, "dataset", error)) from error
    return hide_secrets(str(url))


def _check_target(repo_id: str, *, manifest: str, private: bool) -> None:
    """Check that an upload would not overwrite other data or make private data public.

    Raises:
        HubError: The data set exists and holds other data, or it is public although it should be
            private, or the hub cannot be reached.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        check_endpoint()
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(repo_id, timeout=HUB_TIMEOUT_S)
    except RepositoryNotFoundError:
        return
    except Exception as error:  # see _list_files
        raise HubError(explain_upload(repo_id, "dataset", error)) from error
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
