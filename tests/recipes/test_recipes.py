"""The recipe of the transfer set: no word lost in it, and no held-out text found."""

import argparse
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
        (passage.words[one.start_word : one.end_word], one.label)
        for passage in passages
        for one in passage.entities
    ]


def all_words(passages):
    return [word for passage in passages for word in passage.words]


class TestGrams:
    WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

    def grams(self, transfer_set, *texts):
        return list(transfer_set.grams(texts))

    def test_are_of_each_eight_words_in_a_row(self, transfer_set):
        assert len(self.grams(transfer_set, self.WORDS)) == 3
        assert len(self.grams(transfer_set, self.WORDS[:8])) == 1
        first, second = (self.grams(transfer_set, text) for text in (self.WORDS, self.WORDS[1:9]))
        assert second == first[1:2]
        assert set(first).isdisjoint(self.grams(transfer_set, (*self.WORDS[:7], "other", "ten")))

    def test_of_a_shorter_text_are_of_the_whole(self, transfer_set):
        short = self.grams(transfer_set, self.WORDS[:3])
        assert short == self.grams(transfer_set, self.WORDS[:3])
        assert len(short) == 1
        assert set(short).isdisjoint(self.grams(transfer_set, self.WORDS, self.WORDS[:2]))

    def test_look_at_neither_case_nor_punctuation(self, transfer_set):
        dressed = ("“", *(word.upper() for word in self.WORDS[:5]), ",", "—", *self.WORDS[5:], ".")
        assert self.grams(transfer_set, dressed) == self.grams(transfer_set, self.WORDS)

    def test_are_of_texts_one_by_one(self, transfer_set):
        halves = self.WORDS[:5], self.WORDS[5:]
        both = self.grams(transfer_set, *halves)
        assert both == [*self.grams(transfer_set, halves[0]), *self.grams(transfer_set, halves[1])]
        assert set(both).isdisjoint(self.grams(transfer_set, self.WORDS))

    @given(*[st.lists(st.sampled_from("ab"), min_size=8, max_size=20)] * 2)
    def test_are_shared_exactly_where_eight_words_are(self, transfer_set, first, second):
        def rows(words):
            return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

        shares = bool(set(transfer_set.grams([first])) & set(transfer_set.grams([second])))
        assert shares == bool(rows(first) & rows(second))


class TestCut:
    def test_makes_parts_of_200_words_with_their_entities(self, transfer_set):
        words = tuple(f"w{place}" for place in range(450))
        spans = [(0, 2), (198, 200), (199, 201), (200, 201), (399, 400), (350, 410), (449, 450)]
        passage = Passage(words, tuple(Entity(*span, "x") for span in spans))
        parts = list(transfer_set.cut(passage))
        assert [len(part.words) for part in parts] == [200, 200, 50]
        assert all_words(parts) == list(words)
        assert [[(one.start_word, one.end_word) for one in part.entities] for part in parts] == [
            [(0, 2), (198, 200)],
            [(0, 1), (199, 200)],
            [(49, 50)],
        ]

    @given(some_passages(max_words=450))
    def test_leaves_out_only_the_entities_across_a_border(self, transfer_set, passages):
        for passage in passages:
            parts = list(transfer_set.cut(passage))
            kept = [
                one
                for one in passage.entities
                if one.start_word // 200 == (one.end_word - 1) // 200
            ]
            assert all_words(parts) == list(passage.words)
            assert all(len(part.words) <= 200 for part in parts)
            expected = texts_of([Passage(passage.words, tuple(kept))])
            assert sorted(texts_of(parts)) == sorted(expected)

    def test_of_a_short_passage_is_itself(self, transfer_set):
        passage = Passage(("a", "b"), (Entity(0, 2, "x"),))
        assert list(transfer_set.cut(passage)) == [passage]


