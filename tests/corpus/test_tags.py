"""Tags of columns: kinds, styles and the entities that they join to."""

import pytest

from gliner_distill.corpus.records import RecordError
from gliner_distill.corpus.tags import TagStyle, join_tags, read_tag, tag_kind


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("O", "outside"), ("B-PER", "prefixed"), ("PER", "other"), ("B-", "other"), ("B", "other")],
)
def test_tag_kind_tells_prefixed_tags_from_others(tag: str, kind: str) -> None:
    assert tag_kind(tag) == kind


@pytest.mark.parametrize(
    "tag", ["B", "*", "_", "(PERSON*", "x-PER", "B_PER", "B:PER", "PER-B", "art_I"]
)
def test_read_tag_refuses_what_is_neither_a_tag_nor_a_type(tag: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_tag(tag, TagStyle())
    assert repr(tag) in str(caught.value)


def test_read_tag_keeps_to_the_style_of_the_first_type() -> None:
    style = TagStyle()
    assert read_tag("O", style) == ("O", "")
    assert read_tag("PER", style) == ("I", "PER")
    with pytest.raises(RecordError, match="'B-PER'"):
        read_tag("B-PER", style)


def test_join_tags_counts_entities_that_begin_inside() -> None:
    tags = [("I", "a"), ("E", "a"), ("S", "a"), ("O", ""), ("B", "b"), ("I", "b")]
    assert join_tags(tags) == ([(0, 1, "a"), (2, 2, "a"), (4, 5, "b")], 1)
