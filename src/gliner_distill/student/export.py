"""A trained student as a bundle that needs no torch, in single precision or in eight bits.

In: a student's folder. Out: the folder that `StudentNER` loads (see `bundle`), after it was held
against torch: the logits of a single-precision export are within 1e-4 of the student's, and an
eight-bit one finds entities as well within half a point of F1. What does not pass is not written.
"""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import ExportError, StudentError
from gliner_distill.files import replace_file
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.bundle import (
    FP32,
    GRAPH_FILE,
    INT8,
    TABLES_FILE,
    Bundle,
    weight_shapes,
    write_bundle,
)
from gliner_distill.runtime.config import CONFIG_FILE, read_student_config
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.student.files import load_student
from gliner_distill.student.model import Student
from gliner_distill.student.onnx_graph import _arrays, build_graph
from gliner_distill.student.predictor import StudentPredictor

MAX_LOGIT_DIFFERENCE = 1e-4


MAX_F1_LOSS = 0.005


_FEW_ENTITIES = 3


_THRESHOLDS = np.arange(0.30, 0.701, 0.01)


Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExportMeasurements:
    """What was measured before an export was written.

    Attributes:
        precision: `fp32` or `int8`.
        n_passages: How many passages both were asked.
        max_logit_difference: Between the bundle and torch, over all words and labels.
        torch_f1: The student's span F1 against gold.
        f1: The bundle's.
        agreement_f1: The bundle's span F1 against the student's entities.
        threshold: The bundle's.
        n_bytes: Of its files.
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
    metadata: Mapping[str, Any] | None = None,
    min_gain: float | None = None,
    max_f1_loss: float | None = None,
) -> ExportMeasurements:
    """Write a student as a bundle, if it answers as torch does.

    Args:
        student: On the CPU.
        vocabulary: Its pieces.
        folder: Where to; files of an earlier export are replaced.
        precision: `fp32` or `int8`.
        passages: To compare with torch on; with gold entities.
        metadata: What else to keep in its configuration.
        min_gain: Fit each label's threshold to the passages' entities, where F1 gains as much; None
            to leave them.
        max_f1_loss: By how much its F1 may be below the student's; None for half a point.

    Raises:
        ExportError: It does not answer as the student does; nothing is written.
        StudentError: The folder cannot be written.
    """
    bundle = make_bundle(student, vocabulary)
    if precision == INT8:
        bundle = quantize_weights(quantize_graph(bundle))
    bundle, figures = check_answers(bundle, student, vocabulary, passages, max_f1_loss=max_f1_loss)
    if min_gain is not None:
        bundle = fit_bundle_thresholds(bundle, passages, min_gain=min_gain)
    write_bundle(folder, replace(bundle, metadata=metadata or {}))
    names = (GRAPH_FILE, TABLES_FILE, CONFIG_FILE, TOKENIZER_FILE)
    return replace(figures, n_bytes=sum((folder / name).stat().st_size for name in names))


def export_smallest(
    student: Student,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    passages: Sequence[Passage],
    metadata: Mapping[str, Any] | None = None,
    min_gain: float | None = None,
) -> ExportMeasurements:
    """Write a student in eight bits, or in single precision where eight bits lose too much.

    That is more than half a point of F1 or, of few entities, more than three of them are worth.

    Raises:
        ExportError: See `export_student`, for single precision.
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
        )

    try:
        return export(INT8)
    except ExportError:
        return export(FP32)


def attach_graph(folder: Path, *, passages: Sequence[Passage]) -> ExportMeasurements:
    """Write an eight-bit `words.onnx` beside the weights of a student's folder.

    The runtime then reads the tables from the weights, so that one folder serves it and torch.

    Args:
        folder: Of a student.
        passages: As in `export_student`.

    Raises:
        ExportError: It does not answer as the student does; nothing is written.
        StudentError: There is no student, or the folder cannot be written.
    """
    student, vocabulary = load_student(folder)
    bundle = quantize_graph(make_bundle(student, vocabulary))
    bundle, figures = check_answers(bundle, student, vocabulary, passages)
    _, config = read_student_config(folder)
    config["runtime"] = {"precision": INT8, "threshold": bundle.threshold}
    try:
        replace_file(folder / GRAPH_FILE, bundle.graph)
        replace_file(folder / CONFIG_FILE, (json.dumps(config, indent=1) + "\n").encode())
    except OSError as error:
        raise StudentError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return replace(figures, n_bytes=len(bundle.graph))


def check_answers(
    bundle: Bundle,
    student: Student,
    vocabulary: Vocabulary,
    passages: Sequence[Passage],
    *,
    max_f1_loss: float | None = None,
) -> tuple[Bundle, ExportMeasurements]:
    """Return a bundle, of eight bits with its threshold fitted, and how it compares with torch.

    Raises:
        ExportError: Its logits are more than 1e-4 off in single precision, or its F1 against gold
            is more than allowed below torch's.
    """
    difference = max_logit_difference(student, vocabulary, bundle, passages)
    if bundle.precision == FP32 and not difference <= MAX_LOGIT_DIFFERENCE:
        raise ExportError(
            f"the exported student's logits are {difference:.2g} off torch's, more than "
            f"{MAX_LOGIT_DIFFERENCE:g}; nothing was written"
        )
    words, labels = [item.words for item in passages], [item.own_labels for item in passages]
    gold = [list(passage.entities) for passage in passages]
    expected = StudentPredictor(student, vocabulary).predict_words(words, labels)
    if bundle.precision == INT8:
        bundle = fit_threshold(bundle, words, labels, expected)
    found = StudentNER(bundle).predict_words(words, labels)
    torch_f1, f1 = score_spans(expected, gold).f1, score_spans(found, gold).f1
    allowed = MAX_F1_LOSS if max_f1_loss is None else max_f1_loss
    agreement_f1 = score_spans(found, expected).f1
    if f1 < torch_f1 - allowed:
        raise ExportError(
            f"the {bundle.precision} student's F1 on {len(passages)} passages is {100 * f1:.1f}, "
            f"torch's {100 * torch_f1:.1f}: more than {100 * allowed:.2g} points lost; nothing "
            "was written"
        )
    return bundle, ExportMeasurements(
        precision=bundle.precision,
        n_passages=len(passages),
        max_logit_difference=difference,
        torch_f1=torch_f1,
        f1=f1,
        agreement_f1=agreement_f1,
        threshold=bundle.threshold,
        n_bytes=0,
    )


