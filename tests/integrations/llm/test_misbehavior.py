"""An endpoint that misbehaves: what is repeated, what is counted, and what stops with one line."""

import json
import logging
import socket

import numpy as np
import pytest

import stand_in_endpoint as stand_in
from gliner_distill.errors import TeacherError
from gliner_distill.teacher.llm.settings import LLMSettings
from gliner_distill.teacher.llm.teacher import open_llm_teacher

PASSAGES = [["mary", "saw", "paris"], ["the", "thames", "left", "london"]]
LABELS = [("person", "city: a large town")] * 2
AT_ONCE = {"Retry-After-Ms": "5"}
OTHERS = [["paris", str(number)] for number in range(8)]


def cities(teacher, passages=PASSAGES):
    """Return the start probabilities of the label city."""
    scores = teacher.score_passages(passages, [LABELS[0]] * len(passages))
    return [probs[:, 1, 0].tolist() for probs in scores]


def assert_silent(text):
    """Check that neither a passage nor the key is in a text."""
    for secret in (stand_in.KEY, "secret", *(" ".join(words) for words in PASSAGES), "mary"):
        assert secret not in text


def fail(teacher, passages=PASSAGES):
    with pytest.raises(TeacherError) as caught:
        cities(teacher, passages)
    said = str(caught.value)
    assert "\n" not in said
    assert_silent(said)
    assert caught.value.__suppress_context__  # a traceback would show what the endpoint said
    return said


@pytest.mark.parametrize(
    "fault",
    [
        stand_in.fails(429, headers=AT_ONCE),
        stand_in.fails(500, headers=AT_ONCE),
        stand_in.fails(503, headers=AT_ONCE),
        pytest.param(stand_in.fails(429, headers={"Retry-After": "1"}), marks=pytest.mark.slow),
        pytest.param(stand_in.hangs_up, marks=pytest.mark.slow),
        pytest.param(stand_in.sleeps(3), marks=pytest.mark.slow),
    ],
    ids=["429", "500", "503", "Retry-After", "hangs up", "slow"],
)
def test_a_request_is_repeated_after_a_passing_fault(endpoint, open_teacher, fault):
    endpoint.faults = [fault]
    assert cities(open_teacher(timeout_seconds=1)) == [[0, 0, 1], [0, 0, 0, 1]]
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "I see a city.",
        json.dumps({"entities": [{"text": "paris", "label": "city"}]})[:-9],
        stand_in.as_choice(None, message={"content": None, "refusal": "I cannot."}),
        stand_in.as_choice("{", finish_reason="length"),
    ],
    ids=["text", "cut", "refusal", "length"],
)
def test_an_invalid_answer_is_asked_for_again(endpoint, open_teacher, answer):
    endpoint.faults = [stand_in.answers(answer)] * 2
    assert cities(open_teacher(), PASSAGES[:1]) == [[0, 0, 1]]


def test_invented_text_and_wrong_labels_are_dropped_and_counted(
    endpoint, open_teacher, tmp_path, caplog
):
    entities = [
        {"text": "paris", "label": "city", "before": "saw", "after": ""},
        {"text": "berlin", "label": "city", "before": "saw", "after": ""},
        {"text": "mary", "label": "queen", "before": "", "after": "saw"},
        {"text": "sa", "label": "person", "before": "mary", "after": "w"},
    ]
    endpoint.faults = [stand_in.answers(json.dumps({"entities": entities}))]
    teacher = open_teacher()
    with teacher.keep_answers(tmp_path, lambda: [(PASSAGES[0], LABELS[0])]):
        assert cities(teacher, PASSAGES[:1]) == [[0, 0, 1]]
    counted = caplog.messages[-1]
    for fact in (
        "4 entities",
        "3 were dropped",
        "1 not in the passage",
        "1 with a label",
        "1 inside",
    ):
        assert fact in counted
    assert_silent(caplog.text)


def test_halves_of_surrogate_pairs_do_no_harm(endpoint, open_teacher, tmp_path):
    endpoint.has_usage = False
    listed = [{"text": text, "label": "city", "before": "\ud800"} for text in ("paris", "\udfff")]
    endpoint.faults = [stand_in.answers(json.dumps({"entities": listed}))]
    teacher = open_teacher()
    words = ["\ud800", "saw", "paris"]
    with teacher.keep_answers(tmp_path, lambda: [(words, LABELS[0])]):
        assert cities(teacher, [words]) == [[0, 0, 1]]
    again = open_teacher()
    with again.keep_answers(tmp_path, lambda: []):
        assert cities(again, [words]) == [[0, 0, 1]]
    assert endpoint.asked == []


