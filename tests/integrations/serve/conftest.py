"""A server with the bundled student, in a thread of this process."""

import threading
import time

import pytest


@pytest.fixture(scope="session")
def student():
    from gliner_distill import StudentNER

    return StudentNER.from_pretrained(num_threads=1)


@pytest.fixture(scope="session")
def app(needs, student):
    for package in ("fastapi", "prometheus_client", "uvicorn", "httptools", "httpx2"):
        needs(package)
    from gliner_distill.serve.app import Access, create_app
    from gliner_distill.serve.questions import Bounds

    bounds = Bounds(max_texts=20, max_chars=20_000, max_labels=20)
    access = Access(hosts=["testserver"])
    return create_app({"bundled": student}, bounds=bounds, access=access, hash_key=b"k" * 16)


@pytest.fixture(scope="session")
def url(app):
    """The address of the server."""
    from uvicorn import Config

    from gliner_distill.serve.server import PatientProtocol, StoppingServer, listen

    with listen("127.0.0.1", 0) as listener:
        server = StoppingServer(Config(app, http=PatientProtocol, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(60)
