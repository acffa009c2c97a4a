"""docs/serve.md: its servers start, and its requests get the answers that the page shows.

`NOT_RUN` lists the commands and files of the page that no test runs.
"""

import json
import re
import shlex
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from command_line import MAIN, start_process

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
REQUEST = re.compile(
    r"^\$ (curl (?:[^'\n\\]|\\\n|'[^']*')+)\n(\{.*?)(?=^\$ |^```)", re.MULTILINE | re.DOTALL
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(gliner-distill .*|curl .*|pip .*|docker .*)$", re.MULTILINE)
NOT_RUN = {
    "pip install 'gliner-distill[serve]'",  # installs packages
    # They need Docker, systemd or nginx.
    "FROM python:3.12-slim",
    "COPY . /clone",
    "docker build -t ner .",
    "[Unit]\nDescription=gliner-distill",
    "location / {",
}
HASH_KEY = re.compile(r"a server with the key `([\w-]+)`")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PAGE.is_file(), reason="the docs are in the repository alone"),
]


@pytest.fixture
def bundled_client():
    testclient = pytest.importorskip("starlette.testclient", reason="needs the extra serve")
    pytest.importorskip("prometheus_client", reason="needs the extra serve")
    from gliner_distill import StudentNER
    from gliner_distill.serve.app import create_app

    key = HASH_KEY.search(PAGE.read_text(encoding="utf-8"))
    assert key
    student = StudentNER.from_pretrained(num_threads=1)
    app = create_app({"bundled": student}, hash_key=key[1].encode())
    with testclient.TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def test_requests_of_the_page_get_the_answers_on_the_page(bundled_client):
    requests = REQUEST.findall(PAGE.read_text(encoding="utf-8"))
    paths = set()
    for command, answer in requests:
        _, address, header_option, header, data_option, body = shlex.split(
            command.replace("\\\n", "")
        )
        assert (header_option, data_option) == ("-H", "-d")
        path = address.removeprefix("localhost:8000")
        name, _, value = header.partition(": ")
        reply = bundled_client.post(path, content=body.encode(), headers={name: value})
        assert reply.json() == json.loads(answer), command
        paths.add(path)
    assert paths == {"/v1/entities", "/v1/redact", "/gliner", "/pooling"}
    assert len(requests) == PAGE.read_text(encoding="utf-8").count("$ curl ")


def blocks_of_the_page():
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def commands_of_the_page():
    shells = [text for language, text in blocks_of_the_page() if language in ("console", "sh")]
    return COMMAND.findall("\n".join(shells))


def test_servers_of_the_page_start_and_print_what_the_page_shows(tmp_path, monkeypatch):
    from gliner_distill import StudentNER

    pytest.importorskip("uvicorn", reason="needs the extra serve")
    monkeypatch.chdir(tmp_path)
    student = StudentNER.from_pretrained(num_threads=1)
    for folder in ("my-student", "students/legal"):
        student.save_pretrained(folder)
    page = PAGE.read_text(encoding="utf-8")
    commands = [line for line in commands_of_the_page() if line.startswith("gliner-distill ")]
    assert len(commands) == 2
    for command in commands:
        with start_process(MAIN, *shlex.split(command)[1:], "--port", 0) as process:
            try:
                first = process.stdout.readline()
                address = f"http://127.0.0.1:{first.rpartition(':')[2].strip()}/health"
                with urlopen(address, timeout=60):
                    process.send_signal(signal.SIGTERM)
                # Not `communicate`, which would lose what was read together with the first line.
                rest, problems = process.stdout.read(), process.stderr.read()
                process.wait(60)
            finally:
                process.kill()
        assert process.returncode == 0, problems
        shown = page.partition(f"$ {command}\n")[2].partition("```")[0]
        printed = re.sub(r":\d+\n", ":8000\n", first) + rest
        assert not shown or printed == shown
        assert printed.startswith("serving ")


def test_what_does_not_run_on_the_page_is_listed():
    run = ("gliner-distill serve", "curl localhost:8000/")
    left = {command for command in commands_of_the_page() if not command.startswith(run)}
    for language, text in blocks_of_the_page():
        if language not in ("console", "sh"):
            left.add(text)
        elif language == "sh":
            assert COMMAND.findall(text) == text.splitlines()
    listed = {text: [start for start in NOT_RUN if text.startswith(start)] for text in left}
    assert {text for text, starts in listed.items() if not starts} == set()
    assert set().union(*listed.values()) == NOT_RUN
