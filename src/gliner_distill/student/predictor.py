"""The entities that a torch student predicts, for evaluation during training and for `export`."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import Entity
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.specificity import LabelKinds
from gliner_distill.student.batch import make_batch
from gliner_distill.student.model import Student
from gliner_distill.student.relations import kind_rows
from gliner_distill.windows import batches_by_length

MAX_BATCH_WORDS: Final = 8192
"""The words of a batch, padding included."""


class StudentPredictor:
    """A student in torch that finds entities; `StudentNER` does the same without torch.

    Args:
        student: The student, on any device; it is switched to evaluation.
        vocabulary: Its subword pieces.
        threshold: The probability that an entity must exceed; None for the student's own.
        max_batch_words: The most words, with padding, that the student reads at once.
    """

    def __init__(
        self,
        student: Student,
        vocabulary: Vocabulary,
        *,
        threshold: float | None = None,
        max_batch_words: int = MAX_BATCH_WORDS,
    ) -> None:
        self._student = student.eval()
        self._vocabulary = vocabulary
        self._head = head_named(student.config.head)
        self._threshold = threshold if threshold is not None else student.config.threshold
        self._max_batch_words = max_batch_words

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return the entities of each passage, without overlaps, in order of position, with scores.

        Args:
            passages: The words of each passage.
            labels: The labels asked of each passage, each once.
        """
        return [
            self._head.decode(logits, asked, threshold=self._threshold, kinds=kinds)
            for logits, asked, kinds in zip(
                self.logits(passages, labels), labels, self._kinds(labels), strict=True
            )
        ]

    @torch.inference_mode()
    def logits(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """Return the logits of each passage without padding; see `Student.forward`.

        Args:
            passages: The words of each passage.
            labels: The labels asked of each passage, each once.
        """
        device = self._student.pieces.weight.device
        shapes = [
            self._head.logits_shape(len(words), len(asked))
            for words, asked in zip(passages, labels, strict=True)
        ]
        results = [np.zeros(shape, np.float32) for shape in shapes]
        with_words = [row for row, words in enumerate(passages) if len(words)]
        for rows in batches_by_length(
            with_words, lambda row: len(passages[row]), max_padded=self._max_batch_words
        ):
            encoded = [self._vocabulary.encode_words(passages[row]) for row in rows]
            batch = make_batch(encoded, [labels[row] for row in rows], self._vocabulary)
            logits = self._student(batch.to(device))
            for position, row in enumerate(rows):
                unpadded = logits[position][tuple(map(slice, shapes[row]))]
                results[row] = unpadded.float().cpu().numpy()
        return results

    def _kinds(self, labels: Sequence[Sequence[str]]) -> list[LabelKinds | None]:
        """Return the numbers by which the labels of each passage are compared, if they are."""
        if not self._student.config.relation_width:
            return [None] * len(labels)
        row_of = {label: row for row, label in enumerate(set().union(*labels))}
        kinds = LabelKinds.from_rows(kind_rows(self._student, self._vocabulary, list(row_of)))
        return [kinds.take([row_of[label] for label in asked]) for asked in labels]
