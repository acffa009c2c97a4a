"""The text to learn from loses no word and contains nothing that is kept apart."""

import importlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.entities import Entity, Passage, count_words
from gliner_distill.labels import clean_label

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
BENCHMARKS = RECIPES.parent / "benchmarks"
IN_DOMAIN_PASSAGES = 2
KINDS = tuple(f"kind {number}" for number in range(6))
FILES = ("train", "more", "focus", "real")

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def transfer_set():
    """The recipe as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("transfer_set")


@st.composite
def some_passages(draw, max_words=160):
    """Return passages of numbered words, each with entities."""
    passages, n_before = [], 0
    for length in draw(st.lists(st.integers(1, max_words), max_size=12)):
        words = tuple(f"w{n_before + place}" for place in range(length))
        n_before += length
        starts = draw(st.lists(st.integers(0, length - 1), max_size=3))
        entities = [Entity(at, draw(st.integers(at + 1, length)), f"of {at}") for at in starts]
        passages.append(Passage(words, tuple(entities)))
    return passages


def texts_of(passages):
    """Return the words and label of every entity."""
    return [
        (passage.words[entity.start_word : entity.end_word], entity.label)
        for passage in passages
        for entity in passage.entities
    ]


def all_words(passages):
    return [word for passage in passages for word in passage.words]


class TestGrams:
    WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

    def grams(self, transfer_set, *texts):
        return list(transfer_set.grams(texts))

    def test_grams_are_of_each_eight_words_in_a_row(self, transfer_set):
        assert len(self.grams(transfer_set, self.WORDS)) == 3
        assert len(self.grams(transfer_set, self.WORDS[:8])) == 1
        first, second = (self.grams(transfer_set, text) for text in (self.WORDS, self.WORDS[1:9]))
        assert second == first[1:2]
        assert set(first).isdisjoint(self.grams(transfer_set, (*self.WORDS[:7], "other", "ten")))

    def test_grams_of_a_shorter_text_are_of_the_whole(self, transfer_set):
        short = self.grams(transfer_set, self.WORDS[:3])
        assert short == self.grams(transfer_set, self.WORDS[:3])
        assert len(short) == 1
        assert set(short).isdisjoint(self.grams(transfer_set, self.WORDS, self.WORDS[:2]))

    def test_grams_ignore_case_and_punctuation(self, transfer_set):
        dressed = ("“", *(word.upper() for word in self.WORDS[:5]), ",", "—", *self.WORDS[5:], ".")
        assert self.grams(transfer_set, dressed) == self.grams(transfer_set, self.WORDS)

    def test_grams_do_not_cross_texts(self, transfer_set):
        halves = self.WORDS[:5], self.WORDS[5:]
        both = self.grams(transfer_set, *halves)
        assert both == [*self.grams(transfer_set, halves[0]), *self.grams(transfer_set, halves[1])]
        assert set(both).isdisjoint(self.grams(transfer_set, self.WORDS))

    @pytest.mark.slow
    @given(*[st.lists(st.sampled_from("ab"), min_size=8, max_size=20)] * 2)
    def test_grams_are_shared_exactly_where_eight_words_are(self, transfer_set, first, second):
        def rows(words):
            return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

        shares = bool(set(transfer_set.grams([first])) & set(transfer_set.grams([second])))
        assert shares == bool(rows(first) & rows(second))


class TestCut:
    def test_cut_makes_parts_of_160_words_with_their_entities(self, transfer_set):
        words = tuple(f"w{place}" for place in range(370))
        spans = [(0, 2), (158, 160), (159, 161), (160, 161), (319, 320), (310, 330), (369, 370)]
        passage = Passage(words, tuple(Entity(*span, "x") for span in spans))
        parts = list(transfer_set.cut(passage))
        assert [len(part.words) for part in parts] == [160, 160, 50]
        assert all_words(parts) == list(words)
        assert [
            [(entity.start_word, entity.end_word) for entity in part.entities] for part in parts
        ] == [
            [(0, 2), (158, 160)],
            [(0, 1), (159, 160)],
            [(49, 50)],
        ]

    @pytest.mark.slow
    @given(some_passages(max_words=450))
    def test_cut_leaves_out_only_entities_across_a_border(self, transfer_set, passages):
        for passage in passages:
            parts = list(transfer_set.cut(passage))
            kept = [
                entity
                for entity in passage.entities
                if entity.start_word // 160 == (entity.end_word - 1) // 160
            ]
            assert all_words(parts) == list(passage.words)
            assert all(len(part.words) <= 160 for part in parts)
            expected = texts_of([Passage(passage.words, tuple(kept))])
            assert sorted(texts_of(parts)) == sorted(expected)

    def test_cut_leaves_a_short_passage_alone(self, transfer_set):
        passage = Passage(("a", "b"), (Entity(0, 2, "x"),))
        assert list(transfer_set.cut(passage)) == [passage]


class TestJoin:
    @pytest.mark.slow
    @given(some_passages(), st.integers(0, 100))
    def test_join_loses_no_word_and_moves_entities_along(self, transfer_set, passages, seed):
        joined = list(transfer_set.join(passages, random.Random(seed)))
        assert all_words(joined) == all_words(passages)
        assert texts_of(joined) == texts_of(passages)
        assert all(1 <= len(passage.words) <= 160 for passage in joined)
        assert len(joined) <= len(passages)

    def test_join_stops_at_a_random_length_from_1_to_80(self, transfer_set):
        passages = [Passage((f"w{place}",)) for place in range(40_000)]
        lengths = [len(passage.words) for passage in transfer_set.join(passages, random.Random(0))]
        assert set(lengths[:-1]) == set(range(1, 81))
        assert np.mean(lengths[:-1]) == pytest.approx(40.5, abs=3)

    def test_join_leaves_a_passage_that_is_long_enough_alone(self, transfer_set):
        passages = [Passage(tuple(f"{row} {place}" for place in range(80))) for row in range(50)]
        assert list(transfer_set.join(passages, random.Random(0))) == passages

    def test_join_ends_a_passage_before_it_is_too_long(self, transfer_set):
        short, long = Passage(("a",) * 10), Passage(("b",) * 155)
        for seed in range(50):
            joined = [
                len(passage.words)
                for passage in transfer_set.join([short, long], random.Random(seed))
            ]
            assert joined == [10, 155]

    def test_join_depends_on_the_random_numbers_alone(self, transfer_set):
        passages = [Passage((f"w{place}",) * 7) for place in range(100)]
        once, again, other = (
            list(transfer_set.join(passages, random.Random(seed))) for seed in (0, 0, 1)
        )
        assert once == again != other


class TestTakeWords:
    PASSAGES = tuple(Passage((f"w{row}",) * 3) for row in range(4))

    @pytest.mark.parametrize(
        ("n_words", "n_taken"), [(-5, 0), (0, 0), (1, 1), (3, 1), (4, 2), (12, 4), (99, 4)]
    )
    def test_take_words_takes_the_first_passages_until_there_are_enough(
        self, transfer_set, n_words, n_taken
    ):
        taken = list(transfer_set.take_words(self.PASSAGES, n_words))
        assert taken == list(self.PASSAGES[:n_taken])

    def test_take_words_asks_for_no_passage_more_than_it_needs(self, transfer_set):
        rest = iter(self.PASSAGES)
        assert len(list(transfer_set.take_words(rest, 4))) == 2
        assert len(list(rest)) <= 2


def passage_of(name, row, *more):
    """Return a passage of ten words of its own and perhaps others."""
    # Words with digits count as numbers in a template, so rows and places are letters.
    words = tuple(f"{name}-{chr(97 + row)}-{chr(97 + place)}" for place in range(10)) + more
    return Passage(words, (Entity(1, 3, clean_label(f"{name} thing")),))


def write_set(folder, name, passages):
    folder.mkdir(exist_ok=True)
    lines = [
        json.dumps(
            {
                "tokenized_text": passage.words,
                "ner": [[e.start_word, e.end_word - 1, e.label] for e in passage.entities],
            }
        )
        for passage in passages
    ]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    listed = [f"{name}_Thing", f"{name} thing", *(f"{name} {kind}" for kind in KINDS)]
    (folder / f"{name}.labels.json").write_text(json.dumps(listed))


@pytest.fixture
def world(transfer_set, tmp_path, monkeypatch):
    """A folder of tiny sets and open files, by name; each passage has words of its own."""
    names = (*transfer_set.HELD_OUT, *transfer_set.IN_DOMAIN, "presidio_pii", "other", "secret")
    sets = {name: [passage_of(name, row) for row in range(10)] for name in names}
    files = {name: [passage_of(name, row) for row in range(18)] for name in FILES}
    # Ten passages with two kinds of personal data, of which one is kept apart.
    files["more"] += [personal_passage(row) for row in range(10)]
    # Eight words of text that is kept apart, in capitals and with a comma; and seven.
    copied = tuple(word.upper() for word in sets[transfer_set.HELD_OUT[0]][3].words)
    sets["other"] += [
        passage_of("leak", 0, *copied[:4], ",", *copied[4:8]),
        passage_of("near", 0, *copied[:7]),
        passage_of("apart", 0, *files["real"][7].words),
    ]
    files["train"] += [passage_of("copy", 0, *files["focus"][17].words)]
    for name, passages in sets.items():
        write_set(tmp_path / "corpora", name, passages)
    (tmp_path / "permissive.json").write_text(json.dumps(names[:-1]))
    (tmp_path / "open").mkdir()
    for name, passages in files.items():
        write_passages(tmp_path / "open" / f"{name}.json", passages)
    rows = json.loads((tmp_path / "open" / "real.json").read_text())
    for number, row in enumerate(rows):
        row["source"] = f"{'other' if number % 2 else 'btc'}:{number}"
    (tmp_path / "open" / "real.json").write_text(json.dumps(rows))
    (tmp_path / "open" / "labels.jsonl").write_text("")
    write_passages(tmp_path / "sample.json", [passage_of("sample", 0)])
    monkeypatch.setattr(transfer_set, "sample_path", lambda split: tmp_path / "sample.json")
    return sets | files


def personal_passage(row):
    passage = passage_of("personal", row)
    return Passage(passage.words, (Entity(0, 1, "phone number"), Entity(2, 3, "email")))


@pytest.fixture
def gather(transfer_set, tmp_path, world):
    def gather(seed=0, out="."):
        folder = tmp_path / out
        return transfer_set.gather(tmp_path, folder, seed, n_in_domain=IN_DOMAIN_PASSAGES)

    return gather


class TestGather:
    def read_apart(self, folder):
        return {path.stem: list(CorpusFile(path)) for path in sorted(folder.glob("apart/*.json"))}

    def read_in_domain(self, folder):
        return {path.stem: list(CorpusFile(path)) for path in folder.glob("in_domain/*.jsonl")}

    def test_gather_keeps_open_passages_apart_in_groups(self, tmp_path, world, gather):
        gather()
        apart = self.read_apart(tmp_path)
        assert list(apart) == ["personal", "rare", "real", "written"]
        assert apart["written"] == [world["train"][7], world["more"][7]]
        assert apart["rare"] == [world["focus"][7], world["focus"][17]]
        assert apart["real"] == [world["real"][7]]
        [personal] = apart["personal"]
        assert personal in world["more"][18:]

    def test_gather_takes_all_open_text_that_is_not_kept_apart(self, tmp_path, world, gather):
        found = gather().open
        apart = [passage for group in self.read_apart(tmp_path).values() for passage in group]
        expected = [passage_of("sample", 0)]
        for name in FILES:
            expected += [passage for passage in world[name] if passage not in apart]
        expected.remove(world["train"][-1])  # a copy of a passage that is kept apart
        assert found == expected

    def test_gather_takes_all_other_text_of_sets_once(self, transfer_set, tmp_path, world, gather):
        found = gather().sets
        drawn = self.read_in_domain(tmp_path)
        assert set(found) == {*transfer_set.IN_DOMAIN, "presidio_pii", "other"}
        for name in transfer_set.IN_DOMAIN:
            assert len(drawn[name]) == IN_DOMAIN_PASSAGES
            assert found[name] == [each for each in world[name] if each not in drawn[name]]
        # Seven words alike are no leak.
        assert found["other"] == [*world["other"][:10], world["other"][11]]
        assert len(found["presidio_pii"]) == 8  # a fifth of the templates is kept apart

    def test_gather_shares_no_eight_words_with_text_that_is_kept_apart(
        self, transfer_set, tmp_path, world, gather
    ):
        material = gather()
        kept = [*material.open, *(each for part in material.sets.values() for each in part)]
        held = [passage for name in transfer_set.HELD_OUT for passage in world[name]]
        for part in (*self.read_apart(tmp_path).values(), *self.read_in_domain(tmp_path).values()):
            held += part
        seen = set(transfer_set.grams(passage.words for passage in held))
        assert seen.isdisjoint(transfer_set.grams(passage.words for passage in kept))

    def test_gather_writes_no_empty_group(self, tmp_path, world, gather):
        write_passages(tmp_path / "open" / "focus.json", world["focus"][:5])
        gather()
        assert list(self.read_apart(tmp_path)) == ["personal", "real", "written"]

    def test_gather_cuts_long_passages(self, transfer_set, tmp_path, world, gather):
        long = Passage(tuple(f"long{place}" for place in range(200)), (Entity(0, 1, "a"),))
        write_passages(tmp_path / "open" / "train.json", [long])
        write_set(tmp_path / "corpora", "other", [long])
        material = gather()
        # The sample comes first.
        assert [len(passage.words) for passage in material.open[1:3]] == [160, 40]
        assert [len(passage.words) for passage in material.sets["other"]] == [160, 40]

    def test_gather_returns_the_label_lists_as_they_are_asked(self, gather):
        material = gather()
        assert set(material.listed) == set(material.sets)
        assert material.listed["other"] == ["other thing", *(f"other {kind}" for kind in KINDS)]

    def test_gather_counts_real_text_with_its_set(self, tmp_path, world, gather):
        material = gather()
        counts = json.loads((tmp_path / "sets.json").read_text())
        real = {"btc": 9, "other": 8}  # the passage kept apart, number 7, belongs to `other`
        for name, passages in material.sets.items():
            assert counts[name] == count_words(passages) + 10 * real.get(name, 0)
        assert set(counts) == {"open and sample", *material.sets}
        everything = [*material.open, *(each for part in material.sets.values() for each in part)]
        assert sum(counts.values()) == count_words(everything)

    def test_gather_prints_how_many_passages_were_left_out(self, gather, capsys):
        gather()
        lines = capsys.readouterr().out.splitlines()
        assert "other: 2 of 13 passages left out" in lines
        assert "presidio_pii: 0 of 8 passages left out" in lines
        assert "btc: 0 of 8 passages left out" in lines  # the two held out are not among them
        assert len(lines) == 8

    @pytest.mark.slow
    def test_gather_writes_held_out_passages_for_open_label(
        self, transfer_set, tmp_path, world, gather, monkeypatch
    ):
        gather()
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        open_label = importlib.import_module("open_label")
        folder = tmp_path / "in_domain"
        assert open_label.list_names(folder, "") == sorted(transfer_set.IN_DOMAIN)
        for name in transfer_set.IN_DOMAIN:
            found = open_label.read_set(folder, name, 100)
            assert len(found.passages) == IN_DOMAIN_PASSAGES
            assert all(passage in world[name] for passage in found.passages)
            asked = tuple(f"{name} {rest}" for rest in ("thing", *KINDS))
            assert found.labels == tuple(map(clean_label, asked))
            assert found.gold == [[Entity(1, 3, found.labels[0])]] * IN_DOMAIN_PASSAGES

    def test_gather_depends_on_the_seed_alone(self, tmp_path, gather):
        once = gather(out="once")
        assert gather(out="again") == once
        written = [path for path in (tmp_path / "once").rglob("*") if path.is_file()]
        assert len(written) == 17
        for path in written:
            again = tmp_path / "again" / path.relative_to(tmp_path / "once")
            assert again.read_bytes() == path.read_bytes()
        assert gather(seed=1, out="other").sets != once.sets

    def test_gather_needs_all_open_files(self, tmp_path, gather):
        shutil.move(tmp_path / "open" / "real.json", tmp_path / "elsewhere.json")
        with pytest.raises(Exception, match=r"real\.json"):
            gather()
