"""The student: twin LSTM and label towers over shared subword pieces, at most 6M parameters.

Words: pieces, averaged to a word, plus its shape, through an LSTM. Labels: the same pieces,
averaged, through one fully connected layer, or two. A dot product scores each label against each
word. Two heads: `softmax`, one distribution a word over its labels and "none" (the report's), and
`boundary`, for each label the probabilities that the word starts, ends or lies inside an entity.
Labels never see the text or each other, so their order cannot change a score.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import BOUNDARY, HEAD_NAMES, SOFTMAX, head_named
from gliner_distill.runtime.vocabulary import N_SHAPES
from gliner_distill.student.batch import Batch

MAX_PARAMETERS = 6_000_000


# What is asked for is mostly not there: about 1 in 20 of a GLiNER's answers is above a half.
_BOUNDARY_BIAS = -3.0
_PROJECTIONS = ("word_projection.", "label_projection.")


class Student(nn.Module):
    """Twin towers: words through an LSTM, labels through one layer.

    Raises:
        SettingsError: The shape needs more than 6,000,000 parameters, or there is no such head.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        if config.head not in HEAD_NAMES:
            raise SettingsError(f"head must be one of {', '.join(HEAD_NAMES)}; got {config.head!r}")
        self.config = config
        width, hidden = config.embedding_width, config.hidden_width
        n_directions = 2 if config.bidirectional else 1
        out_width = hidden * n_directions
        label_width = out_width * head_named(config.head).n_vectors
        self.pieces = nn.EmbeddingBag(config.n_pieces, width, mode="mean")
        self.shapes = nn.Linear(N_SHAPES, width, bias=False)
        self.forward_lstm = _lstm_layers(config.n_layers, width, hidden, out_width)
        self.backward_lstm = _lstm_layers(
            config.n_layers if config.bidirectional else 0, width, hidden, out_width
        )
        self.word_tower = nn.Linear(out_width + width, out_width)
        self.label_tower = _label_tower(width, config.label_hidden_width, label_width)
        if config.head == SOFTMAX:
            self.none = nn.Linear(out_width, 1)
        else:
            self.bias = nn.Parameter(torch.full((3,), _BOUNDARY_BIAS))
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.dropout = nn.Dropout(config.dropout_prob)
        if config.feature_width:  # last, so that all else starts as it does without
            self.word_projection = nn.Linear(out_width, config.feature_width)
            self.label_projection = nn.Linear(label_width, config.feature_width)
        if self.n_parameters > MAX_PARAMETERS:
            raise SettingsError(
                f"this student has {self.n_parameters:,} parameters "
                f"({self.pieces.weight.numel():,} of them embeddings); at most "
                f"{MAX_PARAMETERS:,} are allowed: make it narrower"
            )

    def weights_without_projections(self) -> dict[str, Tensor]:
        """Return the weights by name, without the projections that only training needs."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(_PROJECTIONS)
        }

    @property
    def n_parameters(self) -> int:
        """Parameters counted over everything but the projections, which stay behind in training."""
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if not name.startswith(_PROJECTIONS)
        )

    @property
    def n_parameters_without_embeddings(self) -> int:
        """Parameters but for the table of subword pieces."""
        return self.n_parameters - self.pieces.weight.numel()

    def forward(
        self, batch: Batch, *, with_features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Return logits, and on demand the features of words and of labels.

        Of a `softmax` head: shape `(batch, words, 1 + labels)`, "none" first; of a `boundary` head:
        `(batch, words, labels, 3)`, start, end, inside. Masked labels hold `-inf`; positions beyond
        a passage's end hold numbers without meaning (`word_mask` tells them).

        Features are vectors projected to a teacher's `feature_width`, which must be above 0:
        shapes `(batch, words, feature_width)` and `(batch, labels, feature_width)`.
        """
        pooled_words, pooled_labels = self.pool_pieces(batch)
        words = self.encode_words(pooled_words, batch)
        labels = self.encode_labels(pooled_labels)
        logits = self._score(words, labels[batch["label_index"]], batch["label_mask"])
        if not with_features:
            return logits
        label_features = self.label_projection(labels.flatten(1))[batch["label_index"]]
        return logits, self.word_projection(words), label_features

    def _score(self, words: Tensor, labels: Tensor, label_mask: Tensor) -> Tensor:
        scale = words.shape[-1] ** -0.5
        # (batch, labels, kinds, width) with the words: (batch, words, labels, kinds)
        scores = scale * (words @ labels.flatten(1, 2).transpose(1, 2))
        scores = scores.reshape(*words.shape[:2], *labels.shape[1:3])
        scores = scores.masked_fill(~label_mask[:, None, :, None], -torch.inf)
        if self.config.head == BOUNDARY:
            biased: Tensor = scores + self.bias
            return biased
        return torch.cat([self.none(words), scores[..., 0]], dim=-1)

    def pool_pieces(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean piece vectors of all words and of all labels, a row each."""
        # One look into the table for both: a backward pass fills a table of zeros for each look,
        # which takes as long as an LSTM.
        piece_ids = torch.cat([batch["piece_ids"], batch["label_piece_ids"]])
        label_starts = batch["label_starts"] + len(batch["piece_ids"])
        pooled = self.pieces(piece_ids, torch.cat([batch["word_starts"], label_starts]))
        n_words = len(batch["word_starts"])
        return pooled[:n_words], pooled[n_words:]

    def encode_labels(self, pooled: Tensor) -> Tensor:
        """Return label vectors, shape `(labels, kinds, width)`; no text goes in.

        A `softmax` head has one kind, a `boundary` head three: start, end, inside.
        """
        encoded: Tensor = self.label_tower(self.embedding_dropout(pooled))
        n_kinds = head_named(self.config.head).n_vectors
        return encoded.reshape(len(pooled), n_kinds, encoded.shape[-1] // n_kinds)

    def encode_words(self, pooled: Tensor, batch: Batch) -> Tensor:
        """Return word vectors, shape `(batch, words, width)`."""
        embedded = self._pad_words(pooled + self.shapes(batch["word_shapes"]), batch["word_mask"])
        reversal = _reversal(batch["n_words"], embedded.shape[1])
        states = embedded.transpose(0, 1)
        for layer, forward_lstm in enumerate(self.forward_lstm):
            if layer:
                states = self.dropout(states)
            outputs = [forward_lstm(states)[0]]
            if self.config.bidirectional:
                # Reversing each passage within its own length keeps padding out of the LSTM's
                # past, as packing would, at a third of packing's time on a CPU.
                backward = self.backward_lstm[layer](_reorder(states, reversal))[0]
                outputs.append(_reorder(backward, reversal))
            states = torch.cat(outputs, dim=-1)
        states = self.dropout(states.transpose(0, 1))
        projected: Tensor = self.word_tower(torch.cat([states, embedded], dim=-1))
        return projected

    def _pad_words(self, pooled: Tensor, mask: Tensor) -> Tensor:
        padded = pooled.new_zeros(*mask.shape, pooled.shape[-1])
        padded = padded.masked_scatter(mask[..., None], pooled)
        dropped: Tensor = self.embedding_dropout(padded)
        return dropped


def calibrate_student(student: Student, *, shift: Sequence[float], scale: float) -> None:
    """Make a boundary student's logits `scale * (logit - shift)`, by changing its weights.

    Args:
        student: Changed in place.
        shift: Of start, end and inside.
        scale: Above 0.

    Raises:
        StudentError: The student has no `boundary` head.
    """
    if student.config.head != BOUNDARY:
        raise StudentError("only a student with a boundary head can be calibrated")
    *_, last = student.label_tower.modules()
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.mul_(scale)
        student.bias.copy_(scale * (student.bias - torch.tensor(shift, device=student.bias.device)))


def _label_tower(width: int, hidden: int, out_width: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, out_width)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out_width))


def _lstm_layers(n_layers: int, width: int, hidden: int, out_width: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.LSTM(width if layer == 0 else out_width, hidden) for layer in range(n_layers)
    )


def _reversal(n_words: Tensor, length: int) -> Tensor:
    """Return shape `(words, batch)`: where each position goes when its passage is reversed."""
    positions = torch.arange(length, device=n_words.device)[:, None]
    return torch.where(positions < n_words[None, :], n_words[None, :] - 1 - positions, positions)


def _reorder(states: Tensor, order: Tensor) -> Tensor:
    return states.gather(0, order[..., None].expand(-1, -1, states.shape[-1]))
