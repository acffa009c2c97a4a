"""Score words for labels with a GLiNER2, of the architecture `span` or `boundary`.

`GLiNER2Teacher` asks the package gliner2 for every span whose score is not tiny, by its public
functions alone, and turns the spans into probabilities of words: a word's start (end, inside)
probability is the largest score of the spans that start at (end at, cover) it. Spans that the
package leaves out at its threshold of 0.5, because they overlap a better one of the same label,
count as just below 0.5. So the probabilities, decoded at 0.5, are exactly the package's entities,
label by label.

A boundary model also has probabilities of its own for starts, ends and insides. With these it only
proposes spans; what it answers with is the score of a proposed span, so that score is used here.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gliner_distill.corpus.labels import split_prompt
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import MissingExtraError, TeacherError, shorten
from gliner_distill.files import reason_of
from gliner_distill.gate import check_gliner2, no_foreign_code
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.batching import Request, keep_scores
from gliner_distill.teacher.checkpoints import locate_checkpoint
from gliner_distill.teacher.loading import (
    describe_size,
    explaining,
    fingerprint_parts,
    max_input_pieces,
)
from gliner_distill.teacher.subwords import encode_subwords
from gliner_distill.windows import batches_by_length, plan_windows

LEAST_SCORE: Final = 1 / 64
"""The score below which the package is not asked for spans; the probability is then 0."""

_THRESHOLD = 0.5
_BELOW_THRESHOLD = float(np.nextafter(np.float32(_THRESHOLD), np.float32(0)))
_MAX_WORD_CHARS = 100
_BATCH_PIECES_CPU = 1024
_BATCH_PIECES_GPU = 8192
# Memory for attention sets this limit.
_MAX_INPUT_PIECES = 2048
_MAX_WORDS = 1_000_000
# No tokenizer sees this character: the text is split at it, so that words stay as they are.
_BREAK = "\x1f"
# gliner2 ends every text with one of these.
_CLOSING = (".", "!", "?")
# The text around the labels in the model's input: ( [P] entities ( ) ) [SEP_TEXT], and a full stop.
_FRAME = ("(", "entities", "(", ")", ")", ".")
_N_FRAME_MARKS = 2
_SETTINGS_THAT_SCORE = ("architecture", "token_pooling", "max_len", "counting_layer")


class GLiNER2Teacher:
    """A GLiNER2 model as a teacher.

    Long passages are scored in overlapping windows, and many labels in groups, as in
    `GLiNERTeacher`. A label's description is passed on as the package's own descriptions are.

    Attributes:
        name: The name for people, in messages and records.
        fingerprint: A SHA-256 over settings, tokenizer and weights.
        model: The GLiNER2.
    """

    def __init__(self, model: Any, *, name: str = "gliner2", batch_pieces: int | None = None):
        """Wrap a loaded model; its splitter of words is replaced.

        Args:
            model: A model that `gliner2.AutoExtractor.from_pretrained` returned, on any device.
            name: The name for people, in messages and records.
            batch_pieces: The subword pieces in a batch, padding included. The default is 1,024 on
                a CPU and 8,192 on a GPU.

        Raises:
            TeacherError: The model's `max_len` is not a number of words.
        """
        self.name = name
        self.model = model.eval().set_word_splitter(_split_at_breaks)
        self._tokenizer = model.processor.tokenizer
        settings = {key: getattr(model.config, key, None) for key in _SETTINGS_THAT_SCORE}
        for head in ("span_head", "boundary_head"):
            settings[head] = dict(getattr(model.config, head, None) or {})
        self.fingerprint = fingerprint_parts(settings, self._tokenizer, model)
        is_on_cpu = torch.device(model.device).type == "cpu"
        self._batch_pieces = batch_pieces or (_BATCH_PIECES_CPU if is_on_cpu else _BATCH_PIECES_GPU)
        self._max_pieces = max_input_pieces(self._tokenizer, model, limit=_MAX_INPUT_PIECES)
        self._max_words = getattr(model.config, "max_len", None) or _MAX_WORDS
        if type(self._max_words) is not int or self._max_words < 1:
            raise TeacherError(
                f"{name}: max_len in config.json is {shorten(self._max_words)}; expected a whole "
                "number above 0, or null"
            )
        self._marks = tuple(model.processor.SPECIAL_TOKENS)
        self._count = lru_cache(200_000)(lambda text: len(self._tokenizer.tokenize(text)))

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "cpu") -> "GLiNER2Teacher":
        """Load a GLiNER2 from a local folder or from the hub.

        Args:
            source: A folder with `config.json`, `encoder_config/config.json` and
                `model.safetensors`, or a hub id.
            device: A torch device name such as `cpu` or `cuda:0`.

        Raises:
            MissingExtraError: The package gliner2 is not installed.
            TeacherError: The folder is missing, incomplete, unsafe to load, or does not load.
            HubError: The model cannot be downloaded from the hub.
        """
        return cls(load_gliner2(source, device=device), name=str(source))

    @property
    def metadata(self) -> dict[str, int]:
        """The number of parameters, with and without embeddings, and the bytes of the weights."""
        return describe_size(self.model)

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: A label is asked twice, is too long for the model's window, or holds one
                of the model's marks or no character that its tokenizer knows.
        """
        scores = [
            np.zeros((len(words), len(asked), 3), dtype=np.float32)
            for words, asked in zip(passages, labels, strict=True)
        ]
        requests = [
            request
            for passage, (words, asked) in enumerate(zip(passages, labels, strict=True))
            if words and asked
            for request in self._plan_requests(passage, words, asked)
        ]
        for batch in batches_by_length(
            requests,
            lambda request: request.n_pieces,
            max_padded=self._batch_pieces,
            longest_first=True,
        ):
            for request, probs in zip(batch, self._score_requests(batch), strict=True):
                keep_scores(request, probs, scores[request.passage])
        return scores

    def subword_vectors(self, texts: Iterable[str]) -> SubwordVectors:
        """Return a vocabulary of subword pieces with vectors from the model's encoder."""
        return encode_subwords(self._tokenizer, self.model.encoder, texts)

    def _plan_requests(
        self, passage: int, words: Sequence[str], labels: Sequence[str]
    ) -> Iterator[Request]:
        _check_distinct(labels)
        cut_words = [word[:_MAX_WORD_CHARS].replace(_BREAK, " ") for word in words]
        n_pieces = np.array([self._count(word.lower()) for word in cut_words])
        # A word without pieces (a zero-width space) would take the place of the word after it.
        for position in np.flatnonzero(n_pieces == 0).tolist():
            cut_words[position] = self._tokenizer.unk_token or "."
            n_pieces[position] = 1
        for first_label, group, prompt_pieces in self._group_labels(labels):
            for window in plan_windows(
                n_pieces, max_pieces=self._max_pieces - prompt_pieces, max_words=self._max_words
            ):
                span = slice(window.start, window.end)
                total = prompt_pieces + int(n_pieces[span].sum())
                yield Request(passage, window, cut_words[span], first_label, group, total)

    def _group_labels(self, labels: Sequence[str]) -> Iterator[tuple[int, list[str], int]]:
        """Yield groups of labels: the index of the first, the labels, and the prompt's pieces."""
        frame = _N_FRAME_MARKS + sum(map(self._count, _FRAME))
        # Labels get at most half of the window, so that enough text fits beside them.
        max_prompt = self._max_pieces // 2
        n_pieces = [self._count_label(label, max_pieces=max_prompt - frame) for label in labels]
        first = 0
        while first < len(labels):
            last, total = first, frame
            while last < len(labels) and total + n_pieces[last] <= max_prompt:
                total += n_pieces[last]
                last += 1
            yield first, list(labels[first:last]), total
            first = last

    def _count_label(self, prompt: str, *, max_pieces: int) -> int:
        label, description = split_prompt(prompt)
        mark = next((mark for mark in self._marks if mark in prompt), None)
        if mark is not None or not self._count(label):
            found = f"holds the mark {mark}" if mark else "holds no character"
            raise TeacherError(
                f"label {prompt[:60]!r} {found} that {self.name} knows; choose another label"
            )
        # Each label has a mark, and so has each description, which repeats the label.
        total: int = 1 + self._count(label) + (1 + self._count(prompt) if description else 0)
        if total > max_pieces:
            raise TeacherError(
                f"label {prompt[:60]!r} has {total} subword pieces; {self.name} takes at most "
                f"{max_pieces}, so shorten it"
            )
        return total

    def _score_requests(self, requests: Sequence[Request]) -> list[Probabilities]:
        texts = [_BREAK.join(_close(request.words)) for request in requests]
        asked = [_name_labels(request.labels) for request in requests]
        with explaining(self.name, "GLiNER2"):
            answers = self.model.batch_extract(
                texts,
                [self.model.create_schema().entities(labels) for labels in asked],
                batch_size=len(requests),
                threshold=LEAST_SCORE,
                include_confidence=True,
                include_spans=True,
                overlap_policy="allow",
            )
            return [
                self._word_probs(request.words, list(labels), answer["entities"])
                for request, labels, answer in zip(requests, asked, answers, strict=True)
            ]

    def _word_probs(
        self, words: Sequence[str], labels: Sequence[str], found: dict[str, list[dict[str, Any]]]
    ) -> Probabilities:
        """Return the probabilities of words, shape `(words, labels, 3)`, from each label's spans.

        Spans that reach into the full stop that was added are left out.
        """
        probs = np.zeros((len(words), len(labels), 3), dtype=np.float32)
        starts = np.cumsum([0] + [len(word) + 1 for word in words])
        for column, label in enumerate(labels):
            scores = probs[:, column]
            for start_char, end_char, score in self._cap_overlaps(found.get(label) or ()):
                first = int(np.searchsorted(starts, start_char))
                last = int(np.searchsorted(starts, end_char + 1)) - 1
                if last < len(words):
                    scores[first, START] = max(scores[first, START], score)
                    scores[last, END] = max(scores[last, END], score)
                    inside = scores[first : last + 1, INSIDE]
                    np.maximum(inside, score, out=inside)
        return probs

    def _cap_overlaps(self, found: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, float]]:
        """Yield spans with their scores; those that the package leaves out score below 0.5."""
        from gliner2.inference.candidate_decoder import finalize_spans

        spans = [(span["text"], span["confidence"], span["start"], span["end"]) for span in found]
        answered = [span for span in spans if span[1] >= _THRESHOLD]
        # Without a policy, the package resolves overlaps as it does for span models.
        settings = getattr(self.model, "boundary_settings", None)
        policy = getattr(settings, "overlap_policy", None)
        kept = {span[2:] for span in finalize_spans(answered, overlap_policy=policy)}
        for _, score, start_char, end_char in spans:
            is_kept = (start_char, end_char) in kept
            yield start_char, end_char, score if is_kept else min(score, _BELOW_THRESHOLD)


