"""Distilling in one go: stages that go on where they stopped, additions, gold, time, refusals.

The teacher looks words up; the student that training starts from is 8 wide.
"""

import errno
import json
import shutil
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import read_passages, write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation import few_shot as gold_tuning
from gliner_distill.distillation import pipeline as distillation
from gliner_distill.distillation import workspace as domain_work
from gliner_distill.distillation.few_shot import EnsembleWeight, mix_gold_targets
from gliner_distill.distillation.job import DistillJob
from gliner_distill.distillation.pipeline import (
    distil,
    warn_about_similar_labels,
    warn_about_unseen_labels,
)
from gliner_distill.distillation.plan import Plan
from gliner_distill.distillation.train import training_settings
from gliner_distill.distillation.workspace import alone_in
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import CorpusError, DistillError, SettingsError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.files import load_student, save_student
from gliner_distill.training.run import read_metrics

LEXICON = {
    **{"paris": "city", "london": "city", "rhine": "river", "thames": "river", "acme": "company"},
    **{"globex": "company", "mary": "person", "john": "person", "ann": "person"},
}
LABELS = {"person": "", "city": "", "river": ""}
NAMES = ("paris", "london", "rhine", "thames", "mary", "john", "ann")


def make_texts(n_documents, first=0):
    verbs = ("saw", "left", "built")
    return [
        f"{NAMES[number % 7]} {verbs[number % 3]} {NAMES[number * 3 % 7]} in {number}"
        for number in range(first, first + n_documents)
    ]


@pytest.fixture(scope="module")
def start_folder(tmp_path_factory, build_student, small_vocabulary):
    """A student with a boundary head to start from."""
    folder = tmp_path_factory.mktemp("start") / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(folder, student, small_vocabulary, metadata={})
    return folder


