"""Values of requests: what is wrong with one, and in which field."""

import pytest

from gliner_distill.integrations.label_studio.payloads import PayloadError, member, read_object


@pytest.mark.parametrize(
    ("body", "fact"),
    [(b"", "not JSON"), (b"{", "not JSON"), (b"[1]", "a list"), (b"\xff", "not JSON")],
)
def test_read_object_refuses_other_bodies(body, fact):
    with pytest.raises(PayloadError, match=fact) as error:
        read_object(body)
    assert error.value.field == "body"


def test_read_object_refuses_deep_nesting():
    with pytest.raises(PayloadError, match="body"):
        read_object(b"[" * 200_000)


def test_read_object_does_not_quote_the_body():
    with pytest.raises(PayloadError) as error:
        read_object(b'{"text": "Ada lived" here}')
    assert "Ada" not in str(error.value)


def test_member_returns_a_member_of_the_right_kind():
    assert member({"a": [1]}, "a", list) == [1]


@pytest.mark.parametrize(
    ("content", "kind", "fact"),
    [
        ({}, str, "missing"),
        ({"id": None}, str, "null"),
        ({"id": True}, int, "a boolean"),
        ({"id": 1.0}, int, "a decimal number"),
        ({"id": "1"}, int, "a string"),
    ],
)
def test_member_names_the_field_and_what_it_found(content, kind, fact):
    with pytest.raises(PayloadError, match=fact) as error:
        member(content, "id", kind, where="task")
    assert error.value.field == "task.id"
