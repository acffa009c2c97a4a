"""The hub functions against a stand-in server on this machine.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gliner_distill.hub import looks_like_hub_id
from stand_in_hub import Client, running_hub

PASSAGES = b'[{"tokenized_text": ["Anna", "left"], "ner": [[0, 0, "person"]]}]'
REPOS = {
    "datasets/me/passages": {"README.md": b"# hello", "data.json": PASSAGES, "more.json": b"[]"},
    "datasets/me/one-file": {"dataset_infos.json": b"{}", "train.jsonl": PASSAGES[1:-1]},
    "datasets/me/many": {"a.json": PASSAGES, "b.jsonl": PASSAGES},
    "datasets/me/parquet": {"data.parquet": b"PAR1"},
    "datasets/me/gated": {"data.json": PASSAGES},
    "models/me/model": {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"pickle",
    },
    "models/me/pickled": {"config.json": b"{}", "pytorch_model.bin": b"pickle"},
}


IMPORTS = """
from gliner_distill.corpus.reader import read_passages
from gliner_distill.hub import download_dataset_file, download_model
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_hub(REPOS) as hub:
        yield hub.endpoint


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", endpoint, IMPORTS)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("urchade/pile-mistral-v0.1", True),
        ("a/b", True),
        ("data/train.json", False),
        ("data/train.JSONL", False),
        ("./data/train", False),
        ("/data/train", False),
        ("a/b/c", False),
        ("train", False),
        ("a/b..c", False),
        ("ä/b", False),
        ("a/b c", False),
        ("a/" + "b" * 100, False),
    ],
)
def test_hub_id_is_owner_and_name_but_no_data_file(text: str, is_id: bool) -> None:
    assert looks_like_hub_id(text) is is_id


def test_dataset_is_downloaded_then_read_from_cache_offline_and_without_network(
    client: Client,
) -> None:
    path = Path(client.call("download_dataset_file('me/passages')"))
    assert path.name == "data.json"
    assert path.read_bytes() == PASSAGES
    offline = client.unreachable().with_settings(HF_HUB_OFFLINE="1")
    assert offline.call("download_dataset_file('me/passages')") == str(path)
    assert client.unreachable().call("download_dataset_file('me/passages')") == str(path)


def test_dataset_without_data_json_gives_its_only_json_file_online_and_offline(
    client: Client,
) -> None:
    path = Path(client.call("download_dataset_file('me/one-file')"))
    assert path.name == "train.jsonl"
    assert client.unreachable().call("download_dataset_file('me/one-file')") == str(path)


def test_read_passages_reads_a_hub_data_set(client: Client) -> None:
    read = client.call("next(read_passages('me/passages')).words")
    assert read == "('Anna', 'left')"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("download_dataset_file('me/many')", ["2 other JSON files: a.json, b.jsonl", "path"]),
        ("download_dataset_file('me/parquet')", ["no JSON file", "data.parquet"]),
        ("download_dataset_file('me/nothing')", ["data set me/nothing is not on http", "HTTP 401"]),
        ("download_dataset_file('me/gated')", ["gated", "HF_TOKEN", "local path"]),
        ("download_model('me/nothing')", ["model me/nothing is not on http", "check the name"]),
        (
            "download_model('me/pickled')",
            ["no *.safetensors", "pytorch_model.bin", "pickled weights are not loaded"],
        ),
        ("next(read_passages('me/nothing'))", ["no such file, and as a hub data set"]),
    ],
)
def test_hub_error_says_what_happened_and_what_to_do(
    client: Client, call: str, said: list[str]
) -> None:
    message = client.call(call)
    assert message.startswith("HubError: ")
    for part in said:
        assert part in message


def test_model_is_downloaded_without_pickles_then_read_from_cache(client: Client) -> None:
    folder = Path(client.call("download_model('me/model')"))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
    offline = client.unreachable().with_settings(HF_HUB_OFFLINE="1")
    assert offline.call("download_model('me/model')") == str(folder)
    assert client.unreachable().call("download_model('me/model')") == str(folder)


@pytest.mark.parametrize(
    "call", ["download_dataset_file('me/other')", "download_model('me/other')"]
)
def test_no_network_and_empty_cache_is_an_error_that_names_cache_and_way_out(
    client: Client, call: str
) -> None:
    started = time.monotonic()
    message = client.unreachable().call(call)
    assert time.monotonic() - started < 20
    assert f"cannot be had from {client.unreachable().endpoint[:16]}" in message
    assert f"the cache {client.home / 'hub'} has no whole copy" in message
    assert "give a local path, or run once with network" in message
    assert "HF_HUB_OFFLINE=1" in message


def test_offline_and_empty_cache_is_an_error_that_names_the_setting(client: Client) -> None:
    offline = client.with_settings(HF_HUB_OFFLINE="1")
    message = offline.call("download_dataset_file('me/passages')")
    assert f"not wholly in the cache {client.home / 'hub'}" in message
    assert "HF_HUB_OFFLINE forbids" in message
    assert "local path" in message


def test_hub_that_never_answers_fails_within_seconds(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(client, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        message = mute.call("download_dataset_file('me/passages')")
    assert time.monotonic() - started < 25
    assert "Timeout" in message
