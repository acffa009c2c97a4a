"""The hub functions against a stand-in server on this machine.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gliner_distill.hub import looks_like_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
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


class StandInHub(BaseHTTPRequestHandler):
    """The few endpoints of the hub that downloading a data set or a model uses."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[0] == "api":
            self.answer_api("/".join(parts[1:4]), parts[4:])
        elif parts[0] == "datasets":
            self.answer_file("/".join(parts[:3]), "/".join(parts[5:]))
        else:
            self.answer_file("/".join(["models", *parts[:2]]), "/".join(parts[4:]))

    def answer_api(self, repo: str, rest: list[str]) -> None:
        if repo not in REPOS:
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                for name, data in REPOS[repo].items()
            ]
            self.answer(200, json.dumps(tree).encode())
        else:
            files = [{"rfilename": name} for name in REPOS[repo]]
            repo_id = repo.split("/", 1)[1]
            info = {"_id": "1", "id": repo_id, "sha": COMMIT, "siblings": files, "tags": []}
            self.answer(200, json.dumps(info).encode())

    def answer_file(self, repo: str, name: str) -> None:
        if repo.endswith("/gated"):
            self.answer(401, headers={"X-Error-Code": "GatedRepo"})
        elif name not in REPOS.get(repo, {}):
            self.answer(404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            etag = hashlib.sha1(REPOS[repo][name]).hexdigest()
            self.answer(200, REPOS[repo][name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Client:
    """Calls a hub function in a process of its own, with the settings of one machine."""

    home: Path
    endpoint: str
    settings: dict[str, str] = field(default_factory=dict)

    def call(self, expression: str) -> str:
        """Return what the expression evaluates to, or the message of its HubError."""
        code = (
            "from gliner_distill.corpus import read_passages\n"
            "from gliner_distill.errors import HubError\n"
            "from gliner_distill.hub import download_dataset_file, download_model\n"
            f"try: print({expression})\n"
            "except HubError as error: print('HubError:', error)"
        )
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        ours = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }
        process = subprocess.run(
            [sys.executable, "-c", code],
            env=inherited | ours | self.settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        assert process.stdout.count("\n") == 1
        return process.stdout.strip()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandInHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", endpoint)


def unreachable(client: Client) -> Client:
    """Return the same machine without network: nothing listens at the endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Client(client.home, f"http://127.0.0.1:{probe.getsockname()[1]}")


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
    offline = Client(client.home, unreachable(client).endpoint, {"HF_HUB_OFFLINE": "1"})
    assert offline.call("download_dataset_file('me/passages')") == str(path)
    assert unreachable(client).call("download_dataset_file('me/passages')") == str(path)


def test_dataset_without_data_json_gives_its_only_json_file_online_and_offline(
    client: Client,
) -> None:
    path = Path(client.call("download_dataset_file('me/one-file')"))
    assert path.name == "train.jsonl"
    assert unreachable(client).call("download_dataset_file('me/one-file')") == str(path)


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
    offline = Client(client.home, unreachable(client).endpoint, {"HF_HUB_OFFLINE": "1"})
    assert offline.call("download_model('me/model')") == str(folder)
    assert unreachable(client).call("download_model('me/model')") == str(folder)


@pytest.mark.parametrize(
    "call", ["download_dataset_file('me/other')", "download_model('me/other')"]
)
def test_no_network_and_empty_cache_is_an_error_that_names_cache_and_way_out(
    client: Client, call: str
) -> None:
    started = time.monotonic()
    message = unreachable(client).call(call)
    assert time.monotonic() - started < 20
    assert f"cannot be had from {unreachable(client).endpoint[:16]}" in message
    assert f"the cache {client.home / 'hub'} has no whole copy" in message
    assert "give a local path, or run once with network" in message
    assert "HF_HUB_OFFLINE=1" in message


def test_offline_and_empty_cache_is_an_error_that_names_the_setting(client: Client) -> None:
    offline = Client(client.home, client.endpoint, {"HF_HUB_OFFLINE": "1"})
    message = offline.call("download_dataset_file('me/passages')")
    assert f"not wholly in the cache {client.home / 'hub'}" in message
    assert "HF_HUB_OFFLINE forbids" in message
    assert "local path" in message


def test_hub_that_never_answers_fails_within_seconds(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Client(client.home, f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        message = mute.call("download_dataset_file('me/passages')")
    assert time.monotonic() - started < 25
    assert "Timeout" in message