def make_bundle(student: Student, vocabulary: Vocabulary) -> Bundle:
    """Return a student in single precision, as it is; tables in half where nothing is lost."""
    state = _arrays(student)
    tables: dict[str, NDArray[Any]] = {}
    for name in weight_shapes(student.config):
        with np.errstate(over="ignore"):
            half = state[name].astype(np.float16)
        tables[name] = half if np.array_equal(half, state[name]) else state[name]
    return Bundle(
        config=replace(student.config, feature_width=0),
        vocabulary=vocabulary,
        tables=tables,
        graph=build_graph(student).SerializeToString(),
        threshold=student.config.threshold,
    )


def quantize_graph(bundle: Bundle) -> Bundle:
    """Return a bundle with LSTM and word tower in eight bits, by onnxruntime."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(bundle.graph)
        level = root.level
        root.setLevel(logging.ERROR)  # it recommends a preparation that this graph does not need
        try:
            quantize_dynamic(
                before,
                after,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["LSTM", "MatMul"],
                extra_options={"MatMulConstBOnly": True},
            )
        finally:
            root.setLevel(level)
        return replace(bundle, graph=after.read_bytes(), precision=INT8)


def quantize_weights(bundle: Bundle) -> Bundle:
    """Return a bundle with pieces in eight bits, a scale for each, and labels in half precision."""
    pieces = bundle.tables[PIECES].astype(np.float32)
    scales = np.maximum(np.abs(pieces).max(axis=1, keepdims=True), 1e-8) / 127
    tables = {
        name: table.astype(np.float16 if table.ndim == 2 else np.float32)
        for name, table in bundle.tables.items()
    }
    codes = np.rint(pieces / scales).astype(np.int8)
    tables |= {PIECES: codes, PIECE_SCALES: scales.astype(np.float32)}
    return replace(bundle, tables=tables)


def fit_threshold(
    bundle: Bundle,
    words: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    expected: Sequence[Sequence[Entity]],
) -> Bundle:
    """Return a bundle with the threshold at which it agrees best with given entities.

    Among thresholds that are as good, the one nearest to the bundle's own.
    """
    student = StudentNER(replace(bundle, threshold=0.5, label_thresholds={}))

    def agreement(threshold: float) -> tuple[float, float]:
        found = student.predict_words(words, labels, threshold=threshold)
        return score_spans(found, expected).f1, -abs(threshold - bundle.threshold)

    thresholds = np.unique(np.append(_THRESHOLDS.round(4), bundle.threshold)).tolist()
    return replace(bundle, threshold=max(thresholds, key=agreement))


def fit_bundle_thresholds(
    bundle: Bundle, passages: Sequence[Passage], *, min_gain: float
) -> Bundle:
    """Return a bundle with its labels' thresholds fitted to the passages' entities.

    They stay where they are unless those fitted on either half of the passages do better on the
    other half, all labels asked together: moving one label changes which of two wins.
    """
    halves = passages[::2], passages[1::2]
    if not all(any(passage.entities for passage in half) for half in halves):
        return bundle
    plain = [_joint_f1(bundle, half) for half in halves]
    for fitted_on, measured_on, before in zip(halves, halves[::-1], plain[::-1], strict=True):
        if _joint_f1(_calibrated(bundle, fitted_on, min_gain), measured_on) <= before:
            return bundle
    return _calibrated(bundle, passages, min_gain)


def _calibrated(bundle: Bundle, passages: Sequence[Passage], min_gain: float) -> Bundle:
    labels = sorted({label for passage in passages for label in passage.own_labels})
    words = [passage.words for passage in passages]
    entities = [passage.entities for passage in passages]
    fitted = StudentNER(bundle).tune_word_thresholds(words, entities, labels, min_gain=min_gain)
    return replace(bundle, label_thresholds=fitted)


def _joint_f1(bundle: Bundle, passages: Sequence[Passage]) -> float:
    words = [passage.words for passage in passages]
    found = StudentNER(bundle).predict_words(words, [one.own_labels for one in passages])
    return score_spans(found, [list(passage.entities) for passage in passages]).f1


def max_logit_difference(
    student: Student, vocabulary: Vocabulary, bundle: Bundle, passages: Sequence[Passage]
) -> float:
    """Return the largest difference between torch's logits and a bundle's."""
    runtime, torch_scorer = StudentNER(bundle), StudentPredictor(student, vocabulary)
    labels = list(dict.fromkeys(label for item in passages for label in item.own_labels))[:50]
    words = [passage.words[:384] for passage in passages if passage.words]
    pairs = zip(
        runtime.word_logits(words, labels),
        torch_scorer.score(words, [labels] * len(words)),
        strict=True,
    )
    return max((float(np.abs(one - other).max()) for one, other in pairs), default=0.0)
