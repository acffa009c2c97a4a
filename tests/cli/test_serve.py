"""`gliner-distill serve`: with what it does not start. The tests of `serve.server` start it."""

import socket
import sys
from pathlib import Path

import pytest

from command_line import assert_fails

KEY = "a-key-of-20-letters."


@pytest.fixture
def needs_server(monkeypatch):
    for package in ("fastapi", "prometheus_client", "uvicorn"):
        pytest.importorskip(package)
    for name in ("GLINER_DISTILL_API_KEY", "GLINER_DISTILL_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("needs_server")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "ner.example.com"])
def test_serve_opens_no_address_to_others_without_a_key(run_cli, host):
    facts = (f"--host {host}", "--api-key-file", "--no-api-key")
    assert_fails(run_cli("serve", "--host", host), *facts, code=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--allow-host", "https://ner.example.com"),
        ("--allow-host", "ner.example.com:8000"),
        ("--allow-origin", "example.com"),
        ("--allow-origin", "https://example.com/page"),
        ("--allow-origin", "*"),
    ],
)
def test_serve_refuses_hosts_and_origins_that_no_header_can_equal(run_cli, option, value):
    assert_fails(run_cli("serve", option, value), option, value, code=2)


@pytest.mark.usefixtures("needs_server")
@pytest.mark.parametrize("key", ["short", "x" * 20 + " y", "ü" * 20, ""])
def test_serve_refuses_a_key_that_a_header_cannot_hold(run_cli, monkeypatch, key):
    Path("key").write_text(key, encoding="utf-8")
    finished = run_cli("serve", "--api-key-file", "key")
    assert_fails(finished, "key", "16")
    monkeypatch.setenv("GLINER_DISTILL_API_KEY", key)
    assert_fails(run_cli("serve"), "GLINER_DISTILL_API_KEY", "16")
    assert not key or key not in finished.err


@pytest.mark.usefixtures("needs_server")
def test_serve_names_a_key_file_that_does_not_exist(run_cli):
    assert_fails(run_cli("serve", "--api-key-file", "none"), "none", "cannot be read")
    assert_fails(run_cli("serve", "--hash-key-file", "none"), "none", "cannot be read")


@pytest.mark.usefixtures("needs_server")
def test_serve_names_a_distillation_or_a_teacher_that_does_not_exist(run_cli):
    assert_fails(run_cli("serve", "--distillation", "none"), "none")
    assert_fails(run_cli("serve", "--teacher", "./none"), "none")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_server")
def test_serve_refuses_two_models_of_one_name_and_models_that_do_not_exist(run_cli):
    from gliner_distill.runtime.locate import bundled_student_path

    student = bundled_student_path()
    asked = ("serve", "--port", 0, "-m", f"a={student}", "-m", f"a={student}")
    assert_fails(run_cli(*asked), f"a={student}", "NAME=MODEL")
    assert_fails(
        run_cli("serve", "--port", 0, "-m", "a=nothing/here/at-all"), "nothing/here/at-all"
    )


@pytest.mark.usefixtures("needs_server")
def test_serve_refuses_a_port_in_use(run_cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert_fails(run_cli("serve", "--port", port), f"127.0.0.1, port {port}", "--port")


def test_serve_without_its_extra_says_what_to_install(run_cli, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gliner_distill.serve.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert_fails(run_cli("serve"), "pip install 'gliner-distill[serve]'")
