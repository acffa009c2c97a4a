"""Texts and annotated passages that are Python objects become files of the working folder."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.reader import read_passages
from gliner_distill.distillation.job import DistillJob, DistillSettings
from gliner_distill.distillation.sources import Source, locate_gold, locate_texts
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import DistillError, InputError

pytestmark = pytest.mark.usefixtures("in_folder")
TEXT = "Mary saw the old bank."


@pytest.fixture
def open_work(lexicon_teacher):
    def open_work(texts="texts.txt", *, gold=None, skip_bad=False, progress=no_progress):
        job = DistillJob(texts, {"person": ""}, gold=gold, skip_bad=skip_bad)
        teacher = TeacherSource(lexicon_teacher({}))
        return open_workspace(Path("out"), job, teacher, DistillSettings(), progress)

    return open_work


def entity(start, end, label="person"):
    return {"start": start, "end": end, "text": TEXT[start:end], "label": label, "score": 0.9}


class TestTexts:
    @pytest.mark.parametrize("source", ["texts.txt", Path("texts.txt")])
    def test_locate_texts_uses_a_path_as_it_is(self, open_work, source):
        with open_work(source) as work:
            assert locate_texts(work) == Source("texts.txt", "texts.txt")
            assert not list(work.folder.glob("texts*"))

    @pytest.mark.parametrize("make", [list, tuple, iter, lambda texts: (text for text in texts)])
    def test_locate_texts_writes_any_iterable_into_the_folder(self, open_work, make):
        texts = ["Mary left.", "two\nlines", 'a "quote" é']
        with open_work(make(texts)) as work:
            source = locate_texts(work)
            assert source == Source("out/work/texts.jsonl", "texts")
            lines = Path(source.path).read_text().splitlines()
            assert [json.loads(line)["text"] for line in lines] == texts

    def test_locate_texts_leaves_blank_texts_out_and_says_so(self, open_work):
        with open_work(["a", "", " \n", "b"]) as work:
            source = locate_texts(work)
            assert source.warnings == ("texts: blank ones left out: 2",)
            assert len(list(read_passages(source.path))) == 2

    @pytest.mark.parametrize(
        ("texts", "part"),
        [
            ([], "new iterator"),
            (iter(()), "new iterator"),
            (["", " "], "new iterator"),
            ("", "not a path"),
            ("Mary left. " * 500, "'Mary left.*not a path"),
            ("Mary left.\nJohn stayed.", "not a path"),
            (b"bytes", "expected a path"),
            ({"a": 1}, "expected a path"),
            (3, "expected a path"),
            (["a", 3], r"texts\[1\]: found 3"),
            (["a", None], r"texts\[1\]: found None"),
            (["a", "b", "half \ud800"], r"texts\[2\]: .*surrogate"),
        ],
    )
    def test_locate_texts_refuses_what_is_not_text(self, open_work, texts, part):
        with open_work(texts) as work, pytest.raises(InputError, match=part):
            locate_texts(work)
        assert not Path("out").exists()

    def test_locate_texts_leaves_bad_texts_out_if_asked_to(self, open_work):
        with open_work(["a", 3, "half \ud800", "b"], skip_bad=True) as work:
            source = locate_texts(work)
            assert source.warnings[0] == "bad records left out: 2"
            assert len(source.warnings) == 3
            assert len(list(read_passages(source.path))) == 2

    def test_locate_texts_reports_progress(self, open_work):
        steps = []
        texts = (f"text number {number}" for number in range(2_500))
        with open_work(texts, progress=lambda *step: steps.append(step)) as work:
            locate_texts(work)
        assert [step[0] for step in steps] == ["reading texts"] * 3
        assert [(done, done < total) for _, done, total, _ in steps] == [
            (3_000, True),
            (6_000, True),
            (7_500, False),
        ]

    def test_locate_texts_passes_an_error_of_the_iterable_on(self, open_work):
        def texts():
            yield "a"
            raise FileNotFoundError("the source is gone")

        with open_work(texts()) as work, pytest.raises(FileNotFoundError, match="is gone"):
            locate_texts(work)
        assert not Path("out").exists()

    def test_locate_texts_on_a_full_disk_names_the_file(self, open_work, monkeypatch):
        def fail(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        with open_work(["a"]) as work:
            monkeypatch.setattr(os, "fsync", fail)
            with pytest.raises(DistillError, match=r"texts\.jsonl: cannot be written: No space"):
                locate_texts(work)


class TestGold:
    def test_locate_gold_uses_a_path_as_it_is(self, open_work):
        with open_work(gold=Path("gold.json")) as work:
            assert locate_gold(work) == Source("gold.json", "gold.json")
        with open_work() as work:
            assert locate_gold(work) is None

    def test_locate_gold_takes_passages_answers_and_records_alike(self, open_work):
        words = ("Mary", "saw", "the", "old", "bank", ".")
        spans = (Entity(0, 1, "person"), Entity(3, 5, "place"))
        gold = [
            Passage(words, spans),
            {"text": TEXT, "entities": [entity(0, 4), entity(13, 21, "place")]},
            {"tokenized_text": words, "ner": [(0, 0, "Person"), (3, 4, "place")]},
        ]
        with open_work(gold=gold) as work:
            source = locate_gold(work)
            assert (source.path, source.name) == ("out/work/gold.json", "gold")
            assert list(read_passages(source.path)) == [Passage(words, spans)] * 3
            assert source.warnings == (
                "labels cleaned (case, quotes, underscores, spaces): 1",
                "distinct labels merged with another by cleaning: 1",
            )

    def test_locate_gold_counts_entities_that_do_not_fit_words(self, open_work):
        gold = [{"text": TEXT, "entities": [entity(0, np.int64(4)), (0, 3, "person")]}]
        with open_work(gold=gold) as work:
            source = locate_gold(work)
            [passage] = read_passages(source.path)
        assert passage.entities == (Entity(0, 1, "person"),)
        [warning] = source.warnings
        assert "gold[0]: characters 0 to 3, 'Mar', label 'person'" in warning

    @pytest.mark.parametrize(
        ("item", "part"),
        [
            (3, r"gold\[1\]: found 3"),
            ({"text": 3, "entities": []}, r"gold\[1\]: text: found 3"),
            ({"text": TEXT, "entities": None}, r"gold\[1\]: entities: found None"),
            ({"text": TEXT, "entities": [entity(0, 4), (0, 90, "x")]}, r"entities\[1\]: end 90"),
            ({"text": TEXT, "entities": [entity(5, 4)]}, r"entities\[0\]: start 5 .* end 4"),
            (
                {"text": TEXT, "entities": [{"start": [0], "end": 4, "label": "person"}]},
                r"gold\[1\]: entities\[0\]",
            ),
            ({"text": TEXT, "entities": [entity(0, 4, None)]}, r"gold\[1\]: entities\[0\]: label"),
            ({"tokenized_text": ["a"], "ner": [[0, 1, "x"]]}, r"gold\[1\]: ner\[0\]: end 1"),
            ({"tokenized_text": ["a"], "ner": [[0, {1}, "x"]]}, r"gold\[1\]: .*JSON"),
            (Passage(("a",), (Entity(0, 2, "x"),)), r"gold\[1\]: ner\[0\]: end 1"),
        ],
    )
    def test_locate_gold_names_a_bad_passage_or_leaves_it_out(self, open_work, item, part):
        good = Passage(("Mary",), (Entity(0, 1, "person"),))
        with open_work(gold=[good, item]) as work, pytest.raises(InputError, match=part):
            locate_gold(work)
        with open_work(gold=[good, item], skip_bad=True) as work:
            source = locate_gold(work)
            assert list(read_passages(source.path)) == [good]
            assert source.warnings[0] == "bad records left out: 1"

    @pytest.mark.parametrize("gold", [[], {}, b"gold.json", Passage(("a",)), 3])
    def test_locate_gold_refuses_what_is_not_a_list_of_passages(self, open_work, gold):
        with open_work(gold=gold) as work, pytest.raises(InputError, match=r"^gold: "):
            locate_gold(work)
