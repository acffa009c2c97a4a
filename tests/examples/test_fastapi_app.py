"""The FastAPI example, asked over its routes: answers, bounds and errors."""

import importlib.util
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fastapi_app.py"

pytestmark = [
    pytest.mark.skipif(
        not EXAMPLE.is_file(), reason="the examples are in the repository, not in the package"
    ),
    pytest.mark.skipif(
        any(find_spec(package) is None for package in ("fastapi", "httpx2")),
        reason="the extra serve, or httpx2 for its tests, is not installed",
    ),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(example):
    from fastapi.testclient import TestClient

    with TestClient(example.app, raise_server_exceptions=False) as client:
        yield client


def ask(client, **changes):
    question = {"texts": ["Ada Lovelace lived in London."], "labels": ["person", "city"]}
    return client.post("/entities", json=question | changes)


def test_health_answers(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_entities_are_those_of_the_student(client, example):
    texts = ["Ada Lovelace lived in London.", "", "🙂 Marie Curie was born in Warsaw."]
    answer = ask(client, texts=texts)
    assert answer.status_code == 200
    student = example.app.state.student
    assert answer.json() == {"entities": student.inference(texts, ["person", "city"])}
    named = [[entity["text"] for entity in own] for own in answer.json()["entities"]]
    assert named == [["Ada Lovelace", "London"], [], ["Marie Curie", "Warsaw"]]


def test_threshold_is_that_of_the_request(client):
    assert ask(client, threshold=1).json() == {"entities": [[]]}


def test_patterns_are_found_too(client):
    [[entity]] = ask(client, texts=["Write to ada@example.com."], labels=["email address"]).json()[
        "entities"
    ]
    assert entity["text"] == "ada@example.com"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"texts": []}, "texts"),
        ({"texts": ["a"] * 33}, "texts"),
        ({"texts": ["a" * 20_001]}, "texts"),
        ({"texts": "a text"}, "texts"),
        ({"labels": []}, "labels"),
        ({"labels": [""]}, "labels"),
        ({"labels": [f"label {n}" for n in range(51)]}, "labels"),
        ({"labels": ["a" * 201]}, "labels"),
        ({"threshold": 1.5}, "threshold"),
        ({"tresholds": 0.4}, "tresholds"),
    ],
)
def test_a_request_beyond_a_bound_is_refused_with_the_name_of_the_field(client, changes, field):
    answer = ask(client, **changes)
    assert answer.status_code == 422
    assert field in answer.json()["detail"][0]["loc"]


def test_a_label_that_the_student_refuses_is_an_error_of_the_request(client):
    answer = ask(client, labels=["person", "Person"])
    assert answer.status_code == 422
    assert "Person" in answer.json()["detail"]


def test_a_large_request_is_refused_by_its_size(client, example):
    body = b'{"texts": ["' + b"a" * example.MOST_BYTES + b'"], "labels": ["x"]}'
    answer = client.post("/entities", content=body)
    assert (answer.status_code, str(example.MOST_BYTES) in answer.text) == (413, True)


def test_a_request_without_a_size_is_refused(client):
    answer = client.post("/entities", content=iter([b"{}"]))
    assert answer.status_code == 411


@pytest.mark.parametrize(
    "headers",
    [{"content-length": size} for size in ("", "abc", "-5", "1e3", "9" * 5000)]
    + [{"content-length": "2", "transfer-encoding": "chunked"}],
)
def test_a_request_with_a_size_that_cannot_be_trusted_is_refused(client, headers):
    answer = client.post("/entities", content=b"{}", headers=headers)
    assert (answer.status_code, "Content-Length" in answer.text) == (411, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"texts": ["a"], "labels": ["x"], "threshold": NaN}', "threshold"),
        ('{"texts": ["a"], "labels": ["x"], "threshold": Infinity}', "threshold"),
        ('{"texts": ["a"], "labels": [NaN]}', "labels"),
        (r'{"texts": ["\ud83d"], "labels": ["x"]}', "texts"),
        (r'{"texts": ["a"], "labels": ["\ud83d"]}', "labels"),
        (r'{"texts": ["a"], "labels": ["x"], "\ud83d": 1}', "body"),
        ('{"texts": ', "body"),
    ],
)
def test_a_value_that_no_answer_can_hold_is_an_error_of_the_request(client, body, field):
    answer = client.post("/entities", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert field in answer.json()["detail"][0]["loc"]


def test_the_student_is_loaded_once_at_the_start(example, monkeypatch):
    from fastapi.testclient import TestClient

    loaded = []
    load = example.StudentNER.from_pretrained
    monkeypatch.setattr(
        example.StudentNER, "from_pretrained", lambda name: loaded.append(name) or load(name)
    )
    with TestClient(example.app) as client:
        assert loaded == [example.MODEL]
        for _ in range(2):
            assert ask(client).status_code == 200
    assert loaded == [example.MODEL]
