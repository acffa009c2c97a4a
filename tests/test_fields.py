"""The fields of JSON objects: the first wrong one is named with what was expected."""

import pytest

from gliner_distill.fields import (
    COUNT,
    LIST,
    NUMBER,
    OBJECT,
    SHA256,
    SHARE,
    TEXT,
    TEXTS,
    check_fields,
    is_plain,
)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (TEXT, ["", "a"], [None, 1, b"a", ["a"]]),
        (TEXTS, [[], ["a"]], [None, "a", [1], ["a", None]]),
        (COUNT, [0, 2**62], [-1, True, 1.0, "1", None, 2**63]),
        (NUMBER, [0, 0.5, 7], [-1, True, float("nan"), float("inf"), "1", None]),
        (SHARE, [0, 1, 0.25], [-0.1, 1.5, float("nan"), False, None]),
        (SHA256, ["0f" * 32], ["0F" * 32, "0" * 63, 0, None, "0" * 64 + "\n"]),
        (LIST, [[], [[[[[[]]]]]]], [None, {}, "a"]),
        (OBJECT, [{}, {"a": {"b": [1]}}], [None, [], {"a": [[[[[]]]]]}]),
    ],
)
def test_kind_holds_for_its_values_alone(kind, good, bad):
    for value in good:
        check_fields({"x": value}, {"x": kind})
    for value in bad:
        with pytest.raises(ValueError, match=rf"^x: found .*; expected {kind.expected}$"):
            check_fields({"x": value}, {"x": kind})


def test_check_fields_names_missing_and_unknown_fields():
    with pytest.raises(ValueError, match=r"^rows\[2\]\.b: is missing; expected a string$"):
        check_fields({"a": 1}, {"a": COUNT, "b": TEXT}, where="rows[2]")
    check_fields({"a": 1}, {"a": COUNT, "b": TEXT}, optional=["b"])
    with pytest.raises(ValueError, match=r"^c: is not a field"):
        check_fields({"a": 1, "c": 1}, {"a": COUNT})


@pytest.mark.parametrize("record", [None, [], "a", 1])
def test_check_fields_refuses_anything_but_an_object(record):
    with pytest.raises(ValueError, match=r"^rows\[0\]: found .*; expected an object"):
        check_fields(record, {}, where="rows[0]")


def test_is_plain_survives_any_nesting():
    value = []
    for _ in range(100_000):
        value = [value]
    assert not is_plain(value)
    with pytest.raises(ValueError, match=r"^a: found a list; expected an object"):
        check_fields({"a": value}, {"a": OBJECT})
