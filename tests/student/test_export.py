"""The export of a student answers as torch does, or is not written."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import ExportError
from gliner_distill.runtime.bundle import EXPORT_FILES, quantize_weights, read_bundle, write_bundle
from gliner_distill.runtime.config import INT8, RUNTIME_WEIGHTS_FILE
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.student import bundling, export
from gliner_distill.student.bundling import (
    make_bundle,
    student_weights,
)
from gliner_distill.student.export import (
    check_answers,
    export_smallest,
    export_student,
    fit_threshold,
)
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.predictor import StudentPredictor

LABELS = ("person", "city", "river")


def answer_with_torch(student, vocabulary, passages, **options):
    labels = [LABELS] * len(passages)
    return StudentPredictor(student, vocabulary, **options).predict_words(passages, labels)


def annotate(student, vocabulary, passages):
    """Return passages whose gold is what a student finds: its F1 is 1."""
    found = answer_with_torch(student, vocabulary, passages)
    return [
        Passage(tuple(words), tuple(entities), LABELS)
        for words, entities in zip(passages, found, strict=True)
    ]


def as_tuples(found):
    return [
        [
            (
                entity.start_word,
                entity.end_word,
                entity.label,
                pytest.approx(entity.score, abs=1e-5),
            )
            for entity in entities
        ]
        for entities in found
    ]


def scramble_gates(monkeypatch):
    """Bundle gates in another order than that of torch, so that the bundle answers wrongly."""
    made = bundling.student_weights

    def make_wrong_weights(*args, **kwargs):
        weights = made(*args, **kwargs)
        for name in weights:
            if name.startswith(("forward_lstm.", "backward_lstm.")):
                input_gate, *others = np.split(weights[name], 4)
                weights[name] = np.concatenate([input_gate, others[2], others[0], others[1]])
        return weights

    monkeypatch.setattr(bundling, "student_weights", make_wrong_weights)


@pytest.fixture(params=["boundary", "softmax"])
def small(request, build_finder):
    """A student of each head."""
    return build_finder(head=request.param, n_layers=2, label_hidden_width=6)


@pytest.fixture
def passages(small, small_vocabulary, draw_words):
    return annotate(small, small_vocabulary, draw_words(1, 30))


class TestExport:
    def test_export_student_in_single_precision_answers_as_torch(
        self, small, passages, small_vocabulary, tmp_path, draw_words
    ):
        figures = export_student(
            small, small_vocabulary, tmp_path / "out", precision="fp32", passages=passages
        )
        assert {path.name for path in (tmp_path / "out").iterdir()} == set(EXPORT_FILES)
        assert figures.precision == "fp32"
        assert figures.n_passages == len(passages)
        assert 0 < figures.max_logit_difference <= 1e-4
        assert (figures.torch_f1, figures.f1, figures.agreement_f1) == (1, 1, 1)
        assert figures.n_bytes == sum(
            (tmp_path / "out" / name).stat().st_size for name in EXPORT_FILES
        )
        texts = draw_words(9, 40)
        expected = answer_with_torch(small, small_vocabulary, texts)
        runtime = StudentNER.from_pretrained(tmp_path / "out", num_threads=1)
        assert as_tuples(runtime.predict_words(texts, [LABELS] * 40)) == as_tuples(expected)
        assert sum(map(len, expected)) > 20

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_export_student_of_a_student_that_compares_labels_answers_as_torch(
        self, build_comparer, small_vocabulary, tmp_path, draw_words, precision
    ):
        student = build_comparer(seed=1)
        passages = annotate(student, small_vocabulary, draw_words(1, 30))
        score_map = ScoreMap((-3.0, 0.0, 0.5), (-1.0, 0.0, 2.0))
        figures = export_student(
            *(student, small_vocabulary, tmp_path),
            precision=precision,
            passages=passages,
            score_map=score_map,
            max_f1_loss=1.0,
        )
        read = read_bundle(tmp_path)
        assert (read.precision, read.score_map) == (precision, score_map)
        if precision == "fp32":
            assert (figures.f1, figures.agreement_f1) == (1, 1)
        # The threshold is fitted to the student's own probabilities, whatever is reported.
        expected = replace(make_bundle(student, small_vocabulary), score_map=score_map)
        words = [passage.words for passage in passages]
        labels, entities = (
            [LABELS] * len(words),
            [list(passage.entities) for passage in passages],
        )
        assert fit_threshold(expected, words, labels, entities).threshold == 0.5

    def test_export_student_in_8_bits_fits_a_threshold_and_reports_agreement(
        self, small, passages, small_vocabulary, tmp_path
    ):
        figures = export_student(
            small,
            small_vocabulary,
            tmp_path,
            precision="int8",
            passages=passages,
            max_f1_loss=1.0,
        )
        read = read_bundle(tmp_path)
        assert read.precision == "int8"
        assert read.weights[PIECES].dtype == np.int8
        assert read.weights[PIECE_SCALES].dtype == np.float32
        assert {table.dtype for name, table in read.weights.items() if name.endswith("bias")} == {
            np.dtype(np.float32)
        }
        assert 0.3 <= figures.threshold <= 0.7
        assert read.threshold == figures.threshold
        # Gold is torch's answer here, so both figures are agreement with torch.
        assert figures.torch_f1 == 1
        assert figures.f1 == figures.agreement_f1
        assert 0.8 < figures.agreement_f1 <= 1
        assert figures.max_logit_difference > 1e-4

    @pytest.mark.slow
    def test_fit_threshold_finds_the_threshold_of_best_agreement(
        self, passages, small, small_vocabulary
    ):
        words = [passage.words for passage in passages]
        labels = [LABELS] * len(words)
        bundle = make_bundle(small, small_vocabulary)
        for threshold in (0.35, 0.6):
            expected = answer_with_torch(small, small_vocabulary, words, threshold=threshold)
            fitted = fit_threshold(bundle, words, labels, expected)
            found = StudentNER(fitted, num_threads=1).predict_words(words, labels)
            spans = [
                [
                    {(entity.start_word, entity.end_word, entity.label) for entity in of_passage}
                    for of_passage in x
                ]
                for x in (found, expected)
            ]
            assert spans[0] == spans[1]
            assert fitted.threshold != bundle.threshold
        own = answer_with_torch(small, small_vocabulary, words)
        assert fit_threshold(bundle, words, labels, own).threshold == bundle.threshold

    def test_export_student_replaces_an_earlier_export(
        self, small, passages, small_vocabulary, tmp_path, build_finder, draw_words
    ):
        other = build_finder(head="boundary", seed=5)
        other_passages = annotate(other, small_vocabulary, draw_words(0, 5))
        export_student(other, small_vocabulary, tmp_path, precision="fp32", passages=other_passages)
        before = {name: (tmp_path / name).read_bytes() for name in EXPORT_FILES}
        export_student(small, small_vocabulary, tmp_path, precision="fp32", passages=passages)
        assert {path.name for path in tmp_path.iterdir()} == set(EXPORT_FILES)
        assert (tmp_path / RUNTIME_WEIGHTS_FILE).read_bytes() != before[RUNTIME_WEIGHTS_FILE]
        assert read_bundle(tmp_path).config == small.config

    def test_export_student_does_not_write_beside_the_weights_of_another_student(
        self, small, passages, small_vocabulary, tmp_path, build_finder
    ):
        save_student(tmp_path, build_finder(head="boundary", seed=5), small_vocabulary)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ExportError, match=r"student\.safetensors") as caught:
            export_student(small, small_vocabulary, tmp_path, precision="fp32", passages=passages)
        assert str(tmp_path) in str(caught.value)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_export_student_writes_nothing_if_the_graph_is_wrong(
        self, precision, small, passages, small_vocabulary, tmp_path, monkeypatch
    ):
        scramble_gates(monkeypatch)
        with pytest.raises(ExportError, match=r"torch's|points") as error:
            export_student(
                small,
                small_vocabulary,
                tmp_path / "out",
                precision=precision,
                passages=passages,
            )
        assert "nothing was written" in str(error.value)
        assert not (tmp_path / "out").exists()

    def test_export_student_leaves_an_earlier_export_alone_if_it_fails(
        self, small, passages, small_vocabulary, tmp_path, monkeypatch
    ):
        export_student(small, small_vocabulary, tmp_path, precision="fp32", passages=passages)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        scramble_gates(monkeypatch)
        with pytest.raises(ExportError, match=r"0\.0001"):
            export_student(small, small_vocabulary, tmp_path, precision="fp32", passages=passages)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_export_student_writes_nothing_if_logits_are_not_numbers(
        self, small, passages, small_vocabulary, tmp_path
    ):
        with torch.no_grad():
            small.word_tower.bias[0] = torch.nan
        with pytest.raises(ExportError, match="not finite"):
            export_student(
                small, small_vocabulary, tmp_path / "out", precision="fp32", passages=passages
            )
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_export_student_writes_nothing_if_too_much_f1_is_lost(
        self, small, passages, small_vocabulary, tmp_path, monkeypatch
    ):
        def forget_pieces(bundle):
            coded = quantize_weights(bundle)
            zeros = np.zeros_like(coded.weights[PIECES])
            return replace(coded, weights={**coded.weights, PIECES: zeros})

        monkeypatch.setattr(export, "quantize_weights", forget_pieces)
        with pytest.raises(ExportError, match=r"30 passages .* 100\.0"):
            export_student(
                small, small_vocabulary, tmp_path / "out", precision="int8", passages=passages
            )
        assert not (tmp_path / "out").exists()

    def test_check_answers_allows_a_loss_of_half_a_point_of_f1(
        self, small, passages, small_vocabulary
    ):
        # Gold that torch finds and a bundle that misses some of it.
        bundle = replace(make_bundle(small, small_vocabulary), threshold=0.6)
        own = [passage.words for passage in passages], [LABELS] * len(passages)
        missing = StudentNER(bundle, num_threads=1).predict_words(*own)
        assert missing != [list(passage.entities) for passage in passages]
        with pytest.raises(ExportError, match="30 passages"):
            check_answers(bundle, small, small_vocabulary, passages)
        _, figures = check_answers(bundle, small, small_vocabulary, passages, max_f1_loss=1.0)
        assert figures.f1 < figures.torch_f1 == 1


def test_check_answers_lets_a_folder_serve_torch_and_the_runtime_in_8_bits(
    small, small_vocabulary, passages, tmp_path
):
    made = make_bundle(small, small_vocabulary, metadata={"teacher": "großer"})
    bundle = replace(made, precision=INT8)
    bundle, measured = check_answers(bundle, small, small_vocabulary, passages, max_f1_loss=1.0)
    write_bundle(tmp_path, bundle, torch_weights=student_weights(small))
    assert not (tmp_path / RUNTIME_WEIGHTS_FILE).exists()
    read = read_bundle(tmp_path)
    assert (read.precision, read.threshold) == (INT8, measured.threshold)
    assert read.metadata == {"teacher": "großer"}
    again, _ = load_student(tmp_path)
    for name, values in small.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], values, rtol=0, atol=0)


def test_check_answers_refuses_wrong_weights_in_8_bits(
    small, small_vocabulary, passages, monkeypatch
):
    scramble_gates(monkeypatch)
    bundle = replace(make_bundle(small, small_vocabulary), precision=INT8)
    with pytest.raises(ExportError, match="30 passages"):
        check_answers(bundle, small, small_vocabulary, passages)


def test_export_student_takes_passages_without_words_or_entities(small, small_vocabulary, tmp_path):
    passages = [Passage(()), Passage(("mary",)), Passage(("in", "paris"), (Entity(1, 2, "city"),))]
    figures = export_student(small, small_vocabulary, tmp_path, precision="fp32", passages=passages)
    assert figures.n_passages == 3


@pytest.mark.slow
def test_export_student_of_the_bundled_student_is_small_and_loses_little(tmp_path):
    torch.set_num_threads(1)
    student, vocabulary = load_student(bundled_student_path())
    passages = list(read_passages(sample_path("dev")))
    figures = export_student(student, vocabulary, tmp_path, precision="int8", passages=passages)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 9_000_000
    assert figures.torch_f1 > 0.5
    assert figures.f1 >= figures.torch_f1 - 0.005
    assert figures.agreement_f1 > 0.95
    assert read_bundle(tmp_path).weights[PIECES].dtype == np.int8


def test_bundled_student_answers_as_its_weights_in_torch():
    torch.set_num_threads(1)
    student, vocabulary = load_student(bundled_student_path())
    exported = replace(make_bundle(student, vocabulary), precision=INT8)
    words = [passage.words for passage in read_passages(sample_path("dev"))][:10]
    fresh, shipped = (
        StudentNER(bundle, num_threads=1).word_logits(words, ["person", "city"])
        for bundle in (exported, read_bundle(bundled_student_path()))
    )
    for logits, expected in zip(fresh, shipped, strict=True):
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)


class TestExportSmallest:
    @pytest.mark.parametrize(
        ("n_entities", "loss", "precision"),
        [(10, 0.29, "int8"), (10, 0.31, "fp32"), (1000, 0.004, "int8"), (1000, 0.006, "fp32")],
    )
    def test_export_smallest_takes_8_bits_if_they_lose_little(
        self, tmp_path, monkeypatch, n_entities, loss, precision
    ):
        def refuse(*args, precision, max_f1_loss, **options):
            if precision == "int8" and loss > max_f1_loss:
                raise ExportError("too much is lost")
            return precision

        monkeypatch.setattr(export, "export_student", refuse)
        passages = [Passage(("a",), (Entity(0, 1, "x"),))] * n_entities
        assert export_smallest(None, None, tmp_path, passages=passages) == precision

    def test_export_smallest_fails_if_neither_precision_will_do(self, tmp_path, monkeypatch):
        def refuse(*args, **options):
            raise ExportError("too much is lost")

        monkeypatch.setattr(export, "export_student", refuse)
        with pytest.raises(ExportError, match="too much"):
            export_smallest(None, None, tmp_path, passages=[])
