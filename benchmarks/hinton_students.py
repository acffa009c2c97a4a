"""The students of `hinton.py`: passages without gold, a label that is never asked, and its bias."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.evaluation.evaluate import score_entities
from gliner_distill.metrics import score_words
from gliner_distill.runtime.heads import SoftmaxHead
from gliner_distill.student.batch import Batch
from gliner_distill.student.heads import Targets, TorchSoftmaxHead
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import EvaluationSplit

BIASES: Final = tuple(np.arange(0.0, 6.5, 0.5).tolist())
"""The numbers that may be added to the logit of a label."""


class UnannotatedHead:
    """A softmax head for which a passage without entities is not annotated.

    Its gold targets are then the teacher's distribution. At temperature 1, the gold part of the
    loss thus has the gradient of the soft part, and the teacher has the whole weight.
    """

    def __init__(self) -> None:
        self._inner = TorchSoftmaxHead()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return the targets, with the teacher's distribution where gold is missing."""
        targets = self._inner.targets(passages, n_words, n_labels)
        has_gold = torch.tensor([bool(item.passage.entities) for item in passages])
        # The distribution of padding is NaN, because it has no classes.
        soft = targets.teacher.softmax(-1).nan_to_num(0.0)
        gold = torch.where(has_gold[:, None, None], targets.gold, soft)
        return Targets(targets.teacher, gold)

    def loss(self, logits: Tensor, targets: Targets, batch: Batch, **weights: float) -> Tensor:
        """Return the loss of the softmax head."""
        return self._inner.loss(logits, targets, batch, **weights)  # type: ignore[arg-type]


def without_label(passages: Sequence[LabeledPassage], label: str) -> list[LabeledPassage]:
    """Return the passages without a label; those with no other label are left out."""
    left = []
    for item in passages:
        kept = [place for place, asked in enumerate(item.labels) if asked != label]
        entities = tuple(entity for entity in item.passage.entities if entity.label != label)
        if kept:
            left.append(
                replace(
                    item,
                    passage=replace(item.passage, entities=entities),
                    labels=tuple(item.labels[place] for place in kept),
                    probs=item.probs[:, kept],
                )
            )
    return left


def scores_of_label(
    predicted: Sequence[Sequence[Entity]], split: EvaluationSplit, label: str
) -> dict[str, float]:
    """Return word recall and F1 of one label, against gold and against the sample's teacher."""

    def of_label(entities: Sequence[Sequence[Entity]]) -> list[list[Entity]]:
        return [[entity for entity in row if entity.label == label] for row in entities]

    n_words = [len(passage.words) for passage in split.passages]
    references = {
        "gold": [passage.entities for passage in split.passages],
        "teacher": split.teacher_entities,
    }
    scores = {}
    for name, reference in references.items():
        words = score_words(of_label(predicted), of_label(reference), n_words)
        scores[f"label_recall_vs_{name}"] = words.recall
        scores[f"label_f1_vs_{name}"] = words.f1
    return scores


def fit_bias(
    predictor: StudentPredictor,
    dev: EvaluationSplit,
    test: EvaluationSplit,
    label: str,
    threshold: float,
) -> tuple[float, dict[str, float]]:
    """Return the bias of a label with the best word F1 against gold on dev, and the test scores.

    Of equally good numbers, the least is taken.
    """
    logits = _logits(predictor, dev)
    best = max(
        BIASES,
        key=lambda bias: _f1(_decode(logits, dev, label, bias, threshold), dev)["f1_vs_gold"],
    )
    predicted = _decode(_logits(predictor, test), test, label, best, threshold)
    return best, _f1(predicted, test) | scores_of_label(predicted, test, label)


def _logits(predictor: StudentPredictor, split: EvaluationSplit) -> list[Any]:
    return predictor.logits([passage.words for passage in split.passages], split.labels)


def _decode(
    logits: Sequence[Any], split: EvaluationSplit, label: str, bias: float, threshold: float
) -> list[list[Entity]]:
    found = []
    for scores, asked in zip(logits, split.labels, strict=True):
        # "none" comes first.
        biases = np.array([0.0, *(bias * (item == label) for item in asked)], dtype=np.float32)
        found.append(SoftmaxHead().decode(scores + biases, asked, threshold=threshold))
    return found


def _f1(predicted: Sequence[Sequence[Entity]], split: EvaluationSplit) -> dict[str, float]:
    scores = score_entities(predicted, split.passages, split.labels).as_json()
    return {key: scores[key] for key in ("f1_vs_gold", "span_f1_vs_gold")}