def test_the_last_passage_of_a_run_may_stay_without_a_valid_answer(
    endpoint, open_teacher, tmp_path
):
    first, last = [["paris"]], [["london"]]
    teacher = open_teacher()
    with teacher.keep_answers(tmp_path, lambda: []):
        cities(teacher, first)
    endpoint.faults = [stand_in.answers("I cannot.")] * 6
    again = open_teacher()
    with again.keep_answers(tmp_path, lambda: []):
        assert cities(again, last) == [[0]]
    assert "no valid answer" in fail(open_teacher(), last)


def test_a_passage_without_a_valid_answer_counts_as_one_without_entities(
    endpoint, open_teacher, tmp_path, caplog
):
    endpoint.faults = [stand_in.answers("no JSON")] * 3
    teacher = open_teacher(n_requests=1)
    with teacher.keep_answers(tmp_path, lambda: []):
        assert cities(teacher) == [[0, 0, 0], [0, 0, 0, 1]]
    assert "1 passages have no valid answer" in caplog.messages[-1]
    assert "3 answers that are not the JSON" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (stand_in.answers(stand_in.as_choice(None, finish_reason="content_filter")), "refusals"),
        (stand_in.answers("Of course!"), "not the JSON"),
        (stand_in.replies(b"<html>Welcome</html>"), "not the JSON"),
        (stand_in.replies({"choices": []}), "not the JSON"),
    ],
    ids=["refuses", "chats", "page", "empty"],
)
def test_a_model_that_never_answers_as_asked_stops_the_work(endpoint, open_teacher, reply, reason):
    endpoint.faults = [reply] * 100
    said = fail(open_teacher(n_requests=2), OTHERS)
    assert reason in said
    assert "kept" in said


@pytest.mark.parametrize(
    ("status", "code", "facts"),
    [
        (401, None, ("OPENAI_API_KEY", "401")),
        (403, None, ("403", "model")),
        (402, None, ("credit",)),
        (429, "insufficient_quota", ("credit",)),
        (429, None, ("--llm-requests", "later")),
        (400, None, ("400",)),
        (400, "context_length_exceeded", ("fewer labels",)),
        (500, None, ("500", "later")),
    ],
)
def test_an_error_that_stays_is_told_in_one_line(endpoint, open_teacher, status, code, facts):
    endpoint.faults = [stand_in.fails(status, code=code, headers=AT_ONCE)] * 20
    said = fail(open_teacher(n_requests=2))
    for fact in ("llm:stand-in", endpoint.url, *facts):
        assert fact in said


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for(endpoint, open_teacher):
    endpoint.faults = [stand_in.fails(429, headers={"Retry-After": "3600"})] * 20
    assert "long pause" in fail(open_teacher())


def test_a_model_that_does_not_exist_is_named(endpoint, open_teacher):
    said = fail(open_teacher("mistyped"))
    for fact in ("'mistyped'", "404", "OPENAI_BASE_URL", "/v1"):
        assert fact in said


