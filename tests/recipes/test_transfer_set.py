"""The transfer set loses no word and contains no held-out text."""

import doctest
import importlib
import json
import random
import shutil
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
BENCHMARKS = RECIPES.parent / "benchmarks"
IN_DOMAIN_PASSAGES = 2
KINDS = tuple(f"kind {number}" for number in range(6))

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
def some_passages(draw, max_words=200):
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
    def test_cut_makes_parts_of_200_words_with_their_entities(self, transfer_set):
        words = tuple(f"w{place}" for place in range(450))
        spans = [(0, 2), (198, 200), (199, 201), (200, 201), (399, 400), (350, 410), (449, 450)]
        passage = Passage(words, tuple(Entity(*span, "x") for span in spans))
        parts = list(transfer_set.cut(passage))
        assert [len(part.words) for part in parts] == [200, 200, 50]
        assert all_words(parts) == list(words)
        assert [
            [(entity.start_word, entity.end_word) for entity in part.entities] for part in parts
        ] == [
            [(0, 2), (198, 200)],
            [(0, 1), (199, 200)],
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
                if entity.start_word // 200 == (entity.end_word - 1) // 200
            ]
            assert all_words(parts) == list(passage.words)
            assert all(len(part.words) <= 200 for part in parts)
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
        assert all(1 <= len(passage.words) <= 200 for passage in joined)
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
        short, long = Passage(("a",) * 10), Passage(("b",) * 195)
        for seed in range(50):
            joined = [
                len(passage.words)
                for passage in transfer_set.join([short, long], random.Random(seed))
            ]
            assert joined == [10, 195]

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
        assert transfer_set.take_words(self.PASSAGES, n_words) == list(self.PASSAGES[:n_taken])


class TestOtherWords:
    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            *(("city", "cities"), ("day", "days"), ("key", "keys"), ("person", "persons")),
            *(("class", "class"), ("box", "boxes"), ("branch", "branches"), ("dish", "dishes")),
            *(("works", "works"), ("y", "ys"), ("body of water", "body of waters")),
        ],
    )
    def test_plural_is_regular(self, transfer_set, label, expected):
        assert transfer_set.plural(label) == expected

    def test_paraphrase_differs_from_the_label_and_contains_it(self, transfer_set):
        for label in ("river", "work of art", "名前"):
            found = {transfer_set.paraphrase(label, random.Random(seed)) for seed in range(100)}
            assert len(found) == 6
            assert label not in found
            assert all(label in form for form in found)

    def test_paraphrase_is_as_its_example_says(self, transfer_set):
        ran = doctest.testmod(transfer_set)
        assert ran.attempted > 0
        assert ran.failed == 0


class TestWithNear:
    NEAR = {"city": ["town", "village"], "river": ["stream"]}  # noqa: RUF012

    def asked(self, transfer_set, passage, seed):
        return transfer_set.with_near(passage, self.NEAR, random.Random(seed)).labels

    def test_with_near_adds_labels_near_to_its_own(self, transfer_set):
        passage = Passage(("a", "b"), (Entity(0, 1, "city"),), ("river",))
        rows = [self.asked(transfer_set, passage, seed) for seed in range(200)]
        near, forms = {"town", "village", "stream"}, set()
        for row in rows:
            assert row[0] == "river"
            assert len(set(row)) == len(row)
            assert set(row[1:]) & near
            forms |= set(row) - near - {"river"}
        # Four in ten have a paraphrase of one of its own.
        assert sum(bool(set(row) - near - {"river"}) for row in rows) == pytest.approx(80, abs=20)
        assert {"cities", "rivers", "type of city"} <= forms

    def test_with_near_leaves_a_passage_without_labels_alone(self, transfer_set):
        passage = Passage(("a", "b"))
        assert transfer_set.with_near(passage, {}, random.Random(0)) is passage


