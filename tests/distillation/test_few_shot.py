"""Tuning on annotated passages: what it weighs, what it keeps, and the targets that come of it.

The teacher looks words up; the student that tuning starts from is 8 wide.
"""

import errno
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from gliner_distill.decoding import entities_to_probs
from gliner_distill.distillation import few_shot as gold_tuning
from gliner_distill.distillation.few_shot import (
    EnsembleWeight,
    StudentTeacher,
    choose_weight,
    fine_tune_on_gold,
    mix_gold_targets,
    refine_soft_labels,
)
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import DistillError, StudentError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.store.quantization import COMPACT
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.settings import TrainingSettings

LEXICON = {"paris": "city", "london": "city", "mary": "person", "john": "person", "ann": "person"}
LABELS = ("person", "city")
SETTINGS = TrainingSettings(alpha=1.0, epochs=1, patience=1, learning_rate=0.02)


def make_items(teacher, n_passages, first=0):
    """Return passages whose annotation has all that the teacher finds, and "in" as a city."""
    names = list(LEXICON)
    items = []
    for number in range(first, first + n_passages):
        words = (names[number % 5], "saw", names[number * 3 % 5], "in", str(number))
        [probs] = teacher.score_passages([words], [LABELS])
        named = [Entity(place, place + 1, LEXICON[words[place]]) for place in (0, 2)]
        items.append(LabeledPassage(Passage(words, (*named, Entity(3, 4, "city"))), LABELS, probs))
    return items


@pytest.fixture(scope="module")
def start_folder(tmp_path_factory, build_student, small_vocabulary):
    folder = tmp_path_factory.mktemp("start") / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(folder, student, small_vocabulary, metadata={})
    return folder


@pytest.fixture(autouse=True)
def small_world(monkeypatch, start_folder):
    """A small student to start from, two epochs, small shards."""
    monkeypatch.setattr(gold_tuning, "bundled_student_path", lambda: start_folder)
    monkeypatch.setattr(gold_tuning, "_MIN_EPOCHS", 2)
    monkeypatch.setattr(gold_tuning, "_MAX_EPOCHS", 2)
    small_shards = partial(label_corpus, limits=ShardLimits(passages=4))
    monkeypatch.setattr(gold_tuning, "label_corpus", small_shards)


@pytest.fixture
def gold(lexicon_teacher):
    return make_items(lexicon_teacher(LEXICON), 14)


@pytest.fixture
def text(lexicon_teacher):
    teacher = lexicon_teacher(LEXICON)
    return {"train": make_items(teacher, 9, first=100), "dev": make_items(teacher, 3, first=200)}


@pytest.fixture
def guide(tmp_path, gold, text):
    """A function that guides the text by gold."""

    def run(folder="gold", *, gold=gold, settings=SETTINGS, progress=lambda *step: None):
        return refine_soft_labels(tmp_path / folder, text, gold, settings, progress=progress)

    return run


@pytest.fixture
def tuned_half(monkeypatch):
    """A tuned student counts half, whatever it is worth."""
    monkeypatch.setattr(gold_tuning, "_SHARES", (0.0, 0.5))
    monkeypatch.setattr(gold_tuning, "_NEAR_TIE", 0.0)


@pytest.fixture
def tunings(monkeypatch):
    """What `train_student` was given, by the name of its folder: passages and settings."""
    given, train = {}, gold_tuning.train_student

    def look(student, vocabulary, items, folder, settings, **options):
        given[folder.name] = (list(items), settings)
        return train(student, vocabulary, items, folder, settings, **options)

    monkeypatch.setattr(gold_tuning, "train_student", look)
    return given


def assert_same_targets(one, other):
    assert one.keys() == other.keys()
    for part, items in one.items():
        assert [item.passage for item in items] == [item.passage for item in other[part]]
        for item, same in zip(items, other[part], strict=True):
            np.testing.assert_array_equal(item.probs, same.probs)


def assert_same_weights(one, other):
    ours, theirs = (load_student(folder)[0].state_dict() for folder in (one, other))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