class TestJoin:
    @given(some_passages(), st.integers(0, 100))
    def test_loses_no_word_and_moves_entities_along(self, transfer_set, passages, seed):
        joined = list(transfer_set.join(passages, random.Random(seed)))
        assert all_words(joined) == all_words(passages)
        assert texts_of(joined) == texts_of(passages)
        assert all(1 <= len(passage.words) <= 200 for passage in joined)
        assert len(joined) <= len(passages)

    def test_goes_on_until_a_length_drawn_from_1_to_80(self, transfer_set):
        passages = [Passage((f"w{place}",)) for place in range(40_000)]
        lengths = [len(one.words) for one in transfer_set.join(passages, random.Random(0))]
        assert set(lengths[:-1]) == set(range(1, 81))
        assert np.mean(lengths[:-1]) == pytest.approx(40.5, abs=3)

    def test_leaves_a_passage_that_is_long_enough_alone(self, transfer_set):
        passages = [Passage(tuple(f"{row} {place}" for place in range(80))) for row in range(50)]
        assert list(transfer_set.join(passages, random.Random(0))) == passages

    def test_ends_a_passage_before_it_is_too_long(self, transfer_set):
        short, long = Passage(("a",) * 10), Passage(("b",) * 195)
        for seed in range(50):
            joined = [
                len(one.words) for one in transfer_set.join([short, long], random.Random(seed))
            ]
            assert joined == [10, 195]

    def test_depends_on_the_draw_alone(self, transfer_set):
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
    def test_takes_the_first_until_there_are_enough(self, transfer_set, n_words, n_taken):
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
    def test_of_many_are_regular(self, transfer_set, label, expected):
        assert transfer_set.plural(label) == expected

    def test_of_a_label_differ_from_it_and_hold_it(self, transfer_set):
        for label in ("river", "work of art", "名前"):
            found = {transfer_set.paraphrase(label, random.Random(seed)) for seed in range(100)}
            assert len(found) == 6
            assert label not in found
            assert all(label in form for form in found)

    def test_are_as_its_example_says(self, transfer_set):
        ran = doctest.testmod(transfer_set)
        assert ran.attempted > 0
        assert ran.failed == 0


class TestWithNear:
    NEAR = {"city": ["town", "village"], "river": ["stream"]}  # noqa: RUF012

    def asked(self, transfer_set, passage, seed):
        return transfer_set.with_near(passage, self.NEAR, random.Random(seed)).labels

    def test_adds_to_what_is_listed_what_is_near_to_its_own(self, transfer_set):
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

    def test_leaves_a_passage_without_labels_alone(self, transfer_set):
        passage = Passage(("a", "b"))
        assert transfer_set.with_near(passage, {}, random.Random(0)) is passage