@pytest.fixture(autouse=True)
def small_world(tmp_path, monkeypatch, start_folder):
    """Relative paths, two epochs, small shards, full precision, and a small student to start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(distillation, "EPOCHS", 2)
    for module in (distillation, gold_tuning):
        monkeypatch.setattr(module, "bundled_student_path", lambda: start_folder)
    monkeypatch.setattr(gold_tuning, "_MIN_EPOCHS", 2)
    monkeypatch.setattr(gold_tuning, "_MAX_EPOCHS", 2)
    monkeypatch.setattr(distillation, "computes_in_bf16", lambda: False)
    small_shards = partial(label_corpus, limits=ShardLimits(passages=8))
    monkeypatch.setattr(distillation, "label_corpus", small_shards)
    monkeypatch.setattr(gold_tuning, "label_corpus", small_shards)


@pytest.fixture
def run(lexicon_teacher, monkeypatch):
    """A function that distils; it returns what was made and the teacher, None if not loaded.

    The teacher is made anew each time, as each process loads it.
    """
    monkeypatch.setattr(distillation, "training_settings", fast_settings)

    def run(out="out", *, labels=LABELS, teacher="teacher", fail_at_passage=None, **options):
        loaded = []

        def load_teacher():
            if not loaded:
                loaded.append(lexicon_teacher(LEXICON, fail_at_passage=fail_at_passage))
            return loaded[0]

        job = DistillJob(**({"texts": "texts.txt", "labels": labels, "teacher": teacher} | options))
        made = distil(job, Path(out), load_teacher, progress=lambda *step: None)
        return made, loaded[0] if loaded else None

    return run


def fast_settings(**options):
    return replace(training_settings(**options), learning_rate=0.02)


def write_texts(texts, name="texts.txt"):
    Path(name).write_text("\n".join(texts) + "\n", encoding="utf-8")


@pytest.fixture
def texts():
    write_texts(make_texts(40))


def weights_of(folder):
    return load_student(folder)[0].state_dict()


def assert_same_weights(one, other):
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def texts_of(items):
    return sorted(" ".join(item.passage.words) for item in items)


def count_asked(teacher):
    return len(teacher.asked) if teacher is not None else 0


class TestStages:
    def test_label_all_passages_and_train_a_student(self, run, texts):
        made, teacher = run()
        assert count_asked(teacher) == 40
        assert {part: len(made.items[part]) for part in SPLITS} == {
            "train": 32,
            "dev": 4,
            "test": 4,
        }
        everything = [item for part in SPLITS for item in made.items[part]]
        assert texts_of(everything) == sorted(make_texts(40))
        for item in everything:
            assert item.labels == tuple(LABELS)
            found = {(one.start_word, one.label) for one in decode_entities(item.probs, LABELS)}
            assert found == {
                (place, LEXICON[word])
                for place, word in enumerate(item.passage.words)
                if word in LEXICON
            }
        rows = [row for row in read_metrics(made.run) if row["split"] == "dev"]
        assert [row["epoch"] for row in rows] == [1, 2]
        assert made.student == Path("out/work/run-0/student")
        load_student(made.student)
        assert made.notes == []
        assert set(made.seconds) == {"labeling", "training"}

    def test_are_not_done_again(self, run, texts):
        first, _ = run()
        before = files_of("out")
        again, teacher = run()
        assert teacher is None
        assert again.student == first.student
        changed = {name for name, content in files_of("out").items() if before.get(name) != content}
        assert all("tensorboard" in name for name in changed)

    def test_of_annotated_text_do_without_its_annotation(self, run):
        passages = [Passage(tuple(text.split()), (Entity(0, 1, "x"),)) for text in make_texts(30)]
        write_passages("texts.json", passages)
        made, _ = run(texts="texts.json")
        assert not any(item.passage.entities for part in SPLITS for item in made.items[part])

    def test_tell_the_teacher_alone_of_descriptions(self, run, texts):
        made, teacher = run(labels={"person": "a human", "city": ""})
        assert {labels for _, labels in teacher.asked} == {("person: a human", "city")}
        assert {item.labels for item in made.items["train"]} == {("person", "city")}

    def test_start_from_the_student_that_comes_along(self, run, texts):
        made, _ = run()
        config = json.loads((made.student / "student_config.json").read_text())
        assert config["started_from"] == "tiny_start"

    def test_say_what_was_left_out_and_how_few_documents_there_are(self, run):
        Path("texts.txt").write_bytes(
            "\n".join(["", *make_texts(40), *make_texts(2)]).encode() + b"\ncaf\xe9\n"
        )
        made, _ = run(skip_bad=True)
        assert made.notes == [
            "blank lines skipped: 1",
            "bad records left out: 1",
            "  texts.txt: record 43 (line 44): byte 0xe9 at position 4 of the line is not UTF-8",
            "repeated documents left out: 2",
        ]

    def test_say_that_figures_flatter_when_run_again_too(self, run):
        Path("pile").mkdir()
        write_texts([" . ".join(make_texts(600))], "pile/book.txt")
        notes = [run(texts="pile")[0].notes for _ in range(2)]
        assert notes[0] == notes[1]
        [note] = notes[0]
        assert note.startswith("pile: fewer than 10 documents (1): dev and test are passages of")

    def test_of_too_little_text_are_refused_and_nothing_is_written(self, run):
        write_texts(make_texts(10))
        with pytest.raises(CorpusError, match=r"texts\.txt: 10 passages .* at least 20 are needed"):
            run()
        assert not Path("out").exists()
        write_texts(make_texts(40))
        run(labels={"person": ""})


class TestStops:
    @pytest.fixture
    def whole(self, run, texts):
        return run("whole")[0]

    @pytest.mark.parametrize("fail_at_passage", [0, 19, 33])
    def test_by_the_teacher_keep_what_is_finished(self, run, whole, fail_at_passage):
        with pytest.raises(RuntimeError, match="went away"):
            run(fail_at_passage=fail_at_passage)
        made, teacher = run()
        # Shards of 8 passages are kept; the one at work is asked again.
        assert 40 - fail_at_passage <= count_asked(teacher) <= 40 - fail_at_passage + 8
        assert_same_weights(made.student, whole.student)

    def test_by_ctrl_c_keep_what_is_finished(self, run, whole, lexicon_teacher, monkeypatch):
        score, calls = lexicon_teacher.score_passages, count()

        def stop(self, passages, labels):
            if next(calls) == 2:
                raise KeyboardInterrupt
            return score(self, passages, labels)

        with monkeypatch.context() as patch:
            patch.setattr(lexicon_teacher, "score_passages", stop)
            with pytest.raises(KeyboardInterrupt):
                run()
        made, teacher = run()
        assert 0 < count_asked(teacher) < 40
        assert_same_weights(made.student, whole.student)

    def test_by_ctrl_c_in_training_go_on_from_the_epoch(self, run, whole, monkeypatch):
        train = distillation.train_student

        def stop_in_the_second_epoch(*args, progress, **options):
            def show(n_words, text):
                if text.startswith("epoch 2/"):
                    raise KeyboardInterrupt
                progress(n_words, text)

            return train(*args, progress=show, **options)

        with monkeypatch.context() as patch:
            patch.setattr(distillation, "train_student", stop_in_the_second_epoch)
            with pytest.raises(KeyboardInterrupt):
                run()
        made, teacher = run()
        assert teacher is None
        assert [row["epoch"] for row in read_metrics(made.run) if row["split"] == "dev"] == [1, 2]
        assert_same_weights(made.student, whole.student)

    @pytest.mark.parametrize(
        "place", ["domain_work", "soft_labels", "checkpoint", "training", "student"]
    )
    def test_by_a_full_disk_are_one_error_and_resumable(self, run, whole, monkeypatch, place):
        def fail(path, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(f"gliner_distill.{place}.replace_file", fail)
            with pytest.raises(DistillError, match="cannot be written: No space left on device"):
                run()
        assert_same_weights(run()[0].student, whole.student)

    def test_by_a_full_disk_while_passages_are_written_leave_no_half(self, run, whole, monkeypatch):
        def fail(path, passages):
            raise CorpusError(f"{path}: the file cannot be written: No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(domain_work, "write_passages", fail)
            with pytest.raises(CorpusError, match="No space left"):
                run()
        assert_same_weights(run()[0].student, whole.student)
        assert not list(Path("out/work").glob(".*.part"))


class TestMoreText:
    def test_is_labeled_alone_and_training_starts_from_the_student_before(self, run, texts):
        first, _ = run()
        kept = files_of("out/work/text-0")
        write_texts([*make_texts(25, first=100), *make_texts(40)])
        second, teacher = run()
        assert {" ".join(words) for words, _ in teacher.asked} == set(make_texts(25, first=100))
        assert files_of("out/work/text-0") == kept
        assert second.student == Path("out/work/run-1/student")
        config = json.loads((second.student / "student_config.json").read_text())
        assert config["started_from"] == "run-0"
        everything = [item for part in SPLITS for item in second.items[part]]
        assert texts_of(everything) == sorted([*make_texts(40), *make_texts(25, first=100)])
        for part in SPLITS:  # what was tested on is not learned from later
            assert set(texts_of(first.items[part])) <= set(texts_of(second.items[part]))
        assert run()[1] is None

    def test_may_be_one_document_in_another_file(self, run, texts):
        run()
        write_texts(["mary saw the old bank of the rhine"], "more.txt")
        made, teacher = run(texts="more.txt")
        assert count_asked(teacher) == 1
        assert "mary saw the old bank of the rhine" in texts_of(made.items["train"])

    def test_comes_beside_labels_in_another_order(self, run, texts):
        run(labels={"person": "", "company": "", "city": ""})
        write_texts(make_texts(60))
        made, _ = run(labels={"city": "", "company": "", "person": ""})
        assert {item.labels for item in made.items["train"]} == {("person", "company", "city")}
        [warning] = made.notes
        assert warning.startswith("the teacher finds no 'company'")


class TestRefusals:
    @pytest.mark.parametrize(
        "options",
        [
            {"labels": {"person": ""}},
            {"labels": LABELS | {"city": "a town"}},
            {"teacher": "another"},
        ],
    )
    def test_of_another_job_leave_the_folder_as_it_is(self, run, texts, options):
        run()
        before = files_of("out")
        with pytest.raises(SettingsError) as caught:
            run(**options)
        assert str(caught.value) == (
            "out: was distilled with other labels or another teacher; choose another --out"
        )
        assert files_of("out") == before

    def test_of_a_folder_with_something_else_leave_it_as_it_is(self, run, texts):
        Path("out").mkdir()
        Path("out/thesis.txt").write_text("do not touch")
        with pytest.raises(SettingsError, match=r"^out: holds something else; choose a folder"):
            run()
        assert files_of("out") == {"thesis.txt": b"do not touch"}

    def test_of_a_file(self, run, texts):
        Path("out").write_text("do not touch")
        with pytest.raises(SettingsError, match=r"^out: is a file; choose a folder"):
            run()
        assert Path("out").read_text() == "do not touch"

    def test_of_a_folder_below_a_file(self, run, texts):
        Path("file").touch()
        with pytest.raises(DistillError, match="cannot be written: Not a directory"):
            run("file/out")

    def test_of_an_empty_folder_there_are_none(self, run, texts):
        Path("out").mkdir()
        run()

    @pytest.mark.parametrize("name", ["job.json", "text-0/documents.json", "run-0/config.json"])
    def test_of_broken_files_name_them(self, run, texts, name):
        run()
        Path("out/work", name).write_text("{")
        with pytest.raises(DistillError, match=rf"{name}: cannot be read: .*choose another --out"):
            run()


class TestLock:
    def test_keeps_a_second_process_out(self, run, texts):
        work = Path("out/work")
        with alone_in(work):
            with pytest.raises(DistillError) as caught:
                run()
            assert str(caught.value) == (
                "out: another process distils into it; wait for it, or choose another --out"
            )
        assert not Path("out").exists()
        run()

    def test_leaves_a_folder_that_was_there(self):
        Path("out").mkdir()
        Path("out/mine").touch()
        with alone_in(Path("out/work")):
            pass
        assert [path.name for path in Path("out").iterdir()] == ["mine"]

    def test_in_a_folder_that_cannot_be_made_is_an_error(self):
        Path("file").touch()
        problem = "^file/work: cannot be written: Not a directory"
        with pytest.raises(DistillError, match=problem), alone_in(Path("file/work")):
            pass


class TestWarnings:
    def test_of_labels_that_mean_nearly_the_same(self):
        assert warn_about_similar_labels(["company", "city", "firm"]) == [
            "labels 'company' and 'firm' mean nearly the same; an entity of one may be found as "
            "the other, so keep one of them"
        ]
        assert warn_about_similar_labels(["person", "city"]) == []

    def test_of_labels_that_never_occur_have_the_best_score(self):
        low = np.full((4, 2, 3), 0.1, np.float32)
        low[2, 1] = (0.5, 0.4, 0.6)
        high = np.full((2, 2, 3), 0.1, np.float32)
        high[1, 0] = 0.9
        items = [LabeledPassage(Passage(("w",) * len(p)), ("a", "b"), p) for p in (low, high)]
        assert warn_about_unseen_labels(items, ["a", "b"]) == [
            "the teacher finds no 'b' in the training text (its best score is 0.40, not above "
            "0.5), so the student learns to find none; word it otherwise, or leave it out"
        ]

    def test_of_labels_are_not_given_where_all_entities_have_several_words(self):
        probs = np.zeros((3, 1, 3), np.float32)
        probs[0, 0] = (0.9, 0.0, 0.8)
        probs[1, 0] = (0.0, 0.0, 0.7)
        probs[2, 0] = (0.0, 0.9, 0.8)
        item = LabeledPassage(Passage(("a", "b", "c")), ("law",), probs)
        assert warn_about_unseen_labels([item], ["law"]) == []

    def test_best_score_is_that_of_the_best_of_all_spans(self):
        draw = np.random.default_rng(0)
        for _ in range(20):
            probs = draw.random((9, 2, 3)).astype(np.float32)
            best = [
                max(
                    min(one[start, 0], one[end, 1], one[start : end + 1, 2].min())
                    for start in range(9)
                    for end in range(start, 9)
                )
                for one in (probs[:, 0], probs[:, 1])
            ]
            assert distillation._best_scores(probs).tolist() == best

    def test_are_among_the_notes(self, run, texts):
        made, _ = run(labels={"person": "", "company": "", "firm": ""})
        assert [note.split(";")[0].split(" (")[0] for note in made.notes] == [
            "labels 'company' and 'firm' mean nearly the same",
            "the teacher finds no 'company' in the training text",
            "the teacher finds no 'firm' in the training text",
        ]
        assert "its best score is 0.01" in made.notes[1]


def make_gold(n_passages, first=1000, label=str.upper):
    """Return passages whose annotation has the lexicon's entities and, beside them, "in" as one."""
    passages = []
    for text in make_texts(n_passages, first):
        words = tuple(text.split())
        entities = [
            Entity(place, place + 1, label(LEXICON[word]))
            for place, word in enumerate(words)
            if word in LEXICON
        ]
        passages.append(Passage(words, (*entities, Entity(3, 4, "preposition"))))
    return passages