class TestTooLittleGold:
    def test_leaves_the_teachers_answers(self, guide, gold, text, tmp_path):
        learned, weight = guide(gold=gold[:11])
        assert weight is None
        assert_same_targets(learned, text)
        assert not (tmp_path / "gold").exists()
        assert guide(gold=gold[:12])[1] is not None

    @pytest.mark.parametrize("entities", [(), (Entity(0, 1, "ship"),)])
    def test_is_gold_without_an_entity_of_the_labels(self, guide, gold, entities):
        empty = [
            replace(item, passage=replace(item.passage, entities=entities)) for item in gold[11:]
        ]
        assert guide(gold=[*gold[:11], *empty])[1] is None


class TestChooseWeight:
    """Passages of two words; "x" is at the first of them, and that is what gold says."""

    def item(self, *found, sure=0.9, beside=()):
        passage = Passage(("a", "b"), (Entity(0, 1, "x"), *beside))
        return LabeledPassage(passage, ("x",), self.probs(*found, sure=sure))

    def probs(self, *found, sure=0.9):
        entities = [Entity(place, place + 1, "x", 1.0) for place in found]
        return np.clip(entities_to_probs(entities, ("x",), 2), 1 - sure, sure)

    @pytest.mark.parametrize(
        ("teacher", "tuned", "share", "teacher_f1", "tuned_f1"),
        [
            ((0,), (1,), 0.35, 1.0, 0.0),
            ((1,), (0,), 0.9, 0.0, 1.0),
            ((0,), (0,), 0.9, 1.0, 1.0),
            ((), (), 0.9, 0.0, 0.0),
        ],
    )
    def test_is_the_largest_that_is_right(self, teacher, tuned, share, teacher_f1, tuned_f1):
        weight = choose_weight([self.item(*teacher)] * 3, [self.probs(*tuned)] * 3)
        assert (weight.share, weight.tuned_f1, weight.teacher_f1) == (share, tuned_f1, teacher_f1)
        assert weight.n_passages == 3

    def test_is_nothing_where_the_tuned_students_spoil_everything(self):
        """The teacher is barely sure and right, they are sure and wrong: a fifth is too much."""
        weight = choose_weight([self.item(0, sure=0.55)], [self.probs(1, sure=0.99)])
        assert weight == EnsembleWeight(0.0, 0.5, 0.0, 1.0, 1)

    def test_lies_between_where_each_knows_what_the_other_does_not(self):
        # Right with at most 0.5 of the tuned students, and right from 0.35 on.
        first = (self.item(0, sure=0.8), self.probs(1, sure=0.75))
        second = (self.item(1, sure=0.7), self.probs(0, sure=0.9))
        gold, tuned = zip(first, second, strict=True)
        right = {
            share: [self.is_right(item, probs, share) for item, probs in (first, second)]
            for share in gold_tuning._SHARES
        }
        assert [share for share, both in right.items() if all(both)] == [0.35, 0.5]
        assert choose_weight(gold, tuned) == EnsembleWeight(0.5, 0.5, 0.5, 0.5, 2)

    def is_right(self, item, probs, share):
        """Say so of the first word without decoding: of one-word entities it is a matter of 0.5."""
        mixed = (1 - share) * item.probs + share * probs
        return bool((mixed[0] > 0.5).all() and not (mixed[1] > 0.5).any())

    def test_goes_with_the_threshold_that_two_who_doubt_need(self):
        first = (self.item(0, sure=0.7), self.probs(sure=0.95))
        second = (self.item(sure=0.95), self.probs(0, sure=0.7))
        gold, tuned = zip(first, second, strict=True)
        # 0.65 of one and 0.35 of the other: the surer says 0.7, the other 0.05.
        assert choose_weight(gold, tuned) == EnsembleWeight(
            0.65, 0.25, pytest.approx(2 / 3), pytest.approx(2 / 3), 2
        )

    @pytest.mark.parametrize(("n_lost", "share"), [(2, 0.9), (4, 0.35), (5, 0.0)])
    def test_may_cost_two_per_cent(self, n_lost, share):
        """Of 100 passages the tuned students have some wrong at any share; F1 0.98 is enough."""
        gold = [self.item(0, sure=0.55)] * 100
        tuned = [self.probs(1, sure=0.99)] * n_lost + [self.probs(0)] * (100 - n_lost)
        weight = choose_weight(gold, tuned)
        assert (weight.share, weight.teacher_f1) == (share, 1.0)
        assert weight.tuned_f1 == pytest.approx(1 - n_lost / 100)

    def test_ignores_entities_of_labels_not_asked(self):
        item = self.item(0, beside=[Entity(1, 2, "not asked")])
        weight = choose_weight([item], [self.probs(0)])
        assert (weight.teacher_f1, weight.tuned_f1) == (1.0, 1.0)


