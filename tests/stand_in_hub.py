"""A server that stands in for the Hugging Face Hub, and processes that use it.

It answers the requests of downloads and uploads, and keeps uploaded files for later downloads. It
knows two tokens: one has write permission, the other one may only read.
"""

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

WRITER, READER = "hf_writer", "hf_reader"


class StandInHub(ThreadingHTTPServer):
    """The server, its repositories by names such as datasets/me/passages, and all requests to it.

    Files with one of the `large_suffixes` are uploaded one by one and kept in `large_files` by
    their SHA-256; all other files are part of the commit. The list of files gives the sizes of
    `claimed_sizes` in place of the true ones.
    """

    def __init__(self, repos: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos = {name: dict(files) for name, files in repos.items()}
        self.private: set[str] = set()
        self.large_suffixes = (".parquet", ".safetensors")
        self.large_files: dict[str, bytes] = {}
        self.accepts_large_files = True
        self.claimed_sizes: dict[str, int] = {}
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo: str) -> str:
        """Return a hash of the present content of a repository."""
        held = [(name, _blob_id(data)) for name, data in sorted(self.repos[repo].items())]
        return hashlib.sha1(json.dumps([repo, held]).encode()).hexdigest()

    def oid(self, name: str, data: bytes) -> str:
        """Return the hash by which the hub identifies the content of a file."""
        large = name.endswith(self.large_suffixes)
        return hashlib.sha256(data).hexdigest() if large else _blob_id(data)