def mean_with_tuned(made, part):
    """Return a part of the text with the mean of the teacher's and the tuned student's answers."""
    answers = SoftLabelStore(made.run / "gold" / f"labels-{part}")
    return [
        replace(item, probs=(0.5 * item.probs + 0.5 * answer.probs).astype(np.float32))
        for item, answer in zip(made.items[part], answers, strict=True)
    ]


class TestGold:
    def test_is_blended_with_the_teacher(self):
        probs = np.array([[[0.9, 0.2, 0.5], [0.1, 0.1, 0.1]]] * 3, np.float32)
        passage = Passage(("a", "b", "c"), (Entity(0, 2, "x"), Entity(1, 2, "not asked")))
        blended = mix_gold_targets(LabeledPassage(passage, ("x", "y"), probs))
        assert blended.passage == Passage(("a", "b", "c"))
        assert blended.probs.dtype == np.float32
        np.testing.assert_allclose(
            blended.probs[:, 0],
            [[0.985, 0.03, 0.925], [0.135, 0.88, 0.925], [0.135, 0.03, 0.075]],
            rtol=1e-6,
        )
        np.testing.assert_allclose(blended.probs[:, 1], 0.015, rtol=1e-6)

    def test_has_labels_in_any_case_and_no_others(self, run, texts):
        write_passages("gold.json", make_gold(20))
        made, teacher = run(gold="gold.json")
        assert {part: len(made.gold[part]) for part in SPLITS} == {"train": 16, "dev": 2, "test": 2}
        labels = {
            one.label for part in SPLITS for i in made.gold[part] for one in i.passage.entities
        }
        assert labels == set(LABELS)
        assert count_asked(teacher) == 60
        assert made.run.name == "run-1"

    def test_is_read_by_its_own_form_beside_a_column(self, run):
        rows = "\n".join(make_texts(40))
        Path("texts.csv").write_text(f"body\n{rows}\n")
        write_passages("gold.json", make_gold(20))
        made, _ = run(texts="texts.csv", column="body", gold="gold.json")
        assert sum(map(len, made.gold.values())) == 20

    @pytest.fixture
    def half(self, monkeypatch):
        """Tuned students count half, whatever they are worth."""
        weight = EnsembleWeight(0.5, 0.5, tuned_f1=0.75, teacher_f1=0.6, n_passages=16)
        monkeypatch.setattr(gold_tuning, "_weigh", lambda *args: weight)
        return weight

    def test_is_what_training_takes(self, run, texts, monkeypatch, half):
        write_passages("gold.json", make_gold(20))
        taken, train = [], distillation.train_student

        def look(student, vocabulary, items, *args, **options):
            taken.extend(items)
            return train(student, vocabulary, items, *args, **options)

        monkeypatch.setattr(distillation, "train_student", look)
        made, _ = run(gold="gold.json")
        learned = mean_with_tuned(made, "train")
        assert any(
            np.abs(item.probs - other.probs).max() > 0.1
            for item, other in zip(learned, made.items["train"], strict=True)
        )
        expected = learned + [mix_gold_targets(item) for item in made.gold["train"]]
        assert [item.passage for item in taken] == [item.passage for item in expected]
        for item, other in zip(taken, expected, strict=True):
            np.testing.assert_allclose(item.probs, other.probs, rtol=0, atol=1e-6)

    def test_decides_on_dev_which_epoch_is_best(self, run, texts, monkeypatch, half):
        write_passages("gold.json", make_gold(20))
        taken, train = [], distillation.train_student

        def look(*args, splits, **options):
            taken.extend(splits)
            return train(*args, splits=splits, **options)

        monkeypatch.setattr(distillation, "train_student", look)
        made, _ = run(gold="gold.json")
        for item, other in zip(made.dev, mean_with_tuned(made, "dev"), strict=True):
            np.testing.assert_allclose(item.probs, other.probs, rtol=0, atol=1e-6)
        [dev] = taken
        expected = made.dev + [mix_gold_targets(item) for item in made.gold["dev"]]
        assert list(dev.teacher_entities) == [
            decode_entities(item.probs, item.labels) for item in expected
        ]
        # Of annotated passages those are the annotation's.
        assert [{(one.start_word, one.label) for one in found} for found in dev.teacher_entities][
            -2:
        ] == [
            {(one.start_word, one.label) for one in item.passage.entities}
            for item in made.gold["dev"]
        ]

    def test_weight_is_noted(self, run, texts, half):
        write_passages("gold.json", make_gold(20, label=str))
        made, _ = run(gold="gold.json")
        assert made.notes == [half.note()]
        assert run(gold="gold.json")[0].notes == made.notes

    def test_of_few_passages_leaves_text_to_the_teacher(self, run, texts):
        write_passages("gold.json", make_gold(10, label=str))
        made, _ = run(gold="gold.json")
        assert len(made.gold["train"]) == 8
        assert made.notes == []
        assert made.dev == made.items["dev"]
        assert not (made.run / "gold").exists()

    def test_is_tuned_on_from_the_student_that_comes_along_in_later_runs_too(
        self, run, texts, half
    ):
        write_passages("gold.json", make_gold(20))
        first, _ = run(gold="gold.json")
        write_texts(make_texts(60))
        second, _ = run(gold="gold.json")
        config = json.loads((second.student / "student_config.json").read_text())
        assert config["started_from"] == first.run.name != second.run.name
        tuned = [made.run / "gold" / "tuned" / "student" for made in (first, second)]
        assert_same_weights(*tuned)

    def test_can_go_on_where_training_would_be_in_another_precision(self, run, texts, monkeypatch):
        write_passages("gold.json", make_gold(20))
        first, _ = run(gold="gold.json")
        trained = weights_of(first.student)
        monkeypatch.setattr(distillation, "computes_in_bf16", lambda: True)
        again, _ = run(gold="gold.json")
        for name, value in weights_of(again.student).items():
            torch.testing.assert_close(value, trained[name], rtol=0, atol=0)

    def test_documents_are_not_among_the_text(self, run):
        write_passages("gold.json", make_gold(20, first=0))
        write_texts(make_texts(50))
        made, teacher = run(gold="gold.json")
        of_text = texts_of(item for part in SPLITS for item in made.items[part])
        assert of_text == sorted(make_texts(30, first=20))
        assert count_asked(teacher) == 50

    def test_of_other_annotation_than_before_is_noted(self, run, texts):
        gold = make_gold(20)
        write_passages("gold.json", gold)
        first, _ = run(gold="gold.json")
        again, _ = run(gold="gold.json")
        assert again.notes == first.notes
        write_passages("gold.json", [Passage(gold[0].words, (Entity(1, 2, "city"),)), *gold[1:]])
        corrected, _ = run(gold="gold.json")
        note = (
            "gold.json: 1 passages have another annotation than when they were first read, which "
            "is still what the student learns; choose another --out for the new one"
        )
        assert note in corrected.notes

    def test_that_comes_later_leaves_the_text_that_it_annotates(self, run, texts):
        run()
        write_passages("gold.json", make_gold(20, first=0))
        made, _ = run(gold="gold.json")
        of_text = texts_of(item for part in SPLITS for item in made.items[part])
        assert of_text == sorted(make_texts(20, first=20))
        config = json.loads((made.student / "student_config.json").read_text())
        assert config["started_from"] == "run-0"

    def test_stays_when_it_is_not_named_again(self, run, texts):
        write_passages("gold.json", make_gold(20, first=0))
        first, _ = run(gold="gold.json")
        again, teacher = run()
        assert teacher is None
        assert again.run == first.run

    def test_without_an_entity_of_the_labels_is_refused(self, run, texts):
        write_passages("gold.json", make_gold(20, label=lambda label: label[:3].upper()))
        with pytest.raises(CorpusError) as caught:
            run(gold="gold.json")
        assert str(caught.value) == (
            "gold.json: no annotated entity has one of the labels; it has 'cit', 'per', "
            "'preposition', 'riv'; expected 'person', 'city', 'river'"
        )
        assert not Path("out").exists()

    def test_that_lacks_a_label_is_noted(self, run, texts):
        write_passages("gold.json", make_gold(20))
        made, _ = run(gold="gold.json", labels=LABELS | {"ship": ""})
        assert (
            "gold.json: no 'ship' is annotated, so the student learns that there is none in it"
            in (made.notes)
        )

    def test_saves_a_label_that_the_teacher_never_finds_from_the_warning(self, run, texts):
        write_passages("gold.json", make_gold(20))
        made, _ = run(gold="gold.json", labels=LABELS | {"preposition": ""})
        assert not any("finds no" in note for note in made.notes)

    def test_of_all_documents_needs_no_other_text(self, run):
        write_passages("gold.json", make_gold(40, first=0))
        write_texts(make_texts(40))
        made, _ = run(gold="gold.json")
        assert not any(made.items.values())
        assert sum(map(len, made.gold.values())) == 40


