"""Soft-label stores pushed to a stand-in for the hub on this machine, and had back from it.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.store.hub import data_set_card
from gliner_distill.store.manifest import (
    Manifest,
    Shard,
    shard_name,
    write_manifest,
    write_stored_file,
)
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import ShardOrigin, encode_shard
from gliner_distill.store.store import SoftLabelStore
from stand_in_hub import READER, WRITER, Client, StandInHub, running_hub

pytestmark = pytest.mark.slow

IMPORTS = """
from gliner_distill.store.store import SoftLabelStore
"""
REPOS = {
    "datasets/me/passages": {"README.md": b"# hello", "data.json": b"[]"},
    "datasets/me/public": {"README.md": b"# hello"},
}
FILES = ["README.md", "label_vectors.safetensors", "manifest.json", "tokenizer.json"]


def labeled(words: str, labels: Sequence[str], *entities: Entity) -> LabeledPassage:
    probs = np.random.default_rng(len(words)).random((len(words.split()), len(labels), 3))
    return LabeledPassage(Passage(tuple(words.split()), entities), tuple(labels), probs)


PASSAGES = [
    labeled(
        "Zoë visited 東京 🙂", ["person", "city"], Entity(0, 1, "person"), Entity(2, 3, "city")
    ),
    labeled("nothing here", ["city"]),
    labeled("no labels", []),
]


def test_data_set_card_names_the_teacher_without_local_folders() -> None:
    manifest = Manifest("/home/me/teachers/small + owner/large", "f" * 64, "c" * 64, {}, 1234, 5)
    card = data_set_card(manifest)
    assert "small + owner/large" in card
    assert "/home/me" not in card
    assert "1,234 passages" in card
    assert 'data_files: "data/*.parquet"' in card
    assert "{" not in card


def write_store(folder: Path, items: Sequence[LabeledPassage]) -> None:
    """Write a finished store with one passage per shard."""
    n_words = sum(len(item.passage.words) for item in items)
    manifest = Manifest("a teacher", "f" * 64, "c" * 64, {"negatives": 2}, len(items), n_words)
    for index, item in enumerate(items):
        origin = ShardOrigin(manifest.origin, manifest.teacher, index)
        content = encode_shard([item], COMPACT, origin)
        written = write_stored_file(folder, shard_name(index), content)
        n_words, n_labels = len(item.passage.words), len(item.labels)
        manifest.add_shard(
            Shard(
                written.file,
                written.n_bytes,
                written.sha256,
                index=index,
                n_passages=1,
                n_words=n_words,
                n_pairs=n_words * n_labels,
            )
        )
    for name in ("label_vectors.safetensors", "tokenizer.json"):
        manifest.other_files.append(write_stored_file(folder, name, name.encode()))
    write_manifest(folder, manifest)


def same(ours: SoftLabelStore, theirs: SoftLabelStore) -> bool:
    return ours.manifest == theirs.manifest and all(
        (item.passage, item.labels) == (other.passage, other.labels)
        and np.array_equal(item.probs, other.probs)
        for item, other in zip(ours, theirs, strict=True)
    )


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    with running_hub(REPOS) as hub:
        yield hub


@pytest.fixture
def client(hub: StandInHub, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", hub.endpoint, IMPORTS, {"HF_TOKEN": WRITER})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_store(tmp_path / "store", PASSAGES)
    return tmp_path / "store"


def push(folder: Path, repo_id: str = "me/store", more: str = "") -> str:
    return f"SoftLabelStore({str(folder)!r}).push_to_hub({repo_id!r}{more})"


def test_from_hub_returns_a_pushed_store_online_offline_and_without_network(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    assert client.call(push(folder)) == f"{hub.endpoint}/datasets/me/store"
    fetch = "SoftLabelStore.from_hub('me/store').folder"
    fetched = client.call(fetch)
    assert same(SoftLabelStore(fetched), SoftLabelStore(folder))
    assert client.with_settings(HF_HUB_OFFLINE="1").call(fetch) == fetched
    assert client.unreachable().call(fetch) == fetched


def test_push_to_hub_uploads_the_files_of_the_store_and_no_others(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    for name in (".lock", "manifest.json.part", "data/shard-000003.parquet.part", "notes.txt"):
        (folder / name).write_bytes(b"not for the hub")
    client.call(push(folder))
    held = hub.repos["datasets/me/store"]
    assert sorted(held) == [".gitattributes", *sorted([*FILES, *map(shard_name, range(3))])]
    assert held["data/shard-000001.parquet"] == (folder / shard_name(1)).read_bytes()
    assert len(hub.large_files) == 4


@pytest.mark.parametrize("by_xet", [False, True])
def test_push_to_hub_of_a_smaller_store_leaves_no_old_shards(
    hub: StandInHub, client: Client, folder: Path, tmp_path: Path, by_xet: bool
) -> None:
    if by_xet:  # its commits, at least: the stand-in has no storage for its large files
        client = client.with_settings(HF_HUB_DISABLE_XET="0")
        hub.large_suffixes = (".none",)
    client.call(push(folder))
    write_store(tmp_path / "smaller", PASSAGES[1:2])
    hub.repos["datasets/me/store"]["notes.txt"] = b"somebody's"
    client.call(push(tmp_path / "smaller"))
    held = hub.repos["datasets/me/store"]
    assert sorted(held) == sorted([*FILES, ".gitattributes", "notes.txt", shard_name(0)])
    fetched = client.call("SoftLabelStore.from_hub('me/store').folder")
    assert same(SoftLabelStore(fetched), SoftLabelStore(tmp_path / "smaller"))


def test_push_to_hub_of_an_unchanged_store_makes_no_commit(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    url = client.call(push(folder))
    assert client.call(push(folder)) == url
    commits = [request for request in hub.requests if "/commit/" in request]
    assert commits == ["POST /api/datasets/me/store/commit/main"]


def test_data_set_card_lets_datasets_find_the_shards(client: Client, folder: Path) -> None:
    client.call(push(folder))
    datasets = replace(client, imports="from datasets import load_dataset")
    words = datasets.call("load_dataset('me/store', split='train')['words'][:]")
    assert words == repr([list(item.passage.words) for item in PASSAGES])


def test_push_to_hub_in_private_is_visible_with_a_token_only(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    client.call(push(folder, "me/ours", ", private=True"))
    client.call(push(folder, "me/store"))
    assert hub.private == {"datasets/me/ours"}
    assert client.call(push(folder, "me/ours", ", private=True")).endswith("/datasets/me/ours")
    message = client.with_settings(HF_TOKEN="").call("SoftLabelStore.from_hub('me/ours')")
    assert "me/ours is not on http" in message
    assert "private" in message


def test_push_to_hub_in_private_refuses_a_public_data_set(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    message = client.call(push(folder, "me/public", ", private=True"))
    assert message.startswith("HubError: data set me/public ")
    assert "public;" in message
    assert "make it private in its settings" in message
    assert hub.repos["datasets/me/public"] == REPOS["datasets/me/public"]


def test_push_to_hub_refuses_to_replace_other_parquet_files(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    theirs = {"data/train.parquet": b"PAR1", "README.md": b"years of work"}
    hub.repos["datasets/me/years-of-work"] = dict(theirs)
    message = client.call(push(folder, "me/years-of-work"))
    assert "data set me/years-of-work holds Parquet files" in message
    assert hub.repos["datasets/me/years-of-work"] == theirs


@pytest.mark.parametrize("repo_id", ["me/store", "me/public"])
@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", ["not logged in", "HTTP 401", "`hf auth login` or HF_TOKEN", "write permission"]),
        ("hf_old", ["no longer valid", "HTTP 401", "`hf auth login` or HF_TOKEN"]),
        (READER, ["may not write there", "HTTP 403", "write permission"]),
    ],
)
def test_push_to_hub_says_which_token_is_needed(
    hub: StandInHub, client: Client, folder: Path, repo_id: str, token: str, said: list[str]
) -> None:
    message = client.with_settings(HF_TOKEN=token).call(push(folder, repo_id))
    assert message.startswith(
        f"HubError: data set {repo_id} cannot be uploaded to {hub.endpoint}: "
    )
    for part in said:
        assert part in message
    assert hub.repos == REPOS


def test_push_to_hub_names_the_reason_if_one_file_is_refused(
    hub: StandInHub, client: Client, folder: Path
) -> None:
    hub.accepts_large_files = False
    message = client.call(push(folder))
    assert message.startswith("HubError: data set me/store cannot be uploaded to")
    assert "507" in message
    assert "push again" in message


def test_push_to_hub_names_the_setting_that_forbids_it(client: Client, folder: Path) -> None:
    message = client.with_settings(HF_HUB_OFFLINE="1").call(push(folder))
    assert message.startswith("HubError: data set me/store cannot be uploaded")
    assert "HF_HUB_OFFLINE forbids asking the hub; push again without it" in message


def test_push_to_hub_without_network_fails_within_seconds(client: Client, folder: Path) -> None:
    assert "ConnectError" in client.unreachable().call(push(folder))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(client, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        message = mute.call(push(folder))
    assert time.monotonic() - started < 25
    assert message.startswith("HubError: data set me/store cannot be uploaded")
    assert "Timeout" in message


def test_push_to_hub_refuses_a_name_without_owner(client: Client, folder: Path) -> None:
    message = client.call(push(folder, "store"))
    assert message.startswith("HubError: 'store' ")


@pytest.mark.parametrize(
    ("repo_id", "said"),
    [
        ("me/passages", ["manifest.json", "README.md, data.json"]),
        ("me/nothing", ["data set me/nothing is not on http", "HTTP 401", "check the name"]),
    ],
)
def test_from_hub_refuses_data_sets_that_are_not_stores(
    client: Client, repo_id: str, said: list[str]
) -> None:
    message = client.call(f"SoftLabelStore.from_hub({repo_id!r})")
    assert message.startswith("HubError: data set ")
    for part in said:
        assert part in message


@pytest.mark.parametrize("missing", ["manifest.json", shard_name(1)])
def test_from_hub_completes_a_cached_store_that_is_not_whole(
    client: Client, folder: Path, missing: str
) -> None:
    client.call(push(folder))
    fetch = "SoftLabelStore.from_hub('me/store').folder"
    fetched = Path(client.call(fetch))
    (fetched / missing).unlink()
    if missing == "manifest.json":  # looked for even where the cache does not list its files
        shutil.rmtree(fetched.parents[1] / "trees", ignore_errors=True)
    message = client.with_settings(HF_HUB_OFFLINE="1").call(fetch)
    assert message.startswith("HubError: data set me/store ")
    assert "cache" in message
    assert "me/store" in client.unreachable().call(fetch)
    assert client.call(fetch) == str(fetched)
    assert same(SoftLabelStore(fetched), SoftLabelStore(folder))
