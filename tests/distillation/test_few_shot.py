"""Refining soft labels with annotated passages: weights, kept work, and the targets.

The teacher looks words up; the student that tuning starts from is 8 wide.
"""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation_world import assert_same_targets, assert_same_weights
from gliner_distill.callbacks import no_progress
from gliner_distill.decoding import entities_to_probs
from gliner_distill.distillation import few_shot as few_shot_module
from gliner_distill.distillation.few_shot import (
    EnsembleWeight,
    StudentTeacher,
    choose_weight,
    fine_tune_on_gold,
    refine_soft_labels,
    tuning_epochs,
)
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.train import mix_gold_targets
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import DistillError, StudentError
from gliner_distill.store.quantization import COMPACT
from gliner_distill.student.files import save_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.settings import TrainingSettings

LEXICON = {"paris": "city", "london": "city", "mary": "person", "john": "person", "ann": "person"}
LABELS = ("person", "city")
TRAINING = TrainingSettings(alpha=1.0, epochs=1, patience=1, learning_rate=0.02)
DEFAULTS = DistillSettings()


def make_labeled(teacher, n_passages, first=0):
    """Return passages whose annotation has all that the teacher finds, and "in" as a city."""
    names = list(LEXICON)
    passages = []
    for number in range(first, first + n_passages):
        words = (names[number % 5], "saw", names[number * 3 % 5], "in", str(number))
        [probs] = teacher.score_passages([words], [LABELS])
        named = [Entity(place, place + 1, LEXICON[words[place]]) for place in (0, 2)]
        annotated = Passage(words, (*named, Entity(3, 4, "city")))
        passages.append(LabeledPassage(annotated, LABELS, probs))
    return passages


@pytest.fixture
def gold(lexicon_teacher):
    return make_labeled(lexicon_teacher(LEXICON), 14)


@pytest.fixture
def text(lexicon_teacher):
    teacher = lexicon_teacher(LEXICON)
    return {
        "train": make_labeled(teacher, 9, first=100),
        "dev": make_labeled(teacher, 3, first=200),
    }


@pytest.fixture
def half(settings):
    """Settings with which a tuned student counts half, whatever it is worth."""
    return replace(settings, ensemble_shares=(0.0, 0.5), min_f1_share=0.0)


@pytest.fixture
def refine(tmp_path, gold, text, settings):
    """A function that refines the text with gold."""

    def run(folder="gold", settings=settings, *, gold=gold, progress=no_progress):
        return refine_soft_labels(
            tmp_path / folder, text, gold, TRAINING, settings, progress=progress
        )

    return run


@pytest.fixture
def tunings(monkeypatch):
    """The passages and settings given to `train_student`, by the name of its folder."""
    calls, train = {}, few_shot_module.train_student

    def look(student, vocabulary, passages, folder, settings, **options):
        calls[folder.name] = (list(passages), settings)
        assert options["keep_relations"]
        return train(student, vocabulary, passages, folder, settings, **options)

    monkeypatch.setattr(few_shot_module, "train_student", look)
    return calls


class TestTooLittleGold:
    def test_refine_soft_labels_of_few_passages_keeps_the_teachers_answers(
        self, refine, gold, text, tmp_path
    ):
        targets, weight = refine(gold=gold[:11])
        assert weight is None
        assert_same_targets(targets, text)
        assert not (tmp_path / "gold").exists()
        assert refine(gold=gold[:12])[1] is not None

    @pytest.mark.parametrize("entities", [(), (Entity(0, 1, "ship"),)])
    def test_refine_soft_labels_does_not_count_passages_without_an_entity_of_the_labels(
        self, refine, gold, entities
    ):
        empty = [
            replace(item, passage=replace(item.passage, entities=entities)) for item in gold[11:]
        ]
        assert refine(gold=[*gold[:11], *empty])[1] is None