class TestNearestLabels:
    def test_nearest_labels_are_ordered_by_the_encoder(self, transfer_set, gliner_folder):
        torch = pytest.importorskip("torch")
        teacher = transfer_set.GLiNERTeacher.from_pretrained(gliner_folder)
        labels = ["city", "old city", "river", "name of a river", "person"]
        passages = [Passage(("a",), (Entity(0, 1, "city"),), tuple(labels[1:]))]
        near = transfer_set.nearest_labels(passages, teacher, n_nearest=3)
        tokenizer = teacher.model.data_processor.transformer_tokenizer
        encoder = teacher.model.model.token_rep_layer.bert_layer.model
        with torch.inference_mode():  # each by itself, without padding
            rows = [
                encoder(**tokenizer(label, return_tensors="pt")).last_hidden_state[0].mean(0)
                for label in labels
            ]
        vectors = torch.stack(rows) - torch.stack(rows).mean(0)
        likeness = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1)
        for row, label in enumerate(labels):
            order = likeness[row].argsort(descending=True).tolist()
            assert near[label] == [labels[place] for place in order if place != row][:3]
        assert sorted(near) == sorted(labels)


class TestGather:
    """A folder of tiny sets, each passage of which has words of its own."""

    N_PASSAGES = 6

    def passage(self, name, row, *more):
        words = tuple(f"{name}{row}word{place}" for place in range(10)) + more
        return Passage(words, (Entity(1, 3, clean_label(f"{name} thing")),))

    def write(self, folder, name, passages, listed):
        folder.mkdir(exist_ok=True)
        write_passages(folder / f"{name}.jsonl", passages)
        (folder / f"{name}.labels.json").write_text(json.dumps(listed))

    @pytest.fixture
    def world(self, transfer_set, tmp_path, monkeypatch):
        """Sets by name: those held out, those in part, two more, and one that may not ship."""
        held, inside = transfer_set.HELD_OUT, transfer_set.IN_DOMAIN
        names = (*held, *inside, "more", "short", "secret")
        sets = {name: [self.passage(name, row) for row in range(self.N_PASSAGES)] for name in names}
        sets["short"] = sets["short"][:1]
        # Eight words of held-out text, in capitals and with a comma; and seven.
        copied = tuple(word.upper() for word in sets[held[0]][3].words)
        sets["more"] += [
            self.passage("leak", 0, *copied[:4], ",", *copied[4:8]),
            self.passage("near", 0, *copied[:7]),
            *(
                self.passage("copy", row, *passage.words)
                for row, passage in enumerate(sets[inside[0]])
            ),
        ]
        for name, passages in sets.items():
            listed = [f"{name}_Thing", f"{name} thing", *(f"{name} {kind}" for kind in KINDS)]
            self.write(tmp_path / "corpora", name, passages, listed)
        permitted = [name for name in names if name != "secret"]
        (tmp_path / "permissive.json").write_text(json.dumps(permitted))
        (tmp_path / "open").mkdir()
        ours = [self.passage("open", 0), self.passage("bad", 0, *sets[held[-1]][0].words)]
        write_passages(tmp_path / "open" / "train.json", ours)
        write_passages(tmp_path / "sample.json", [self.passage("sample", 0)])
        monkeypatch.setattr(transfer_set, "sample_path", lambda split: tmp_path / "sample.json")
        monkeypatch.setattr(transfer_set, "nearest_labels", self.near)
        return sets

    def near(self, passages, teacher):
        assert teacher == "the teacher"
        labels = {label for passage in passages for label in passage.own_labels}
        return {label: [f"near {label}"] for label in labels}

    @pytest.fixture
    def gather(self, transfer_set, tmp_path, world):
        def gather(n_words=100_000, seed=0, out=".", **options):
            options = {"n_in_domain": IN_DOMAIN_PASSAGES} | options
            folder = tmp_path / out
            return list(
                transfer_set.gather(tmp_path, n_words, "the teacher", folder, seed, **options)
            )

        return gather

    def drawn(self, transfer_set, folder):
        """Return the held-out passages of each set that is held out in part."""
        return {name: list(CorpusFile(folder / f"{name}.jsonl")) for name in transfer_set.IN_DOMAIN}

    def test_gather_takes_all_text_once_but_no_held_out_text(
        self, transfer_set, tmp_path, world, gather
    ):
        found = gather()
        drawn = self.drawn(transfer_set, tmp_path / "in_domain")
        held = [*chain.from_iterable(drawn.values())]
        held += [passage for name in transfer_set.HELD_OUT for passage in world[name]]
        rows_of = {
            passage.words: row for row, passage in enumerate(world[transfer_set.IN_DOMAIN[0]])
        }
        rows_drawn = [rows_of[passage.words] for passage in drawn[transfer_set.IN_DOMAIN[0]]]
        kept_copies = [row for row in range(self.N_PASSAGES) if row not in rows_drawn]
        assert len(kept_copies) == self.N_PASSAGES - IN_DOMAIN_PASSAGES
        expected = [self.passage("open", 0), self.passage("sample", 0), *world["short"]]
        expected += world["more"][: self.N_PASSAGES]
        expected += [world["more"][self.N_PASSAGES + 1]]  # seven words alike are no leak
        expected += [world["more"][self.N_PASSAGES + 2 + row] for row in kept_copies]
        for name in transfer_set.IN_DOMAIN:
            expected += [passage for passage in world[name] if passage not in drawn[name]]
        assert sorted(all_words(found)) == sorted(all_words(expected))
        assert sorted(texts_of(found)) == sorted(texts_of(expected))
        seen = set(transfer_set.grams(passage.words for passage in held))
        assert seen.isdisjoint(transfer_set.grams(passage.words for passage in found))

    def test_gather_prints_how_many_passages_were_left_out(self, gather, capsys):
        gather()
        lines = capsys.readouterr().out.splitlines()
        assert "more: 3 of 14 passages left out" in lines
        assert "short: 0 of 1 passages left out" in lines
        assert "btc: 0 of 4 passages left out" in lines  # the two held out are not among them
        assert len(lines) == 8  # the six in part, and two more

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
            assert [passage in world[name] for passage in found.passages] == [
                True
            ] * IN_DOMAIN_PASSAGES
            asked = tuple(f"{name} {rest}" for rest in ("thing", *KINDS))
            assert found.labels == tuple(map(clean_label, asked))
            assert found.gold == [[Entity(1, 3, found.labels[0])]] * IN_DOMAIN_PASSAGES

    def test_gather_asks_for_listed_and_near_labels(self, world, gather):
        forms = ("{}s", "{} name", "name of a {}", "type of {}", "specific {}", "mention of a {}")
        for passage in gather():
            name = passage.words[0].split("word")[0].rstrip("0123456789")
            of_set = "more" if name in ("near", "copy") else name
            listed = {clean_label(f"{of_set} {rest}") for rest in ("thing", *KINDS)}
            listed &= set(passage.labels)
            assert len(listed) == (0 if name in ("open", "sample") else 4)
            own = listed | {entity.label for entity in passage.entities}
            near = {label for label in passage.labels if label.startswith("near ")}
            assert 1 <= len(near) <= 4
            assert {label.removeprefix("near ") for label in near} <= own
            paraphrases = set(passage.labels) - near - own
            assert len(paraphrases) <= 1
            assert paraphrases <= {form.format(label) for form in forms for label in own}

    def test_gather_depends_on_the_seed_alone(self, tmp_path, gather):
        once = gather(out="once")
        assert gather(out="again") == once
        written = [path for path in (tmp_path / "once").rglob("*") if path.is_file()]
        assert len(written) == 13
        for path in written:
            again = tmp_path / "again" / path.relative_to(tmp_path / "once")
            assert again.read_bytes() == path.read_bytes()
        other = gather(seed=1, out="other")
        assert sorted(map(repr, other)) != sorted(map(repr, once))

    def test_gather_gives_each_set_its_share(self, transfer_set, gather):
        found = gather(n_words=200, max_joined_words=1)  # each passage by itself
        counts = Counter(passage.words[0].split("word")[0][:-1] for passage in found)
        assert (counts.pop("open"), counts.pop("sample"), counts.pop("short")) == (1, 1, 1)
        # Of 170 words left for seven sets the first three have 24, 23 and 22, the others 20, each
        # rounded up to passages of 10.
        in_part = [counts.pop(name) for name in transfer_set.IN_DOMAIN]
        assert sorted(in_part) == [2, 2, 2, 3, 3, 3]
        assert 1 <= counts.total() <= 2
        assert 200 <= len(all_words(found)) < 220

    def test_gather_of_few_words_takes_open_text_alone(self, gather):
        found = gather(n_words=5)
        names = {passage.words[0].split("word")[0] for passage in found}
        assert names == {"open0", "sample0"}

    def test_gather_takes_only_permissive_sets_and_whole_folders(self, tmp_path, gather):
        assert not any("secret" in word for word in all_words(gather()))
        shutil.rmtree(tmp_path / "open")
        with pytest.raises(Exception, match=r"train\.json"):
            gather()
