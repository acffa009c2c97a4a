"""The checks in front of a server: hosts, credentials, kinds of content, and sizes."""

import asyncio
import base64
import json

import pytest

from gliner_distill.serve.guard import RequestGuard, is_allowed_host

HEADERS = {"Host": "127.0.0.1:9090", "Content-Type": "application/json"}


async def echo(scope, receive, send):
    """Answer with the body of the request."""
    body = (await receive())["body"] if scope["method"] == "POST" else b"got"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(guard, *parts, method="POST", **headers):
    """Send a request whose body comes in parts, and return the status, the headers and the body."""
    sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
    scope = {"type": "http", "method": method, "path": "/predict", "headers": pairs}
    incoming = [
        {"type": "http.request", "body": part, "more_body": place < len(parts) - 1}
        for place, part in enumerate(parts)
    ]
    outgoing = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        outgoing.append(message)

    asyncio.run(guard(scope, receive, send))
    start, body = outgoing
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "10.0.0.2:80", "[::1]:9090", "[::1]", "box:1"]
)
def test_is_allowed_host_accepts_addresses_and_known_names(host):
    assert is_allowed_host(host, ["localhost", "box"])


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "box:", "127.0.0.1:x"]
)
def test_is_allowed_host_refuses_other_names(host):
    assert is_allowed_host(host, ["localhost"]) is False


def test_guard_passes_a_body_on_as_a_whole():
    assert ask(RequestGuard(echo), b'{"a"', b": 1}")[::2] == (200, b'{"a": 1}')


def test_guard_passes_get_without_a_kind_of_content():
    assert ask(RequestGuard(echo), method="GET", Content_Type="")[::2] == (200, b"got")


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Host": "evil.example"}, 400, "Host"),
        # A page of another site may send these kinds without asking.
        ({"Content_Type": "text/plain"}, 415, "Content-Type"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        ({"Content_Length": "11"}, 413, "body"),
    ],
)
def test_guard_refuses_with_the_field(headers, status, field):
    got, _, body = ask(RequestGuard(echo, max_body_bytes=10), b"{}", **headers)
    answer = json.loads(body)
    assert (got, answer["field"]) == (status, field)
    assert answer["error"].startswith(f"{field}: ")


def test_guard_refuses_a_body_that_turns_out_too_large():
    status, headers, body = ask(RequestGuard(echo, max_body_bytes=10), b"123456", b"7890", b"1")
    assert status == 413
    assert headers[b"connection"] == b"close"
    assert "10 bytes" in json.loads(body)["error"]


def test_guard_accepts_a_body_of_the_largest_size():
    assert ask(RequestGuard(echo, max_body_bytes=10), b"1234567890")[0] == 200


def test_guard_accepts_hosts_that_it_was_told():
    assert (
        ask(RequestGuard(echo, hosts=["Studio.internal"]), b"{}", Host="studio.INTERNAL:80")[0]
        == 200
    )


def test_guard_asks_for_credentials():
    guard = RequestGuard(echo, credentials="ann:s:cret")
    status, headers, body = ask(guard, b"{}")
    assert status == 401
    assert headers[b"www-authenticate"].startswith(b"Basic")
    assert json.loads(body)["field"] == "Authorization"
    wrong = base64.b64encode(b"ann:other").decode()
    assert ask(guard, b"{}", Authorization=f"Basic {wrong}")[0] == 401
    right = base64.b64encode(b"ann:s:cret").decode()
    assert ask(guard, b"{}", Authorization=f"Basic {right}")[0] == 200


def test_guard_passes_other_events_on():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(RequestGuard(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
