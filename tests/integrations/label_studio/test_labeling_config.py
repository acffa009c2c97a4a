"""Labeling configurations: the labels of each text, and what cannot be used."""

import pytest

from gliner_distill.integrations.label_studio.labeling_config import (
    TextLabels,
    read_labeling_config,
)
from gliner_distill.integrations.label_studio.payloads import PayloadError

PLAIN = """\
<?xml version="1.0" encoding="UTF-8"?>
<View>
  <Header value="Mark the names"/>
  <Labels name="label" toName="text">
    <Label value="person" background="red"/>
    <Label value="Work of Art" alias="art" hint="a book or a film"/>
  </Labels>
  <Text name="text" value="$body" granularity="word"/>
  <Choices name="tone" toName="text"><Choice value="good"/></Choices>
</View>"""


def make_config(inside):
    return f"<View>{inside}</View>"


def test_read_labeling_config_finds_the_labels_and_the_field_of_the_text():
    [labels] = read_labeling_config(PLAIN)
    # Results hold the alias, and the model reads what annotators see.
    prompts = (("person", "person"), ("art", "Work of Art"))
    assert labels == TextLabels("label", "text", "body", prompts)


def test_read_labeling_config_reads_several_texts_and_several_sets_of_labels():
    config = make_config(
        '<Labels name="who" toName="title, body"><Label value="person"/></Labels>'
        '<Labels name="where" toName="body"><View><Label value="city"/></View></Labels>'
        '<Text name="title" value="$title"/><Text name="body" value="$body" valueType="url"/>'
    )
    assert [
        (labels.from_name, labels.to_name, labels.data_field, labels.is_url)
        for labels in read_labeling_config(config)
    ] == [
        ("who", "title", "title", False),
        ("who", "body", "body", True),
        ("where", "body", "body", True),
    ]


def test_read_labeling_config_leaves_labels_of_other_objects_out():
    config = make_config(
        '<Labels name="a" toName="sound"><Label value="noise"/></Labels>'
        '<Audio name="sound" value="$url"/>'
        '<Labels name="b" toName="text"><Label value="city"/></Labels>'
        '<Text name="text" value="$text"/>'
    )
    assert [labels.from_name for labels in read_labeling_config(config)] == ["b"]


TEXT = '<Text name="text" value="$text"/>'
LABELS = '<Labels name="a" toName="text"><Label value="city"/></Labels>'


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ("", ["not XML"]),
        ("<View>", ["not XML", "line 1"]),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><View/>", ["document type"]),
        (" " * 2_000_001, ["2,000,000"]),
        (make_config(TEXT), ["<Labels>"]),
        (make_config(LABELS + '<HyperText name="text" value="$text"/>'), ["plain text"]),
        (make_config('<Labels toName="text"><Label value="city"/></Labels>' + TEXT), ["name"]),
        (make_config('<Labels name="a" toName="text" value="$tags"/>' + TEXT), ["'a'", "<Label>"]),
        (
            make_config('<Labels name="a" toName="text"><Label value=" "/></Labels>' + TEXT),
            ["'a'", "blank"],
        ),
        (
            make_config(
                '<Labels name="a" toName="text"><Label value="US"/><Label value="us"/></Labels>'
                + TEXT
            ),
            ["'US'", "'us'"],
        ),
        (make_config(LABELS + '<Text name="text" value="Hello"/>'), ["'text'", "'Hello'"]),
        (make_config(LABELS + '<Text name="text" value="$a and $b"/>'), ["$a and $b"]),
    ],
)
def test_read_labeling_config_says_what_it_cannot_use(config, facts):
    with pytest.raises(PayloadError) as error:
        read_labeling_config(config, field="schema")
    assert error.value.field.startswith("schema")
    missing = [fact for fact in facts if fact not in str(error.value)]
    assert missing == []
