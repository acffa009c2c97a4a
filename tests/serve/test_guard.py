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


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:9090", 200),
        ("HTTP://127.0.0.1:9090", 200),
        ("https://good.example", 200),
        ("https://good.example.evil.example", 403),
        ("http://127.0.0.1", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_guard_accepts_pages_of_its_own_and_of_allowed_origins(origin, status):
    guard = RequestGuard(echo, origins=["https://good.example"])
    assert ask(guard, b"{}", Origin=origin)[0] == status
    assert ask(guard, method="GET", Origin=origin)[0] == status


def test_guard_asks_for_a_key_except_on_open_paths():
    guard = RequestGuard(echo, api_key="secret-secret-secret")
    status, headers, body = ask(guard, b"{}")
    assert status == 401
    assert headers[b"www-authenticate"].startswith(b"Bearer")
    assert json.loads(body)["field"] == "Authorization"
    assert ask(guard, b"{}", Authorization="Bearer secret-secret-secret")[0] == 200
    assert ask(RequestGuard(echo, api_key="x", open_paths=["/predict"]), b"{}")[0] == 200


def test_guard_remembers_only_hosts_that_it_has_accepted():
    guard = RequestGuard(echo)
    for _ in range(2):
        assert ask(guard, b"{}", Host="evil.example")[0] == 400
        assert ask(guard, b"{}", Host="127.0.0.1")[0] == 200


def test_guard_writes_errors_as_it_is_told_and_counts_them():
    counted = []
    guard = RequestGuard(
        echo,
        write_error=lambda error: ("text/plain", str(error.status).encode()),
        count_refusal=counted.append,
    )
    status, headers, body = ask(guard, b"{}", Host="evil.example")
    assert (status, headers[b"content-type"], body) == (400, b"text/plain", b"400")
    assert counted == [400]


def run_pending(guard, *parts):
    """Send a request whose body never ends, and return a task and the messages of the answer."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()],
    }
    incoming, outgoing = list(parts), []

    async def receive():
        if incoming:
            return {"type": "http.request", "body": incoming.pop(0), "more_body": True}
        return await asyncio.Event().wait()

    async def send(message):
        outgoing.append(message)

    return asyncio.ensure_future(guard(scope, receive, send)), outgoing


def test_guard_does_not_wait_for_a_body_without_end():
    async def go():
        task, outgoing = run_pending(RequestGuard(echo, body_time_limit_s=0.02), b"{")
        await task
        return outgoing[0]["status"], dict(outgoing[0]["headers"])

    status, headers = asyncio.run(go())
    assert status == 408
    assert headers[b"connection"] == b"close"


def test_guard_bounds_all_bodies_together_and_forgets_those_that_are_done():
    async def go():
        guard = RequestGuard(echo, max_body_bytes=100, max_held_bytes=150, body_time_limit_s=0.1)
        first, _ = run_pending(guard, b"x" * 90)
        await asyncio.sleep(0)
        second, outgoing = run_pending(guard, b"x" * 90)
        await second
        await first  # it runs into the time limit
        third, later = run_pending(guard, b"x" * 90)
        await third
        return outgoing[0]["status"], later[0]["status"]

    assert asyncio.run(go()) == (503, 408)
