"""Texts with entities by characters: the answers of `predict`."""

from pathlib import Path

from export_files import PASSAGE, TEXT, read_all, read_as
from gliner_distill.corpus.exports.answers import is_answer


def test_read_answer_reads_what_predict_prints(tmp_path: Path) -> None:
    entities = [
        {"start": 0, "end": 12, "text": "Ada Lovelace", "label": "person", "score": 0.9},
        {"start": 20, "end": 26, "text": "London", "label": "city", "score": 0.9, "source": "x"},
    ]
    blank = [{"text": text, "entities": []} for text in ("", " ")]
    passages, notes = read_as(
        tmp_path / "a", {"text": TEXT, "entities": entities, "id": 1}, *blank, {"text": "Nobody."}
    )
    assert passages[0] == PASSAGE
    assert [passage.entities for passage in passages[1:]] == [()]
    assert notes.skipped == {"records with a blank text": 2}


def test_read_answer_reads_lists_in_place_of_objects(tmp_path: Path) -> None:
    record = {"text": TEXT, "entities": [[0, 12, "person"], ["20", "26", "city"]]}
    assert read_as(tmp_path / "a", record)[0] == [PASSAGE]


def test_is_answer_leaves_other_entities_to_be_noted(tmp_path: Path) -> None:
    tweet = {"text": "Ada left", "entities": {"urls": []}}
    names = {"text": "Ada left", "entities": ["Ada"]}
    assert not is_answer(tweet)
    assert not is_answer(names)
    assert is_answer({"text": "Ada", "entities": []})
    _, notes = read_as(tmp_path / "a", tweet, names)
    assert notes.ignored_keys == {"entities": 2}


def test_read_answer_names_an_entity_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = '{"text": "Ada", "entities": [{"start": 0, "label": "x"}]}'
    path.write_text(f'{{"text": "Ada"}}\n{bad}\n')
    passages, notes = read_all(path, skip_bad=True)
    assert len(passages) == 1
    [message] = notes.bad_messages
    assert message.startswith(f"{path}: record 2 (line 2): entities[0] ")
    assert "'end'" in message
