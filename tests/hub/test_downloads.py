"""Downloads from a stand-in for the hub that runs on this machine.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stand_in_hub import Client, Worker, running_hub

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


# A process ends at once if it waits before it asks again, and gives up a hub that is silent.
WITHOUT_WAITING = """
import time

def refuse(seconds):
    raise SystemExit(f"waits for {seconds} seconds")

time.sleep = refuse
downloads.HUB_TIMEOUT_S = 0.5
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_hub(REPOS) as hub:
        yield hub.endpoint


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", endpoint, IMPORTS)


@pytest.fixture
def impatient(client: Client) -> Client:
    """A machine on which a call that waits before it asks again fails."""
    return replace(client, imports=IMPORTS + WITHOUT_WAITING)


@pytest.fixture(scope="module")
def worker(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Client(tmp_path_factory.mktemp("home"), endpoint, IMPORTS).worker() as worker:
        yield worker


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
    worker: Worker, call: str, facts: list[str]
) -> None:
    message = worker.call(call)
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
    impatient: Client, call: str
) -> None:
    unreachable = impatient.unreachable()
    message = unreachable.call(call)
    for fact in ("me/other", unreachable.endpoint, str(unreachable.home / "hub")):
        assert fact in message
    assert "local path" in message
    assert "HF_HUB_OFFLINE=1" in message


def test_download_offline_with_an_empty_cache_names_cache_and_setting(client: Client) -> None:
    offline = client.with_settings(HF_HUB_OFFLINE="1")
    message = offline.call("download_dataset_file('me/passages')")
    assert str(client.home / "hub") in message
    assert "HF_HUB_OFFLINE" in message
    assert "local path" in message


def test_download_from_a_hub_that_never_answers_asks_once_and_gives_up(impatient: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = replace(impatient, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        message = mute.call("download_dataset_file('me/passages')")
        asked = list(first_lines(silent))
    assert "Timeout" in message
    # huggingface_hub may ask the hub other things, too.
    assert [line.split()[0] for line in asked if "me/passages" in line] == ["GET"]


def first_lines(server: socket.socket) -> Iterator[str]:
    """Yield the first line of each request that waits at a server."""
    server.setblocking(False)
    while True:
        try:
            connection, _ = server.accept()
        except BlockingIOError:
            return
        with connection:
            yield connection.recv(10_000).decode().partition("\r\n")[0]
