"""The JSON of a language model, and the probabilities of its tokens."""

import json
import math

import pytest

from gliner_distill.teacher.llm.answers import (
    CUT_OFF,
    MAX_ENTITIES,
    NOT_JSON,
    REFUSED,
    Choice,
    InvalidAnswerError,
    Token,
    read_entities,
    read_verdict,
)

ENTITIES = [
    {"text": "Zoë", "label": "person", "before": "", "after": 'saw "before"'},
    {"text": "東京", "label": "city", "before": "saw", "after": ""},
]
CONTENT = json.dumps({"entities": ENTITIES}, ensure_ascii=False)


def tokens_of(content, probs):
    """Return tokens of three bytes; those that overlap a piece of text have its probability."""
    data = content.encode()
    tokens = []
    for start in range(0, len(data), 3):
        prob = 1.0
        for piece, p in probs.items():
            at = data.index(piece.encode())
            if start < at + len(piece.encode()) and start + 3 > at:
                prob = p
        tokens.append(Token(data[start : start + 3], math.log(prob)))
    return tokens


@pytest.mark.parametrize("content", [CONTENT, f"```json\n{CONTENT}\n```", f"Here it is: {CONTENT}"])
def test_read_entities_finds_the_json(content):
    found = read_entities(Choice(content))
    assert [(e.text, e.label, e.before, e.after) for e in found] == [
        tuple(entity.values()) for entity in ENTITIES
    ]
    assert {entity.prob for entity in found} == {1.0}


def test_read_entities_accepts_an_answer_without_context():
    [found] = read_entities(Choice('{"entities": [{"label": "city", "text": "Paris"}]}'))
    assert (found.text, found.label, found.before, found.after) == ("Paris", "city", "", "")
    assert read_entities(Choice('{"entities": []}')) == []


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(CONTENT, is_refusal=True), REFUSED),
        (Choice(None), NOT_JSON),
        (Choice(""), NOT_JSON),
        (Choice("I cannot do that."), NOT_JSON),
        (Choice(CONTENT[:-9]), NOT_JSON),
        (Choice(CONTENT[:-9], is_cut=True), CUT_OFF),
        (Choice('{"entities": {"text": "a", "label": "b"}}'), NOT_JSON),
        (Choice('{"entities": {}}'), NOT_JSON),
        (Choice('{"entities": "none"}'), NOT_JSON),
        (Choice('{"entities": [["a", "b"]]}'), NOT_JSON),
        (Choice('{"entities": [{"text": 1, "label": "b"}]}'), NOT_JSON),
        (Choice('{"entities": [{"text": "a", "label": "b", "before": [1]}]}'), NOT_JSON),
        (Choice('{"entities": [{"text": "a"}]}'), NOT_JSON),
        (Choice("[]"), NOT_JSON),
        (Choice('{"entities": ' + "[" * 100_000 + "}"), NOT_JSON),
        (Choice(json.dumps({"entities": [ENTITIES[0]] * (MAX_ENTITIES + 1)})), NOT_JSON),
    ],
    ids=lambda value: None,
)
def test_read_entities_says_why_an_answer_is_not_valid(choice, reason):
    with pytest.raises(InvalidAnswerError) as caught:
        read_entities(choice)
    assert str(caught.value) == reason


def test_read_entities_multiplies_the_tokens_of_text_and_label_alone():
    probs = {"Zoë": 0.9, 'saw \\"': 0.1, "東京": 0.5}
    data = CONTENT.encode()
    tokens = tokens_of(CONTENT, probs)
    n_overlapping = {
        piece: sum(
            start < data.index(piece.encode()) + len(piece.encode())
            and start + 3 > data.index(piece.encode())
            for start in range(0, len(data), 3)
        )
        for piece in probs
    }
    first, second = read_entities(Choice(CONTENT, tokens=tokens))
    assert first.prob == pytest.approx(0.9 ** n_overlapping["Zoë"])
    assert second.prob == pytest.approx(0.5 ** n_overlapping["東京"])


def test_read_entities_is_certain_where_the_tokens_are_those_of_another_text():
    tokens = [Token(b"something else", -3.0)]
    assert {entity.prob for entity in read_entities(Choice(CONTENT, tokens=tokens))} == {1.0}


@pytest.mark.parametrize(
    ("content", "prob"), [("yes", 1.0), (" Yes.", 1.0), ("**No**", 0.0), ("no, it is not", 0.0)]
)
def test_read_verdict_is_certain_without_tokens(content, prob):
    assert read_verdict(Choice(content)) == prob


def test_read_verdict_weighs_yes_against_no():
    others = [("Yes", math.log(0.6)), ("no", math.log(0.15)), (" No", math.log(0.05)), ("may", -1)]
    choice = Choice("Yes", tokens=[Token(b"Yes", math.log(0.6), others)])
    assert read_verdict(choice) == pytest.approx(0.6 / 0.8)


@pytest.mark.parametrize(
    "choice", [Choice(None), Choice("perhaps"), Choice("yes", is_refusal=True)]
)
def test_read_verdict_refuses_other_answers(choice):
    with pytest.raises(InvalidAnswerError):
        read_verdict(choice)
