"""The server as a process: its end under load, and clients that are slow or leave."""

import http.client
import json
import signal
import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest

from command_line import MAIN, start_process
from gliner_distill.errors import DistillError
from gliner_distill.serve.server import listen

BODY = json.dumps({"text": "Marie Curie left Paris.", "labels": ["person", "city"]}).encode()
HEADERS = {"Content-Type": "application/json"}


def test_listen_names_an_address_that_is_taken():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DistillError, match=f"127.0.0.1, port {port}"):
            listen("127.0.0.1", port)


@contextmanager
def serving():
    """Start a server in a process of its own, and check that it ends well."""
    process = start_process(MAIN, "serve", "--port", 0, "--threads", 1, "--time-limit", 3)
    try:
        line = process.stdout.readline()
        port = int(line.rpartition(":")[2])
        assert ask(port) == 200
        yield port, process
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert "Curie" not in err
    finally:
        process.kill()


@pytest.fixture(scope="module")
def port():
    """The port of a server that several tests share."""
    with serving() as (port, _):
        yield port


def connect(port):
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))


def ask(port):
    """Send a request on a connection of its own, and return the status of the answer."""
    with connect(port) as connection:
        return send(connection)[0]


def send(connection):
    """Send a request, and return the answer's status and whether the connection ends."""
    connection.request("POST", "/v1/entities", BODY, HEADERS)
    response = connection.getresponse()
    entities = json.loads(response.read())["entities"]
    assert [entity["text"] for entity in entities] == ["Marie Curie", "Paris"]
    return response.status, response.getheader("connection") == "close"


def head(n_body_bytes):
    return (
        "POST /v1/entities HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {n_body_bytes}\r\n\r\n"
    ).encode()


@pytest.mark.slow
def test_sigterm_under_load_loses_no_request():
    with serving() as (port, process):
        outcomes = ask_until_the_end(port, process)
        process.wait(60)
        with pytest.raises(OSError, match="refused"):
            ask(port)
    assert outcomes == [{200}] * 8


def ask_until_the_end(port, process):
    """Let eight clients ask without a pause, end the server, and return their statuses."""
    outcomes = []
    is_loaded = threading.Event()

    def client():
        try:
            with connect(port) as connection:
                answers = [send(connection)]
                while not answers[-1][1]:  # until the server says that it ends
                    answers.append(send(connection))
                    if len(answers) == 5:
                        is_loaded.set()
            outcomes.append({status for status, _ in answers})
        except Exception as error:
            outcomes.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert is_loaded.wait(60)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    return outcomes


@pytest.mark.slow
def test_slow_clients_and_half_requests_block_nobody(port):
    halves = [b"", b"POST /v1/en", head(500)[:-2], head(500), head(500) + BODY[:10]]
    sockets = []
    try:
        for half in halves * 40:
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            sockets[-1].sendall(half)
        left = socket.create_connection(("127.0.0.1", port), timeout=60)
        left.sendall(head(len(BODY)) + BODY)
        left.close()  # without waiting for the answer
        for _ in range(20):
            assert ask(port) == 200
        sockets[-1].sendall(BODY[10:])
        # The body stays incomplete until the time limit.
        answer = b"".join(iter(lambda: sockets[-1].recv(10_000), b""))
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"field": "body"' in answer
        assert ask(port) == 200
    finally:
        for connection in sockets:
            connection.close()


@pytest.mark.slow
def test_a_body_in_small_parts_is_answered(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head(len(BODY)))
        for place in range(0, len(BODY), 7):
            connection.sendall(BODY[place : place + 7])
            time.sleep(0.001)
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        # Two requests at once on the same connection.
        connection.sendall((head(len(BODY)) + BODY) * 2)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2 or not answers.endswith(b"}]}"):
            answers += connection.recv(10_000)


@pytest.mark.slow
def test_headers_without_end_close_the_connection(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        # The system accepts some megabytes before anybody reads them.
        headers = (b"X-Header: " + b"x" * 1000 + b"\r\n") * 200_000
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            connection.sendall(headers)
    assert ask(port) == 200


@pytest.mark.slow
def test_ctrl_c_ends_the_server():
    with serving() as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
