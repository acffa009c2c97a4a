"""The errors: one tree, one line each, and the same after a trip to another process."""

import pickle
from pathlib import Path

import pytest

from gliner_distill import errors
from gliner_distill.errors import (
    DistillError,
    InputError,
    MissingExtraError,
    name_kind,
    shorten,
    suggest_file,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.mark.parametrize("error", CLASSES)
def test_error_class_belongs_to_the_tree_and_is_named_in_it(error: type[Exception]) -> None:
    assert issubclass(error, DistillError)
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__


def test_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


def test_missing_extra_error_names_package_and_extra_and_can_be_pickled() -> None:
    error = MissingExtraError("torch", "train")
    assert "torch" in str(error)
    assert "pip install 'gliner-distill[train]'" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is MissingExtraError
    assert str(copy) == str(error)


def test_suggest_file_names_the_file_with_the_most_similar_name(tmp_path: Path) -> None:
    for name in ("labels.json", "labels.txt", "letters.txt", "out.txt"):
        (tmp_path / name).touch()
    (tmp_path / "lables.txt").mkdir()
    assert suggest_file(tmp_path / "lable.txt") == f" (did you mean {tmp_path / 'labels.txt'}?)"
    assert suggest_file(str(tmp_path / "leters.txt")).endswith("/letters.txt?)")
    assert suggest_file(tmp_path / "letters.csv").endswith("/letters.txt?)")
    assert suggest_file(tmp_path / "note.txt") == ""
    assert suggest_file(tmp_path / "none" / "labels.txt") == ""
    assert suggest_file("a\0b") == ""


def test_shorten_cuts_long_values_to_60_characters() -> None:
    assert shorten(["city"]) == "['city']"
    assert len(shorten("a" * 58)) == 60
    assert len(shorten("a" * 59)) == 60
    assert shorten("a" * 59).endswith("...")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "an object"),
        ([], "a list"),
        ("", "a string"),
        (True, "a boolean"),
        (1, "a whole number"),
        (1.0, "a decimal number"),
        (None, "null"),
        (b"", "a bytes"),
    ],
)
def test_name_kind_names_json_values_with_their_article(value: object, kind: str) -> None:
    assert name_kind(value) == kind
