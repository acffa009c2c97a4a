"""Export a trained student to the files that `StudentNER` loads, in single precision or in 8 bits.

For other runtimes, an ONNX graph can be written beside them.

An export is compared with torch before it is written: the logits of a single-precision export
differ by at most 1e-4, and an 8-bit one loses at most half a point of F1. An export that fails the
comparison is not written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import ExportError, MissingExtraError, StudentError
from gliner_distill.files import reason_of, replace_file
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.bundle import EXPORT_FILES, Bundle, quantize_weights, write_bundle
from gliner_distill.runtime.config import FP32, GRAPH_FILE, INT8, TORCH_WEIGHTS_FILE
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.bundling import make_bundle, student_weights
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.student.score_fitting import fit_bundle_scores

MAX_LOGIT_DIFFERENCE: Final = 1e-4
MAX_F1_LOSS: Final = 0.005
"""The F1 that an export may lose against its student: half a point."""

_FEW_ENTITIES = 3
_TRIED_THRESHOLDS = np.arange(0.30, 0.701, 0.01).round(4).tolist()
_COMPARED_LABELS, _COMPARED_WORDS = 50, 384


@dataclass(frozen=True, slots=True)
class ExportMeasurements:
    """The comparison of an export with its student, made before the export was written.

    Attributes:
        precision: `fp32` or `int8`.
        n_passages: The number of passages that both answered.
        max_logit_difference: The largest difference of a logit, over all words and labels.
        torch_f1: The span F1 of the student against gold.
        f1: The span F1 of the export against gold.
        agreement_f1: The span F1 of the export against the entities of the student.
        threshold: The threshold of the export.
        n_bytes: The size of the files of the export.
    """

    precision: str
    n_passages: int
    max_logit_difference: float
    torch_f1: float
    f1: float
    agreement_f1: float
    threshold: float
    n_bytes: int


def export_student(
    student: Student,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    precision: str,
    passages: Sequence[Passage],
    with_graph: bool = False,
    score_map: ScoreMap | None = None,
    metadata: Mapping[str, Any] | None = None,
    min_gain: float | None = None,
    max_f1_loss: float | None = None,
    teacher_counts: Mapping[float, int] | None = None,
) -> ExportMeasurements:
    """Write a student as an export, after checking that its answers match those of torch.

    Args:
        student: The student, on the CPU.
        vocabulary: Its subword pieces.
        folder: The folder to write to; the files of an earlier export are replaced.
        precision: `fp32` or `int8`.
        passages: Passages with gold entities for the comparison with torch.
        with_graph: Whether to write `words.onnx`, too, in single precision.
        score_map: The map of the student's scores; None to report them as they are.
        metadata: Other fields for the configuration file, plain JSON values.
        min_gain: The F1 that a label must gain on the passages before it gets a threshold of its
            own; None to leave all thresholds unchanged.
        max_f1_loss: The F1 that the export may lose against the student; None for half a point.
        teacher_counts: The number of entities that the teacher finds in the passages, by threshold
            (`count_by_threshold`); thresholds and a map of scores are fitted to them. None to leave
            the scores as they are.

    Raises:
        ExportError: The export does not answer as the student does, or the folder holds a student
            that torch can load; nothing is written.
        MissingExtraError: `with_graph` needs a package that is not installed; nothing is written.
        StudentError: The folder cannot be written.
    """
    if (folder / TORCH_WEIGHTS_FILE).is_file():
        # An export would leave this file there, beside the vocabulary of another student.
        raise ExportError(
            f"{folder}: this folder holds a student for training ({TORCH_WEIGHTS_FILE}); choose "
            "another folder"
        )
    bundle = make_bundle(student, vocabulary, score_map=score_map, metadata=metadata)
    if precision == INT8:
        bundle = quantize_weights(bundle)
    bundle, measurements = check_answers(
        bundle, student, vocabulary, passages, max_f1_loss=max_f1_loss
    )
    if min_gain is not None:
        bundle = fit_bundle_thresholds(bundle, passages, min_gain=min_gain)
    if teacher_counts is not None:
        bundle = fit_bundle_scores(bundle, passages, teacher_counts)
    graph = _make_graph(student, vocabulary, passages) if with_graph else None
    write_bundle(folder, bundle)
    n_bytes = sum((folder / name).stat().st_size for name in EXPORT_FILES)
    if graph is not None:
        try:
            replace_file(folder / GRAPH_FILE, graph)
        except OSError as error:
            raise StudentError(f"{folder}: cannot be written: {reason_of(error)}") from error
        n_bytes += len(graph)
    return replace(measurements, n_bytes=n_bytes)


def export_smallest(
    student: Student,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    passages: Sequence[Passage],
    metadata: Mapping[str, Any] | None = None,
    min_gain: float | None = None,
    teacher_counts: Mapping[float, int] | None = None,
) -> ExportMeasurements:
    """Write a student in 8 bits, or in single precision if 8 bits lose too much F1.

    A loss is too much if it exceeds half a point and also exceeds the share of three entities,
    which is larger than half a point if the passages have few entities.

    Raises:
        ExportError: The export in single precision fails, too; see `export_student`.
        StudentError: The folder cannot be written.
    """
    n_entities = sum(len(passage.entities) for passage in passages)
    max_f1_loss = max(MAX_F1_LOSS, _FEW_ENTITIES / max(n_entities, 1))

    def export(precision: str) -> ExportMeasurements:
        return export_student(
            student,
            vocabulary,
            folder,
            precision=precision,
            passages=passages,
            metadata=metadata,
            min_gain=min_gain,
            max_f1_loss=max_f1_loss,
            teacher_counts=teacher_counts,
        )

    try:
        return export(INT8)
    except ExportError:
        return export(FP32)


def check_answers(
    bundle: Bundle,
    student: Student,
    vocabulary: Vocabulary,
    passages: Sequence[Passage],
    *,
    max_f1_loss: float | None = None,
) -> tuple[Bundle, ExportMeasurements]:
    """Compare a bundle with its student; return the bundle and the measurements.

    The threshold of an 8-bit bundle is first fitted to the student's answers.

    Raises:
        ExportError: The logits of a single-precision bundle differ by more than 1e-4, the F1
            against gold is lower than the student's by more than is allowed, or a number is not
            finite.
    """
    try:
        difference = max_logit_difference(student, vocabulary, bundle, passages)
    except StudentError as error:  # a weight or a logit is not finite
        raise ExportError(f"{error}; nothing was written") from error
    # This form of the comparison also fails if the difference is NaN.
    if bundle.precision == FP32 and not difference <= MAX_LOGIT_DIFFERENCE:
        raise ExportError(
            f"the logits of the exported student differ from torch's by {difference:.2g}, more "
            f"than {MAX_LOGIT_DIFFERENCE:g}; nothing was written"
        )
    words, labels = _words_and_labels(passages)
    gold = [list(passage.entities) for passage in passages]
    expected = StudentPredictor(student, vocabulary).predict_words(words, labels)
    if bundle.precision == INT8:
        bundle = fit_threshold(bundle, words, labels, expected)
    predicted = StudentNER(bundle).predict_words(words, labels)
    torch_f1, f1 = score_spans(expected, gold).f1, score_spans(predicted, gold).f1
    allowed = MAX_F1_LOSS if max_f1_loss is None else max_f1_loss
    if f1 < torch_f1 - allowed:
        raise ExportError(
            f"the {bundle.precision} export has an F1 of {100 * f1:.1f} on {len(passages)} "
            f"passages and torch has {100 * torch_f1:.1f}; at most {100 * allowed:.2g} points may "
            "be lost, so nothing was written"
        )
    return bundle, ExportMeasurements(
        precision=bundle.precision,
        n_passages=len(passages),
        max_logit_difference=difference,
        torch_f1=torch_f1,
        f1=f1,
        agreement_f1=score_spans(predicted, expected).f1,
        threshold=bundle.threshold,
        n_bytes=0,
    )


def fit_threshold(
    bundle: Bundle,
    words: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    expected: Sequence[Sequence[Entity]],
    *,
    thresholds: Sequence[float] = _TRIED_THRESHOLDS,
) -> Bundle:
    """Return a bundle with the threshold at which it agrees best with the expected entities.

    Among thresholds that agree equally well it takes the one nearest to the bundle's own.

    Args:
        bundle: The bundle.
        words: The words of each passage.
        labels: The labels asked of each passage.
        expected: The entities of each passage.
        thresholds: The thresholds to try besides the bundle's own.
    """
    # Scores are neither shifted nor mapped, so that the tried thresholds are probabilities of the
    # student.
    student = StudentNER(replace(bundle, threshold=0.5, label_thresholds={}, score_map=None))

    def agreement(threshold: float) -> tuple[float, float]:
        predicted = student.predict_words(words, labels, threshold=threshold)
        # Among equal F1 values, the threshold nearest to the present one wins.
        return score_spans(predicted, expected).f1, -abs(threshold - bundle.threshold)

    tried = sorted({*thresholds, bundle.threshold})
    return replace(bundle, threshold=max(tried, key=agreement))


def fit_bundle_thresholds(
    bundle: Bundle, passages: Sequence[Passage], *, min_gain: float
) -> Bundle:
    """Return a bundle with label thresholds tuned on annotated passages, if that generalizes.

    The thresholds tuned on each half of the passages must improve the F1 on the other half, with
    all labels asked together. Otherwise the bundle is returned unchanged. This check is needed
    because tuning treats each label separately, although a new threshold of one label can change
    which of two labels wins.
    """
    halves = passages[::2], passages[1::2]
    if not all(any(passage.entities for passage in half) for half in halves):
        return bundle
    for tuned_on, measured_on in (halves, halves[::-1]):
        tuned = _tune_labels(bundle, tuned_on, min_gain)
        if _span_f1(tuned, measured_on) <= _span_f1(bundle, measured_on):
            return bundle
    return _tune_labels(bundle, passages, min_gain)


def max_logit_difference(
    student: Student, vocabulary: Vocabulary, bundle: Bundle, passages: Sequence[Passage]
) -> float:
    """Return the largest difference between the logits of torch and those of a bundle."""
    runtime, predictor = StudentNER(bundle), StudentPredictor(student, vocabulary)
    words, labels = _compared_words_and_labels(passages)
    pairs = zip(
        runtime.word_logits(words, labels),
        predictor.logits(words, [labels] * len(words)),
        strict=True,
    )
    return max((float(np.abs(ours - theirs).max()) for ours, theirs in pairs), default=0.0)


def _make_graph(student: Student, vocabulary: Vocabulary, passages: Sequence[Passage]) -> bytes:
    """Return the content of `words.onnx`, after comparing its scores with those of torch."""
    try:
        from gliner_distill.student.onnx_graph import build_graph, max_graph_difference
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        raise MissingExtraError(error.name, "train,onnx") from error
    graph = build_graph(student.config, student_weights(student)).SerializeToString()
    words, labels = _compared_words_and_labels(passages)
    difference = max_graph_difference(graph, student, vocabulary, words, labels)
    if not difference <= MAX_LOGIT_DIFFERENCE:
        raise ExportError(
            f"the scores of {GRAPH_FILE} differ from torch's by {difference:.2g}, more than "
            f"{MAX_LOGIT_DIFFERENCE:g}; nothing was written"
        )
    return bytes(graph)


def _compared_words_and_labels(
    passages: Sequence[Passage],
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the words and the labels with which logits are compared."""
    labels = dict.fromkeys(label for passage in passages for label in passage.own_labels)
    words = [passage.words[:_COMPARED_WORDS] for passage in passages if passage.words]
    return words, list(labels)[:_COMPARED_LABELS]


def _tune_labels(bundle: Bundle, passages: Sequence[Passage], min_gain: float) -> Bundle:
    labels = sorted({label for passage in passages for label in passage.own_labels})
    words = [passage.words for passage in passages]
    entities = [passage.entities for passage in passages]
    thresholds = StudentNER(bundle).tune_word_thresholds(words, entities, labels, min_gain=min_gain)
    return replace(bundle, label_thresholds=thresholds)


def _span_f1(bundle: Bundle, passages: Sequence[Passage]) -> float:
    predicted = StudentNER(bundle).predict_words(*_words_and_labels(passages))
    return score_spans(predicted, [list(passage.entities) for passage in passages]).f1


def _words_and_labels(
    passages: Sequence[Passage],
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    return [passage.words for passage in passages], [passage.own_labels for passage in passages]
