"""The names of models, as files that are shared keep them."""

import pytest

from gliner_distill.teacher.checkpoints import name_without_path


@pytest.mark.parametrize(
    "name", ["urchade/gliner_small-v2.1", "llm:a/b", "my rules, v1/2", "", "a" * 5000]
)
def test_name_without_path_keeps_what_is_not_a_folder(name):
    assert name_without_path(name) == name


def test_name_without_path_leaves_the_last_part_of_a_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "gliner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in (str(folder), "models/gliner", "models/gliner/", "models/../models/gliner"):
        assert name_without_path(name) == "gliner"
    assert name_without_path(f"{folder} + urchade/b + rules") == "gliner + urchade/b + rules"
