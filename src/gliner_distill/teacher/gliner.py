"""Teachers: words and labels in, start/end/inside probabilities out.

`Teacher` is the one protocol; `GLiNERTeacher` implements it over any NER model that
`GLiNER.from_pretrained` returns (uni-encoder or bi-encoder, span or token level). Scores come from
raw logits over words that are already split, so that word positions are exact. This module does
not decide which labels to ask (see `labeling`) and does not store anything (see `soft_labels`).
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import MissingExtraError, TeacherError
from gliner_distill.hub import download_model, looks_like_hub_id
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.batching import PieceCounter, _batches_by_length, _copy_kept, _Request
from gliner_distill.teacher.threads import map_in_threads
from gliner_distill.windows import plan_windows

_MAX_WORD_CHARS = 100


# A core scores most words a second from small batches, a GPU from large ones.
_BATCH_PIECES_CPU = 1024


_BATCH_PIECES_GPU = 8192


_GPU_STREAMS = 2


# Encoders with relative positions (DeBERTa) name no limit; attention's memory sets one.
_MAX_INPUT_PIECES = 2048


_SAVE_ANEW = "GLiNER.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)"


_SETTINGS_THAT_SCORE = (
    "span_mode",
    "max_width",
    "max_len",
    "max_types",
    "subtoken_pooling",
    "embed_ent_token",
)


class GLiNERTeacher:
    """A GLiNER model as a teacher.

    Passages longer than the model's window go through in overlapping windows; each word takes its
    scores from the window in whose middle it lies deeper. More labels than the model takes at once
    (`max_types`) go through in groups, in the order given. Requests are sorted by length, so that
    a batch holds little padding.

    Batches go through in several threads at once: on a CPU one a core, each reading its batches
    with that core alone, which is faster than all cores at one batch, and gives the same scores
    whatever the number of cores; on a GPU two, so that one prepares while the other scores.
    """

    def __init__(self, model: Any, *, name: str = "gliner", batch_pieces: int | None = None):
        """Wrap a loaded model.

        Args:
            model: What `GLiNER.from_pretrained` returned, on any device.
            name: What people call it.
            batch_pieces: Subword pieces in a batch, padding included. Default: 1,024 on a CPU,
                8,192 on a GPU.

        Raises:
            TeacherError: The model is of an architecture that does not score given labels.
        """
        _check_architecture(model)
        self.name = name
        self.model = model.eval()
        self.fingerprint = fingerprint_model(model)
        self._is_on_cpu = torch.device(model.device).type == "cpu"
        default = _BATCH_PIECES_CPU if self._is_on_cpu else _BATCH_PIECES_GPU
        self._batch_pieces = batch_pieces if batch_pieces is not None else default
        self._collating = Lock()
        self._is_bi_encoder = "BiEncoder" in type(model).__name__
        self._tokenizer = model.data_processor.transformer_tokenizer
        self._max_window_pieces = _max_input_pieces(self._tokenizer, model.model)
        self._word_pieces = PieceCounter(self._tokenizer)
        self._label_pieces = PieceCounter(
            model.data_processor.labels_tokenizer if self._is_bi_encoder else self._tokenizer
        )

    @property
    def metadata(self) -> dict[str, int]:
        """Parameters, with and without tables of subword pieces, and bytes of the weights."""
        sizes = {key: value.numel() for key, value in self.model.model.named_parameters()}
        tables = sum(n for key, n in sizes.items() if key.endswith("word_embeddings.weight"))
        weights = self.model.model.state_dict().values()
        return {
            "n_parameters": sum(sizes.values()),
            "n_parameters_without_embeddings": sum(sizes.values()) - tables,
            "size_bytes": sum(value.numel() * value.element_size() for value in weights),
        }

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "GLiNERTeacher":
        """Load a GLiNER from a local folder or from the hub.

        Args:
            source: A folder with `gliner_config.json` and `model.safetensors`, or a hub id.
            device: A torch device name such as `cpu` or `cuda:0`.

        Raises:
            TeacherError: The folder is missing, has no safetensors weights or not all of them, or
                does not load.
            HubError: The hub id could not be had.
        """
        try:
            from gliner import GLiNER
        except ImportError as error:
            raise MissingExtraError("gliner", "train") from error
        folder = Path(source)
        if not folder.exists() and looks_like_hub_id(str(source)):
            folder = download_model(str(source))
        _check_folder(folder, name=str(source))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = GLiNER.from_pretrained(
                    str(folder), local_files_only=True, map_location=device
                )
            missing = _find_missing_weights(model, folder / "model.safetensors")
        except Exception as error:  # whatever transformers, safetensors or gliner may raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if isinstance(error, OSError):
                reason += f" If it lacks an encoder's files, save it anew, online: {_SAVE_ANEW}"
            raise TeacherError(f"{source}: this GLiNER does not load: {reason}") from error
        if missing:
            raise TeacherError(
                f"{source}: model.safetensors lacks {len(missing)} of the weights that "
                f"gliner_config.json asks for, such as {missing[0]}"
            )
        return cls(model, name=str(source))

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array a passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: A label is given twice, is too long for the model's window, or means
                nothing to its tokenizer.
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
                _copy_kept(request, probs, scores[request.passage])
        return scores

    def collate(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[dict[str, Any]]:
        """Return the model's inputs, batch by batch, as `score_passages` forms them."""
        return [self._collate(batch) for batch in self._plan_batches(passages, labels)]

    def represent_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield passages' indices with their words' and labels' representations, in any order.

        These are GLiNER's vectors just before it scores one against the other, shapes `(words,
        width)` and `(labels, width)`, of a passage's first window and first group of labels alone.
        A passage without words or labels is left out.

        Raises:
            TeacherError: The model does not tell them, or see `score_passages`.
        """
        for batch in self._plan_batches(passages, labels):
            first = [one for one in batch if one.window.start == 0 and one.first_label == 0]
            if not first:
                continue
            output = self.model.run_batch(self._collate(first))
            words = getattr(output, "words_embedding", None)
            prompts = getattr(output, "prompts_embedding", None)
            if words is None or prompts is None:
                raise TeacherError(f"{self.name}: does not tell how it represents words and labels")
            for row, one in enumerate(first):
                yield one.passage, words[row, : len(one.words)], prompts[row, : len(one.labels)]

    @property
    def n_threads(self) -> int:
        """How many batches are scored at once."""
        return torch.get_num_threads() if self._is_on_cpu else _GPU_STREAMS

    def _plan_batches(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[_Request]]:
        self._word_pieces.learn(word[:_MAX_WORD_CHARS] for words in passages for word in words)
        self._label_pieces.learn(label for asked in labels for label in asked)
        requests = [
            request
            for passage, (words, asked) in enumerate(zip(passages, labels, strict=True))
            if words and asked
            for request in self._plan_requests(passage, words, asked)
        ]
        return list(_batches_by_length(requests, self._batch_pieces))

    def _collate(self, requests: Sequence[_Request]) -> dict[str, Any]:
        inputs = self.model.prepare_base_input([request.words for request in requests])
        with self._collating:  # a tokenizer that two threads set up at once fails
            batch: dict[str, Any] = self.model.collate_batch(
                inputs, [request.labels for request in requests]
            )
        return batch

    def _plan_requests(
        self, passage: int, words: Sequence[str], labels: Sequence[str]
    ) -> Iterator[_Request]:
        cut_words = [word[:_MAX_WORD_CHARS] for word in words]
        word_pieces = self._word_pieces.count(cut_words)
        # GLiNER counts the words that have pieces: one without (a zero-width space) would shift
        # the scores of all that follow.
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
                yield _Request(passage, window, cut_words[span], first_label, group, n_pieces)

    def _group_labels(self, labels: Sequence[str]) -> Iterator[tuple[int, list[str], int]]:
        """Yield the first label's index, the labels and the prompt's pieces, a group at a time."""
        specials = 4  # the tokenizer's first and last piece, GLiNER's separator, one to spare
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
        """Return how many pieces each label adds to the text's input, having checked them all."""
        if self._is_bi_encoder:
            tokenizer = self.model.data_processor.labels_tokenizer
            max_pieces = _max_input_pieces(tokenizer, self.model.model, of_labels=True) - 2
        counts = self._label_pieces.count(labels).tolist()
        for label, count in zip(labels, counts, strict=True):
            if count > max_pieces:
                raise TeacherError(
                    f"label {label[:60]!r}... is {count} pieces long; "
                    f"{self.name} takes at most {max_pieces}"
                )
            if not count:
                raise TeacherError(f"label {label!r} holds no character that {self.name} knows")
        return [0] * len(labels) if self._is_bi_encoder else [count + 1 for count in counts]

    @torch.inference_mode()
    def _score_requests(self, requests: Sequence[_Request]) -> list[Probabilities]:
        batch = self._collate(requests)
        probs = torch.sigmoid(self.model.run_batch(batch)[0].float())
        n_words = torch.tensor([len(request.words) for request in requests], device=probs.device)
        if self.model.config.span_mode != "token_level":
            probs = span_to_word_probs(probs, n_words)
        arrays = probs.cpu().numpy()
        return [
            arrays[row, : len(request.words), : len(request.labels)]
            for row, request in enumerate(requests)
        ]


def span_to_word_probs(span_probs: torch.Tensor, n_words: torch.Tensor) -> torch.Tensor:
    """Return start/end/inside probabilities of words from the probabilities of spans.

    A word's start (end, inside) probability for a label is the largest among the spans that start
    at (end at, cover) it: `start[t] = max_k p[t, k]`, `end[t] = max_k p[t - k, k]`,
    `inside[t] = max_{s <= t <= s + k} p[s, k]`.

    Args:
        span_probs: Shape `(batch, words, widths, labels)`; width index `k` is a span of `k + 1`
            words.
        n_words: Shape `(batch,)`, words of each passage; spans that reach beyond are left out.

    Returns:
        Shape `(batch, words, labels, 3)`.
    """
    length, n_widths = span_probs.shape[1:3]
    positions = torch.arange(length, device=span_probs.device)
    widths = torch.arange(n_widths, device=span_probs.device)
    last_words = positions[:, None] + widths
    valid = last_words[None] < n_words[:, None, None]
    span_probs = span_probs * valid[..., None]
    # covering[:, t, k]: the best span that starts at t and reaches at least k words further.
    covering = span_probs.flip(2).cummax(2).values.flip(2)
    words = torch.zeros(*span_probs.shape[:2], span_probs.shape[3], 3, device=span_probs.device)
    words[..., START] = span_probs.amax(2)
    for width in range(min(n_widths, length)):
        shifted = slice(width, length)
        starts = slice(0, length - width)
        for kind, source in ((END, span_probs), (INSIDE, covering)):
            best = torch.maximum(words[:, shifted, :, kind], source[:, starts, width])
            words[:, shifted, :, kind] = best
    return words


def fingerprint_model(model: Any) -> str:
    """Return a SHA-256 over a model's settings, tokenizer and weights, whatever the device."""
    digest = hashlib.sha256()
    settings = {key: getattr(model.config, key) for key in _SETTINGS_THAT_SCORE}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    tokenizer = json.loads(model.data_processor.transformer_tokenizer.backend_tokenizer.to_str())
    for volatile in ("truncation", "padding"):  # the tokenizer's state, set anew at each call
        tokenizer.pop(volatile, None)
    digest.update(json.dumps(tokenizer, sort_keys=True).encode())
    for key, tensor in sorted(model.model.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_architecture(model: Any) -> None:
    supported = ("UniEncoderSpan", "UniEncoderToken", "BiEncoderSpan", "BiEncoderToken")
    name = type(model).__name__
    if name not in [f"{kind}GLiNER" for kind in supported]:
        raise TeacherError(
            f"{name} cannot teach: the teacher must be a GLiNER that scores given labels "
            f"(uni-encoder or bi-encoder, span or token level)"
        )
    if getattr(model.config, "precomputed_prompts_mode", False):
        raise TeacherError(
            "this GLiNER cannot teach: its labels are fixed in its weights "
            "(precomputed_prompts_mode in gliner_config.json); give the model it was made from"
        )
    if model.config.span_mode == "token_level" and getattr(model.config, "represent_spans", False):
        raise TeacherError(
            "this GLiNER cannot teach: it scores spans anew after scoring words "
            "(represent_spans in gliner_config.json), which start/end/inside cannot express"
        )


def _check_folder(folder: Path, *, name: str) -> None:
    if not folder.is_dir():
        raise TeacherError(
            f"{name}: no such folder, and no hub id (owner/name); expected a GLiNER model"
        )
    if not (folder / "gliner_config.json").is_file():
        raise TeacherError(f"{name}: no gliner_config.json in it, so this is no GLiNER model")
    if not (folder / "model.safetensors").is_file():
        hint = "expected model.safetensors"
        if (folder / "pytorch_model.bin").is_file():
            hint = (
                "pytorch_model.bin is a pickle and is not read; if you trust it, convert it once: "
                + _SAVE_ANEW
            )
        raise TeacherError(f"{name}: no weights in it: {hint}")


def _find_missing_weights(model: Any, path: Path) -> list[str]:
    """Return the weights that a file lacks; GLiNER leaves those at random without a word."""
    with safe_open(path, framework="pt") as stream:
        # A weight that is shared is stored once; the metadata name the others.
        known = {*stream.keys(), *(stream.metadata() or {})}
    return [key for key, _ in model.model.named_parameters() if key not in known]


def _max_input_pieces(tokenizer: Any, model: torch.nn.Module, *, of_labels: bool = False) -> int:
    """Return how many pieces an encoder reads at once: its tokenizer's and its tables' limit."""
    limits = [_MAX_INPUT_PIECES, tokenizer.model_max_length]
    limits += [
        parameter.shape[0]
        for key, parameter in model.named_parameters()
        if key.endswith("position_embeddings.weight") and ("labels_encoder" in key) == of_labels
    ]
    return int(min(limits))
