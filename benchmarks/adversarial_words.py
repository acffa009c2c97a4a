"""Search words on which a teacher and a student differ, for `without_data.py`.

The input is text in which some words are marked. Each marked word is a vector in the space of the
teacher's input embeddings. Its cosine with the embedding of every candidate word gives a
distribution over candidates. Both models read the likeliest candidate, so the text is always made
of whole words; the gradient passes as if they had read the mean over the distribution (a
straight-through softmax). Gradient ascent makes the Kullback-Leibler divergence between the
teacher's and the student's answers larger. Each passage keeps the words of its best step.

A candidate is a single piece for the teacher. The student reads it as the mean of its own pieces,
as it would in training. So the gradient passes through both models.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.batch import make_batch
from gliner_distill.student.losses import soft_loss
from gliner_distill.student.model import Student

SHARPNESS: Final = 20.0
"""The number by which cosines are multiplied before the softmax."""
STEP: Final = 1.0
"""The length of a step, relative to that of the vector of a word."""
_AT_ONCE: Final = 16

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A passage whose marked words are to be replaced.

    Attributes:
        words: The words; each marked one is a candidate.
        places: The positions of the marked words.
    """

    words: Words
    places: tuple[int, ...]


def candidate_words(tokenizer: Any) -> list[str]:
    """Return the whole words among the pieces of a tokenizer: three letters or more, a to z."""
    return sorted(
        piece
        for piece in tokenizer.get_vocab()
        if piece.isascii() and piece.isalpha() and piece.islower() and len(piece) > 2
    )


