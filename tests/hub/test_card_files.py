"""The card of a student in its folder, beside files that are not ours."""

import json
import logging

import pytest

from gliner_distill.errors import StudentError
from gliner_distill.hub.card_files import COUNTED_FILE, read_card, update_card, write_card
from gliner_distill.hub.cards import CARD_FILE, Card

OLD, NEW = (
    Card({"library_name": "gliner-distill", "tags": [tag]}, f"# {tag}\n") for tag in ("old", "new")
)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "gliner_distill")
    return caplog


def test_write_card_writes_a_card_and_the_file_that_the_hub_counts(tmp_path, warnings):
    for card in (OLD, NEW):
        write_card(tmp_path, card)
        assert read_card(tmp_path) == card.render()
    assert json.loads((tmp_path / COUNTED_FILE).read_text())["model_type"] == "gliner-distill"
    assert {path.name for path in tmp_path.iterdir()} == {CARD_FILE, COUNTED_FILE}
    assert warnings.records == []


def test_write_card_keeps_a_text_that_was_written_by_hand_and_says_so(tmp_path, warnings):
    (tmp_path / CARD_FILE).write_text("---\nlicense: mit\n---\n# By hand\n")
    for _ in range(2):
        write_card(tmp_path, NEW)
        card = Card.parse(read_card(tmp_path))
        assert card.text == "# By hand\n"
        assert card.metadata == {"license": "mit", **NEW.metadata}
    assert len(warnings.records) == 2
    assert str(tmp_path / CARD_FILE) in warnings.text


def test_write_card_leaves_a_card_alone_whose_metadata_cannot_be_read(tmp_path, warnings):
    (tmp_path / CARD_FILE).write_text("---\nlicense: [\n---\n# By hand\n")
    write_card(tmp_path, NEW)
    assert read_card(tmp_path) == "---\nlicense: [\n---\n# By hand\n"
    assert "this card stays as it is" in warnings.text


@pytest.mark.parametrize("content", ['{"seed": 1}', "[]", "{", "[" * 100_000])
def test_write_card_leaves_the_settings_of_something_else_alone(tmp_path, warnings, content):
    (tmp_path / COUNTED_FILE).write_text(content)
    write_card(tmp_path, NEW)
    assert (tmp_path / COUNTED_FILE).read_text() == content
    assert COUNTED_FILE in warnings.text


def test_write_card_names_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StudentError, match="file"):
        write_card(tmp_path / "file", NEW)


def test_read_card_of_a_folder_without_a_readable_card_is_empty(tmp_path):
    assert read_card(tmp_path) == ""
    (tmp_path / CARD_FILE).write_bytes(b"\xff\xfe")
    assert read_card(tmp_path) == ""
    (tmp_path / CARD_FILE).write_bytes(b"a" * 1_000_001)
    assert read_card(tmp_path) == ""


def test_update_card_takes_the_place_of_an_empty_card():
    assert update_card("\n", NEW, where="here") == NEW.render()
