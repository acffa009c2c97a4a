"""Names of repositories on the hub."""

import pytest

from gliner_distill.hub.ids import looks_like_hub_id


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("urchade/pile-mistral-v0.1", True),
        ("a/b", True),
        ("data/train.json", False),
        ("data/train.JSONL", False),
        ("dataset/passages.parquet", False),
        ("./data/train", False),
        ("/data/train", False),
        ("a/b/c", False),
        ("train", False),
        ("a/b..c", False),
        ("ä/b", False),
        ("a/b c", False),
        ("a/" + "b" * 100, False),
        ("a/b.git", False),
        ("a/b-", False),
        ("a--b/c", False),
    ],
)
def test_looks_like_hub_id_accepts_owner_and_name_but_no_data_file(text: str, is_id: bool) -> None:
    assert looks_like_hub_id(text) is is_id