class TestMix:
    def test_puts_the_threshold_at_half_and_leaves_labels_that_are_not_known(self):
        weight = EnsembleWeight(0.5, 0.3, 0.0, 0.0, 1)
        teacher = np.array([[[0.2, 0.1, 0.0], [0.2, 0.1, 0.0]]], np.float32)
        tuned = np.array([[[0.4, 0.6, 0.0], [0.4, 0.6, 0.0]]], np.float32)
        mixed = weight.mix(teacher, tuned, np.array([True, False]))
        assert mixed.dtype == np.float32
        np.testing.assert_array_equal(mixed[:, 1], teacher[:, 1])
        # A mean of 0.35 has odds of 7 to 13, which are 7/13 * 7/3 once 0.3 is at 0.5.
        np.testing.assert_allclose(mixed[0, 0], [0.5, 49 / 88, 0.0], atol=3e-4)


class TestNote:
    def test_says_what_was_measured(self):
        assert EnsembleWeight(0.35, 0.4, 0.754, 0.6, 100).note() == (
            "on 100 annotated passages the teacher has an F1 of 60.0, students tuned on two thirds "
            "of them 75.4 on the rest, so in the targets of the other text a tuned student counts "
            "35% beside the teacher"
        )


class TestTuning:
    def test_is_measured_on_what_was_not_seen(self, guide, gold, tunings, monkeypatch):
        asked, score = [], StudentTeacher.score_passages

        def look(teacher, passages, labels):
            asked.append((list(tunings)[-1], list(passages)))
            return score(teacher, passages, labels)

        monkeypatch.setattr(StudentTeacher, "score_passages", look)
        _, weight = guide()
        everything = {item.passage.words for item in gold}
        measured = dict(asked[:3])
        assert list(measured) == ["fold-0", "fold-1", "fold-2"]
        for fold, passages in measured.items():
            seen = {item.passage.words for item in tunings[fold][0]}
            assert seen.isdisjoint(passages)
            assert seen | set(passages) == everything
        assert sorted(words for passages in measured.values() for words in passages) == sorted(
            everything
        )
        assert weight.n_passages == 14

    def test_has_the_annotation_and_the_settings(self, guide, gold, tunings, tuned_half):
        guide()
        assert list(tunings) == ["fold-0", "fold-1", "fold-2", "tuned"]
        items, settings = tunings["tuned"]
        for item, one in zip(items, gold, strict=True):
            assert item.passage == Passage(one.passage.words)
            np.testing.assert_array_equal(item.probs, mix_gold_targets(one).probs)
        assert settings == replace(SETTINGS, epochs=2, patience=0)

    @pytest.mark.parametrize(
        ("n_passages", "epochs"), [(8, 60), (33, 60), (40, 50), (100, 20), (1000, 6)]
    )
    def test_has_more_epochs_of_fewer_passages(self, monkeypatch, gold, n_passages, epochs):
        monkeypatch.setattr(gold_tuning, "_MIN_EPOCHS", 6)
        monkeypatch.setattr(gold_tuning, "_MAX_EPOCHS", 60)
        assert gold_tuning._n_epochs(gold[:1] * n_passages) == epochs

    def test_goes_on_with_the_settings_that_it_began_with(self, tmp_path, gold):
        def tune(folder, settings=SETTINGS, progress=lambda *step: None):
            fine_tune_on_gold(tmp_path / folder, gold, settings, progress=progress)
            return tmp_path / folder / "student"

        def stop(stage, n_done, n_words, text):
            assert stage == "tuning on gold (stopped)"
            assert n_words == 2 * 14 * 5
            if text.startswith("epoch 2/2"):
                raise KeyboardInterrupt

        whole = tune("whole")
        with pytest.raises(KeyboardInterrupt):
            tune("stopped", progress=stop)
        other = replace(SETTINGS, learning_rate=0.5)
        assert_same_weights(tune("stopped", other), whole)

    def test_of_broken_settings_names_the_file(self, tmp_path, gold):
        fine_tune_on_gold(tmp_path, gold, SETTINGS, progress=lambda *step: None)
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(DistillError, match=r"config\.json: cannot be read: 'training'"):
            fine_tune_on_gold(tmp_path, gold, SETTINGS, progress=lambda *step: None)


