"""`gliner-distill label-studio`: what it prints and serves, and with what it does not start."""

import json
import signal
import socket
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from command_line import MAIN, assert_fails, start_process

EVENT = {
    "action": "ANNOTATION_CREATED",
    "annotation": {"id": 1, "result": [], "updated_at": "2026-11-29T03:00:00Z"},
    "task": {"id": 2, "data": {"text": "Nobody came."}},
    "project": {
        "id": 3,
        "label_config": '<View><Labels name="a" toName="b"><Label value="city"/></Labels>'
        '<Text name="b" value="$text"/></View>',
    },
}


@pytest.fixture
def needs_server():
    for package in ("fastapi", "uvicorn", "filelock"):
        pytest.importorskip(package)


def post(url, content, **headers):
    body = json.dumps(content).encode()
    request = Request(url, body, {"Content-Type": "application/json"} | headers)
    with urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.slow
@pytest.mark.usefixtures("needs_server")
def test_label_studio_serves_until_it_is_stopped(world):
    process = start_process(
        MAIN, "label-studio", "-m", world / "run", "--gold", "gold.jsonl", "--port", 0
    )
    try:
        backend, gold, _ = (process.stdout.readline() for _ in range(3))
        url = backend.split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert gold == "gold: gold.jsonl\n"
        tasks = [{"id": 1, "data": {"text": "in paris"}}, {"id": 2, "data": {}}]
        asked = {"tasks": tasks, "label_config": EVENT["project"]["label_config"]}
        first, second = post(f"{url}/predict", asked)["results"]
        assert [region["value"]["text"] for region in first["result"]] == ["paris"]
        assert "data.text" in second["error"]
        assert post(f"{url}/webhook", EVENT)["status"] == "saved"
        [line] = Path("gold.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(line)["text"] == "Nobody came."
        with pytest.raises(HTTPError, match="400"):
            post(f"{url}/predict", asked, Host="evil.example")
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    # What went wrong is shown, but no text.
    assert "1 of 2 tasks" in err
    assert "paris" not in err


@pytest.mark.usefixtures("needs_server")
def test_label_studio_refuses_credentials_without_a_colon(run_cli, monkeypatch):
    monkeypatch.setenv("GLINER_DISTILL_CREDENTIALS", "secret")
    finished = run_cli("label-studio")
    assert_fails(finished, "GLINER_DISTILL_CREDENTIALS", "USER:PASSWORD")
    assert "secret" not in finished.err


@pytest.mark.usefixtures("needs_server")
def test_label_studio_refuses_a_file_that_is_not_json_lines(run_cli):
    Path("gold.json").write_text("[]", encoding="utf-8")
    assert_fails(run_cli("label-studio", "--gold", "gold.json"), "gold.json", "JSON lines")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_server")
def test_label_studio_refuses_a_port_in_use(run_cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert_fails(run_cli("label-studio", "--port", port), f"127.0.0.1, port {port}", "--port")


def test_label_studio_without_its_extra_says_what_to_install(run_cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert_fails(run_cli("label-studio"), "pip install 'gliner-distill[label-studio]'")
