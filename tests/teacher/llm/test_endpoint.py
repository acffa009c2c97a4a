"""The reply of an endpoint, whatever it holds."""

import json

import pytest

from gliner_distill.teacher.llm.answers import Choice, Token
from gliner_distill.teacher.llm.endpoint import Completion, read_completion

TOKEN = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}


def completion(message, usage=None, **choice):
    return json.dumps({"choices": [{"message": message} | choice], "usage": usage}).encode()


def test_read_completion_has_answers_tokens_and_usage():
    others = [{"token": "a", "logprob": -1}, {"token": "b", "logprob": 3}]
    logprobs = {"content": [TOKEN | {"top_logprobs": others}, {"token": "é", "logprob": -2}]}
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    read = read_completion(completion({"content": "éé"}, usage, logprobs=logprobs))
    tokens = [Token("é".encode(), -0.5, [("a", -1.0), ("b", 0.0)]), Token("é".encode(), -2.0, [])]
    assert read == Completion([Choice("éé", tokens=tokens)], (12, 3))


@pytest.mark.parametrize(
    ("message", "reason", "choice"),
    [
        ({"content": "a", "refusal": "no"}, "stop", Choice("a", is_refusal=True)),
        ({"content": None}, "content_filter", Choice(None, is_refusal=True)),
        ({"content": "a"}, "length", Choice("a", is_cut=True)),
        ({"content": ["a"]}, None, Choice(None)),
        ({}, None, Choice(None)),
    ],
)
def test_read_completion_knows_refusals_and_cut_answers(message, reason, choice):
    [read] = read_completion(completion(message, finish_reason=reason)).choices
    assert (read.content, read.is_refusal, read.is_cut) == (
        choice.content,
        choice.is_refusal,
        choice.is_cut,
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'{"choices": null}',
        b'{"choices": "many"}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": "a"}]}',
        b'{"choices": [], "usage": [1]}',
        b"[" * 100_000,
        completion({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        completion({"content": "a"}, logprobs={"content": [TOKEN | {"logprob": 10**400}]}),
        completion({"content": "a"}, logprobs={"content": [TOKEN | {"bytes": [300]}]}),
        completion({"content": "a"}, logprobs={"content": 1}),
        completion({"content": "a"}, logprobs=[1]),
    ],
    ids=lambda content: content[:40].decode(),
)
def test_read_completion_has_no_answers_where_the_reply_is_something_else(content):
    assert read_completion(content) == Completion([])


@pytest.mark.parametrize(
    "usage",
    [{}, {"prompt_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": 1}]
    + [{"prompt_tokens": n, "completion_tokens": 1} for n in (1.5, "1", None, True, 10**30)],
)
def test_read_completion_ignores_a_usage_that_makes_no_sense(usage):
    assert read_completion(completion({"content": "a"}, usage)).tokens is None