class TestTargets:
    def test_are_a_mean_of_teacher_and_tuned_student(self, guide, text, tuned_half, tmp_path):
        learned, weight = guide()
        assert weight.share == 0.5
        tuned = StudentTeacher(tmp_path / "gold" / "tuned" / "student")
        for part in ("train", "dev"):
            words = [item.passage.words for item in text[part]]
            answers = tuned.score_passages(words, [LABELS] * len(words))
            assert [item.passage for item in learned[part]] == [i.passage for i in text[part]]
            for item, of_teacher, probs in zip(learned[part], text[part], answers, strict=True):
                kept = COMPACT.decode(COMPACT.encode(probs))
                assert item.probs.dtype == np.float32
                mean = 0.5 * of_teacher.probs + 0.5 * kept
                odds = mean / (1 - mean) * (1 - weight.threshold) / weight.threshold
                np.testing.assert_allclose(item.probs, odds / (1 + odds), rtol=0, atol=1e-6)
                assert np.abs(item.probs - of_teacher.probs).max() > 0.1

    def test_weigh_the_tuned_student_by_the_share(self, guide, text, monkeypatch, tmp_path):
        monkeypatch.setattr(gold_tuning, "_SHARES", (0.0, 0.2))
        monkeypatch.setattr(gold_tuning, "_NEAR_TIE", 0.0)
        learned, _ = guide()
        tuned = StudentTeacher(tmp_path / "gold" / "tuned" / "student")
        item, of_teacher = learned["dev"][0], text["dev"][0]
        [probs] = tuned.score_passages([item.passage.words], [LABELS])
        expected = 0.8 * of_teacher.probs + 0.2 * probs
        np.testing.assert_allclose(item.probs, expected, rtol=0, atol=0.2 * 16 / 256)

    def test_are_the_teachers_where_the_tuned_student_is_worth_nothing(
        self, guide, text, monkeypatch, tunings
    ):
        monkeypatch.setattr(gold_tuning, "_SHARES", (0.0,))
        learned, weight = guide()
        assert weight.share == 0
        assert_same_targets(learned, text)
        assert list(tunings) == ["fold-0", "fold-1", "fold-2"]

    @pytest.mark.parametrize("whose", ["annotation", "teacher"])
    @pytest.mark.parametrize(("n_seen", "is_mixed"), [(0, False), (2, False), (3, True)])
    def test_of_a_label_that_gold_hardly_has_are_the_teachers(
        self, guide, gold, text, tuned_half, whose, n_seen, is_mixed
    ):
        rare = []
        for number, item in enumerate(gold):
            person = Entity(0, 1, "person")
            seen = [Entity(2, 3, "city")] if number < n_seen else []
            named = (person, *seen) if whose == "annotation" else (person,)
            found = [person, *seen] if whose == "teacher" else [person]
            probs = entities_to_probs(found, LABELS, len(item.passage.words))
            passage = Passage(item.passage.words, named)
            rare.append(replace(item, passage=passage, probs=probs))
        learned, _ = guide(gold=rare)
        for item, other in zip(learned["train"], text["train"], strict=True):
            assert not np.array_equal(item.probs[:, 0], other.probs[:, 0])
            assert np.array_equal(item.probs[:, 1], other.probs[:, 1]) != is_mixed

    def test_of_a_part_without_passages_are_none(self, guide, text, tuned_half):
        text["dev"] = []
        assert guide()[0]["dev"] == []


