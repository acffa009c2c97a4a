"""Downloads from a stand-in for the hub that runs on this machine.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stand_in_hub import Client, running_hub

pytestmark = pytest.mark.slow

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
from gliner_distill.hub import downloads
from gliner_distill.hub.downloads import download_dataset_file
from gliner_distill.hub.options import HubOptions

def download_model(name, **options):
    return downloads.download_model(
        name, approve=lambda folder: None, options=HubOptions(**options)
    )
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_hub(REPOS) as hub:
        yield hub.endpoint


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", endpoint, IMPORTS)


def test_download_dataset_file_uses_the_cache_offline_and_without_a_network(
    client: Client,
) -> None:
    path = Path(client.call("download_dataset_file('me/passages')"))
    assert path.name == "data.json"
    assert path.read_bytes() == PASSAGES
    offline = client.unreachable().with_settings(HF_HUB_OFFLINE="1")
    assert offline.call("download_dataset_file('me/passages')") == str(path)
    assert client.unreachable().call("download_dataset_file('me/passages')") == str(path)


def test_download_dataset_file_takes_the_only_json_file_online_and_offline(
    client: Client,
) -> None:
    path = Path(client.call("download_dataset_file('me/one-file')"))
    assert path.name == "train.jsonl"
    assert client.unreachable().call("download_dataset_file('me/one-file')") == str(path)


def test_read_passages_reads_a_hub_data_set(client: Client) -> None:
    read = client.call("next(read_passages('me/passages')).words")
    assert read == "('Anna', 'left')"


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        ("download_dataset_file('me/many')", ["data set me/many", "a.json, b.jsonl", "path"]),
        ("download_dataset_file('me/parquet')", ["data set me/parquet", "data.parquet"]),
        ("download_dataset_file('me/nothing')", ["data set me/nothing", "HTTP 401"]),
        ("download_dataset_file('me/gated')", ["gated", "HF_TOKEN", "local path"]),
        ("download_model('me/nothing')", ["model me/nothing", "HTTP 401", "the name"]),
        ("download_model('me/pickled')", ["*.safetensors", "pytorch_model.bin", "pickled"]),
        ("next(read_passages('me/nothing'))", ["data set me/nothing"]),
    ],
)
def test_hub_error_names_the_repository_the_reason_and_the_way_out(
    client: Client, call: str, facts: list[str]
) -> None:
    message = client.call(call)
    assert message.startswith("HubError: ")
    for fact in facts:
        assert fact in message


def test_download_model_leaves_out_pickles_and_uses_the_cache_offline(client: Client) -> None:
    folder = Path(client.call("download_model('me/model')"))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
    offline = client.unreachable().with_settings(HF_HUB_OFFLINE="1")
    assert offline.call("download_model('me/model')") == str(folder)
    assert client.unreachable().call("download_model('me/model')") == str(folder)


@pytest.mark.parametrize(
    "call", ["download_dataset_file('me/other')", "download_model('me/other')"]
)
def test_download_without_network_and_cache_names_both_and_the_way_out(
    client: Client, call: str
) -> None:
    started = time.monotonic()
    message = client.unreachable().call(call)
    assert time.monotonic() - started < 20
    for fact in ("me/other", client.unreachable().endpoint[:16], str(client.home / "hub")):
        assert fact in message
    assert "local path" in message
    assert "HF_HUB_OFFLINE=1" in message


def test_download_offline_with_an_empty_cache_names_cache_and_setting(client: Client) -> None:
    offline = client.with_settings(HF_HUB_OFFLINE="1")
    message = offline.call("download_dataset_file('me/passages')")
    assert str(client.home / "hub") in message
    assert "HF_HUB_OFFLINE" in message
    assert "local path" in message


def test_download_from_a_hub_that_never_answers_fails_within_seconds(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(client, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        message = mute.call("download_dataset_file('me/passages')")
    assert time.monotonic() - started < 25
    assert "Timeout" in message
