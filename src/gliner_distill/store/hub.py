"""Upload a soft-label store to the Hugging Face Hub with a data set card, and download it."""

from importlib.resources import files
from pathlib import Path, PurePath

from gliner_distill.hub import download_store, looks_like_hub_id, upload_store
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
    return upload_store(folder, repo_id, _FILES, manifest=MANIFEST, private=private)


def data_set_card(manifest: Manifest) -> str:
    """Return the data set card of a store: Markdown, with the metadata that `datasets` reads."""
    template = files("gliner_distill").joinpath("resources", "templates", "data_set_card.md")
    return template.read_text(encoding="utf-8").format(
        data_folder=DATA_FOLDER,
        teacher=_public_name(manifest.teacher),
        fingerprint=manifest.teacher_fingerprint[:12],
        n_passages=manifest.n_passages,
        n_words=manifest.n_words,
        n_pairs=sum(shard.n_pairs for shard in manifest.shards),
        format_version=manifest.format_version,
        quantization=manifest.quantization,
    )


def _public_name(teacher: str) -> str:
    """Return the name of a teacher without the folders of this machine.

    >>> _public_name("/home/ann/models/my-gliner + urchade/gliner_small-v2.1")
    'my-gliner + urchade/gliner_small-v2.1'
    """
    names = teacher.split(" + ")
    return " + ".join(name if looks_like_hub_id(name) else PurePath(name).name for name in names)
