"""The card of a student: what came with it, or what its files say, and nothing else."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from gliner_distill.hub.cards import Card
from gliner_distill.runtime.bundle import Bundle, read_bundle
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.sharing.cards import (
    PLACE,
    TUNED,
    at_place,
    card_of,
    short_card,
    tuned_card,
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(bundled_student_path())


def test_card_of_a_student_is_the_one_that_came_with_it(bundle: Bundle) -> None:
    content = (bundled_student_path() / "README.md").read_text(encoding="utf-8")
    assert card_of(bundle, "mine").render() == content


def test_card_of_a_student_without_a_card_says_what_its_files_say(bundle: Bundle) -> None:
    metadata = {"labels": ["a|b", "città"], "teacher": "/home/me/mine + owner/gliner"}
    card = card_of(replace(bundle, card="", metadata=metadata), "My <student>")
    assert card.metadata["base_model"] == "owner/gliner"
    assert "license" not in card.metadata
    assert "language" not in card.metadata
    assert "model-index" not in card.metadata
    assert card.text.startswith("# My \\<student\\>\n")
    assert '["a|b", "città"]' in card.text
    assert f"{bundle.n_parameters:,}" in card.text
    assert "| teacher | mine + owner/gliner |" in card.text
    assert "/home" not in card.render()


def test_short_card_of_a_student_of_unknown_origin_is_honest(bundle: Bundle) -> None:
    card = short_card(replace(bundle, metadata={}), "mine")
    assert "| teacher | not known |" in card.text
    assert "no measurements" in card.text
    assert card.metadata.keys() == {"library_name", "pipeline_tag", "tags"}


def test_card_of_a_student_with_a_broken_card_is_short_and_says_so(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gliner_distill")
    broken = replace(bundle, card="---\nlicense: [\n---\n# Theirs\n", metadata={})
    assert card_of(broken, "mine") == short_card(broken, "mine")
    assert "left out" in caplog.text


def test_at_place_names_the_hub_in_the_program_and_the_results(bundle: Bundle) -> None:
    card = short_card(bundle, "mine")
    assert PLACE in card.text
    published = at_place(card, "me/theirs")
    assert 'from_pretrained("me/theirs")' in published.text
    assert PLACE not in published.text


def test_tuned_card_has_no_results_and_says_why(bundle: Bundle) -> None:
    card = Card.parse(tuned_card(bundle.card))
    assert "model-index" not in card.metadata
    assert card.metadata["license"] == "apache-2.0"
    assert card.text.endswith(f"\n{TUNED}\n")
    assert tuned_card(card.render()) == card.render()
    assert tuned_card("") == ""
    assert tuned_card("---\nlicense: [\n---\n") == "---\nlicense: [\n---\n"


def test_bundled_card_is_carried_to_a_new_folder(bundle: Bundle, tmp_path: Path) -> None:
    from gliner_distill.runtime.ner import StudentNER

    StudentNER(bundle, num_threads=1).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == bundle.card