class TestMinutes:
    """A teacher that reads 10 words a second, and training at 1,000."""

    @pytest.fixture(autouse=True)
    def slow_teacher(self, monkeypatch, lexicon_teacher):
        self.now = 0.0
        score = lexicon_teacher.score_passages

        def score_slowly(teacher, passages, labels):
            self.now += sum(map(len, passages)) / 10
            return score(teacher, passages, labels)

        monkeypatch.setattr(lexicon_teacher, "score_passages", score_slowly)
        for clock in ("perf_counter", "monotonic"):
            monkeypatch.setattr(distillation.time, clock, lambda: self.now)
        monkeypatch.setattr(distillation, "_training_rate", lambda n_labels: 1_000.0)

    def make_plan(self, minutes, teacher):
        job = DistillJob("texts.txt", LABELS, "teacher", minutes=minutes)
        return Plan.make(job, lambda: teacher)

    # To measure the teacher takes 17 seconds; to time it, at the end, 24,000 words and 10 seconds.
    @pytest.mark.parametrize(("minutes", "finishing"), [(10, 600 / 4), (200, 2_410)])
    def test_are_divided_between_labeling_and_training(
        self, lexicon_teacher, texts, minutes, finishing
    ):
        self.now = 1_000.0
        plan = self.make_plan(minutes, lexicon_teacher(LEXICON))
        assert self.now == 1_017
        assert plan.n_words == int(0.65 * (60 * minutes - 17 - finishing) * 10)
        assert plan.training_ends == pytest.approx(1_000 + 60 * minutes - finishing)
        assert plan.words_per_second == 1_000

    @pytest.mark.parametrize(
        ("n_words", "epochs"), [(10_000, 8), (40_000, 4), (60_000, 3), (10**6, 2)]
    )
    def test_leave_time_for_some_epochs(self, monkeypatch, n_words, epochs):
        monkeypatch.setattr(distillation, "EPOCHS", 8)
        plan = Plan(n_words, training_ends=280.0, words_per_second=1_000.0)
        self.now = 100.0
        assert plan.epochs(n_words) == epochs
        assert Plan().epochs(n_words) == 8

    @pytest.mark.parametrize(("now", "epochs"), [(0, 7), (100, 4), (200, 2), (1_000, 2)])
    def test_that_are_over_leave_time_for_fewer(self, monkeypatch, now, epochs):
        monkeypatch.setattr(distillation, "EPOCHS", 8)
        self.now = now
        assert Plan(1, training_ends=280.0, words_per_second=1_000.0).epochs(40_000) == epochs

    def test_are_for_gold_as_often_as_it_comes(self, run, monkeypatch):
        write_texts(make_texts(100))
        write_passages("gold.json", make_gold(10))
        asked, epochs = [], Plan.epochs
        monkeypatch.setattr(
            Plan, "epochs", lambda plan, n_words: asked.append(n_words) or epochs(plan, n_words)
        )
        made, _ = run(gold="gold.json")
        # 80 passages of text; 8 of gold, twice to be a fifth of those; 5 words each.
        assert (len(made.items["train"]), len(made.gold["train"])) == (80, 8)
        assert asked == [5 * (80 + 2 * 8)]

    def test_that_are_too_few_are_refused(self, lexicon_teacher, texts, run):
        with pytest.raises(SettingsError) as caught:
            run(minutes=0.2)
        assert str(caught.value) == (
            "the teacher reads 10 words a second here, so 0.2 minutes are too short to label "
            "enough text; give more"
        )
        assert not Path("out").exists()

    def test_take_so_much_text_and_the_rest_another_time(self, run):
        write_texts(make_texts(100))  # of 5 words each
        first, _ = run(minutes=1)  # 0.65 of 60 - 15 - 17 seconds: 182 words
        note = "for the time given, 180 of 500 words are used, of 36 of 100 documents; the rest"
        assert any(line.startswith(note) for line in first.notes)
        assert sum(map(len, first.items.values())) == 36
        second, teacher = run(minutes=1)
        assert sum(map(len, second.items.values())) == 72
        assert count_asked(teacher) == 2 + 32 + 36  # the first ones to measure it
        third, _ = run()
        assert sum(map(len, third.items.values())) == 100

    def test_label_gold_too(self, run):
        write_texts(make_texts(100))
        write_passages("gold.json", make_gold(10))
        made, _ = run(minutes=1, gold="gold.json")
        assert sum(map(len, made.gold.values())) == 10
        assert sum(map(len, made.items.values())) == 26

    def test_finish_a_stopped_run_before_more_text_is_taken(self, run, monkeypatch):
        write_texts(make_texts(100))
        with pytest.raises(RuntimeError, match="went away"):
            run(minutes=1, fail_at_passage=50)
        made, _ = run(minutes=1)
        assert sum(map(len, made.items.values())) == 36
        assert made.run.name == "run-0"
        assert any(note.startswith("for the time given") for note in made.notes)

    def test_do_not_change_the_epochs_of_a_run_that_has_begun(self, run, texts, monkeypatch):
        monkeypatch.setattr(distillation, "EPOCHS", 3)
        monkeypatch.setattr(distillation, "_training_rate", lambda n_labels: 1.0)
        first, _ = run(minutes=10)
        assert "for the time given, training has 2 epochs instead of 3" in first.notes
        monkeypatch.setattr(distillation, "_training_rate", lambda n_labels: 1_000.0)
        again, _ = run(minutes=10)
        assert again.notes == first.notes
        assert {row["epoch"] for row in read_metrics(again.run)} == {1, 2}

    def test_measure_training_on_a_few_steps(self, monkeypatch, start_folder):
        monkeypatch.undo()
        monkeypatch.setattr(distillation, "bundled_student_path", lambda: start_folder)
        asked, train = [], distillation.train_on

        def look(run, items, *args, **options):
            asked.extend(items["train"])
            return train(run, items, *args, **options)

        monkeypatch.setattr(distillation, "train_on", look)
        assert distillation._training_rate(3) > 0
        assert {len(item.labels) for item in asked} == {3}


class TestPassages:
    def test_of_gold_and_text_come_back_from_their_files(self, run, texts):
        write_passages("gold.json", make_gold(20))
        made, _ = run(gold="gold.json")
        for kind, items in (("text-0", made.items), ("gold-0", made.gold)):
            for part in SPLITS:
                stored = list(read_passages(f"out/work/{kind}/{part}.json"))
                assert stored == [item.passage for item in items[part]]
        shutil.rmtree("out/work/gold-0/labels-test")
        _, teacher = run(gold="gold.json")
        assert count_asked(teacher) == 2