@contextmanager
def replacing(layer: nn.Module, index: tuple[Tensor, ...], vectors: Tensor) -> Iterator[None]:
    """Replace some rows of what a layer returns, for as long as the context lasts.

    Args:
        layer: A layer that returns a tensor.
        index: The position of each row.
        vectors: The rows, shape `(rows, width)`.
    """

    def replace(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.index_put(index, vectors)

    handle = layer.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def choose_straight_through(vectors: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the likeliest candidate of each vector, and its choice as a differentiable row.

    Args:
        vectors: Shape `(places, width)`.
        candidates: The embeddings of the candidates, shape `(candidates, width)`.

    Returns:
        The numbers of the candidates, shape `(places,)`, and rows of 0 and a single 1 whose
        gradient is that of a softmax over cosines, shape `(places, candidates)`.
    """
    cosines = F.normalize(vectors, dim=-1) @ F.normalize(candidates, dim=-1).T
    probs = (SHARPNESS * cosines).softmax(-1)
    chosen = probs.argmax(-1)
    hard = F.one_hot(chosen, len(candidates)).to(probs.dtype)
    return chosen, hard + (probs - probs.detach())


def inside_logits(span_logits: Tensor, n_words: Tensor) -> Tensor:
    """Return the best logit of the spans that cover each word, so that gradients can pass.

    Args:
        span_logits: Shape `(batch, words, widths, labels)`; width index `k` is a span of `k + 1`
            words.
        n_words: Shape `(batch,)`.

    Returns:
        Shape `(batch, words, labels)`.
    """
    length, n_widths = span_logits.shape[1:3]
    last_words = torch.arange(length)[:, None] + torch.arange(n_widths)
    is_inside = last_words[None] < n_words[:, None, None]
    valid = span_logits.masked_fill(~is_inside[..., None], -torch.inf)
    # longer[:, s, k] is the best of the spans that start at s and have more than k words.
    longer = valid.flip(2).cummax(2).values.flip(2)
    covering = [
        F.pad(longer[:, : length - k, k], (0, 0, k, 0), value=-torch.inf)
        for k in range(min(n_widths, length))
    ]
    return torch.stack(covering).amax(0)


class WordSearch:
    """The search for words on which two models differ.

    Args:
        gliner: The teacher: a GLiNER that scores spans, as the package `gliner` loads it.
        student: The student, with a softmax head.
        vocabulary: The student's pieces.
        labels: The labels that both are asked for.
    """

    def __init__(
        self, gliner: Any, student: Student, vocabulary: Vocabulary, labels: Sequence[str]
    ) -> None:
        self._gliner = gliner.eval()
        self._student = student.eval()
        self._vocabulary = vocabulary
        self._labels = list(labels)
        tokenizer = gliner.data_processor.transformer_tokenizer
        encoder = gliner.model.token_rep_layer.bert_layer.model
        self._teacher_layer = encoder.get_input_embeddings()
        self.words = candidate_words(tokenizer)
        self._number = {word: place for place, word in enumerate(self.words)}
        ids = tokenizer.convert_tokens_to_ids(self.words)
        self._teacher_rows = self._teacher_layer.weight.detach()[torch.tensor(ids)]
        encoded = vocabulary.encode_words(self.words)
        with torch.no_grad():
            self._student_rows = student.pieces(
                torch.from_numpy(encoded.piece_ids), torch.from_numpy(encoded.word_starts)
            )

    def search(self, drafts: Sequence[Draft], *, n_steps: int) -> tuple[list[Words], float, float]:
        """Return the passages with other words, and the divergence before and after the search.

        Args:
            drafts: The passages; their order makes no difference.
            n_steps: The number of steps.
        """
        found: list[Words] = []
        before, after = [], []
        for first in range(0, len(drafts), _AT_ONCE):
            part = drafts[first : first + _AT_ONCE]
            words, start, end = self._search_batch(part, n_steps)
            found += words
            before += start
            after += end
        return found, sum(before) / len(before), sum(after) / len(after)

    def _search_batch(
        self, drafts: Sequence[Draft], n_steps: int
    ) -> tuple[list[Words], list[float], list[float]]:
        rows = [(row, place) for row, draft in enumerate(drafts) for place in draft.places]
        chosen = torch.tensor([self._number[drafts[row].words[place]] for row, place in rows])
        owners = torch.tensor([row for row, _ in rows])
        vectors = F.normalize(self._teacher_rows[chosen], dim=-1)
        best = chosen.clone()
        start = highest = torch.full((len(drafts),), -torch.inf)
        for step in range(n_steps + 1):
            vectors.requires_grad_(True)
            chosen, choices = choose_straight_through(vectors, self._teacher_rows)
            divergence = self._divergence(drafts, rows, choices)
            [slope] = torch.autograd.grad(divergence.sum(), vectors)
            reached = divergence.detach()
            start = reached if step == 0 else start
            best = torch.where((reached > highest)[owners], chosen, best)
            highest = torch.maximum(highest, reached)
            vectors = F.normalize(vectors.detach() + STEP * F.normalize(slope, dim=-1), dim=-1)
        words = [list(draft.words) for draft in drafts]
        for (row, place), number in zip(rows, best.tolist(), strict=True):
            words[row][place] = self.words[number]
        return [tuple(item) for item in words], start.tolist(), highest.tolist()

    def _divergence(
        self, drafts: Sequence[Draft], rows: Sequence[tuple[int, int]], choices: Tensor
    ) -> Tensor:
        """Return the divergence of each passage, a mean over words, shape `(passages,)`."""
        teacher_logits = self._teacher_logits(drafts, rows, choices @ self._teacher_rows)
        student_logits, mask = self._student_logits(drafts, rows, choices @ self._student_rows)
        none = teacher_logits.new_zeros(*teacher_logits.shape[:2], 1)
        teacher_logits = torch.cat([none, teacher_logits], dim=-1)
        filled = teacher_logits.masked_fill(~mask[..., None], 0.0)
        per_word = soft_loss(student_logits, filled, temperature=1.0) * mask
        return per_word.sum(1) / mask.sum(1)

    def _teacher_logits(
        self, drafts: Sequence[Draft], rows: Sequence[tuple[int, int]], vectors: Tensor
    ) -> Tensor:
        inputs = self._gliner.prepare_base_input([list(draft.words) for draft in drafts])
        batch = self._gliner.collate_batch(inputs, [self._labels] * len(drafts))
        # The first piece of each word holds the word's number, counted from 1.
        pieces = [
            int((batch["words_mask"][row] == place + 1).nonzero()[0, 0]) for row, place in rows
        ]
        index = (torch.tensor([row for row, _ in rows]), torch.tensor(pieces))
        with replacing(self._teacher_layer, index, vectors):
            logits = self._gliner.model(**batch).logits
        n_words = torch.tensor([len(draft.words) for draft in drafts])
        return inside_logits(logits, n_words)

    def _student_logits(
        self, drafts: Sequence[Draft], rows: Sequence[tuple[int, int]], vectors: Tensor
    ) -> tuple[Tensor, Tensor]:
        encoded = [self._vocabulary.encode_words(draft.words) for draft in drafts]
        batch = make_batch(encoded, [self._labels] * len(drafts), self._vocabulary)
        # The layer returns one row for each word of the batch, one passage after the other.
        firsts = batch.n_words.cumsum(0) - batch.n_words
        index = (torch.tensor([int(firsts[row]) + place for row, place in rows]),)
        with replacing(self._student.pieces, index, vectors):
            logits = self._student(batch)
        return logits, batch.word_mask