@contextmanager
def running_hub(repos: Mapping[str, Mapping[str, bytes]]) -> Iterator[StandInHub]:
    hub = StandInHub(repos)
    thread = threading.Thread(target=hub.serve_forever, args=[0.02])
    thread.start()
    try:
        yield hub
    finally:  # a failed test would otherwise never end
        hub.shutdown()
        thread.join()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: StandInHub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        self.server.requests.append(f"{self.command} {url.path}")
        if self.token() not in (None, WRITER, READER):
            self.refuse()
        elif parts[0] == "api":
            self.answer_api("/".join(parts[1:4]), parts[4:], "recursive" in parse_qs(url.query))
        elif parts[0] == "datasets":
            self.answer_file("/".join(parts[:3]), "/".join(parts[5:]))
        else:
            self.answer_file("/".join(["models", *parts[:2]]), "/".join(parts[4:]))

    def do_PUT(self) -> None:
        content = self.body()
        oid = self.path.rsplit("/", 1)[1]
        if not self.server.accepts_large_files:
            self.answer(507)
        elif hashlib.sha256(content).hexdigest() == oid:
            self.server.large_files[oid] = content
            self.answer(200)
        else:
            self.answer(400)

    def do_POST(self) -> None:
        body = self.body()
        path = urlsplit(self.path).path
        parts = path.strip("/").split("/")
        self.server.requests.append(f"POST {path}")
        if path == "/api/validate-yaml":
            self.validate_yaml(json.loads(body)["content"])
        elif parts[4:5] == ["paths-info"]:
            paths = parse_qs(body.decode()).get("paths", []) or json.loads(body)["paths"]
            entries = self.entries("/".join(parts[1:4]))
            self.answer_json([entry for entry in entries if entry["path"] in paths])
        elif self.token() != WRITER:
            self.refuse()
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path.endswith("/objects/batch"):
            self.answer_large_files(json.loads(body)["objects"])
        elif path.startswith("/large/verify"):
            asked = json.loads(body)
            known = len(self.server.large_files.get(asked["oid"], b"")) == asked["size"]
            self.answer(200 if known else 404)
        elif parts[4] == "preupload":
            self.answer_modes("/".join(parts[1:4]), json.loads(body)["files"])
        else:
            self.take_commit("/".join(parts[1:4]), body.splitlines())

    def answer_api(self, repo: str, rest: list[str], recursive: bool) -> None:
        if repo not in self.server.repos or (repo in self.server.private and not self.token()):
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            folder = "".join(f"{part}/" for part in rest[2:])
            below = [e for e in self.entries(repo) if e["path"].startswith(folder)]
            direct = [e for e in below if "/" not in e["path"].removeprefix(folder)]
            self.answer_json(below if recursive else direct)
        else:
            info = {
                "_id": "1",
                "id": repo.split("/", 1)[1],
                "sha": self.server.commit(repo),
                "private": repo in self.server.private,
                "siblings": [
                    {"rfilename": name, "size": self.server.claimed_sizes.get(name, len(data))}
                    for name, data in self.server.repos[repo].items()
                ],
                "tags": [],
            }
            self.answer_json(info)

    def answer_file(self, repo: str, name: str) -> None:
        if repo.endswith("/gated"):
            self.answer(401, headers={"X-Error-Code": "GatedRepo"})
        elif name not in self.server.repos.get(repo, {}):
            self.answer(404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            data = self.server.repos[repo][name]
            headers = {
                "ETag": f'"{self.server.oid(name, data)}"',
                "X-Repo-Commit": self.server.commit(repo),
            }
            self.answer(200, data, headers)

    def entries(self, repo: str) -> list[dict[str, object]]:
        """Return the files and folders of a repository as the hub lists its tree."""
        entries: dict[str, dict[str, object]] = {}
        for name, data in self.server.repos[repo].items():
            for folder in list(Path(name).parents)[:-1]:
                path = folder.as_posix()
                entries[path] = {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
            entry = {"type": "file", "path": name, "size": len(data), "oid": _blob_id(data)}
            if name.endswith(self.server.large_suffixes):
                entry["lfs"] = {
                    "oid": self.server.oid(name, data),
                    "size": len(data),
                    "pointerSize": 130,
                }
            entries[name] = entry
        return list(entries.values())

    def validate_yaml(self, card: str) -> None:
        try:
            yaml.safe_load(card.split("---\n")[1])
        except (yaml.YAMLError, IndexError) as error:
            self.answer_json({"errors": [{"message": str(error)}]}, status=400)
        else:
            self.answer_json({"warnings": [], "errors": []})

    def create(self, asked: dict[str, str]) -> None:
        repo = f"{asked['type']}s/{asked['organization']}/{asked['name']}"
        exists = repo in self.server.repos
        if not exists:
            self.server.repos[repo] = {".gitattributes": b""}
            if asked.get("visibility") == "private" or asked.get("private"):
                self.server.private.add(repo)
        self.answer_json({"url": f"{self.server.endpoint}/{repo}"}, status=409 if exists else 200)

    def answer_modes(self, repo: str, files: list[dict[str, object]]) -> None:
        held = self.server.repos[repo]
        answer = []
        for file in files:
            name = str(file["path"])
            mode = "lfs" if name.endswith(self.server.large_suffixes) else "regular"
            known = {"oid": self.server.oid(name, held[name])} if name in held else {}
            answer.append({"path": name, "uploadMode": mode, "shouldIgnore": False} | known)
        self.answer_json({"files": answer})

    def answer_large_files(self, objects: list[dict[str, object]]) -> None:
        def action(name: str) -> dict[str, object]:
            return {"href": f"{self.server.endpoint}/large/{name}"}

        answer = [
            {"oid": item["oid"], "size": item["size"]}
            | (
                {}
                if item["oid"] in self.server.large_files
                else {"actions": {"upload": action(str(item["oid"])), "verify": action("verify")}}
            )
            for item in objects
        ]
        self.answer_json({"transfer": "basic", "objects": answer})

    def take_commit(self, repo: str, lines: list[bytes]) -> None:
        held = dict(self.server.repos[repo])
        for line in map(json.loads, lines):
            kind, value = line["key"], line["value"]
            if kind == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                held[value["path"]] = self.server.large_files[value["oid"]]
            elif kind == "deletedFile":
                del held[value["path"]]
        self.server.repos[repo] = held
        oid = self.server.commit(repo)
        url = f"{self.server.endpoint}/{repo}/commit/{oid}"
        self.answer_json({"commitOid": oid, "commitUrl": url})

    def token(self) -> str | None:
        header = self.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    def refuse(self) -> None:
        """Refuse a request that has no write permission or an unknown token."""
        if self.token() == READER:
            self.answer(403, headers={"X-Error-Message": "You have no write access"})
        else:
            said = "Invalid credentials in Authorization header" if self.token() else "Log in"
            self.answer(401, headers={"X-Error-Message": said})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer_json(self, content: object, status: int = 200) -> None:
        self.answer(status, json.dumps(content).encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Client:
    """A machine with its own settings, on which each expression is evaluated in a new process."""

    home: Path
    endpoint: str
    imports: str
    settings: dict[str, str] = field(default_factory=dict)

    def call(self, expression: str, *, n_lines: int = 1) -> str:
        """Return the value of an expression as text, or the message of the HubError it raises."""
        code = (
            f"{self.imports}\n"
            "from gliner_distill.errors import HubError\n"
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
        assert process.stdout.count("\n") == n_lines
        return process.stdout.strip()

    def with_settings(self, **settings: str) -> "Client":
        return replace(self, settings=self.settings | settings)

    def unreachable(self) -> "Client":
        """Return the same machine without network: nothing listens at the endpoint."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
        return replace(self, endpoint=nowhere)
