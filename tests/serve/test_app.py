"""The application: its routes, what it refuses, who may ask, and that texts stay out of logs."""

import asyncio
import json
import logging
from importlib.util import find_spec

import pytest
from starlette.testclient import TestClient

from gliner_distill.serve.app import Access, create_app
from gliner_distill.serve.questions import Bounds

TEXT = "Mary left Paris."
KEY = "a-key-of-20-letters."
MARY = {"start": 0, "end": 4, "text": "Mary", "label": "person", "score": 0.9}
PARIS = {"start": 10, "end": 15, "text": "Paris", "label": "city", "score": 0.9}


def ask(client, path="/v1/entities", *, headers=None, **body):
    return client.post(path, json=body, headers=headers)


def assert_problem(response, status, field=None):
    """Check the form of an error, and return what it says."""
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"]) == (status, status)
    assert problem.get("field") == field
    assert problem["title"]
    return problem["detail"]


def test_entities_of_one_text(client):
    response = ask(client, text=TEXT, labels=["person", "city"])
    assert response.status_code == 200
    assert response.json() == {"model": "names", "entities": [MARY, PARIS]}


def test_entities_of_several_texts(client):
    response = ask(client, texts=[TEXT, "nobody", ""], labels={"person": "name of a person"})
    assert response.json()["entities"] == [[MARY], [], []]


def test_entities_of_no_texts_or_no_labels(client):
    assert ask(client, texts=[], labels=["person"]).json()["entities"] == []
    assert ask(client, text=TEXT, labels=[]).json()["entities"] == []


def test_entities_equal_the_students(make_client, student):
    texts = ["Marie Curie was born in Warsaw.", "Zoë wrote to a.b@example.com 🙂 from 東京."]
    labels = {"person": "person", "city": "city or town", "email": "email"}
    client = make_client({"student": student})
    options = {"threshold": 0.3, "thresholds": {"city": 0.9}, "multi_label": True}
    response = ask(client, texts=texts, labels=labels, nested=True, **options)
    assert response.json()["entities"] == student.inference(texts, labels, False, **options)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gliner") is None, reason="gliner is not installed")
def test_entities_of_a_gliner_equal_its_own(make_client, gliner_folder):
    from gliner_distill.evaluation.models import load_model

    gliner = load_model(gliner_folder, num_threads=1)
    client = make_client({"gliner": gliner})
    texts, labels = (
        ["mary left paris", "john saw the rhine"],
        {"person": "a person", "city": "city"},
    )
    response = ask(client, texts=texts, labels=labels, threshold=0.4, nested=True)
    expected = gliner.inference(texts, labels, False, 0.4)
    assert response.json()["entities"] == expected
    assert any(expected)
    models = client.get("/v1/models").json()["models"]
    assert models == [{"name": "gliner", "kind": "teacher"}]


def test_entities_come_from_the_model_of_the_request(make_client, name_model, student):
    client = make_client({"names": name_model, "student": student})
    assert ask(client, text=TEXT, labels=["person"], model="student").json()["model"] == "student"
    assert ask(client, text=TEXT, labels=["person"]).json()["model"] == "names"
    detail = assert_problem(ask(client, text=TEXT, labels=["person"], model="x"), 404, "model")
    assert "names, student" in detail


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "labels"),
        ({"labels": ["a"]}, "text"),
        ({"labels": ["a"], "text": "a", "texts": ["a"]}, "text"),
        ({"labels": ["a"], "text": 5}, "text"),
        ({"labels": ["a"], "texts": "a"}, "texts"),
        ({"labels": ["a"], "texts": ["a", None]}, "texts[1]"),
        ({"labels": "a", "text": "a"}, "labels"),
        ({"labels": ["a", 1], "text": "a"}, "labels[1]"),
        ({"labels": {"a": 1}, "text": "a"}, "labels.a"),
        ({"labels": [" "], "text": "a"}, "labels"),
        ({"labels": ["us", "US"], "text": "a"}, "labels"),
        ({"labels": ["a"], "text": "a", "threshold": 1.5}, "threshold"),
        ({"labels": ["a"], "text": "a", "threshold": "0.5"}, "threshold"),
        ({"labels": ["a"], "text": "a", "thresholds": {"a": -1}}, "thresholds.a"),
        ({"labels": ["a"], "text": "a", "thresholds": {"a": 0.1, "A": 0.2}}, "thresholds"),
        ({"labels": ["a"], "text": "a", "thresholds": {"a": 0.1}}, "thresholds"),  # no student
        ({"labels": ["a"], "text": "a", "nested": 1}, "nested"),
        ({"labels": ["a"], "text": "a", "flat_ner": True}, "flat_ner"),
    ],
)
def test_entities_refuses_a_wrong_field_by_its_name(client, body, field):
    detail = assert_problem(ask(client, **body), 422, field)
    assert detail.startswith(field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"NaN]", b'{"text":"\\ud800","labels":[]}', b"[" * 5000]
)
def test_entities_refuses_what_is_not_json(client, body):
    response = client.post(
        "/v1/entities", content=body, headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 400, "body")


