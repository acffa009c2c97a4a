"""The routes by which the page judges disagreements."""

import pytest

pytest.importorskip("fastapi")

from gliner_distill.errors import CorpusError
from gliner_distill.serve.problems import RequestError


class FixedReview:
    """A review with one passage."""

    report = b"<h1>report</h1>"

    def __init__(self):
        self.verdicts = []

    def next(self):
        return {"passage": None, "left": 0, "judged": 3, "file": "judged.json"}

    def judge(self, number, verdicts):
        if number == 9:
            raise CorpusError("judged.json: cannot be written: the disk is full")
        if number:
            raise RequestError(404, f"id: no passage {number} waits to be judged", "id")
        self.verdicts.append(verdicts)


@pytest.fixture
def review():
    return FixedReview()


def test_models_say_that_there_is_a_review(make_client, review):
    assert make_client(review=review).get("/v1/models").json()["review"] is True


def test_the_next_passage_is_shown_and_a_judgment_is_kept(make_client, review):
    client = make_client(review=review)
    assert client.get("/v1/review").json()["judged"] == 3
    answer = client.post("/v1/review", json={"id": 0, "verdicts": [True, False]})
    assert (answer.status_code, review.verdicts) == (200, [[True, False]])


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"id": 5, "verdicts": []}, 404, "id"),
        ({"id": "5", "verdicts": []}, 422, "id"),
        ({"id": 0, "verdicts": [1]}, 422, "verdicts[0]"),
        ({"id": 0}, 422, "verdicts"),
    ],
)
def test_a_wrong_judgment_names_the_field(make_client, review, body, status, field):
    answer = make_client(review=review).post("/v1/review", json=body)
    assert answer.status_code == status
    assert field in answer.text
    assert review.verdicts == []


def test_a_file_that_cannot_be_written_is_said(make_client, review):
    answer = make_client(review=review).post("/v1/review", json={"id": 9, "verdicts": []})
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["detail"]


def test_the_report_runs_no_script(make_client, review):
    answer = make_client(review=review).get("/report")
    assert answer.text == "<h1>report</h1>"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_without_a_distillation_there_is_nothing_to_judge(make_client):
    client = make_client()
    assert client.get("/v1/review").status_code == 404
    assert client.get("/report").status_code == 404
    assert "review" not in client.get("/v1/models").json()
