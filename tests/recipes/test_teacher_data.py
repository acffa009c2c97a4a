"""The text of a teacher in training: nothing that is kept apart, and whole batches."""

import importlib
import json
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from gliner_distill.entities import Entity, Passage, word_texts
from gliner_distill.errors import CorpusError

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture
def recipe(monkeypatch):
    """The recipe as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("teacher_data")


def row(text, *entities):
    return {"tokenized_text": text.split(), "ner": [list(entity) for entity in entities]}


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")


def write_set(folder, name, rows, listed):
    write_lines(folder / f"{name}.jsonl", rows)
    (folder / f"{name}.labels.json").write_text(json.dumps(listed))


@pytest.fixture
def data(recipe, tmp_path, monkeypatch):
    """A folder with one held-out set, two sets to train on, and thirty open passages."""
    monkeypatch.setattr(recipe, "HELD_OUT", ("held",))
    for place, name in enumerate(recipe.OPEN_FILES):
        rows = [row(f"{name} {n} saw london", (3, 3, "city")) for n in range(10)]
        path = tmp_path / "open" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rows[: 10 - place]))
    monkeypatch.setattr(recipe, "sample_path", lambda split: tmp_path / "open" / "train.json")
    (tmp_path / "open" / "labels.jsonl").write_text("")
    folder = tmp_path / "corpora"
    held = [row("ann built the new bank of the big old city", (0, 0, "person"))]
    write_set(folder, "held", held, ["person", "city"])
    copy = "John saw : ann built the new bank of the big city"
    write_set(
        folder, "one", [row(copy), row("acme left", (0, 0, "company"))], ["company", "Person"]
    )
    write_set(folder, "two", [row("no list", (0, 0, "gene"))], [])
    (tmp_path / "permissive.json").write_text(json.dumps(["one", "two", "held"]))
    return tmp_path


class TestReadData:
    def test_text_that_is_kept_apart_is_left_out(self, recipe, data):
        read = recipe.read_data(data)
        named = {source.name: source for source in read.sources}
        assert set(named) == {
            *(f"open/{name}.json" for name in recipe.OPEN_FILES),
            *("sample/train.json", "one"),
        }
        assert [passage.words for passage in named["one"].passages] == [("acme", "left")]
        assert named["one"].listed == ("company", "person")
        assert named["open/more.json"].listed is None
        dev = {each.name: each.passages for each in read.dev}
        trained = {passage.words for source in read.sources for passage in source.passages}
        assert trained.isdisjoint(passage.words for passage in dev["open"])
        assert dev["held"] == [
            Passage(
                tuple(word_texts("ann built the new bank of the big old city")),
                (Entity(0, 1, "person"),),
                ("person", "city"),
            )
        ]

    def test_files_of_the_user_are_kept_apart(self, recipe, data):
        more = data / "mine.json"
        more.write_text(json.dumps([row("acme left")]))
        read = recipe.read_data(data, [more])
        assert "one" not in {source.name for source in read.sources}

    def test_data_and_open_answers_are_the_same_each_time(self, recipe, data):
        first, second = recipe.read_data(data), recipe.read_data(data)
        assert first.sources == second.sources
        assert first.dev == second.dev

    @pytest.mark.parametrize(
        ("name", "content"),
        [("permissive.json", "{"), ("permissive.json", "{}"), ("permissive.json", None)],
    )
    def test_a_broken_list_of_sets_is_named(self, recipe, data, name, content):
        (data / name).unlink()
        if content is not None:
            (data / name).write_text(content)
        with pytest.raises(CorpusError, match=name) as error:
            recipe.read_data(data)
        assert "\n" not in str(error.value)


def source_of(recipe, name, lengths, listed=None):
    passages = [Passage(tuple(f"{name}{n}" for _ in range(size))) for n, size in enumerate(lengths)]
    return recipe.Source(name, passages, listed)


class TestBatches:
    def sources(self, recipe):
        return [
            source_of(recipe, "open", range(20, 120)),
            *(source_of(recipe, "listed", [30] * 50, ("gene",)),),
        ]

    def test_batches_hold_at_most_640_padded_words(self, recipe):
        batches = recipe.plan_batches(self.sources(recipe), 40, seed=0)
        assert len(batches) == 40
        for batch in batches:
            lengths = [len(passage.words) for _, passage in batch]
            assert max(lengths) * len(batch) <= recipe.BATCH_WORDS

    def test_batches_depend_on_the_seed_alone(self, recipe):
        once, again, other = (
            recipe.plan_batches(self.sources(recipe), 20, seed=seed) for seed in (0, 0, 1)
        )
        assert once == again != other

    def test_a_longer_run_begins_with_the_batches_of_a_shorter_one(self, recipe):
        short, long = (recipe.plan_batches(self.sources(recipe), n, seed=0) for n in (5, 50))
        assert long[:5] == short

    def test_three_of_five_passages_are_open_ones(self, recipe):
        draws = islice(recipe.draw_passages(self.sources(recipe), random.Random(0)), 3000)
        counts = Counter(source.name for source, _ in draws)
        assert counts["open"] / 3000 == pytest.approx(0.6, abs=0.04)

    def test_a_source_is_drawn_once_before_a_passage_comes_again(self, recipe):
        source = source_of(recipe, "open", range(1, 60))
        drawn = list(islice(recipe.deal(source, random.Random(0)), 2 * 59))
        assert sorted(len(passage.words) for passage in drawn[:59]) == list(range(1, 60))
        assert Counter(drawn) == dict.fromkeys(source.passages, 2)
        assert drawn[:59] != drawn[59:]

    def test_only_passages_with_a_list_of_labels_are_joined(self, recipe):
        for listed, most in ((None, 2), (("gene",), 200)):
            source = source_of(recipe, "some", [2] * 50, listed)
            drawn = islice(recipe.deal(source, random.Random(0)), 20)
            longest = max(len(passage.words) for passage in drawn)
            assert 2 <= longest <= most
            assert (longest > 2) == (listed is not None)


class TestCrop:
    PASSAGE = Passage(
        tuple(f"w{n}" for n in range(300)), tuple(Entity(n, n + 2, "x") for n in range(0, 298, 2))
    )

    def test_crop_keeps_the_entities_inside(self, recipe):
        starts = set()
        for seed in range(20):
            part = recipe.crop(self.PASSAGE, random.Random(seed))
            start = int(part.words[0][1:])
            starts.add(start)
            assert part.words == self.PASSAGE.words[start : start + recipe.MAX_WORDS]
            assert [part.words[entity.start_word] for entity in part.entities] == [
                f"w{n}"
                for n in range(0, 298, 2)
                if start <= n and n + 2 <= start + recipe.MAX_WORDS
            ]
        assert len(starts) > 10

    def test_a_short_passage_is_kept_whole(self, recipe):
        short = Passage(("a",) * recipe.MAX_WORDS)
        assert recipe.crop(short, random.Random(0)) is short


def test_part_of_takes_neighbors_up_to_a_number_of_words(recipe):
    passages = [Passage((f"w{n}",) * 3) for n in range(20)]
    part = recipe.part_of(passages, max_words=12)
    first = passages.index(part[0])
    assert part == [passages[(first + n) % 20] for n in range(4)]
    assert sorted(map(passages.index, recipe.part_of(passages))) == list(range(20))
