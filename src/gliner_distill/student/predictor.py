"""TODO-DOC."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities, entities_from_word_labels
from gliner_distill.entities import Entity
from gliner_distill.runtime.heads import BOUNDARY, NONE
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.batch import make_batch
from gliner_distill.student.model import Student

_BATCH_WORDS = 8192


class StudentPredictor:
    """A student's entities.

    Of a `softmax` head: a word's label is the likeliest of those asked, if its odds against "none"
    exceed the threshold's: `p_c / (p_c + p_none) > threshold`. At 0.5 this is the likeliest answer
    of all. Neighbouring words of one label are one entity; its score is the smallest of its words'.
    Of a `boundary` head: `decode_entities` of its probabilities. Without a threshold the student's
    own counts.
    """

    def __init__(
        self, student: Student, vocabulary: Vocabulary, *, threshold: float | None = None
    ) -> None:
        self._student = student.eval()
        self._vocabulary = vocabulary
        self._threshold = threshold if threshold is not None else student.config.threshold

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        return [
            self._decode(logits, asked)
            for logits, asked in zip(self.score(passages, labels), labels, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """Return each passage's logits: see `Student.forward`, without padding."""
        device = self._student.pieces.weight.device
        is_boundary = self._student.config.head == BOUNDARY
        results = [
            np.zeros((0, len(asked), 3) if is_boundary else (0, 1 + len(asked)), np.float32)
            for asked in labels
        ]
        for rows in _batches_by_words([len(words) for words in passages]):
            encoded = [self._vocabulary.encode_words(passages[row]) for row in rows]
            batch = make_batch(encoded, [labels[row] for row in rows], self._vocabulary)
            logits = self._student({key: value.to(device) for key, value in batch.items()})
            for position, row in enumerate(rows):
                n_columns = len(labels[row]) + (0 if is_boundary else 1)
                shape = (slice(len(passages[row])), slice(n_columns))
                results[row] = logits[position][shape].float().cpu().numpy()
        return results

    def _decode(self, logits: NDArray[np.float32], labels: Sequence[str]) -> list[Entity]:
        if not len(logits) or not labels:
            return []
        if self._student.config.head == BOUNDARY:
            probs = 1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))
            return decode_entities(probs, labels, threshold=self._threshold)
        best = logits[:, 1:].argmax(axis=1)
        margins = logits[:, 1:].max(axis=1) - logits[:, NONE]
        word_scores = 1.0 / (1.0 + np.exp(np.minimum(-margins, 80.0)))  # float32 ends at exp(88)
        word_labels = [
            labels[label] if score > self._threshold else None
            for label, score in zip(best.tolist(), word_scores.tolist(), strict=True)
        ]
        return [
            Entity(
                entity.start_word,
                entity.end_word,
                entity.label,
                float(word_scores[entity.start_word : entity.end_word].min()),
            )
            for entity in entities_from_word_labels(word_labels)
        ]


def _batches_by_words(lengths: Sequence[int]) -> list[list[int]]:
    """Return row numbers in batches of like length, at most 8,192 words with padding each."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if not lengths[row]:
            continue
        if not batches or (len(batches[-1]) + 1) * lengths[row] > _BATCH_WORDS:
            batches.append([])
        batches[-1].append(row)
    return batches