@pytest.mark.parametrize("body", [[], 5, None, "text"])
def test_entities_refuses_json_that_is_not_an_object(client, body):
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/entities", content=json.dumps(body), headers=headers)
    assert_problem(response, 422, "body")


def test_entities_lists_all_wrong_fields(client):
    problem = ask(client, labels=["a"], text=5, threshold="x", other=1).json()
    assert [error["field"] for error in problem["errors"]] == ["text", "threshold", "other"]


def test_entities_counts_errors_instead_of_listing_very_many(client):
    detail = assert_problem(ask(client, labels={str(n): n for n in range(999)}), 422, "body")
    assert "1,000" in detail  # the labels, and the text that is missing


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"texts": ["a"] * 4, "labels": ["a"]}, "texts"),
        ({"text": "a", "labels": list("abcde")}, "labels"),
        ({"text": "a" * 101, "labels": ["a"]}, "text"),
        ({"text": "a", "labels": {"a": "b" * 100}}, "text"),
        ({"text": "a" * 2000, "labels": ["a"]}, "body"),
    ],
)
def test_entities_refuses_what_is_too_large(make_client, body, field):
    bounds = Bounds(max_texts=3, max_labels=4, max_chars=100, max_body_bytes=1000)
    response = ask(make_client(bounds=bounds), **body)
    assert_problem(response, 413, field)
    assert response.headers["connection"] == "close"


def test_entities_refuses_low_thresholds_for_long_texts(client):
    asked = {"text": "a" * 200_000, "labels": list("abcdef"), "patterns": False}
    assert_problem(ask(client, **asked, threshold=0.01), 413, "threshold")
    assert_problem(ask(client, **asked, thresholds={"a": 0}), 413, "threshold")
    assert ask(client, **asked, threshold=0.1).status_code == 200


def test_redact_replaces_entities_with_positions_in_both_texts(client):
    replaced = {"redacted_start": 0, "redacted_end": 8, "label": "person", "score": 0.9}
    assert ask(client, "/v1/redact", text=TEXT).json() == {
        "model": "names",
        "redacted": {
            "text": "[PERSON] left Paris.",
            "entities": [{"start": 0, "end": 4} | replaced],
        },
    }


def test_redact_masks_several_texts(client):
    answer = ask(client, "/v1/redact", texts=[TEXT, "x"], labels=["city"], mode="mask").json()
    assert [redacted["text"] for redacted in answer["redacted"]] == ["Mary left *****.", "x"]


def test_redact_hashes_only_with_a_key(make_client):
    asked = {"text": TEXT, "mode": "hash"}
    assert_problem(ask(make_client(), "/v1/redact", **asked), 422, "mode")
    texts = [
        ask(make_client(hash_key=key), "/v1/redact", **asked).json()["redacted"]["text"]
        for key in (b"k" * 16, b"k" * 16, b"l" * 16)
    ]
    assert texts[0].startswith("[PERSON:")
    assert texts[0] == texts[1] != texts[2]
    assert_problem(ask(make_client(), "/v1/redact", text=TEXT, mode="mapping"), 422, "mode")


