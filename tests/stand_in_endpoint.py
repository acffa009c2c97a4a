"""A stand-in for an endpoint with OpenAI's chat completions, which knows some words and misbehaves.

Its answers depend only on the request, whatever the order. `faults` says how the next requests are
answered instead, one after the other: each is called with the handler of the request and returns
whether it has answered it.
"""

import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-secret-of-the-tests"
MODEL = "stand-in"


@dataclass
class Endpoint:
    """The state that the tests read and change.

    Attributes:
        lexicon: The label of each word that the model knows.
        asked: The bodies of all requests that were answered as usual.
        faults: See the module.
        answer: Makes the content of an answer from the request and the number of the choice.
        has_usage: Whether the answers count tokens.
        refused: Options of a request that are refused.
        seconds: The time that each answer takes.
        n_at_once: The largest number of requests at the same time.
    """

    url: str
    lexicon: dict[str, str]
    asked: list[dict] = field(default_factory=list)
    faults: list = field(default_factory=list)
    answer: object = None
    has_usage: bool = True
    has_logprobs: bool = False
    refused: tuple[str, ...] = ()
    seconds: float = 0.0
    n_now: int = 0
    n_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def passages(self):
        """The passages of the requests so far, sorted."""
        return sorted(body["messages"][1]["content"] for body in self.asked)


def is_check(body):
    return "check an annotation" in body["messages"][0]["content"]


def labels_of(body):
    """Return the labels that a request asks for, without their descriptions."""
    listed = body["messages"][0]["content"].split("Labels:\n")[1].split("\n\nRules:")[0]
    return [line.removeprefix("- ").split(": ")[0] for line in listed.splitlines()]


def entity(words, place, label, n=1):
    """Return an entity as a model lists it."""
    return {
        "text": " ".join(words[place : place + n]),
        "label": label,
        "before": " ".join(words[max(0, place - 3) : place]),
        "after": " ".join(words[place + n : place + n + 3]),
    }


def know(endpoint, body, number=0):
    """Return the entities of the lexicon in a passage, or the answer to a check."""
    text = body["messages"][1]["content"]
    if is_check(body):
        marked = re.search("⟦ (.*) ⟧", text)[1]
        return "yes" if marked in endpoint.lexicon else "no"
    words, labels = text.split(), labels_of(body)
    found = [
        entity(words, place, endpoint.lexicon[word])
        for place, word in enumerate(words)
        if endpoint.lexicon.get(word) in labels
    ]
    return json.dumps({"entities": found})


def as_choice(content, **more):
    return {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"} | more


def as_completion(choices, usage=None):
    body = {"id": "1", "object": "chat.completion", "model": MODEL, "choices": choices}
    return body | ({"usage": usage} if usage else {})


def as_tokens(content, logprob=-0.0):
    """Return the tokens of a content: its words and marks, all of one probability."""
    return {
        "content": [
            {"token": token, "logprob": logprob, "bytes": list(token.encode())}
            for token in re.findall(r"\w+|\W", content)
        ]
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which would delay each answer by 40 ms

    def do_POST(self):
        endpoint = self.server.endpoint
        self.request_body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with endpoint.lock:
            endpoint.n_now += 1
            endpoint.n_at_once = max(endpoint.n_at_once, endpoint.n_now)
            fault = endpoint.faults.pop(0) if endpoint.faults else None
        try:
            if fault is None or not fault(self):
                self._answer(endpoint, self.request_body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has given up
        finally:
            with endpoint.lock:
                endpoint.n_now -= 1

    def _answer(self, endpoint, body):
        if self.path != "/v1/chat/completions" or body["model"] != MODEL:
            return self.reply(404, {"error": {"message": "no such model", "code": "not_found"}})
        if self.headers["Authorization"] != f"Bearer {KEY}":
            said = f"Incorrect API key provided: {self.headers['Authorization']}"
            return self.reply(401, {"error": {"message": said}})
        for name in endpoint.refused:
            if name in body:
                said = f"Unsupported parameter: {name!r}\n is not supported with this model."
                return self.reply(400, {"error": {"message": said, "param": None}})
        time.sleep(endpoint.seconds)
        with endpoint.lock:
            endpoint.asked.append(body)
        make = endpoint.answer or know
        contents = [make(endpoint, body, number) for number in range(body.get("n", 1))]
        choices = [
            content if isinstance(content, dict) else as_choice(content) for content in contents
        ]
        if endpoint.has_logprobs and body.get("logprobs"):
            for choice in choices:
                choice.setdefault("logprobs", as_tokens(choice["message"]["content"]))
        n_chars = sum(len(message["content"]) for message in body["messages"])
        usage = {"prompt_tokens": n_chars // 5, "completion_tokens": 10 * len(contents)}
        self.reply(200, as_completion(choices, usage if endpoint.has_usage else None))
        return None

    def reply(self, status, content, headers=None):
        """Send a reply, which is JSON unless it is bytes."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        return True

    def log_message(self, *args):
        pass


@contextmanager
def serve(lexicon):
    """Run an endpoint in threads of this process while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", lexicon)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fails(status, *, headers=None, code=None):
    """Return a fault: an error whose message repeats the text and the key."""

    def fault(handler):
        text = handler.request_body["messages"][1]["content"]
        said = f"failed on {text} with {handler.headers['Authorization']}"
        return handler.reply(status, {"error": {"message": said, "code": code}}, headers)

    return fault


def replies(content):
    """Return a fault: a reply with the status 200 and some content."""
    return lambda handler: handler.reply(200, content)


def answers(*choices):
    """Return a fault: a completion with some choices, each of them a content or a whole choice."""
    made = [choice if isinstance(choice, dict) else as_choice(choice) for choice in choices]
    return replies(as_completion(made))


def hangs_up(handler):
    """Close the connection in the middle of an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True
    return True


def never_ends(handler):
    """Send an answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100_000):
        handler.wfile.write(b" " * 65_536)
    return True


def drips(handler):
    """Send an answer byte by byte, for ten seconds at most."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)
    return True


def sleeps(seconds):
    """Return a fault: no answer for some time."""

    def fault(handler):
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return fault