class TestChooseWeight:
    """Passages of two words; "x" is at the first of them, and that is what gold says."""

    def passage(self, *found, sure=0.9, beside=()):
        annotated = Passage(("a", "b"), (Entity(0, 1, "x"), *beside))
        return LabeledPassage(annotated, ("x",), self.probs(*found, sure=sure))

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
    def test_choose_weight_takes_the_largest_that_is_right(
        self, teacher, tuned, share, teacher_f1, tuned_f1
    ):
        weight = choose_weight([self.passage(*teacher)] * 3, [self.probs(*tuned)] * 3, DEFAULTS)
        assert (weight.share, weight.tuned_f1, weight.teacher_f1) == (share, tuned_f1, teacher_f1)
        assert weight.n_passages == 3

    def test_choose_weight_is_zero_where_the_tuned_students_spoil_everything(self):
        """The teacher is barely sure and right, they are sure and wrong: a fifth is too much."""
        weight = choose_weight([self.passage(0, sure=0.55)], [self.probs(1, sure=0.99)], DEFAULTS)
        assert weight == EnsembleWeight(0.0, 0.5, 0.0, 1.0, 1)

    def test_choose_weight_lies_between_models_that_know_different_things(self):
        # A mean is right with at most 0.5 of the tuned students, and from 0.35 on.
        first = (self.passage(0, sure=0.8), self.probs(1, sure=0.75))
        second = (self.passage(1, sure=0.7), self.probs(0, sure=0.9))
        gold, tuned = zip(first, second, strict=True)
        right = {
            share: [self.is_right(passage, probs, share) for passage, probs in (first, second)]
            for share in DEFAULTS.ensemble_shares
        }
        assert [share for share, both in right.items() if all(both)] == [0.35, 0.5]
        assert choose_weight(gold, tuned, DEFAULTS) == EnsembleWeight(0.5, 0.5, 0.5, 0.5, 2)

    def is_right(self, passage, probs, share):
        """Say so of the first word without decoding: of one-word entities it is a matter of 0.5."""
        mixed = (1 - share) * passage.probs + share * probs
        return bool((mixed[0] > 0.5).all() and not (mixed[1] > 0.5).any())

    def test_choose_weight_takes_the_threshold_that_two_models_in_doubt_need(self):
        first = (self.passage(0, sure=0.7), self.probs(sure=0.95))
        second = (self.passage(sure=0.95), self.probs(0, sure=0.7))
        gold, tuned = zip(first, second, strict=True)
        # The weights are 0.65 and 0.35: the surer model says 0.7, the other 0.05.
        assert choose_weight(gold, tuned, DEFAULTS) == EnsembleWeight(
            0.65, 0.25, pytest.approx(2 / 3), pytest.approx(2 / 3), 2
        )

    @pytest.mark.parametrize(("n_lost", "share"), [(2, 0.9), (4, 0.35), (5, 0.0)])
    def test_choose_weight_may_cost_two_per_cent(self, n_lost, share):
        """The tuned students get some of 100 passages wrong at any share; F1 0.98 is enough."""
        gold = [self.passage(0, sure=0.55)] * 100
        tuned = [self.probs(1, sure=0.99)] * n_lost + [self.probs(0)] * (100 - n_lost)
        weight = choose_weight(gold, tuned, DEFAULTS)
        assert (weight.share, weight.teacher_f1) == (share, 1.0)
        assert weight.tuned_f1 == pytest.approx(1 - n_lost / 100)

    def test_choose_weight_ignores_entities_of_labels_not_asked(self):
        passage = self.passage(0, beside=[Entity(1, 2, "not asked")])
        weight = choose_weight([passage], [self.probs(0)], DEFAULTS)
        assert (weight.teacher_f1, weight.tuned_f1) == (1.0, 1.0)


class TestEnsembleWeight:
    def test_mix_puts_the_threshold_at_half_and_leaves_unknown_labels_alone(self):
        weight = EnsembleWeight(0.5, 0.3, 0.0, 0.0, 1)
        teacher = np.array([[[0.2, 0.1, 0.0], [0.2, 0.1, 0.0]]], np.float32)
        tuned = np.array([[[0.4, 0.6, 0.0], [0.4, 0.6, 0.0]]], np.float32)
        mixed = weight.mix(teacher, tuned, np.array([True, False]))
        assert mixed.dtype == np.float32
        np.testing.assert_array_equal(mixed[:, 1], teacher[:, 1])
        # A mean of 0.35 has odds of 7 to 13, which are 7/13 * 7/3 once 0.3 is at 0.5.
        np.testing.assert_allclose(mixed[0, 0], [0.5, 49 / 88, 0.0], atol=3e-4)

    def test_describe_has_all_measurements(self):
        described = EnsembleWeight(0.35, 0.4, 0.754, 0.6, 100).describe()
        for part in ("100 annotated passages", "F1 of 60.0", "75.4", "35%"):
            assert part in described


