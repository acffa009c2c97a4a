"""The entities of students that compare labels, or that map scores."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.kernel.compiled import CompiledKernel
from gliner_distill.kernel.kernels import KERNEL_VARIABLE, find_library
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.labels import read_label_set
from gliner_distill.runtime.memory import MemoryPlan
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.student.relations import kind_rows

LABELS = ("person", "city", "river", "place name", "company", "old bank")
SCORE_MAP = ScoreMap((-3.0, 0.0, 0.5), (-1.0, 0.0, 2.0))


def as_tuples(entities, tolerance=1e-5):
    return [
        (e.start_word, e.end_word, e.label, pytest.approx(e.score, abs=tolerance)) for e in entities
    ]


def positions(found):
    return [[(e["start"], e["end"], e["label"]) for e in entities] for entities in found]


def scores_of(found):
    return np.array([e["score"] for entities in found for e in entities])


@pytest.fixture(scope="module")
def student(build_comparer):
    return build_comparer(seed=1)


@pytest.fixture(scope="module")
def bundle(student, small_vocabulary):
    return make_bundle(student, small_vocabulary)


@pytest.fixture(scope="module")
def ner(bundle):
    return StudentNER(bundle, num_threads=1)


@pytest.fixture(scope="module")
def common(ner, texts):
    """The label that is found most often."""
    labels = [entity["label"] for entity in chain(*ner.inference(texts, LABELS))]
    return max(LABELS, key=labels.count)


@pytest.fixture(scope="module")
def mapped(bundle):
    return StudentNER(replace(bundle, score_map=SCORE_MAP), num_threads=1)


@pytest.fixture(scope="module")
def passages(draw_words):
    return draw_words(0, 60)


@pytest.fixture(scope="module")
def texts(passages):
    return [" ".join(words) for words in passages]


class TestComparison:
    @pytest.mark.parametrize(("width", "seed"), [(5, 1), (0, 3)])
    def test_predict_words_equals_torch(
        self, width, seed, build_comparer, small_vocabulary, passages
    ):
        student = build_comparer(seed=seed, label_lstm_width=width)
        ner = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        labels = [LABELS] * len(passages)
        predictor = StudentPredictor(student, small_vocabulary)
        expected = predictor.predict_words(passages, labels)
        assert sum(map(len, expected)) > 40
        found = ner.predict_words(passages, labels)
        assert [as_tuples(entities) for entities in expected] == list(map(as_tuples, found))
        # Without the comparison, the answers would be others.
        plain = [
            decode_entities(sigmoid(logits), LABELS)
            for logits in predictor.logits(passages, labels)
        ]
        assert plain != expected

    def test_inference_gives_the_specific_label_where_both_are_found(
        self, student, ner, small_vocabulary, texts
    ):
        rows = kind_rows(student, small_vocabulary, LABELS)
        narrow, broad, breadth = rows[:, :3], rows[:, 3:6], rows[:, 6]
        relation = narrow @ broad.T + breadth
        n_both = 0
        for y, x in np.argwhere((relation > 0) & (relation.T <= 0)).tolist():
            specific, other = LABELS[y], LABELS[x]
            every = ner.inference(texts, [specific, other], flat_ner=False, multi_label=True)
            for found, flat in zip(every, ner.inference(texts, [specific, other]), strict=True):
                for broader in [e for e in found if e["label"] == other]:
                    over = [
                        e
                        for e in found
                        if e["label"] == specific
                        and e["start"] < broader["end"]
                        and broader["start"] < e["end"]
                    ]
                    n_both += bool(over)
                    assert not (over and broader in flat)
        assert n_both > 3

    def test_inference_of_one_label_is_as_without_comparison(
        self, ner, bundle, small_vocabulary, texts
    ):
        weights = {
            name: value for name, value in bundle.weights.items() if "label_kind" not in name
        }
        config = replace(bundle.config, relation_width=0)
        plain = StudentNER(replace(bundle, weights=weights, config=config), num_threads=1)
        for label in LABELS:
            found, expected = ner.inference(texts, [label]), plain.inference(texts, [label])
            assert found == expected
        rules = {"flat_ner": False, "multi_label": True}
        assert ner.inference(texts, LABELS, **rules) == plain.inference(texts, LABELS, **rules)
        assert ner.inference(texts, LABELS) != plain.inference(texts, LABELS)

    def test_inference_compares_only_the_labels_of_a_text(self, ner, texts):
        sets = [LABELS[number % 3 :: 2] for number in range(len(texts))]
        found = ner.inference(texts, [list(asked) for asked in sets])
        for text, asked, entities in zip(texts, sets, found, strict=True):
            alone = ner.predict_entities(text, asked)
            assert positions([entities]) == positions([alone])

    def test_inference_does_not_depend_on_the_order_of_labels(self, ner, texts):
        expected = positions(ner.inference(texts, LABELS))
        assert positions(ner.inference(texts, LABELS[::-1])) == expected

    def test_inference_of_8_bits_compares_labels(self, bundle, texts):
        quantized = StudentNER(quantize_weights(bundle), num_threads=1)
        flat = quantized.inference(texts, LABELS)
        entities = sum(map(len, flat))
        assert entities > 40
        assert entities < sum(map(len, quantized.inference(texts, LABELS, multi_label=True)))


class TestScores:
    @pytest.mark.parametrize("head", ["boundary", "softmax"])
    def test_word_logits_equal_torch(self, head, build_comparer, small_vocabulary, passages):
        student = build_comparer(seed=2, head=head)
        ner = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        predictor = StudentPredictor(student, small_vocabulary)
        expected = predictor.logits(passages, [LABELS] * len(passages))
        for found, logits in zip(ner.word_logits(passages, LABELS), expected, strict=True):
            np.testing.assert_allclose(found, logits, rtol=0, atol=1e-4)

    def test_predict_words_of_a_softmax_student_equals_torch(
        self, build_comparer, small_vocabulary, passages
    ):
        student = build_comparer(seed=2, head="softmax")
        ner = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        labels = [LABELS] * len(passages)
        expected = StudentPredictor(student, small_vocabulary).predict_words(passages, labels)
        assert sum(map(len, expected)) > 40
        assert [as_tuples(x) for x in expected] == list(
            map(as_tuples, ner.predict_words(passages, labels))
        )

    def test_class_probs_contain_the_score_of_the_entity(self, ner, texts):
        n_compared = 0
        for entities in ner.inference(texts, LABELS, return_class_probs=True):
            for entity in entities:
                if entity["label"] in entity["class_probs"]:
                    n_compared += 1
                    prob = entity["class_probs"][entity["label"]]
                    assert prob == pytest.approx(entity["score"], abs=1e-5)
        assert n_compared > 20


class TestScoreMap:
    def test_inference_finds_the_same_at_one_half_with_other_scores(self, ner, mapped, texts):
        own, found = ner.inference(texts, LABELS), mapped.inference(texts, LABELS)
        assert positions(found) == positions(own)
        expected = SCORE_MAP.report(scores_of(own))
        np.testing.assert_allclose(scores_of(found), expected, atol=1e-5)
        assert np.abs(scores_of(found) - scores_of(own)).max() > 0.1

    @pytest.mark.parametrize("threshold", [0, 0.1, 0.3, 0.7, 0.9, 1])
    def test_inference_compares_reported_scores_with_the_threshold(self, mapped, texts, threshold):
        rules = {"flat_ner": False, "multi_label": True}
        every = mapped.inference(texts[:20], LABELS[:2], threshold=0.01, **rules)
        found = mapped.inference(texts[:20], LABELS[:2], threshold=threshold, **rules)
        if threshold > 0.01:
            expected = [[e for e in of_text if e["score"] > threshold] for of_text in every]
            assert positions(found) == positions(expected)
        else:
            assert sum(map(len, found)) >= sum(map(len, every))
        assert any(every)

    def test_inference_maps_thresholds_of_labels(self, ner, mapped, common, texts):
        own = float(SCORE_MAP.restore(np.array([0.8]))[0])
        found = mapped.inference(texts, LABELS, thresholds={common: 0.8})
        expected = ner.inference(texts, LABELS, thresholds={common: own})
        assert positions(found) == positions(expected)
        assert positions(found) != positions(mapped.inference(texts, LABELS))

    def test_class_probs_are_mapped(self, ner, mapped, texts):
        options = {"return_class_probs": True}
        pairs = zip(
            chain(*ner.inference(texts, LABELS, **options)),
            chain(*mapped.inference(texts, LABELS, **options)),
            strict=True,
        )
        for own, found in pairs:
            expected = SCORE_MAP.report(np.array(list(own["class_probs"].values())))
            assert list(found["class_probs"].values()) == pytest.approx(expected.tolist(), abs=1e-5)

    def test_tune_thresholds_is_the_same_with_a_map(self, bundle, common, texts):
        fresh = StudentNER(bundle, num_threads=1)
        mapped = StudentNER(replace(bundle, score_map=SCORE_MAP), num_threads=1)
        scores = sorted(scores_of(fresh.inference(texts, [common])))
        gold = fresh.inference(texts, [common], threshold=scores[len(scores) // 2])
        fitted = fresh.tune_thresholds(texts, gold)
        assert fitted[common] > 0.5
        assert mapped.tune_thresholds(texts, gold) == fitted
        found = mapped.inference(texts, [common])
        assert positions(found) == positions(fresh.inference(texts, [common]))

    def test_save_pretrained_keeps_the_map(self, mapped, texts, tmp_path):
        mapped.save_pretrained(tmp_path)
        again = StudentNER.from_pretrained(tmp_path, num_threads=1)
        assert again.inference(texts, LABELS) == mapped.inference(texts, LABELS)


def answers_of(ner, texts):
    own = [list(LABELS[number % 5 : number % 5 + 2]) for number in range(len(texts))]
    return [
        ner.inference(texts, LABELS),
        ner.inference(texts, own),
        ner.inference(texts, LABELS, threshold=0.1, thresholds={"city": 0.3}),
        ner.inference(texts, LABELS, flat_ner=False),
        ner.inference(texts, LABELS, multi_label=True),
        ner.inference(texts[:9], LABELS, return_class_probs=True),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("head", ["boundary", "softmax"])
def test_every_kernel_finds_the_same_entities_with_the_same_scores(
    head, precision, build_comparer, small_vocabulary, texts, monkeypatch
):
    library = find_library()
    if library is None:
        pytest.skip("the kernel was not compiled here")
    bundle = make_bundle(build_comparer(seed=2, head=head), small_vocabulary)
    if head == "boundary":
        bundle = replace(bundle, score_map=SCORE_MAP)
    if precision == "int8":
        bundle = quantize_weights(bundle)
    answers = {}
    for name in ("numpy", *CompiledKernel(library).paths):
        monkeypatch.setenv(KERNEL_VARIABLE, name)
        answers[name] = answers_of(StudentNER(bundle, num_threads=1), texts)
    assert sum(map(len, answers["numpy"][0])) > 40
    for found in answers.values():
        assert found == answers["numpy"]  # floats are compared to the last bit


class TestCaches:
    def test_label_sets_are_bounded_by_bytes(self, bundle, texts):
        plan = replace(MemoryPlan.of("192MB"), label_set_bytes=120_000)
        finder = EntityFinder(bundle, num_threads=1, plan=plan)
        sizes = []
        for number in range(40):
            labels = [f"kind {number} of {place}" for place in range(20)]
            finder.encode(read_label_set(labels))
            sizes.append(finder.n_label_set_bytes)
        assert max(sizes) <= 120_000
        assert min(sizes) > 0
        finder.encode(read_label_set([f"kind {place}" for place in range(500)]))
        assert finder.n_label_set_bytes <= 120_000


# Three threads use a student while the process is forked. Each child continues an answer that its
# parent began, asks for another one, and ends as usual.
FORK_WHILE_THREADS_PREDICT = """
import os, random, sys, threading
from gliner_distill import StudentNER

LABELS = ["person", "city"]
TEXT = "Ada Lovelace lived in London."
student = StudentNER.from_pretrained(num_threads=2)
expected = student.predict_entities(TEXT, LABELS)
words = [f"Word{number}" for number in range(100_000)]
is_done = threading.Event()

def predict(seed):
    draws = random.Random(seed)
    while not is_done.is_set():
        student.inference([" ".join(draws.sample(words, 80)) for _ in range(4)], LABELS)

threads = [threading.Thread(target=predict, args=(seed,)) for seed in range(3)]
for thread in threads:
    thread.start()
try:
    for _ in range(4):
        answers = student.inference(iter([TEXT] * 1000), LABELS)
        next(answers)
        child = os.fork()
        if child == 0:
            *_, last = answers
            is_same = last == expected and student.predict_entities(TEXT, LABELS) == expected
            sys.exit(0 if is_same else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
finally:
    if child:
        is_done.set()
        for thread in threads:
            thread.join()
"""


def run_python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_process_answers_and_ends_while_threads_of_its_parent_predict():
    assert run_python(FORK_WHILE_THREADS_PREDICT) == ["0"] * 4