def test_the_application_can_be_started_again(name_model):
    app = create_app({"names": name_model})
    for _ in range(2):
        with TestClient(app, base_url="http://127.0.0.1:8000") as client:
            assert ask(client, text=TEXT, labels=["person"]).json()["entities"] == [MARY]


def test_no_model_reads_for_a_client_that_has_left(name_model):
    async def send_and_leave(app, text, leaves):
        messages = [{"type": "http.request", "body": json.dumps(asked | {"text": text}).encode()}]
        answers = []

        async def receive():
            if messages:
                return messages.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            answers.append(message)

        await app(scope, receive, send)
        return answers

    async def go():
        app, never, now = create_app({"names": name_model}), asyncio.Event(), asyncio.Event()
        now.set()
        first = asyncio.ensure_future(send_and_leave(app, "wait", never))
        await asyncio.to_thread(name_model.waits.wait, 30)
        assert await send_and_leave(app, "left", now) == []
        name_model.release.set()
        assert (await first)[0]["status"] == 200
        assert (await send_and_leave(app, "next", never))[0]["status"] == 200

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/entities", "headers": headers}
    asked = {"labels": ["person"]}
    asyncio.run(go())
    assert name_model.batches == [["wait"], ["next"]]


def test_a_large_body_is_parsed_apart(client):
    texts = ["Mary and John. " * 50] * 100
    answers = ask(client, texts=texts, labels=["person"]).json()["entities"]
    assert [len(found) for found in answers] == [2] * 100


def test_models_and_states(client):
    assert client.get("/v1/models").json() == {"models": [{"name": "names", "kind": "teacher"}]}
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_a_server_that_stops_says_so_and_closes_its_connections(client):
    client.app.is_stopping = True
    assert_problem(client.get("/ready"), 503)
    assert client.get("/health").status_code == 200
    response = ask(client, text=TEXT, labels=["person"])
    assert response.json()["entities"] == [MARY]
    assert response.headers["connection"] == "close"


def test_metrics_count_requests_but_hold_no_text(client):
    ask(client, text=TEXT, labels=["person"])
    ask(client, text=TEXT)
    client.post("/v1/entities", content=b"{}")
    text = client.get("/metrics").text
    assert 'gliner_distill_requests_total{route="/v1/entities",status="200"} 1.0' in text
    assert 'gliner_distill_requests_total{route="/v1/entities",status="422"} 1.0' in text
    assert 'gliner_distill_requests_total{route="refused",status="415"} 1.0' in text
    assert f'gliner_distill_characters_total{{model="names"}} {len(TEXT):.1f}' in text
    assert "Mary" not in text


def test_unknown_paths_and_methods_are_problems(client):
    assert_problem(client.get("/nothing"), 404)
    assert_problem(client.get("/v1/entities"), 405)
    assert client.get("/v1/entities").headers["allow"] == "POST"
    assert_problem(client.delete("/v1/models"), 405)
    assert client.get("/docs").status_code == 404


def test_an_unexpected_error_tells_neither_client_nor_log_the_text(client, caplog):
    with caplog.at_level(logging.DEBUG, logger="gliner_distill"):
        response = ask(client, text="fail", labels=["person"])
    detail = assert_problem(response, 500)
    assert "RuntimeError" in caplog.text
    assert "['fail']" not in caplog.text + detail  # the message of the error


