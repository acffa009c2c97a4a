"""A model of a few names that can be made to wait or to fail, and a client of the application."""

import threading
from importlib.util import find_spec

import pytest

PACKAGES = ("fastapi", "httpx2", "prometheus_client", "uvicorn")
if any(find_spec(package) is None for package in PACKAGES):  # only the guard needs none of them
    collect_ignore = [
        *("test_app.py", "test_other_clients.py", "test_reader.py"),
        "test_server.py",
    ]

NAMES = {"Mary": "person", "John": "person", "Paris": "city"}


class NameModel:
    """A model that finds names, and notes the texts that it was asked at once.

    It waits at the text "wait" until `release` is set, and fails at the text "fail".
    """

    def __init__(self):
        self.batches = []
        self.waits = threading.Event()
        self.release = threading.Event()

    def inference(self, texts, labels, flat_ner=True, threshold=0.5, multi_label=False, **more):
        self.batches.append(list(texts))
        if "wait" in texts:
            self.waits.set()
            assert self.release.wait(30)
        if "fail" in texts:
            raise RuntimeError(f"cannot read {texts}")
        return [self._find(text, labels) for text in texts]

    def _find(self, text, labels):
        found = []
        for name, label in NAMES.items():
            start = text.find(name)
            if start >= 0 and label in labels:
                span = {"start": start, "end": start + len(name), "text": name}
                found.append(span | {"label": label, "score": 0.9})
        return sorted(found, key=lambda entity: entity["start"])


@pytest.fixture
def name_model():
    model = NameModel()
    yield model
    model.release.set()


@pytest.fixture
def make_client(name_model):
    """A function that starts the application with the options of `create_app`."""
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    from gliner_distill.serve.app import create_app

    with ExitStack() as stack:

        def make(models=None, *, host="127.0.0.1:8000", **options):
            app = create_app(models or {"names": name_model}, **options)
            client = TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make
        name_model.release.set()


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture(scope="session")
def student():
    from gliner_distill import StudentNER

    return StudentNER.from_pretrained(num_threads=1)
