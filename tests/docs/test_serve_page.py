"""docs/serve.md: its requests get the answers that the page shows."""

import json
import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
REQUEST = re.compile(
    r"^\$ (curl (?:[^'\n\\]|\\\n|'[^']*')+)\n(\{.*?)(?=^\$ |^```)", re.MULTILINE | re.DOTALL
)
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
