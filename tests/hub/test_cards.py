"""Model cards: what is written is read back, and what was edited by hand is kept."""

import pytest

from gliner_distill.hub.cards import (
    Card,
    SpanResult,
    plain_markdown,
    rename_results,
    student_metadata,
)

CARD = Card({"license": "mit", "tags": ["ner"]}, "# Title\n\nText.\n")


def test_parse_reads_what_render_writes():
    card = Card.parse(CARD.render())
    assert card == CARD
    assert not card.is_edited_text
    assert not card.is_edited_metadata
    assert Card.parse(CARD.render().replace("\n", "\r\n")) == CARD


def test_parse_tells_which_part_was_edited():
    content = CARD.render()
    text = Card.parse(content.replace("Text.", "Other text."))
    assert (text.is_edited_text, text.is_edited_metadata) == (True, False)
    metadata = Card.parse(content.replace("license: mit", "license: cc0-1.0"))
    assert (metadata.is_edited_text, metadata.is_edited_metadata) == (False, True)
    # An edited part still counts as edited after the card was written again.
    assert Card.parse(text.render()).is_edited_text
    assert Card.parse(metadata.render()).is_edited_metadata


@pytest.mark.parametrize(
    ("content", "metadata", "text"),
    [
        ("", {}, "\n"),
        ("# Title", {}, "# Title\n"),
        ("---\n---\n# Title\n", {}, "# Title\n"),
        ("---\nlanguage: 'no'\n---\n# Title\n", {"language": "no"}, "# Title\n"),
    ],
)
def test_parse_reads_cards_of_others_as_edited(content, metadata, text):
    card = Card.parse(content)
    assert (dict(card.metadata), card.text) == (metadata, text)
    assert card.is_edited_text
    assert card.is_edited_metadata


@pytest.mark.parametrize(
    "block",
    [
        "- a list",
        "license: [",
        "a: &a [1]\nb: [*a, *a]",
        "date: 2026-13-77",
        "license: !!python/x 1",
    ],
)
def test_parse_refuses_metadata_that_cannot_be_read(block):
    with pytest.raises(ValueError, match="its metadata"):
        Card.parse(f"---\n{block}\n---\n# Title\n")


def test_updated_replaces_a_card_that_nobody_edited():
    new = Card({"library_name": "gliner-distill"}, "# New\n")
    assert Card.parse(CARD.render()).updated(new) == new


def test_updated_keeps_an_edited_text_and_edited_metadata():
    mine = {"license": "mit", "tags": ["mine"], "base_model": "me/old", "model-index": [{}]}
    new = Card({"license": "apache-2.0", "tags": ["ner"], "base_model": "me/new"}, "# New\n")
    card = Card(mine, "# Mine\n", is_edited_text=True, is_edited_metadata=True).updated(new)
    assert card.text == "# Mine\n"
    assert card.metadata == {"license": "mit", "tags": ["mine", "ner"], "base_model": "me/new"}
    only_text = Card(mine, "# Mine\n", is_edited_text=True).updated(new)
    assert (only_text.text, only_text.metadata) == ("# Mine\n", new.metadata)


def test_student_metadata_leaves_out_what_is_not_known():
    assert student_metadata("mine").keys() == {"library_name", "pipeline_tag", "tags"}


def test_student_metadata_holds_results_in_the_form_of_the_hub():
    result = SpanResult("letters", "test", {"f1": 0.81234}, kind="me/letters")
    metadata = student_metadata("mine", base_models=["a/b", "c/d"], results=[result])
    assert metadata["base_model"] == ["a/b", "c/d"]
    [index] = metadata["model-index"]
    [held] = index["results"]
    assert held["task"]["type"] == "token-classification"
    assert held["dataset"] == {"type": "me/letters", "name": "letters", "split": "test"}
    assert held["metrics"] == [{"type": "f1", "value": 0.8123, "name": "f1, exact spans"}]
    assert rename_results(metadata, "other")["model-index"][0]["name"] == "other"


@pytest.mark.parametrize("index", [None, "text", [1], {"name": "x"}])
def test_rename_results_leaves_other_forms_alone(index):
    assert rename_results({"model-index": index}, "other") == {"model-index": index}


def test_plain_markdown_escapes_what_markdown_would_read():
    assert plain_markdown("a|b <c>\n*d*") == r"a\|b \<c\> \*d\*"


def test_hub_itself_reads_the_results():
    repocard_data = pytest.importorskip("huggingface_hub.repocard_data")
    result = SpanResult("letters", "test", {"f1": 0.5}, kind="letters")
    index = student_metadata("mine", results=[result])["model-index"]
    name, [read] = repocard_data.model_index_to_eval_results(index)
    assert (name, read.metric_type, read.metric_value) == ("mine", "f1", 0.5)
