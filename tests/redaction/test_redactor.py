"""`Redactor`: the four modes, both positions of each entity, overlaps, and hostile texts."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.errors import InputError
from gliner_distill.redaction.placeholders import restore
from gliner_distill.redaction.redactor import Redactor

KEY = "a secret of 24 characters"
TEXT = "🙂 Ada met Bo; Ada left."
MODES = ("label", "mask", "hash", "mapping")


def entity(start, end, label="person", **more):
    return {"start": start, "end": end, "label": label, **more}


ENTITIES = [entity(2, 5, score=0.75, text="Ada"), entity(10, 12, source="pattern"), entity(14, 17)]


def make_redactor(mode, **more):
    return Redactor(mode, key=KEY if mode == "hash" else None, **more)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("label", "🙂 [PERSON] met [PERSON]; [PERSON] left."),
        ("mask", "🙂 *** met **; *** left."),
        ("mapping", "🙂 [PERSON_1] met [PERSON_2]; [PERSON_1] left."),
    ],
)
def test_redact_replaces_entities(mode, text):
    assert make_redactor(mode).redact(TEXT, ENTITIES).text == text


def test_redact_hashes_with_hmac_and_gives_equal_values_equal_tokens():
    digest = hmac.new(KEY.encode(), b"Ada", hashlib.sha256).hexdigest()[:16]
    text = make_redactor("hash").redact(TEXT, ENTITIES).text
    assert text.count(f"[PERSON:{digest}]") == 2
    assert make_redactor("hash").redact("Ada", [entity(0, 3, "city")]).text == f"[CITY:{digest}]"
    other = Redactor("hash", key=b"another secret of some length").redact("Ada", [entity(0, 3)])
    assert digest not in other.text


@pytest.mark.parametrize("mode", MODES)
def test_redact_returns_the_positions_in_both_texts_without_the_values(mode):
    redaction = make_redactor(mode).redact(TEXT, reversed(ENTITIES))
    assert [(e["start"], e["end"]) for e in redaction.entities] == [(2, 5), (10, 12), (14, 17)]
    assert [e["score"] for e in redaction.entities] == [0.75, 1.0, 1.0]
    assert [e.get("source") for e in redaction.entities] == [None, "pattern", None]
    ends = [(0, 0), *((e["end"], e["redacted_end"]) for e in redaction.entities)]
    starts = [(e["start"], e["redacted_start"]) for e in redaction.entities]
    for (end, new_end), (start, new_start) in zip(
        ends, [*starts, (len(TEXT), len(redaction.text))], strict=True
    ):
        assert redaction.text[new_end:new_start] == TEXT[end:start]
    assert "Ada" not in json.dumps(redaction.entities)


def test_redact_keeps_texts_without_entities():
    for mode in MODES:
        for text in ("", "No names here."):
            redaction = make_redactor(mode).redact(text, [])
            assert (redaction.text, redaction.entities, redaction.mapping) == (text, [], {})


def test_redact_joins_overlapping_entities_under_the_label_of_the_longest():
    entities = [entity(0, 4, "name"), entity(2, 9, "person"), entity(8, 11, "city"), entity(11, 12)]
    redaction = Redactor().redact("0123456789abc", entities)
    assert redaction.text == "[PERSON][PERSON]c"
    spans = [(e["start"], e["end"], e["label"]) for e in redaction.entities]
    assert spans == [(0, 11, "person"), (11, 12, "person")]


def test_redact_keeps_a_text_with_placeholders_restorable():
    mapping = {}
    redactor = Redactor("mapping", mapping=mapping)
    first = redactor.redact("Ada", [entity(0, 3)])
    text = "[PERSON_1] and [PERSON_2] and [[PERSON_1]] met Bo [LITERAL_1]"
    start = text.index("Bo")
    second = redactor.redact(text, [entity(start, start + 2)])
    assert first.text == "[PERSON_1]"
    assert second.text == (
        "[LITERAL_1] and [LITERAL_2] and [[LITERAL_1]] met [PERSON_2] [LITERAL_3]"
    )
    assert restore(second.text, second.mapping) == restore(second.text, mapping) == text
    assert "[PERSON_1]" not in second.mapping


def test_redact_continues_a_mapping_in_place():
    mapping = {"[PERSON_1]": "Bo"}
    redaction = Redactor("mapping", mapping=mapping).redact(TEXT, ENTITIES)
    assert redaction.text == "🙂 [PERSON_2] met [PERSON_1]; [PERSON_2] left."
    assert mapping == redaction.mapping == {"[PERSON_1]": "Bo", "[PERSON_2]": "Ada"}


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "_1",
        "[PERSON_1]",
        "[LITERAL_1]",
        "[CITY_2]",
        "Ada",
        "Bo",
        " ",
        "🙂",
        "\ud83d",
        "\n",
        "1",
    ]
)


@st.composite
def documents(draw):
    """Draw a text of difficult pieces, and entities in it that may overlap."""
    text = "".join(draw(st.lists(PIECES, max_size=12)))
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(place, place, st.sampled_from(["person", "city", "+"]))))
    return text, [entity(*sorted(span), label) for *span, label in spans if span[0] != span[1]]


@given(st.lists(documents(), max_size=4))
def test_redact_with_a_mapping_restores_any_texts(drawn):
    redactor = Redactor("mapping")
    redactions = [redactor.redact(text, entities) for text, entities in drawn]
    for (text, _), redaction in zip(drawn, redactions, strict=True):
        assert restore(redaction.text, redactor.mapping) == text
        assert restore(redaction.text, redaction.mapping) == text


@given(documents())
def test_redact_leaves_no_character_of_an_entity(drawn):
    text, entities = drawn
    covered = {place for e in entities for place in range(e["start"], e["end"])}
    redaction = Redactor("mask").redact(text, entities)
    expected = ["*" if place in covered else char for place, char in enumerate(text)]
    assert redaction.text == "".join(expected)
    for mode in MODES:
        found = make_redactor(mode).redact(text, entities).entities
        assert {place for e in found for place in range(e["start"], e["end"])} == covered


@pytest.mark.slow
def test_redact_reads_a_text_of_a_million_entities():
    text = "Ada " * 1_000_000
    redaction = Redactor("mapping").redact(
        text, [entity(place, place + 3) for place in range(0, len(text), 4)]
    )
    assert redaction.text == "[PERSON_1] " * 1_000_000


@pytest.mark.parametrize(
    ("entities", "facts"),
    [
        ([{"start": 0, "end": 1}], ["entities[0]", "label"]),
        ([entity(0, 1), "Ada"], ["entities[1]", "label"]),
        ([entity(0, 1, 7)], ["entities[0]", "7"]),
        ([entity(0, 99)], ["entities[0]", "99", "3 characters"]),
        ([entity(-1, 2)], ["-1"]),
        ([entity(2, 2)], ["2 to 2"]),
        ([entity(0.0, 2)], ["0.0"]),
    ],
)
def test_redact_refuses_what_is_not_an_entity_of_the_text(entities, facts):
    with pytest.raises(InputError) as error:
        Redactor().redact("Ada", entities)
    assert not [fact for fact in facts if fact not in str(error.value)]


def test_redact_refuses_a_text_that_is_not_a_string():
    with pytest.raises(InputError, match="None"):
        Redactor().redact(None, [])


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ({"mode": "blur"}, "'mapping'"),
        ({"mode": "hash"}, "key"),
        ({"mode": "hash", "key": "short"}, "16"),
        ({"mode": "hash", "key": 16}, "key"),
        ({"mode": "label", "key": KEY}, "key"),
        ({"mode": "mask", "mapping": {}}, "mapping"),
        ({"mode": "mapping", "mapping": {"x": "y"}}, "'x'"),
    ],
)
def test_redactor_refuses_modes_keys_and_mappings_that_do_not_fit(arguments, fact):
    with pytest.raises(InputError) as error:
        Redactor(**arguments)
    assert fact in str(error.value)
    assert KEY not in str(error.value)
