"""The student: a word tower and a label tower over shared subword pieces, at most 6M parameters.

The vector of a word is the mean of its pieces plus an encoding of its shape, read by an LSTM. The
vector of a label is the mean of its pieces and, with a `label_lstm_width`, the states of an LSTM
that reads them in order; one or two fully connected layers follow. From the dot product of the two,
a head computes the logits of the label at the word. Labels never see the text or each other, so
their order cannot change a score. See `runtime.heads` for the two heads.

The hidden layer of the label tower also gives, where the configuration says so, the two vectors by
which labels are compared (`student.relations`).
"""

import torch
from torch import Tensor, nn

from gliner_distill.errors import SettingsError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.vocabulary import N_SHAPES
from gliner_distill.runtime.weights import check_size
from gliner_distill.student.batch import Batch
from gliner_distill.student.heads import torch_head

# Only training needs these: they map vectors to the width of a teacher's representations.
_PROJECTIONS = ("word_projection.", "label_projection.")


class Student(nn.Module):
    """The torch model of a student.

    Raises:
        SettingsError: The architecture needs more than 6,000,000 parameters, or has no such head.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        # Counted from the configuration, because an impossible one would fill the memory.
        check_size(config)
        self.config = config
        self.head = torch_head(config.head)
        self._n_vectors = head_named(config.head).n_vectors
        width, hidden = config.embedding_width, config.hidden_width
        state_width = hidden * (2 if config.bidirectional else 1)
        label_width = state_width * self._n_vectors
        # The layers draw their random numbers in this order; another order would give other weights
        # for the same seed.
        self.pieces = nn.EmbeddingBag(config.n_pieces, width, mode="mean")
        self.shapes = nn.Linear(N_SHAPES, width, bias=False)
        self.forward_lstm = _lstm_layers(config.n_layers, width, hidden, state_width)
        self.backward_lstm = _lstm_layers(
            config.n_layers if config.bidirectional else 0, width, hidden, state_width
        )
        self.word_tower = nn.Linear(state_width + width, state_width)
        label_in = width + 2 * config.label_lstm_width
        self.label_tower = _label_tower(label_in, config.label_hidden_width, label_width)
        self.head.add_parameters(self, state_width)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.dropout = nn.Dropout(config.dropout_prob)
        self._add_label_layers(width)
        # The projections come last, so that all other weights start as they do without them.
        if config.feature_width:
            self.word_projection = nn.Linear(state_width, config.feature_width)
            self.label_projection = nn.Linear(label_width, config.feature_width)

    def _add_label_layers(self, width: int) -> None:
        """Add the layers of the label tower that only some students have."""
        config, hidden = self.config, self.config.label_hidden_width
        if config.relation_width and not hidden:
            raise SettingsError(
                "relation_width needs a hidden layer in the label tower; set label_hidden_width "
                "above 0"
            )
        if config.label_lstm_width:
            self.label_forward_lstm = nn.LSTM(width, config.label_lstm_width)
            self.label_backward_lstm = nn.LSTM(width, config.label_lstm_width)
        if config.relation_width:
            self.label_kind = nn.Linear(hidden, 2 * config.relation_width + 1)

    def weights_without_projections(self) -> dict[str, Tensor]:
        """Return the weights by name, without the projections that only training needs."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(_PROJECTIONS)
        }

    @property
    def n_parameters(self) -> int:
        """The number of parameters, without the projections that only training needs."""
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if not name.startswith(_PROJECTIONS)
        )

    @property
    def n_parameters_without_embeddings(self) -> int:
        """The number of parameters outside the table of subword pieces."""
        return self.n_parameters - self.pieces.weight.numel()

    def forward(
        self, batch: Batch, *, with_features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Return logits and, if asked for, the features of words and labels.

        Args:
            batch: The passages and labels.
            with_features: Whether to return features as well; needs a `feature_width` above 0.

        Returns:
            The logits. A softmax head gives shape `(batch, words, 1 + labels)`, "none" first. A
            boundary head gives shape `(batch, words, labels, 3)`: start, end, inside. Masked labels
            hold `-inf`; positions beyond the end of a passage hold numbers without meaning
            (`word_mask` tells them apart). The features are the word and label vectors projected to
            the width of a teacher's representations, shapes `(batch, words, feature_width)` and
            `(batch, labels, feature_width)`.
        """
        pooled_words, label_pieces = self.look_up(batch)
        words = self.encode_words(pooled_words, batch)
        labels = self.label_vectors(self.read_labels(label_pieces, batch.label_starts))
        products = _products(words, labels[batch.label_index], batch.label_mask)
        logits = self.head.logits(self, words, products)
        if not with_features:
            return logits
        label_features = self.label_projection(labels.flatten(1))[batch.label_index]
        return logits, self.word_projection(words), label_features

    def look_up(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean piece vector of each word, and the vector of each piece of the labels.

        Their shapes are `(words, width)` and `(pieces, width)`.
        """
        # One lookup serves both, because the backward pass fills a table of zeros for each lookup,
        # which takes as long as an LSTM. In it, each piece of a label is a bag of its own.
        piece_ids = torch.cat([batch.piece_ids, batch.label_piece_ids])
        label_bags = torch.arange(len(batch.piece_ids), len(piece_ids), device=piece_ids.device)
        pooled = self.pieces(piece_ids, torch.cat([batch.word_starts, label_bags]))
        n_words = len(batch.word_starts)
        return pooled[:n_words], pooled[n_words:]

    def read_labels(self, pieces: Tensor, starts: Tensor, *, with_dropout: bool = True) -> Tensor:
        """Return what the label tower's last layer reads, one row per label.

        Args:
            pieces: The vectors of the pieces of all labels, shape `(pieces, width)`.
            starts: The position of each label's first piece, shape `(labels,)`.
            with_dropout: Whether dropout is applied in training.

        Returns:
            Shape `(labels, hidden)`, or `(labels, inputs)` if the tower has no hidden layer.
        """
        lengths = torch.diff(starts, append=starts.new_tensor([len(pieces)]))
        padded = _pad_runs(pieces, starts, lengths)
        read = padded.sum(1) / lengths[:, None]
        if self.config.label_lstm_width:
            read = torch.cat([read, self._label_states(padded, lengths)], dim=-1)
        if with_dropout:
            read = self.embedding_dropout(read)
        for layer in self._label_layers()[:-1]:
            read = layer(read)
        return read

    def label_vectors(self, hidden: Tensor) -> Tensor:
        """Return label vectors, shape `(labels, vectors, width)`; they do not depend on any text.

        A softmax head has one vector per label; a boundary head has three: start, end, inside.

        Args:
            hidden: The result of `read_labels`.
        """
        encoded: Tensor = self._label_layers()[-1](hidden)
        return encoded.reshape(len(hidden), self._n_vectors, encoded.shape[-1] // self._n_vectors)

    def _label_layers(self) -> list[nn.Module]:
        tower = self.label_tower
        return list(tower) if isinstance(tower, nn.Sequential) else [tower]

    def _label_states(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """Return the last states of both LSTMs, shape `(labels, 2 * label_lstm_width)`."""
        steps = padded.transpose(0, 1)
        reversed_steps = _reorder(steps, _reversal(lengths, padded.shape[1]))
        rows, last = torch.arange(len(lengths), device=lengths.device), lengths - 1
        forward = self.label_forward_lstm(steps)[0][last, rows]
        backward = self.label_backward_lstm(reversed_steps)[0][last, rows]
        return torch.cat([forward, backward], dim=-1)

    def encode_words(self, pooled: Tensor, batch: Batch) -> Tensor:
        """Return word vectors, shape `(batch, words, width)`."""
        embedded = self.pad_words(pooled + self.shapes(batch.word_shapes), batch.word_mask)
        reversal = _reversal(batch.n_words, embedded.shape[1])
        states = embedded.transpose(0, 1)
        for layer, forward_lstm in enumerate(self.forward_lstm):
            if layer:
                states = self.dropout(states)
            outputs = [forward_lstm(states)[0]]
            if self.config.bidirectional:
                # Reversing each passage within its own length makes sure that the LSTM never reads
                # padding before words. Packing does so, too, but is three times as slow on a CPU.
                backward = self.backward_lstm[layer](_reorder(states, reversal))[0]
                outputs.append(_reorder(backward, reversal))
            states = torch.cat(outputs, dim=-1)
        states = self.dropout(states.transpose(0, 1))
        projected: Tensor = self.word_tower(torch.cat([states, embedded], dim=-1))
        return projected

    def pad_words(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Return the vectors of all words as `(batch, words, width)`, with zeros as padding.

        In training, dropout is applied to them.
        """
        padded = vectors.new_zeros(*mask.shape, vectors.shape[-1])
        padded = padded.masked_scatter(mask[..., None], vectors)
        dropped: Tensor = self.embedding_dropout(padded)
        return dropped


def _pad_runs(values: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Return runs of rows padded with zeros, shape `(runs, longest, width)`.

    Args:
        values: The rows of all runs, shape `(rows, width)`.
        starts: The position of each run's first row, shape `(runs,)`.
        lengths: The number of rows of each run, shape `(runs,)`.
    """
    longest = int(lengths.max()) if len(lengths) else 0
    places = torch.arange(longest, device=starts.device)
    is_in_run = places[None, :] < lengths[:, None]
    rows = (starts[:, None] + places).clamp(max=max(len(values) - 1, 0))
    return values[rows] * is_in_run[..., None]


def _products(words: Tensor, labels: Tensor, label_mask: Tensor) -> Tensor:
    """Return scaled dot products, shape `(batch, words, labels, vectors)`.

    Args:
        words: Shape `(batch, words, width)`.
        labels: Shape `(batch, labels, vectors, width)`.
        label_mask: Shape `(batch, labels)`, true at labels.
    """
    scale = words.shape[-1] ** -0.5
    products = scale * (words @ labels.flatten(1, 2).transpose(1, 2))
    products = products.reshape(*words.shape[:2], *labels.shape[1:3])
    masked: Tensor = products.masked_fill(~label_mask[:, None, :, None], -torch.inf)
    return masked


def _label_tower(width: int, hidden: int, out_width: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, out_width)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out_width))


def _lstm_layers(n_layers: int, width: int, hidden: int, out_width: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.LSTM(width if layer == 0 else out_width, hidden) for layer in range(n_layers)
    )


def _reversal(n_words: Tensor, length: int) -> Tensor:
    """Return shape `(words, batch)`: the position of each word when its passage is reversed."""
    positions = torch.arange(length, device=n_words.device)[:, None]
    return torch.where(positions < n_words[None, :], n_words[None, :] - 1 - positions, positions)


def _reorder(states: Tensor, order: Tensor) -> Tensor:
    return states.gather(0, order[..., None].expand(-1, -1, states.shape[-1]))