def test_nothing_that_a_client_sends_is_logged(client, caplog):
    with caplog.at_level(logging.DEBUG, logger="gliner_distill"):
        ask(client, text="Secretive", labels=["Hidden", "hidden"])
        ask(client, text=["Secretive"], labels=["Hidden"])
        ask(client, texts=["Secretive"] * 1001, labels=["Hidden"])
        client.post("/v1/entities", content=b"Secretive")
        client.get("/Secretive")
    assert "refused with status 415" in caplog.text
    assert not any(word in caplog.text for word in ("Secretive", "idden"))


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {KEY}", f"bearer{KEY}", "Bearer "])
def test_a_wrong_key_is_refused(make_client, given):
    client = make_client(access=Access(api_key=KEY))
    headers = {} if given is None else {"Authorization": given}
    for path in ("/v1/entities", "/v1/redact", "/gliner", "/pooling"):
        response = ask(client, path, headers=headers, text=TEXT, labels=["person"])
        assert_problem(response, 401, "Authorization")
        assert response.headers["www-authenticate"].startswith("Bearer")
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
        assert client.get(path, headers=headers).status_code == 401
    for path in ("/", "/health", "/ready"):
        assert client.get(path, headers=headers).status_code == 200


def test_the_right_key_is_accepted(make_client):
    client = make_client(access=Access(api_key=KEY))
    headers = {"Authorization": f"Bearer {KEY}"}
    assert ask(client, headers=headers, text=TEXT, labels=["city"]).json()["entities"] == [PARIS]


def test_pages_of_other_origins_are_refused(client):
    asked = {"text": TEXT, "labels": ["person"]}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1"):
        assert_problem(ask(client, headers={"Origin": origin}, **asked), 403, "Origin")
    own = ask(client, headers={"Origin": "http://127.0.0.1:8000"}, **asked)
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    assert_problem(client.get("/health", headers={"Host": "evil.example"}), 400, "Host")


def test_pages_of_an_allowed_origin_may_ask(make_client):
    client = make_client(access=Access(origins=["https://good.example"], api_key=KEY))
    good = {"Origin": "https://good.example"}
    preflight = good | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    assert client.options("/v1/entities", headers=preflight).status_code == 200
    evil = preflight | {"Origin": "https://evil.example"}
    assert client.options("/v1/entities", headers=evil).status_code == 400
    refused = ask(client, headers=good, text=TEXT, labels=["person"])
    assert refused.headers["access-control-allow-origin"] == "https://good.example"
    assert_problem(refused, 401, "Authorization")
    headers = good | {"Authorization": f"Bearer {KEY}"}
    assert ask(client, headers=headers, text=TEXT, labels=["person"]).status_code == 200


def test_named_hosts_are_accepted(make_client):
    client = make_client(host="ner.example.com", access=Access(hosts=["NER.example.com"]))
    assert client.get("/health").status_code == 200


def test_the_page_allows_only_its_own_files(client):
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "'wasm-unsafe-eval'" in policy
    assert "unsafe-inline" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


def test_openapi_describes_every_route_with_an_example_that_works(client):
    description = client.get("/openapi.json").json()
    assert {"/v1/entities", "/v1/redact", "/v1/models", "/gliner", "/pooling"} <= set(
        description["paths"]
    )
    for path, methods in description["paths"].items():
        for name, operation in methods.items():
            assert operation["summary"]
            if name != "post":
                continue
            for example in operation["requestBody"]["content"]["application/json"][
                "examples"
            ].values():
                body = example["value"]
                body.pop("thresholds", None)  # the model of this test takes none
                assert client.post(path, json=body).status_code == 200
    # No reference leads nowhere.
    schemas = description["components"]["schemas"]
    references = set(json.dumps(description).split('"#/components/schemas/')[1:])
    assert {text.split('"')[0] for text in references} <= set(schemas)


def test_a_request_that_a_second_ctrl_c_cuts_off_is_told(name_model):
    app = create_app({"names": name_model})
    body = json.dumps({"text": "wait", "labels": ["person"]}).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/entities", "headers": headers}
    messages, sent = [{"type": "http.request", "body": body}], []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async def stop_twice():
        request = asyncio.create_task(app(scope, receive, send))
        assert await asyncio.to_thread(name_model.waits.wait, 30)
        app.is_stopping = True
        request.cancel()
        await request
        name_model.release.set()

    asyncio.run(stop_twice())
    assert sent[0]["status"] == 503
