"""The file of gold: the newest answer per text, other people's lines, crashes and other writers."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity
from gliner_distill.errors import CorpusError
from gliner_distill.integrations.label_studio.gold import Answer, GoldFile, TextKey

KEY = TextKey(1, 7, "text")
OTHER = TextKey(1, 8, "text")


def make_answer(annotation, minute, *labels, text="Ada left London."):
    spans = [(0, 3, "Ada"), (9, 15, "London")]
    entities = [
        {"start": start, "end": end, "text": surface, "label": label}
        for (start, end, surface), label in zip(spans, labels, strict=False)
    ]
    return Answer(annotation, f"2026-11-29T03:{minute:02}:00.5Z", text, entities)


@pytest.fixture
def gold(needs, tmp_path):
    needs("filelock")
    return GoldFile(tmp_path / "new" / "gold.jsonl")


def records_of(gold):
    return [json.loads(line) for line in gold.path.read_text(encoding="utf-8").splitlines()]


def labels_in(gold):
    return [[entity["label"] for entity in record["entities"]] for record in records_of(gold)]


def test_put_writes_lines_that_are_read_as_gold(gold):
    text = "Zoë left 東京 🙂"
    city = {"start": 9, "end": 11, "text": "東京", "label": "city"}
    odd = Answer(3, "2026-11-29T03:00:00Z", text, [city])
    gold.put({KEY: make_answer(1, 0, "person", "city"), OTHER: odd})
    gold.put({TextKey(2, 7, "text"): make_answer(4, 0)})
    first, second, third = read_passages(gold.path)
    assert first.entities == (Entity(0, 1, "person"), Entity(2, 3, "city"))
    assert second.entities == (Entity(2, 3, "city"),)
    assert third.entities == ()
    assert "東京" in gold.path.read_text(encoding="utf-8")


def test_put_keeps_the_newest_answer_in_the_place_of_its_text(gold):
    gold.put({KEY: make_answer(1, 1, "person"), OTHER: make_answer(2, 1, "city")})
    gold.put({KEY: make_answer(1, 2, "city")})
    assert labels_in(gold) == [["city"], ["city"]]
    assert records_of(gold)[0]["older"] == []


def test_put_ignores_a_version_that_arrives_late(gold):
    gold.put({KEY: make_answer(1, 2, "city")})
    gold.put({KEY: make_answer(1, 1, "person")})
    assert labels_in(gold) == [["city"]]


def test_put_compares_times_and_not_their_spelling(gold):
    gold.put({KEY: Answer(1, "2026-11-29T03:00:00Z", "Ada", [])})
    gold.put({KEY: Answer(2, "2026-11-29T03:00:00.1Z", "Bo", [])})
    gold.put({KEY: Answer(3, "2026-11-29T05:00:00+03:00", "Cy", [])})
    assert records_of(gold)[0]["text"] == "Bo"


def test_remove_brings_the_answer_before_it_back(gold):
    gold.put({KEY: make_answer(1, 1, "person")})
    gold.put({KEY: make_answer(2, 3, "city")})
    gold.put({KEY: make_answer(3, 2)})
    assert labels_in(gold) == [["city"]]
    assert gold.remove(1, {2}) == 1
    assert labels_in(gold) == [[]]
    assert gold.remove(1, {3, 99}) == 1
    assert labels_in(gold) == [["person"]]
    assert gold.remove(1, {1}) == 1
    assert records_of(gold) == []


def test_remove_touches_only_its_project(gold):
    gold.put({KEY: make_answer(1, 1), TextKey(2, 7, "text"): make_answer(1, 1, "person")})
    assert gold.remove(1, {1}) == 1
    assert [record["project"] for record in records_of(gold)] == [2]


def test_gold_file_keeps_lines_of_others(gold):
    gold.path.parent.mkdir()
    foreign = [
        '{"tokenized_text": ["Bo"], "ner": []}',
        '{"text": "Bo", "entities": [], "project": 1, "task": 7, "to_name": "text"}',
        '{"text": "Bo", "entities": [], "project": [1], "task": 7, "to_name": "text", "older": []}',
        '{"broken',
    ]
    gold.path.write_text("\n".join(foreign), encoding="utf-8")
    gold.put({KEY: make_answer(1, 1, "person")})
    gold.remove(1, {1})
    assert gold.path.read_text(encoding="utf-8").splitlines() == foreign


def test_gold_file_goes_on_with_a_file_of_its_own(gold):
    gold.put({KEY: make_answer(1, 1, "person")})
    gold.put({KEY: make_answer(2, 2, "city")})
    again = GoldFile(gold.path)
    again.put({OTHER: make_answer(3, 1)})
    again.remove(1, {2})
    assert labels_in(again) == [["person"], []]


def test_gold_file_sees_what_others_write_meanwhile(gold):
    gold.put({KEY: make_answer(1, 1, "person")})
    other = GoldFile(gold.path)
    other.put({OTHER: make_answer(2, 1, "city")})
    gold.put({KEY: make_answer(1, 2)})
    gold.path.write_bytes(gold.path.read_bytes() + b'{"text": "Bo", "entities": []}\n')
    other.put({OTHER: make_answer(2, 2, "person")})
    assert labels_in(gold) == [[], ["person"], []]


@pytest.mark.parametrize("content", ["[\n{}]", "Ada left London.\n", "id,text\n"])
def test_gold_file_refuses_a_file_of_another_format(gold, content):
    gold.path.parent.mkdir()
    gold.path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match="JSON lines") as error:
        GoldFile(gold.path)
    assert str(gold.path) in str(error.value)
    assert gold.path.read_text(encoding="utf-8") == content


def test_gold_file_refuses_a_folder(gold):
    gold.path.mkdir(parents=True)
    with pytest.raises(CorpusError, match="regular file"):
        GoldFile(gold.path)


def test_put_that_fails_leaves_the_file_as_it_was(gold):
    gold.put({KEY: make_answer(1, 1, "person")})
    before = gold.path.read_bytes()
    bad = Answer(2, "2026-11-29T03:09:00Z", "half \ud800", [])
    with pytest.raises(UnicodeEncodeError):
        gold.put({OTHER: bad})
    assert gold.path.read_bytes() == before
    gold.put({KEY: make_answer(1, 2, "person")})
    assert len(records_of(gold)) == 1
    assert sorted(path.name for path in gold.path.parent.iterdir()) == [
        ".gold.jsonl.lock",
        "gold.jsonl",
    ]


@pytest.mark.slow
def test_put_by_many_writers_at_once_loses_nothing(gold):
    files = [gold, GoldFile(gold.path)]

    def put(number):
        files[number % 2].put({TextKey(1, number, "text"): make_answer(number, 1)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(40)))
    assert sorted(record["task"] for record in records_of(gold)) == list(range(40))
