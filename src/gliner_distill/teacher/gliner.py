"""Score words for labels with a GLiNER.

`GLiNERTeacher` implements the `Teacher` protocol over any NER model that `GLiNER.from_pretrained`
returns: uni-encoder or bi-encoder, span or token level. The scores are computed from the raw logits
of passages that are already split into words, so that word positions are exact. This module does
not choose the labels (see `labeling`) and does not store anything (see `store`).
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import TeacherError
from gliner_distill.processors import has_bf16_instructions
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.manifest import BF16, FP32
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.batching import PieceCounter, Request, keep_scores
from gliner_distill.teacher.loading import (
    check_architecture,
    check_settings,
    describe_size,
    explaining,
    fingerprint_model,
    load_gliner,
    max_input_pieces,
)
from gliner_distill.teacher.precision import PrecisionCheck
from gliner_distill.teacher.subwords import encode_subwords, encode_texts, prune_vocabulary
from gliner_distill.teacher.threads import map_in_threads
from gliner_distill.windows import batches_by_length, plan_windows

_MAX_WORD_CHARS = 100

# A CPU core is fastest with small batches, and a GPU with large ones.
_BATCH_PIECES_CPU = 1024
_BATCH_PIECES_GPU = 8192
_GPU_THREADS = 2

# Encoders with relative positions (DeBERTa) do not have a limit, so memory for attention sets this
# one.
_MAX_INPUT_PIECES = 2048


class GLiNERTeacher:
    """A GLiNER model as a teacher.

    A passage that is longer than the model's window is scored in overlapping windows; each word
    takes its scores from the window in which it is farthest from a border. If there are more labels
    than the model takes at once (`max_types`), they are scored in groups, in the given order.
    Requests are sorted by length, so that a batch contains little padding.

    Several batches are scored at the same time. On a CPU there is one thread per core, and each
    computes with that core alone: this is faster than using all cores for one batch, and the scores
    do not depend on the number of cores. On a GPU there are two threads, so that one prepares a
    batch while the other one scores.

    Attributes:
        name: The name for people, in messages and records.
        fingerprint: A SHA-256 over settings, tokenizer and weights.
        model: The GLiNER.
        precision_check: The comparison of its faster precision with fp32, if there was one.
    """

    def __init__(self, model: Any, *, name: str = "gliner", batch_pieces: int | None = None):
        """Wrap a loaded model.

        Args:
            model: A model that `GLiNER.from_pretrained` returned, on any device.
            name: The name for people, in messages and records.
            batch_pieces: The subword pieces in a batch, padding included. The default is 1,024 on
                a CPU and 8,192 on a GPU.

        Raises:
            TeacherError: The architecture does not score labels that it is given.
        """
        check_architecture(model)
        check_settings(model)
        self.name = name
        self.model = model.eval()
        self.fingerprint = fingerprint_model(model)
        self._is_on_cpu = torch.device(model.device).type == "cpu"
        default = _BATCH_PIECES_CPU if self._is_on_cpu else _BATCH_PIECES_GPU
        self._batch_pieces = batch_pieces if batch_pieces is not None else default
        self.precision_check: PrecisionCheck | None = None
        self._scoring_model = self.model
        self._bf16_model: Any = None
        self._collating = Lock()
        self._is_bi_encoder = "BiEncoder" in type(model).__name__
        self._tokenizer = model.data_processor.transformer_tokenizer
        self._max_window_pieces = max_input_pieces(
            self._tokenizer, model.model, limit=_MAX_INPUT_PIECES
        )
        self._word_pieces = PieceCounter(self._tokenizer)
        self._label_pieces = PieceCounter(
            model.data_processor.labels_tokenizer if self._is_bi_encoder else self._tokenizer
        )

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "GLiNERTeacher":
        """Load a GLiNER from a local folder or from the hub.

        Args:
            source: A folder with `gliner_config.json` and `model.safetensors`, or a hub id.
            device: A torch device name such as `cpu` or `cuda:0`.

        Raises:
            TeacherError: The folder is missing, has no safetensors weights or only some of them,
                does not load, or is of an architecture that cannot teach.
            HubError: The model cannot be downloaded from the hub.
        """
        return cls(load_gliner(source, device=device), name=str(source))

    @property
    def metadata(self) -> dict[str, int]:
        """The number of parameters, with and without embeddings, and the bytes of the weights."""
        return describe_size(self.model.model)

    @property
    def faster_precision(self) -> str | None:
        """The precision in which this machine scores faster than in fp32; None if there is none."""
        is_single = next(self.model.model.parameters()).dtype == torch.float32
        return BF16 if self._is_on_cpu and is_single and has_bf16_instructions() else None

    def set_precision(self, precision: str) -> None:
        """Score in another precision from now on: `fp32`, or `bf16` with a copy of the weights.

        The representations and the subword vectors stay in single precision.
        """
        if precision == BF16 and self._bf16_model is None:
            self._bf16_model = copy.deepcopy(self.model).to(torch.bfloat16)
        self._scoring_model = self.model if precision == FP32 else self._bf16_model

    @property
    def n_threads(self) -> int:
        """The number of batches that are scored at once."""
        return torch.get_num_threads() if self._is_on_cpu else _GPU_THREADS

    @property
    def representation_width(self) -> int:
        """The width of the representations of words and labels."""
        return int(self.model.config.hidden_size)

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: A label is asked twice, is too long for the model's window, or holds no
                character that its tokenizer knows.
        """
        for asked in labels:
            if len(set(asked)) != len(asked):
                raise TeacherError(f"labels must differ from each other; got {list(asked)}")
        scores = [
            np.zeros((len(words), len(asked), 3), dtype=np.float32)
            for words, asked in zip(passages, labels, strict=True)
        ]
        batches = self._plan_batches(passages, labels)
        answers = map_in_threads(self._score_requests, batches, n_threads=self.n_threads)
        for batch, answer in zip(batches, answers, strict=True):
            for request, probs in zip(batch, answer, strict=True):
                keep_scores(request, probs, scores[request.passage])
        return scores

    def subword_vectors(self, texts: Iterable[str]) -> SubwordVectors:
        """Return a vocabulary of subword pieces with vectors from the model's encoder.

        Args:
            texts: The words and labels of a corpus, as often as they occur; see `encode_subwords`.
        """
        return encode_subwords(
            self._tokenizer, self.model.model.token_rep_layer.bert_layer.model, texts
        )

    def prune_vocabulary(self, texts: Iterable[str], *, max_pieces: int) -> Vocabulary:
        """Return the pieces of the model's tokenizer that occur in texts; see `subwords`."""
        return prune_vocabulary(self._tokenizer, texts, max_pieces=max_pieces)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the mean state of each short text in the model's encoder; see `subwords`."""
        encoder = self.model.model.token_rep_layer.bert_layer.model
        return encode_texts(self._tokenizer, encoder, texts)

    def collate(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[dict[str, Any]]:
        """Return the model's inputs, batch by batch, as `score_passages` forms them."""
        return [self._collate(batch) for batch in self._plan_batches(passages, labels)]

    def represent_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield passages' indices with representations of their words and labels, in any order.

        A representation is GLiNER's vector just before words are scored against labels. The shapes
        are `(words, width)` and `(labels, width)`, and cover a passage's first window and first
        group of labels only. A passage without words or labels is left out.

        Raises:
            TeacherError: The model does not return them, or see `score_passages`.
        """
        for batch in self._plan_batches(passages, labels):
            first = [
                request
                for request in batch
                if request.window.start == 0 and request.first_label == 0
            ]
            if not first:
                continue
            output = self._run(self.model, first)
            words = getattr(output, "words_embedding", None)
            prompts = getattr(output, "prompts_embedding", None)
            if words is None or prompts is None:
                raise TeacherError(
                    f"{self.name}: the model does not return words_embedding and "
                    f"prompts_embedding, so its representations cannot be matched; use another "
                    f"teacher or set the feature weight to 0"
                )
            for row, request in enumerate(first):
                yield (
                    request.passage,
                    words[row, : len(request.words)],
                    prompts[row, : len(request.labels)],
                )

    def _plan_batches(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Request]]:
        with explaining(self.name, "GLiNER"):
            self._word_pieces.learn(word[:_MAX_WORD_CHARS] for words in passages for word in words)
            self._label_pieces.learn(label for asked in labels for label in asked)
        requests = [
            request
            for passage, (words, asked) in enumerate(zip(passages, labels, strict=True))
            if words and asked
            for request in self._plan_requests(passage, words, asked)
        ]
        return list(
            batches_by_length(
                requests,
                lambda request: request.n_pieces,
                max_padded=self._batch_pieces,
                longest_first=True,
            )
        )

    def _plan_requests(
        self, passage: int, words: Sequence[str], labels: Sequence[str]
    ) -> Iterator[Request]:
        cut_words = [word[:_MAX_WORD_CHARS] for word in words]
        word_pieces = self._word_pieces.count(cut_words)
        # GLiNER counts only words that have pieces, so a word without pieces (a zero-width space)
        # would shift the scores of all words after it.
        for position in np.flatnonzero(word_pieces == 0).tolist():
            cut_words[position] = self._tokenizer.unk_token or "."
            word_pieces[position] = 1
        for first_label, group, prompt_pieces in self._group_labels(labels):
            window_pieces = self._max_window_pieces - prompt_pieces
            windows = plan_windows(
                word_pieces, max_pieces=window_pieces, max_words=self.model.config.max_len
            )
            for window in windows:
                span = slice(window.start, window.end)
                n_pieces = prompt_pieces + int(word_pieces[span].sum())
                yield Request(passage, window, cut_words[span], first_label, group, n_pieces)

    def _group_labels(self, labels: Sequence[str]) -> Iterator[tuple[int, list[str], int]]:
        """Yield groups of labels: the index of the first, the labels, and the prompt's pieces."""
        specials = 4  # the tokenizer's first and last piece, GLiNER's separator, and one in reserve
        # Labels get at most half of the window, so that enough text fits beside them.
        max_prompt = self._max_window_pieces // 2
        label_pieces = self._count_label_pieces(labels, max_pieces=max_prompt - specials - 1)
        first = 0
        while first < len(labels):
            last = first
            total = specials
            while (
                last < len(labels)
                and last - first < self.model.config.max_types
                and total + label_pieces[last] <= max_prompt
            ):
                total += label_pieces[last]
                last += 1
            yield first, list(labels[first:last]), total
            first = last

    def _count_label_pieces(self, labels: Sequence[str], *, max_pieces: int) -> list[int]:
        """Return how many pieces each label adds to the input, after checking all labels."""
        if self._is_bi_encoder:
            max_pieces = self._max_label_pieces()
        counts = self._label_pieces.count(labels).tolist()
        for label, count in zip(labels, counts, strict=True):
            if count > max_pieces:
                raise TeacherError(
                    f"label {label[:60]!r} has {count} subword pieces; {self.name} takes at most "
                    f"{max_pieces}, so shorten it"
                )
            if not count:
                raise TeacherError(
                    f"label {label!r} holds no character that {self.name} knows; choose another "
                    "label"
                )
        # A bi-encoder reads labels apart from the text; a uni-encoder adds a mark to each.
        return [0] * len(labels) if self._is_bi_encoder else [count + 1 for count in counts]

    def _max_label_pieces(self) -> int:
        """Return the largest length of a label in a bi-encoder, without the two special pieces."""
        limit = max_input_pieces(
            self.model.data_processor.labels_tokenizer,
            self.model.model,
            limit=_MAX_INPUT_PIECES,
            is_label_encoder=True,
        )
        return limit - 2

    def _collate(self, requests: Sequence[Request]) -> dict[str, Any]:
        inputs = self.model.prepare_base_input([request.words for request in requests])
        # A tokenizer fails if two threads set it up at the same time.
        with self._collating, explaining(self.name, "GLiNER"):
            batch: dict[str, Any] = self.model.collate_batch(
                inputs, [request.labels for request in requests]
            )
        return batch

    def _run(self, model: Any, requests: Sequence[Request]) -> Any:
        batch = self._collate(requests)
        with explaining(self.name, "GLiNER"):
            return model.run_batch(batch)

    @torch.inference_mode()
    def _score_requests(self, requests: Sequence[Request]) -> list[Probabilities]:
        probs = torch.sigmoid(self._run(self._scoring_model, requests)[0].float())
        n_words = torch.tensor([len(request.words) for request in requests], device=probs.device)
        if self.model.config.span_mode != "token_level":
            probs = span_to_word_probs(probs, n_words)
        arrays = probs.cpu().numpy()
        return [
            arrays[row, : len(request.words), : len(request.labels)]
            for row, request in enumerate(requests)
        ]


def span_to_word_probs(span_probs: torch.Tensor, n_words: torch.Tensor) -> torch.Tensor:
    """Return the start, end and inside probabilities of words from those of spans.

    A word's start (end, inside) probability for a label is the largest among the spans that start
    at (end at, cover) it: `start[t] = max_k p[t, k]`, `end[t] = max_k p[t - k, k]`,
    `inside[t] = max_{s <= t <= s + k} p[s, k]`.

    Args:
        span_probs: Shape `(batch, words, widths, labels)`; width index `k` is a span of `k + 1`
            words.
        n_words: Shape `(batch,)`, the words of each passage; spans that reach beyond the end are
            ignored.

    Returns:
        Shape `(batch, words, labels, 3)`.
    """
    length, n_widths = span_probs.shape[1:3]
    positions = torch.arange(length, device=span_probs.device)
    widths = torch.arange(n_widths, device=span_probs.device)
    # A span that reaches beyond the passage is padding and gets probability 0.
    last_words = positions[:, None] + widths
    valid = last_words[None] < n_words[:, None, None]
    span_probs = span_probs * valid[..., None]
    # covering[:, t, k] is the best of the spans that start at t and reach at least k words further.
    covering = span_probs.flip(2).cummax(2).values.flip(2)
    words = torch.zeros(*span_probs.shape[:2], span_probs.shape[3], 3, device=span_probs.device)
    words[..., START] = span_probs.amax(2)
    # Shifting by the width moves the score of a span from its start to its later words.
    for width in range(min(n_widths, length)):
        shifted = slice(width, length)
        starts = slice(0, length - width)
        for tag, source in ((END, span_probs), (INSIDE, covering)):
            best = torch.maximum(words[:, shifted, :, tag], source[:, starts, width])
            words[:, shifted, :, tag] = best
    return words