class TestFolder:
    def test_is_used_again(self, guide, tuned_half, tunings, monkeypatch, tmp_path):
        first, weight = guide()
        content = (tmp_path / "gold" / "weight.json").read_text()
        assert EnsembleWeight(**json.loads(content)) == weight
        tunings.clear()

        def refuse(*args):
            raise AssertionError("asked again")

        monkeypatch.setattr(StudentTeacher, "score_passages", refuse)
        steps = []
        again, same = guide(progress=lambda *step: steps.append(step))
        assert same == weight
        assert_same_targets(again, first)
        assert list(tunings) == ["tuned"]  # which has all its epochs behind it
        assert not any(text.startswith("epoch") for *_, text in steps)

    @pytest.mark.parametrize(
        "stage",
        ["tuning on gold (fold-1)", "tuning on gold (tuned)", "asking the tuned student, labels-"],
    )
    def test_goes_on_after_a_stop(self, guide, tuned_half, tunings, stage):
        whole, weight = guide("whole")

        def stop(now, n_done, n_words, text):
            if now.startswith(stage) and n_done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            guide("stopped", progress=stop)
        tunings.clear()
        learned, same = guide("stopped")
        assert same == weight
        assert_same_targets(learned, whole)
        assert ("fold-2" in tunings) == (stage == "tuning on gold (fold-1)")

    @pytest.mark.parametrize("content", ["{", "{}", "[]", '{"share": 0.5}', "\udcff"])
    def test_with_a_broken_weight_is_an_error_that_names_it(self, guide, tmp_path, content):
        (tmp_path / "gold").mkdir()
        path = tmp_path / "gold" / "weight.json"
        path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DistillError) as caught:
            guide()
        assert str(caught.value).startswith(f"{path}: cannot be read: ")
        assert str(caught.value).endswith("; choose another --out")

    def test_on_a_full_disk_is_one_error_and_goes_on(
        self, guide, tuned_half, monkeypatch, tmp_path
    ):
        def fail(path, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        whole, _ = guide("whole")
        with monkeypatch.context() as patch:
            patch.setattr(gold_tuning, "replace_file", fail)
            with pytest.raises(DistillError) as caught:
                guide()
        path = tmp_path / "gold" / "weight.json"
        assert str(caught.value) == f"{path}: cannot be written: No space left on device"
        assert_same_targets(guide()[0], whole)


class TestStudentTeacher:
    def test_answers_with_the_students_probabilities(
        self, build_finder, small_vocabulary, tmp_path
    ):
        student = build_finder(head="boundary", label_hidden_width=12)
        save_student(tmp_path / "finder", student, small_vocabulary, metadata={})
        teacher = StudentTeacher(tmp_path / "finder")
        assert teacher.name == "finder"
        passages = [("mary", "saw", "paris"), (), ("the", "rhine")]
        labels = [("person", "city"), ("city",), ("river",)]
        answers = teacher.score_passages(passages, labels)
        logits = StudentPredictor(student, small_vocabulary).logits(passages, labels)
        for probs, of_student in zip(answers, logits, strict=True):
            assert probs.dtype == np.float32
            np.testing.assert_allclose(
                probs, torch.sigmoid(torch.from_numpy(of_student)).numpy(), atol=1e-6
            )
        assert [probs.shape for probs in answers] == [(3, 2, 3), (0, 1, 3), (2, 1, 3)]
        assert np.ptp(answers[0]) > 0.5

    def test_is_told_from_another_by_its_weights(self, build_student, small_vocabulary, tmp_path):
        prints = []
        for name, seed in (("one", 0), ("same", 0), ("other", 1)):
            student = build_student(head="boundary", label_hidden_width=12, seed=seed)
            save_student(tmp_path / name, student, small_vocabulary, metadata={})
            prints.append(StudentTeacher(tmp_path / name).fingerprint)
        assert prints[0] == prints[1] != prints[2]

    def test_of_no_student_is_an_error(self, tmp_path):
        with pytest.raises(StudentError):
            StudentTeacher(tmp_path / "none")