def test_a_wrong_key_is_told_and_not_shown(endpoint, open_teacher, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-secret")
    assert "OPENAI_API_KEY" in fail(open_teacher())
    assert endpoint.asked == []


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told(monkeypatch, endpoint):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:secret@127.0.0.1:{port}/v1")
    said = fail(open_llm_teacher("m"))
    assert f"http://127.0.0.1:{port}/v1 cannot be reached" in said


@pytest.mark.parametrize(
    ("name", "value", "facts"),
    [
        ("OPENAI_API_KEY", None, "is not set"),
        ("OPENAI_API_KEY", "", "is not set"),
        ("OPENAI_API_KEY", "sk secret", "a space"),
        ("OPENAI_API_KEY", "sk-secret\n", "line end"),
        ("OPENAI_API_KEY", "sk-secrét", "character"),
        ("OPENAI_BASE_URL", "secret.example.org/v1", "https://"),
        ("OPENAI_BASE_URL", "ftp://secret.example.org", "https://"),
        ("OPENAI_BASE_URL", "http://secret.example.org:port", "https://"),
    ],
)
def test_variables_that_cannot_be_used_are_named(endpoint, monkeypatch, name, value, facts):
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(TeacherError, match=f"llm:m: {name}.*{facts}") as caught:
        open_llm_teacher("m")
    assert "secr" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "ftp://secret:1"),
        ("SSL_CERT_FILE", "/secret/file.pem"),
        ("OPENAI_ORG_ID", "secrét\n"),
    ],
)
def test_variables_of_the_connection_that_cannot_be_used_are_told(
    endpoint, open_teacher, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    assert name.removesuffix("ORG_ID") in fail(open_teacher())


def test_a_model_needs_a_name(endpoint):
    with pytest.raises(TeacherError, match="llm:MODEL"):
        open_llm_teacher(" ")


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        (stand_in.never_ends, "more than 100,000 bytes"),
        pytest.param(stand_in.drips, "more than 1 seconds", marks=pytest.mark.slow),
    ],
    ids=["never ends", "drips"],
)
def test_an_answer_is_bounded(endpoint, open_teacher, fault, facts):
    endpoint.faults = [fault] * 20
    assert facts in fail(open_teacher(max_answer_bytes=100_000, timeout_seconds=1), PASSAGES[:1])


def test_the_message_of_an_error_is_bounded(endpoint, open_teacher):
    endpoint.faults = [lambda handler: handler.reply(400, b"n" * 10_000_000)]
    assert "more than 100,000 bytes" in fail(open_teacher(max_answer_bytes=100_000), PASSAGES[:1])


def test_compressed_answers_are_refused(endpoint, open_teacher):
    endpoint.faults = [lambda handler: handler.reply(200, b"x", {"Content-Encoding": "gzip"})]
    assert "compressed" in fail(open_teacher(), PASSAGES[:1])


@pytest.mark.parametrize(
    "refused",
    [
        ("logprobs",),
        ("temperature",),
        ("response_format",),
        ("max_completion_tokens",),
        ("n",),
        ("max_completion_tokens", "max_tokens", "temperature", "n", "response_format", "logprobs"),
    ],
    ids=",".join,
)
def test_options_that_an_endpoint_refuses_are_left_out(endpoint, open_teacher, refused):
    endpoint.refused = refused
    n_answers = 2 if "n" in refused else 1
    assert cities(open_teacher(n_answers=n_answers)) == [[0, 0, 1], [0, 0, 0, 1]]
    assert len(endpoint.asked) == 2 * n_answers


def test_nothing_is_logged_but_where_the_texts_go(endpoint, open_teacher, caplog):
    caplog.set_level(logging.INFO, logger="gliner_distill")
    endpoint.faults = [stand_in.fails(429, headers=AT_ONCE)]
    teacher = open_teacher()
    cities(teacher)
    cities(teacher, OTHERS)
    [line] = [r.getMessage() for r in caplog.records if r.name.startswith("gliner_distill")]
    assert f"text of 2 passages is sent to {endpoint.url}" in line
    assert_silent(line)


def test_answers_that_arrived_before_a_failure_are_kept(endpoint, open_teacher, tmp_path):
    endpoint.faults = [lambda handler: False] * 3 + [stand_in.fails(401)] * 20
    teacher = open_teacher(n_requests=1)
    with pytest.raises(TeacherError), teacher.keep_answers(tmp_path, lambda: []):
        cities(teacher, OTHERS)
    endpoint.faults = []
    n_asked = len(endpoint.asked)
    again = open_teacher()
    with again.keep_answers(tmp_path, lambda: []):
        assert cities(again, OTHERS) == [[1, 0]] * 8
    assert n_asked == 3
    assert len(endpoint.asked) == 8


def test_slow_answers_come_at_the_same_time(endpoint, open_teacher):
    endpoint.seconds = 0.05
    cities(open_teacher(n_requests=4), OTHERS)
    assert 1 < endpoint.n_at_once <= 4


def test_settings_have_a_default_timeout_and_limits():
    settings = LLMSettings()
    assert settings.timeout_seconds > 60
    assert settings.max_answer_bytes < 2**24
    assert np.isfinite(settings.n_retries)
