"""The routes for clients of `gliner.serve` and of vLLM Factory."""

import pytest

TEXT = "Mary left Paris."
MARY = {"start": 0, "end": 4, "text": "Mary", "label": "person", "score": 0.9}


def test_gliner_serve_answers_in_its_shape(client):
    body = {"text": TEXT, "labels": ["person"], "flat_ner": True, "multi_label": False}
    more = {"threshold": None, "relations": [], "adapter_id": None, "relation_threshold": 0.5}
    for extra in ({}, more):
        assert client.post("/gliner", json=body | extra).json() == {"entities": [MARY]}
    assert client.get("/gliner/adapter-cache").json()["enabled"] is False


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"relations": ["works for"]}, "relations"),
        ({"adapter_id": "legal"}, "adapter_id"),
        ({"threshold": 2}, "threshold"),
        ({"labels": ["a", "A"]}, "labels"),
    ],
)
def test_gliner_serve_refuses_what_a_student_cannot_do(client, extra, field):
    response = client.post("/gliner", json={"text": TEXT, "labels": ["person"]} | extra)
    assert (response.status_code, response.json()["field"]) == (422, field)


def test_gliner_serve_passes_its_options_on(make_client, student):
    client = make_client({"student": student})
    text, labels = (
        "The University of Warsaw is in Warsaw.",
        {"city": "city", "school": "university"},
    )
    for flat_ner in (True, False):
        body = {"text": text, "labels": labels, "threshold": 0.1, "flat_ner": flat_ner}
        found = client.post("/gliner", json=body).json()["entities"]
        assert found == student.predict_entities(text, labels, flat_ner, 0.1)


@pytest.mark.parametrize(
    ("options", "record"),
    [
        ({}, "Mary"),
        ({"include_confidence": True}, {"text": "Mary", "confidence": 0.9}),
        ({"include_spans": True}, {"text": "Mary", "start": 0, "end": 4}),
    ],
)
def test_pooling_answers_in_the_shape_that_was_asked_for(client, options, record):
    schema = {"entities": {"person": "", "river": "a river"}, "relations": []}
    data = {"text": TEXT, "schema": schema, "runtime": "classic"} | options
    answer = client.post("/pooling", json={"model": "/models/current", "data": data})
    assert answer.json() == {"data": {"entities": {"person": [record], "river": []}}}


def test_pooling_takes_labels_in_place_of_a_schema(client):
    answer = client.post("/pooling", json={"data": {"text": TEXT, "labels": ["city"]}})
    assert answer.json() == {"data": {"entities": {"city": ["Paris"]}}}


@pytest.mark.parametrize(
    ("data", "status", "field"),
    [
        ({"text": TEXT}, 422, "data.schema"),
        ({"schema": {"entities": ["a"]}}, 422, "data.text"),
        ({"text": TEXT, "schema": {}}, 422, "data.schema.entities"),
        ({"text": TEXT, "schema": {"entities": 1}}, 422, "data.schema.entities"),
        ({"text": TEXT, "schema": {"entities": {"a": 1}}}, 422, "data.schema.entities.a"),
        ({"text": TEXT, "schema": {"entities": ["a", "A"]}}, 422, "data.schema.entities"),
        (
            {"text": TEXT, "schema": {"entities": ["a"], "relations": ["b"]}},
            422,
            "data.schema.relations",
        ),
    ],
)
def test_pooling_refuses_a_wrong_field_by_its_name(client, data, status, field):
    response = client.post("/pooling", json={"data": data})
    assert (response.status_code, response.json()["field"]) == (status, field)


def test_pooling_refuses_an_unknown_model(client):
    data = {"text": TEXT, "labels": ["city"]}
    assert client.post("/pooling", json={"data": data, "model": "x"}).status_code == 404
    assert client.post("/pooling", json={"data": data, "model": "names"}).status_code == 200