class TestNearestLabels:
    def test_are_the_others_in_order_of_what_the_encoder_makes_of_them(
        self, transfer_set, gliner_folder, monkeypatch
    ):
        torch = pytest.importorskip("torch")
        teacher = transfer_set.GLiNERTeacher.from_pretrained(gliner_folder)
        labels = ["city", "old city", "river", "name of a river", "person"]
        passages = [Passage(("a",), (Entity(0, 1, "city"),), tuple(labels[1:]))]
        monkeypatch.setattr(transfer_set, "NEAREST", 3)
        near = transfer_set.nearest_labels(passages, teacher)
        tokenizer = teacher.model.data_processor.transformer_tokenizer
        encoder = teacher.model.model.token_rep_layer.bert_layer.model
        with torch.inference_mode():  # one by one, without padding
            rows = [
                encoder(**tokenizer(one, return_tensors="pt")).last_hidden_state[0].mean(0)
                for one in labels
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
            *(self.passage("copy", row, *one.words) for row, one in enumerate(sets[inside[0]])),
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
        monkeypatch.setattr(transfer_set, "IN_DOMAIN_PASSAGES", IN_DOMAIN_PASSAGES)
        monkeypatch.setattr(transfer_set, "nearest_labels", self.near)
        return sets

    def near(self, passages, teacher):
        assert teacher == "the teacher"
        labels = {label for passage in passages for label in passage.own_labels}
        return {label: [f"near {label}"] for label in labels}

    @pytest.fixture
    def gather(self, transfer_set, tmp_path, world):
        def gather(n_words=100_000, seed=0, out="."):
            return list(transfer_set.gather(tmp_path, n_words, "the teacher", tmp_path / out, seed))

        return gather

    def drawn(self, transfer_set, folder):
        """Return the held-out passages of each set that is held out in part."""
        return {name: list(CorpusFile(folder / f"{name}.jsonl")) for name in transfer_set.IN_DOMAIN}

    def test_has_no_held_out_text_and_all_other_text_once(
        self, transfer_set, tmp_path, world, gather
    ):
        found = gather()
        drawn = self.drawn(transfer_set, tmp_path / "in_domain")
        held = [*chain.from_iterable(drawn.values())]
        held += [passage for name in transfer_set.HELD_OUT for passage in world[name]]
        rows_of = {one.words: row for row, one in enumerate(world[transfer_set.IN_DOMAIN[0]])}
        rows_drawn = [rows_of[one.words] for one in drawn[transfer_set.IN_DOMAIN[0]]]
        kept_copies = [row for row in range(self.N_PASSAGES) if row not in rows_drawn]
        assert len(kept_copies) == self.N_PASSAGES - IN_DOMAIN_PASSAGES
        expected = [self.passage("open", 0), self.passage("sample", 0), *world["short"]]
        expected += world["more"][: self.N_PASSAGES]
        expected += [world["more"][self.N_PASSAGES + 1]]  # seven words alike are no leak
        expected += [world["more"][self.N_PASSAGES + 2 + row] for row in kept_copies]
        for name in transfer_set.IN_DOMAIN:
            expected += [one for one in world[name] if one not in drawn[name]]
        assert sorted(all_words(found)) == sorted(all_words(expected))
        assert sorted(texts_of(found)) == sorted(texts_of(expected))
        seen = set(transfer_set.grams(passage.words for passage in held))
        assert seen.isdisjoint(transfer_set.grams(passage.words for passage in found))

    def test_says_how_many_were_left_out(self, gather, capsys):
        gather()
        lines = capsys.readouterr().out.splitlines()
        assert "more: 3 of 14 passages left out" in lines
        assert "short: 0 of 1 passages left out" in lines
        assert "btc: 0 of 4 passages left out" in lines  # the two held out are not among them
        assert len(lines) == 8  # the six in part, and two more

    def test_writes_what_open_label_reads(self, transfer_set, tmp_path, world, gather, monkeypatch):
        gather()
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        open_label = importlib.import_module("open_label")
        given = argparse.Namespace(folder=tmp_path / "in_domain", passages=100, sets="")
        assert open_label.list_names(given) == sorted(transfer_set.IN_DOMAIN)
        for name in transfer_set.IN_DOMAIN:
            found = open_label.read_set(given, name)
            assert len(found.passages) == IN_DOMAIN_PASSAGES
            assert [one in world[name] for one in found.passages] == [True] * IN_DOMAIN_PASSAGES
            asked = tuple(f"{name} {rest}" for rest in ("thing", *KINDS))
            assert found.labels == tuple(map(clean_label, asked))
            assert found.gold == [[Entity(1, 3, found.labels[0])]] * IN_DOMAIN_PASSAGES

    def test_asks_listed_and_near_labels(self, world, gather):
        forms = ("{}s", "{} name", "name of a {}", "type of {}", "specific {}", "mention of a {}")
        for passage in gather():
            name = passage.words[0].split("word")[0].rstrip("0123456789")
            of_set = "more" if name in ("near", "copy") else name
            listed = {clean_label(f"{of_set} {rest}") for rest in ("thing", *KINDS)}
            listed &= set(passage.labels)
            assert len(listed) == (0 if name in ("open", "sample") else 4)
            own = listed | {one.label for one in passage.entities}
            near = {label for label in passage.labels if label.startswith("near ")}
            assert 1 <= len(near) <= 4
            assert {label.removeprefix("near ") for label in near} <= own
            paraphrases = set(passage.labels) - near - own
            assert len(paraphrases) <= 1
            assert paraphrases <= {form.format(label) for form in forms for label in own}

    def test_is_the_same_for_a_seed_and_another_for_another(self, tmp_path, gather):
        once = gather(out="once")
        assert gather(out="again") == once
        written = [path for path in (tmp_path / "once").rglob("*") if path.is_file()]
        assert len(written) == 13
        for path in written:
            again = tmp_path / "again" / path.relative_to(tmp_path / "once")
            assert again.read_bytes() == path.read_bytes()
        other = gather(seed=1, out="other")
        assert sorted(map(repr, other)) != sorted(map(repr, once))

    def test_gives_each_set_its_share_as_far_as_it_reaches(self, transfer_set, gather, monkeypatch):
        monkeypatch.setattr(transfer_set, "MAX_JOINED", 1)  # each passage by itself
        found = gather(n_words=200)
        counts = Counter(passage.words[0].split("word")[0][:-1] for passage in found)
        assert (counts.pop("open"), counts.pop("sample"), counts.pop("short")) == (1, 1, 1)
        # Of 170 words left for seven sets the first three have 24, 23 and 22, the others 20, each
        # rounded up to passages of 10.
        in_part = [counts.pop(name) for name in transfer_set.IN_DOMAIN]
        assert sorted(in_part) == [2, 2, 2, 3, 3, 3]
        assert 1 <= counts.total() <= 2
        assert 200 <= len(all_words(found)) < 220

    def test_of_few_words_is_ours_alone(self, gather):
        found = gather(n_words=5)
        names = {passage.words[0].split("word")[0] for passage in found}
        assert names == {"open0", "sample0"}

    def test_takes_neither_what_may_not_ship_nor_half_a_folder(self, tmp_path, gather):
        assert not any("secret" in word for word in all_words(gather()))
        shutil.rmtree(tmp_path / "open")
        with pytest.raises(Exception, match=r"train\.json"):
            gather()


@pytest.fixture
def bundled_student(monkeypatch):
    """The recipe of the student as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("bundled_student")


@pytest.fixture
def finished(bundled_student, tmp_path, monkeypatch, build_student, small_vocabulary):
    """What `finish` makes of an untrained student and two held-out sets."""
    from gliner_distill.student.files import save_student

    monkeypatch.setattr(bundled_student, "HELD_OUT", ("one", "two"))
    for name in ("one", "two"):
        rows = [
            {"tokenized_text": ["in", "paris", str(n)], "ner": [[1, 1, "city"]]} for n in (1, 2)
        ]
        write_lines(tmp_path / "corpora" / f"{name}.jsonl", rows)
        (tmp_path / "corpora" / f"{name}.labels.json").write_text('["City", "person"]')
    trained = build_student(head="boundary", n_layers=2, label_hidden_width=4)
    save_student(tmp_path / "trained", trained, small_vocabulary, metadata={})
    folder = tmp_path / "out" / "student"
    bundled_student.finish(tmp_path / "trained", tmp_path / "corpora", folder)
    return folder


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class TestFinish:
    def test_writes_half_precision_that_is_calibrated(self, tmp_path, finished, capsys):
        import torch
        from safetensors.torch import load_file

        weights = load_file(finished / "student.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        before = load_file(tmp_path / "trained" / "student.safetensors")["bias"]
        config = json.loads((finished / "student_config.json").read_text())["calibration"]
        expected = config["scale"] * (before - torch.tensor(config["shift"]))
        torch.testing.assert_close(weights["bias"].float(), expected, rtol=1e-3, atol=1e-3)
        assert config["sets"] == ["one", "two"]
        assert config["mean F1 at 0.5"]["after"] >= config["mean F1 at 0.5"]["before"]

    def test_adds_the_graph_of_the_runtime_and_keeps_the_rest(self, finished):
        from gliner_distill import StudentNER

        config = json.loads((finished / "student_config.json").read_text())
        assert config["runtime"]["precision"] == StudentNER.from_pretrained(finished).precision
        assert {"architecture", "calibration", "runtime"} <= set(config)


class TestCard:
    def test_has_every_figure_and_licence(self, tmp_path, finished, bundled_student):
        out, data = tmp_path / "out", tmp_path
        figures = {
            model: {
                "best threshold": 0.4,
                "calibration error": 0.123,
                "at 0.5": {"one": f1, "two": f1 / 2, "macro": 0.75 * f1, "micro": f1},
                "at best": {"macro": f1},
            }
            for model, f1 in (("teacher", 0.8), ("student", 0.6))
        }
        robustness = {"unchanged": {"gold": [0.5, 0.7], "own": [1.0, 1.0]}, "sets": ["one", "two"]}
        files = {
            "held_out/open_label.json": figures,
            "in_domain_scores/open_label.json": figures,
            "robustness.json": robustness,
            "hours.json": {"labeling": 1.25, "training": 2.0},
            "sets.json": {"open and sample": 1234, "known": 56789},
        }
        for name, content in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(json.dumps(content))
        sources = "| name | origin | licence |\n|---|---|---|\n| known | me/known | CC BY 4.0 |\n"
        (data / "corpora" / "SOURCES_A.md").write_text(sources)
        bundled_student.write_card(data, out)
        card = (finished / "README.md").read_text(encoding="utf-8")
        for row in (
            "| one | 80.0 | 60.0 | 75.0% |",
            "| macro | 60.0 | 45.0 | 75.0% |",
            "| unchanged | 60.0 | 100.0 |",
            "| known | 56,789 | me/known | CC BY 4.0 |",
            "| open and sample | 1,234 | this project | CC0 |",
        ):
            assert f"\n{row}\n" in card
        assert "Labeling 1.2 hours, training 2.0 hours" in card
        metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
        assert metrics["held out"] == figures


class TestTimed:
    def test_adds_up_runs_that_were_stopped(self, tmp_path, bundled_student, monkeypatch):
        clock = iter([0.0, 3600.0, 5000.0, 6800.0])
        monkeypatch.setattr(bundled_student.time, "perf_counter", lambda: next(clock))
        with pytest.raises(KeyboardInterrupt), bundled_student.timed(tmp_path, "training"):
            raise KeyboardInterrupt
        with bundled_student.timed(tmp_path, "training"):
            pass
        assert json.loads((tmp_path / "hours.json").read_text()) == {"training": 1.5}