class TestTuning:
    @pytest.mark.slow
    def test_weight_is_measured_on_passages_that_were_not_seen(
        self, refine, gold, tunings, monkeypatch
    ):
        asked, score = [], StudentTeacher.score_passages

        def look(teacher, passages, labels):
            asked.append((list(tunings)[-1], list(passages)))
            return score(teacher, passages, labels)

        monkeypatch.setattr(StudentTeacher, "score_passages", look)
        _, weight = refine()
        everything = {passage.passage.words for passage in gold}
        measured = dict(asked[:3])
        assert list(measured) == ["fold-0", "fold-1", "fold-2"]
        for fold, passages in measured.items():
            seen = {passage.passage.words for passage in tunings[fold][0]}
            assert seen.isdisjoint(passages)
            assert seen | set(passages) == everything
        assert sorted(words for passages in measured.values() for words in passages) == sorted(
            everything
        )
        assert weight.n_passages == 14

    def test_number_of_folds_follows_the_settings(self, refine, settings, tunings):
        refine(settings=replace(settings, n_folds=2, ensemble_shares=(0.0,)))
        assert list(tunings) == ["fold-0", "fold-1"]

    @pytest.mark.slow
    def test_tuning_has_the_annotation_and_the_training_settings(self, refine, gold, tunings, half):
        refine(settings=replace(half, gold_weight=0.6))
        assert list(tunings) == ["fold-0", "fold-1", "fold-2", "tuned"]
        passages, settings = tunings["tuned"]
        for passage, annotated in zip(passages, gold, strict=True):
            assert passage.passage == Passage(annotated.passage.words)
            np.testing.assert_array_equal(passage.probs, mix_gold_targets(annotated, 0.6).probs)
        assert settings == replace(TRAINING, epochs=2, patience=0)

    @pytest.mark.parametrize(
        ("n_passages", "epochs"), [(8, 60), (33, 60), (40, 50), (100, 20), (1000, 6)]
    )
    def test_tuning_epochs_are_more_for_fewer_passages(self, n_passages, epochs):
        assert tuning_epochs(n_passages, DEFAULTS) == epochs

    def test_fine_tune_on_gold_continues_with_the_settings_that_it_began_with(
        self, tmp_path, gold, settings
    ):
        def tune(folder, training=TRAINING, progress=no_progress):
            fine_tune_on_gold(tmp_path / folder, gold, training, settings, progress=progress)
            return tmp_path / folder / "student"

        def stop(stage, done, total, note=""):
            assert stage == "tuning on gold (stopped)"
            assert total == 2 * 14 * 5
            if note.startswith("epoch 2/2"):
                raise KeyboardInterrupt

        whole = tune("whole")
        with pytest.raises(KeyboardInterrupt):
            tune("stopped", progress=stop)
        other = replace(TRAINING, learning_rate=0.5)
        assert_same_weights(tune("stopped", other), whole)

    def test_fine_tune_on_gold_names_broken_settings(self, tmp_path, gold, settings):
        fine_tune_on_gold(tmp_path, gold, TRAINING, settings, progress=no_progress)
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(DistillError, match=r"checkpoint\.safetensors: has changed .*--out"):
            fine_tune_on_gold(tmp_path, gold, TRAINING, settings, progress=no_progress)


class TestTargets:
    @pytest.mark.slow
    def test_targets_are_a_mean_of_teacher_and_tuned_student(self, refine, text, half, tmp_path):
        targets, weight = refine(settings=half)
        assert weight.share == 0.5
        tuned = StudentTeacher(tmp_path / "gold" / "tuned" / "student")
        for split in ("train", "dev"):
            words = [passage.passage.words for passage in text[split]]
            answers = tuned.score_passages(words, [LABELS] * len(words))
            assert [passage.passage for passage in targets[split]] == [
                passage.passage for passage in text[split]
            ]
            for passage, labeled, probs in zip(targets[split], text[split], answers, strict=True):
                kept = COMPACT.decode(COMPACT.encode(probs))
                assert passage.probs.dtype == np.float32
                mean = 0.5 * labeled.probs + 0.5 * kept
                odds = mean / (1 - mean) * (1 - weight.threshold) / weight.threshold
                np.testing.assert_allclose(passage.probs, odds / (1 + odds), rtol=0, atol=1e-6)
                assert np.abs(passage.probs - labeled.probs).max() > 0.1

    @pytest.mark.slow
    def test_targets_weigh_the_tuned_student_by_its_share(self, refine, text, settings, tmp_path):
        shares = replace(settings, ensemble_shares=(0.0, 0.2), min_f1_share=0.0)
        targets, _ = refine(settings=shares)
        tuned = StudentTeacher(tmp_path / "gold" / "tuned" / "student")
        passage, labeled = targets["dev"][0], text["dev"][0]
        [probs] = tuned.score_passages([passage.passage.words], [LABELS])
        expected = 0.8 * labeled.probs + 0.2 * probs
        np.testing.assert_allclose(passage.probs, expected, rtol=0, atol=0.2 * 16 / 256)

    def test_targets_are_the_teachers_where_the_tuned_student_is_worth_nothing(
        self, refine, text, settings, tunings
    ):
        targets, weight = refine(settings=replace(settings, ensemble_shares=(0.0,)))
        assert weight.share == 0
        assert_same_targets(targets, text)
        assert list(tunings) == ["fold-0", "fold-1", "fold-2"]

    @pytest.mark.slow
    @pytest.mark.parametrize("whose", ["annotation", "teacher"])
    @pytest.mark.parametrize(("n_seen", "is_mixed"), [(0, False), (2, False), (3, True)])
    def test_targets_of_a_label_that_gold_hardly_has_are_the_teachers(
        self, refine, gold, text, half, whose, n_seen, is_mixed
    ):
        rare = []
        for number, passage in enumerate(gold):
            person = Entity(0, 1, "person")
            seen = [Entity(2, 3, "city")] if number < n_seen else []
            named = (person, *seen) if whose == "annotation" else (person,)
            found = [person, *seen] if whose == "teacher" else [person]
            words = passage.passage.words
            probs = entities_to_probs(found, LABELS, len(words))
            rare.append(replace(passage, passage=Passage(words, named), probs=probs))
        targets, _ = refine(settings=half, gold=rare)
        for passage, labeled in zip(targets["train"], text["train"], strict=True):
            assert not np.array_equal(passage.probs[:, 0], labeled.probs[:, 0])
            assert np.array_equal(passage.probs[:, 1], labeled.probs[:, 1]) != is_mixed

    @pytest.mark.slow
    def test_targets_of_a_split_without_passages_are_empty(self, refine, text, half):
        text["dev"] = []
        assert refine(settings=half)[0]["dev"] == []