def load_gliner2(source: str | Path, *, device: str = "cpu") -> Any:
    """Load a GLiNER2 from a local folder or from the hub, as the package gliner2 returns it.

    Raises:
        MissingExtraError: The package gliner2 is not installed.
        TeacherError: The folder is missing, incomplete, unsafe to load (see `gate`), or does not
            load.
        HubError: The model cannot be downloaded from the hub.
    """
    folder, _ = locate_checkpoint(source)
    check_gliner2(folder, name=str(source))
    for package in ("gliner2", "peft"):  # gliner2 imports peft where it scores texts
        if find_spec(package) is None:
            raise MissingExtraError(package, "gliner2")
    try:
        with _without_warnings(), no_foreign_code():
            from gliner2 import AutoExtractor

            return AutoExtractor.from_pretrained(
                str(folder),
                local_files_only=True,
                map_location=device,
                attention_backend="standard",
            )
    except Exception as error:  # transformers, safetensors and gliner2 raise errors of many classes
        raise TeacherError(
            f"{source}: this GLiNER2 does not load: {reason_of(error) or type(error).__name__}"
        ) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep libraries from warnings about details of checkpoints, which users cannot change.

    transformers warns in its log about each GLiNER2, whose kind it does not know.
    """
    log = logging.getLogger("transformers")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)


def _split_at_breaks(text: str, lower: bool = True) -> Iterator[tuple[str, int, int]]:
    """Yield the words of a text that `_BREAK` joined, as gliner2's splitters do."""
    start = 0
    for word in text.split(_BREAK):
        yield (word.lower() if lower else word), start, start + len(word)
        start += len(word) + 1


def _close(words: Sequence[str]) -> list[str]:
    """Return the words with a full stop after them, unless gliner2 adds none."""
    return [*words] if words[-1].endswith(_CLOSING) else [*words, "."]


def _name_labels(prompts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what gliner2 is asked for: the name of each label, with its description if it has one.

    Where two labels have one name, each keeps its description as a part of its name.
    """
    names = [split_prompt(prompt)[0] for prompt in prompts]
    asked: dict[str, dict[str, str]] = {}
    for name, prompt in zip(names, prompts, strict=True):
        _, description = split_prompt(prompt)
        is_name = names.count(name) == 1
        asked[name if is_name else prompt] = (
            {"description": description} if description and is_name else {}
        )
    return asked


def _check_distinct(labels: Sequence[str]) -> None:
    if len(set(labels)) != len(labels):
        raise TeacherError(f"labels must differ from each other; got {list(labels)}")
