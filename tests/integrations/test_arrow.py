"""Columns of entities for data frames: their type, their nulls, and the student in each process."""

import math

import pytest

from gliner_distill import InputError, StudentNER
from gliner_distill.entities import table_entities

LABELS = ["person", "city"]
TEXTS = ["Ada Lovelace lived in London.", None, "", "Marie Curie was born in Warsaw."]


@pytest.fixture
def arrow(needs):
    needs("pyarrow")
    return needs("gliner_distill.integrations.arrow")


@pytest.fixture(scope="module")
def student():
    return StudentNER.from_pretrained(num_threads=1)


@pytest.fixture(scope="module")
def expected(student):
    found = iter(student.inference([text for text in TEXTS if text is not None], LABELS))
    return [[] if text is None else table_entities(next(found)) for text in TEXTS]


def test_entity_column_has_a_row_for_each_text(arrow, student, expected):
    column = arrow.entity_column(TEXTS, LABELS, model=student)
    assert column.type == arrow.ENTITIES
    assert column.to_pylist() == expected
    assert [entity["text"] for entity in expected[0]] == ["Ada Lovelace", "London"]


@pytest.mark.parametrize("n_texts", [0, 2])
def test_entity_column_without_an_entity_has_its_type(arrow, student, n_texts):
    column = arrow.entity_column([None] * n_texts, LABELS, model=student)
    assert column.type == arrow.ENTITIES
    assert column.to_pylist() == [[]] * n_texts


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_entity_column_takes_columns_of_arrow(arrow, needs, student, expected, kind):
    pa = needs("pyarrow")
    types = {"dictionary": pa.dictionary(pa.int32(), pa.string())}
    texts = pa.array(TEXTS, types.get(kind) or getattr(pa, kind)())
    assert arrow.entity_column(texts, LABELS, model=student).to_pylist() == expected
    chunked = pa.chunked_array([texts.slice(0, 1), texts.slice(1)])
    assert arrow.entity_column(chunked, LABELS, model=student).to_pylist() == expected


@pytest.mark.parametrize("kind", ["object", "str", "string", "category"])
def test_entity_column_takes_columns_of_pandas(arrow, needs, student, expected, kind):
    series = needs("pandas").Series(TEXTS, dtype=kind)
    assert arrow.entity_column(series, LABELS, model=student).to_pylist() == expected


def test_entity_column_takes_columns_of_polars(arrow, needs, student, expected):
    series = needs("polars").Series(TEXTS)
    assert arrow.entity_column(series, LABELS, model=student).to_pylist() == expected


def test_entity_column_names_a_value_that_is_not_a_text(arrow, student):
    with pytest.raises(InputError, match="7"):
        arrow.entity_column(["Ada", 7], LABELS, model=student)


def test_entity_column_refuses_a_null_with_on_bad_error(arrow, student, expected):
    for null in (None, math.nan):
        with pytest.raises(InputError, match=r"texts\[1\]"):
            arrow.entity_column([TEXTS[0], null], LABELS, model=student, on_bad="error")
    column = arrow.entity_column([TEXTS[0]], LABELS, model=student, on_bad="error")
    assert column.to_pylist() == expected[:1]


@pytest.mark.parametrize("labels", [[], (), {}, ""])
def test_entity_column_refuses_an_empty_set_of_labels(arrow, student, labels):
    with pytest.raises(InputError, match=r"^labels is empty"):
        arrow.entity_column(["Ada"], labels, model=student)


def test_entity_column_passes_options_on(arrow, student):
    column = arrow.entity_column(TEXTS, LABELS, model=student, thresholds={"city": 1.0})
    assert {entity["label"] for row in column.to_pylist() for entity in row} == {"person"}


def test_entity_column_loads_a_named_student_once(arrow, tmp_path, student, expected):
    student.save_pretrained(tmp_path / "student")
    name = str(tmp_path / "student")
    first = arrow.entity_column(TEXTS, LABELS, model=name, num_threads=1)
    (tmp_path / "student" / "weights.safetensors").unlink()
    assert arrow.entity_column(TEXTS, LABELS, model=name, num_threads=1) == first
    assert first.to_pylist() == expected


def test_entity_column_refuses_what_is_not_a_column(arrow, needs, student):
    frame = needs("pandas").DataFrame({"text": TEXTS})
    tables = [frame, needs("polars").DataFrame(frame), needs("pyarrow").Table.from_pandas(frame)]
    for texts in ("Ada left.", None, {"text": TEXTS}, *tables):
        with pytest.raises(InputError, match=r"^texts is "):
            arrow.entity_column(texts, LABELS, model=student)