class TestFolder:
    @pytest.mark.slow
    def test_refine_soft_labels_uses_its_folder_again(
        self, refine, half, tunings, monkeypatch, tmp_path
    ):
        first, weight = refine(settings=half)
        content = json.loads((tmp_path / "gold" / "weight.json").read_text())
        assert content.pop("checksum")
        assert EnsembleWeight(**content) == weight
        tunings.clear()

        def refuse(*args):
            raise AssertionError("asked again")

        monkeypatch.setattr(StudentTeacher, "score_passages", refuse)
        steps = []
        again, same = refine(settings=half, progress=lambda *step: steps.append(step))
        assert same == weight
        assert_same_targets(again, first)
        assert list(tunings) == ["tuned"]  # which has all its epochs behind it
        assert not any(str(step[-1]).startswith("epoch") for step in steps)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "stage",
        ["tuning on gold (fold-1)", "tuning on gold (tuned)", "asking the tuned student (labels-"],
    )
    def test_refine_soft_labels_continues_after_a_stop(self, refine, half, tunings, stage):
        whole, weight = refine("whole", half)

        def stop(current, done, total, note=""):
            if current.startswith(stage) and done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            refine("stopped", half, progress=stop)
        tunings.clear()
        targets, same = refine("stopped", half)
        assert same == weight
        assert_same_targets(targets, whole)
        assert ("fold-2" in tunings) == (stage == "tuning on gold (fold-1)")

    @pytest.mark.parametrize("content", ["{", "{}", "[]", '{"share": 0.5}', "\udcff"])
    def test_refine_soft_labels_names_a_broken_weight(self, refine, tmp_path, content):
        (tmp_path / "gold").mkdir()
        path = tmp_path / "gold" / "weight.json"
        path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DistillError, match=r"weight\.json: .*remove the file") as caught:
            refine()
        assert str(caught.value).startswith(str(path))

    @pytest.mark.slow
    def test_refine_soft_labels_on_a_full_disk_is_one_error_and_continues(
        self, refine, half, monkeypatch, tmp_path
    ):
        sync = os.fsync

        def fail(descriptor):
            if "weight.json" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        whole, _ = refine("whole", half)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(DistillError, match=r"weight\.json: .*No space left on device"):
                refine(settings=half)
        assert not (tmp_path / "gold" / "weight.json").exists()
        assert_same_targets(refine(settings=half)[0], whole)


class TestStudentTeacher:
    def test_score_passages_returns_the_students_probabilities(
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
        for probs, expected in zip(answers, logits, strict=True):
            assert probs.dtype == np.float32
            np.testing.assert_allclose(
                probs, torch.sigmoid(torch.from_numpy(expected)).numpy(), atol=1e-6
            )
        assert [probs.shape for probs in answers] == [(3, 2, 3), (0, 1, 3), (2, 1, 3)]
        assert np.ptp(answers[0]) > 0.5

    def test_fingerprint_is_that_of_the_weights(self, build_student, small_vocabulary, tmp_path):
        prints = []
        for name, seed in (("first", 0), ("same", 0), ("other", 1)):
            student = build_student(head="boundary", label_hidden_width=12, seed=seed)
            save_student(tmp_path / name, student, small_vocabulary, metadata={})
            prints.append(StudentTeacher(tmp_path / name).fingerprint)
        assert prints[0] == prints[1] != prints[2]

    def test_student_teacher_of_a_missing_folder_is_an_error(self, tmp_path):
        with pytest.raises(StudentError):
            StudentTeacher(tmp_path / "none")
