"""A server that stands in for the Hugging Face Hub, and processes that use it.

It answers the requests of downloads and uploads, and keeps uploaded files for later downloads, with
branches, tags and commits. It knows two tokens: one has write permission, the other one may only
read. It can be told to answer requests with an error, late, or with half of a file.
"""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WRITER, READER = "hf_writer", "hf_reader"


@dataclass
class Fault:
    """A fault of the hub for requests such as `GET /api/models/me/model` that match a pattern.

    Attributes:
        pattern: The pattern, which is searched for.
        status: The status to answer with; None for the right answer.
        error_code: The header by which the hub names the kind of the error.
        delay_s: The seconds before the answer.
        is_cut_off: Whether the connection ends after half of the body.
        n_left: The number of requests that it meets.
    """

    pattern: str
    status: int | None = None
    error_code: str | None = None
    delay_s: float = 0.0
    is_cut_off: bool = False
    n_left: int = 1_000


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
        self.faults: list[Fault] = []
        self.messages: list[str] = []
        self._refs: dict[tuple[str, str], dict[str, bytes]] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo: str, revision: str = "main") -> str:
        """Return the hash of a revision of a repository, by which it is found from then on."""
        files = self.files(repo, revision) or {}
        held = [(name, _blob_id(data)) for name, data in sorted(files.items())]
        commit = hashlib.sha1(json.dumps([repo, held]).encode()).hexdigest()
        self._refs[repo, commit] = dict(files)
        return commit

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes] | None:
        """Return the files of a repository at a branch, a tag or a commit; None if it has none."""
        return self.repos.get(repo) if revision == "main" else self._refs.get((repo, revision))

    def point(self, repo: str, name: str, files: Mapping[str, bytes] | None = None) -> None:
        """Make a branch or a tag point to files, or to the present content of the main branch."""
        if name == "main":
            self.repos[repo] = dict(files or {})
        else:
            self._refs[repo, name] = dict(self.repos[repo] if files is None else files)

    def n_pull_requests(self, repo: str) -> int:
        return sum(held == repo and name.startswith("refs/pr/") for held, name in self._refs)

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
    is_cut_off = False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        self.server.requests.append(f"{self.command} {url.path}")
        if self.fails():
            return
        if self.token() not in (None, WRITER, READER):
            self.refuse()
        elif parts[:2] == ["api", "whoami-v2"]:
            self.answer_json({"type": "user", "name": "me"}) if self.token() else self.refuse()
        elif parts[0] == "api":
            self.answer_api("/".join(parts[1:4]), parts[4:], "recursive" in parse_qs(url.query))
        elif parts[0] == "datasets":
            self.answer_file("/".join(parts[:3]), parts[4], "/".join(parts[5:]))
        else:
            self.answer_file("/".join(["models", *parts[:2]]), parts[3], "/".join(parts[4:]))

    def do_PUT(self) -> None:
        content = self.body()
        self.server.requests.append(f"PUT {self.path}")
        oid = self.path.rsplit("/", 1)[1]
        if self.fails():
            return
        if not self.server.accepts_large_files:
            self.answer(507)
        elif hashlib.sha256(content).hexdigest() == oid:
            self.server.large_files[oid] = content
            self.answer(200)
        else:
            self.answer(400)

    def do_POST(self) -> None:
        body = self.body()
        url = urlsplit(self.path)
        path = url.path
        parts = [unquote(part) for part in path.strip("/").split("/")]
        self.server.requests.append(f"POST {path}")
        if self.fails():
            return
        if path == "/api/validate-yaml":
            self.validate_yaml(json.loads(body)["content"])
        elif parts[4:5] == ["paths-info"]:
            paths = parse_qs(body.decode()).get("paths", []) or json.loads(body)["paths"]
            entries = self.entries("/".join(parts[1:4]), parts[5])
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
        elif parts[4] == "branch":
            self.make_branch("/".join(parts[1:4]), parts[5])
        elif self.server.files("/".join(parts[1:4]), parts[5]) is None:
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif parts[4] == "preupload":
            self.answer_modes("/".join(parts[1:4]), json.loads(body)["files"])
        else:
            is_request = "create_pr" in parse_qs(url.query)
            self.take_commit("/".join(parts[1:4]), parts[5], body.splitlines(), is_request)

    def fails(self) -> bool:
        """Wait as a fault says, and answer with its error; say whether there is one."""
        asked = f"{self.command} {urlsplit(self.path).path}"
        for fault in self.server.faults:
            if fault.n_left and re.search(fault.pattern, asked):
                fault.n_left -= 1
                time.sleep(fault.delay_s)
                self.is_cut_off = fault.is_cut_off
                if fault.status is not None:
                    code = fault.error_code
                    self.answer(fault.status, headers={"X-Error-Code": code} if code else {})
                    return True
        return False

    def answer_api(self, repo: str, rest: list[str], recursive: bool) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        if repo not in self.server.repos or (repo in self.server.private and not self.token()):
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})
        elif self.server.files(repo, revision) is None:
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif rest[:1] == ["tree"]:
            folder = "".join(f"{part}/" for part in rest[2:])
            below = [e for e in self.entries(repo, revision) if e["path"].startswith(folder)]
            direct = [e for e in below if "/" not in e["path"].removeprefix(folder)]
            self.answer_json(below if recursive else direct)
        else:
            info = {
                "_id": "1",
                "id": repo.split("/", 1)[1],
                "sha": self.server.commit(repo, revision),
                "private": repo in self.server.private,
                "siblings": [
                    {"rfilename": name, "size": self.server.claimed_sizes.get(name, len(data))}
                    for name, data in self.server.files(repo, revision).items()
                ],
                "tags": [],
            }
            self.answer_json(info)

    def answer_file(self, repo: str, revision: str, name: str) -> None:
        files = self.server.files(repo, revision)
        if repo.endswith("/gated"):
            self.answer(401, headers={"X-Error-Code": "GatedRepo"})
        elif repo in self.server.repos and files is None:
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif name not in (files or {}):
            self.answer(404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            data = files[name]
            headers = {
                "ETag": f'"{self.server.oid(name, data)}"',
                "X-Repo-Commit": self.server.commit(repo, revision),
            }
            self.answer(200, data, headers)

    def entries(self, repo: str, revision: str) -> list[dict[str, object]]:
        """Return the files and folders of a repository as the hub lists its tree."""
        entries: dict[str, dict[str, object]] = {}
        for name, data in (self.server.files(repo, revision) or {}).items():
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
        repo = f"{asked.get('type', 'model')}s/{asked['organization']}/{asked['name']}"
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

    def make_branch(self, repo: str, name: str) -> None:
        exists = self.server.files(repo, name) is not None
        if not exists:
            self.server.point(repo, name)
        self.answer(409 if exists else 200)

    def take_commit(
        self, repo: str, revision: str, lines: list[bytes], is_pull_request: bool
    ) -> None:
        held = dict(self.server.files(repo, revision) or {})
        for line in map(json.loads, lines):
            kind, value = line["key"], line["value"]
            if kind == "header":
                self.server.messages.append(value["summary"])
            elif kind == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                held[value["path"]] = self.server.large_files[value["oid"]]
            elif kind == "deletedFile":
                del held[value["path"]]
        answer = {}
        if is_pull_request:
            number = self.server.n_pull_requests(repo) + 1
            revision = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{self.server.endpoint}/{repo}/discussions/{number}"
        self.server.point(repo, revision, held)
        oid = self.server.commit(repo, revision)
        url = f"{self.server.endpoint}/{repo}/commit/{oid}"
        self.answer_json({"commitOid": oid, "commitUrl": url} | answer)

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
            self.wfile.write(body[: len(body) // 2] if self.is_cut_off else body)
        self.close_connection = self.is_cut_off

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
        process = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        assert process.stdout.count("\n") == n_lines
        return process.stdout.strip()

    def worker(self) -> "Worker":
        """Return a process that evaluates many expressions with the same settings."""
        return Worker(self.imports, self.environment())

    def environment(self) -> dict[str, str]:
        """Return the environment variables of this machine's processes."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        ours = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return inherited | ours | self.settings

    def with_settings(self, **settings: str) -> "Client":
        return replace(self, settings=self.settings | settings)

    def unreachable(self) -> "Client":
        """Return the same machine without network: nothing listens at the endpoint."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
        return replace(self, endpoint=nowhere)


_WORK = """
import json, logging, sys
out, sys.stdout = sys.stdout, sys.stderr
from gliner_distill.errors import DistillError

class Kept(logging.Handler):
    def emit(self, record):
        logged.append(f"{record.levelname}: {record.getMessage()}")

logging.getLogger("gliner_distill").addHandler(Kept())
logging.getLogger("gliner_distill").setLevel(logging.INFO)
for line in sys.stdin:
    logged = []
    try:
        answer = str(eval(json.loads(line)))
    except (DistillError, TypeError) as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps([answer, logged]), file=out, flush=True)
"""


class Worker:
    """A process of a machine that evaluates expressions one after the other.

    Attributes:
        logged: What the last expression logged, each line with its level.
    """

    def __init__(self, imports: str, environment: Mapping[str, str]) -> None:
        self.logged: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{imports}\n{_WORK}"],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=60)

    def call(self, expression: str) -> str:
        """Return the value of an expression as text, or the class and message of its error."""
        self._process.stdin.write(json.dumps(expression) + "\n")
        self._process.stdin.flush()
        answer, self.logged = json.loads(self._process.stdout.readline())
        return answer
