"""The teacher `llm:MODEL`: a language model that names entities, found again in the passage."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np

from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.llm.answers import (
    Choice,
    InvalidAnswerError,
    read_entities,
    read_verdict,
)
from gliner_distill.teacher.llm.costs import Bill, estimate_tokens
from gliner_distill.teacher.llm.endpoint import Completion, Endpoint
from gliner_distill.teacher.llm.estimate import Estimate
from gliner_distill.teacher.llm.grounding import FoundEntity, PassageText, Span, ground
from gliner_distill.teacher.llm.kept_answers import KeptAnswers, pack_answer, restore_answer
from gliner_distill.teacher.llm.questions import (
    Messages,
    Question,
    count_bytes,
    cut_questions,
    prompt_fingerprint,
)
from gliner_distill.teacher.llm.settings import LLMSettings
from gliner_distill.teacher.llm.tally import Outcome, Tally
from gliner_distill.teacher.paid import Asked, ListQuestions

_logger = logging.getLogger(__name__)

_N_TRIES: Final = 3
_REASONING_TOKENS: Final = 4096
_N_ALTERNATIVES: Final = 5


class LLMTeacher:
    """A language model as a `Teacher`.

    Its answers are kept in memory, and in a file while `keep_answers` is open. The same passage
    with the same labels is asked about once.

    Attributes:
        name: `llm:` and the name of the model.
        fingerprint: A hash of the model's name, the wording of the requests and the settings that
            change the answers. The address of the endpoint is not part of it.
        metadata: The model and these settings.
        is_paid: Always true: each answer may cost money.
    """

    is_paid: Final = True

    def __init__(self, model: str, settings: LLMSettings | None = None) -> None:
        """Prepare the endpoint; nothing is sent.

        Args:
            model: The model's name at the endpoint.
            settings: How it is asked.

        Raises:
            TeacherError: The model has no name, or the environment variables cannot be used.
            MissingExtraError: The package openai is not installed.
        """
        self.name = f"llm:{model}"
        if not model.strip():
            raise TeacherError(f"{self.name}: the name of the model is missing; give llm:MODEL")
        self._settings = settings or LLMSettings()
        self._endpoint = Endpoint(self.name, model, self._settings)
        self._kept = KeptAnswers()
        self._bill = Bill(self.name, self._settings.prices, self._settings.max_cost)
        self._tally = Tally()
        self._announced: set[Path] = set()
        self._is_disclosed = False
        temperature = self._settings.sampling_temperature
        # More answers to the same requests may be added later, so their number does not count here.
        self._requests = _hash([model, temperature, prompt_fingerprint()])
        self.metadata: dict[str, Any] = {
            "model": model,
            "n_answers": self._settings.n_answers,
            "temperature": temperature,
            "check": self._settings.check,
        }
        self.fingerprint = _hash([self._requests, self.metadata])

    def announce(self, questions: Mapping[Path, ListQuestions]) -> None:
        """Log what will be sent where, how much that is, and about what it costs.

        Args:
            questions: Functions that return all questions of a store, by the store's folder.

        Raises:
            StoreError: The answers that a store has cannot be read.
        """
        for folder in questions:
            self._kept.read(folder / self._answers_file)
        self._announced.update(questions)
        self._log_estimate(chain.from_iterable(ask() for ask in questions.values()))

    def _log_estimate(self, asked: Iterable[Asked]) -> None:
        estimate = Estimate(self._settings)
        for words, prompts in asked:
            for _, question in self._cut(words, prompts):
                estimate.add(question, is_kept=self._is_answered(question))
        if estimate.n_open:
            self._is_disclosed = True
            where = self._endpoint.url, self._endpoint.is_local
            _logger.warning("%s: %s", self.name, estimate.describe(*where, self._kept))

    @contextmanager
    def keep_answers(self, folder: Path, list_questions: ListQuestions) -> Iterator[None]:
        """Keep the answers in a store while the block runs, and log a summary at its end.

        Args:
            folder: The store's folder, which exists.
            list_questions: Returns all questions that will be asked.

        Raises:
            StoreError: The answers cannot be read or written.
        """
        self._kept.read(folder / self._answers_file)
        if folder not in self._announced:
            self.announce({folder: list_questions})
        self._tally = Tally()
        with self._kept.written_to(folder / self._answers_file):
            yield
        if self._tally.n_questions:
            _logger.warning(
                "%s: %s: %s; %s",
                *(folder, self.name, self._tally.describe(), self._bill.describe()),
            )

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: The endpoint cannot be reached, refuses, gives too few valid answers, or
                the next request may exceed the limit of the cost.
            StoreError: An answer cannot be kept.
        """
        asked = list(zip(passages, labels, strict=True))
        parts = [list(self._cut(words, prompts)) for words, prompts in asked]
        questions = {question.key: question for part in parts for _, question in part}
        if not self._is_disclosed:  # no store was announced
            self._log_estimate(asked)
        found = self._answer(questions)
        scores = []
        for (words, prompts), part in zip(asked, parts, strict=True):
            probs = np.zeros((len(words), len(prompts), 3), dtype=np.float32)
            for window, question in part:
                own = _word_probs(found[question.key], len(question.words), len(prompts))
                kept = own[window.keep_start - window.start : window.keep_end - window.start]
                probs[window.keep_start : window.keep_end] = kept
            scores.append(probs)
        return scores

    @property
    def cost(self) -> float | None:
        """The cost of all requests of this object; None without prices."""
        return self._bill.cost

    @property
    def _answers_file(self) -> str:
        return f"answers-{self._requests[:16]}.jsonl"

    def _cut(self, words: Sequence[str], prompts: Sequence[str]) -> Iterator[Any]:
        return cut_questions(words, prompts, max_words=self._settings.max_words)

    def _is_answered(self, question: Question) -> bool:
        return len(self._kept_answers(question)) == self._settings.n_answers

    def _kept_answers(self, question: Question) -> list[list[FoundEntity]]:
        restored = map(restore_answer, self._kept.get(question.key))
        return [answer for answer in restored if answer is not None][: self._settings.n_answers]

    def _answer(self, questions: Mapping[str, Question]) -> dict[str, dict[Span, float]]:
        """Return the spans of each question, by its key; several are asked at the same time."""
        stopping = Event()
        found: dict[str, dict[Span, float]] = {}
        with ThreadPoolExecutor(
            self._settings.n_requests, thread_name_prefix="language-model"
        ) as pool:
            futures = [
                pool.submit(self._answer_one, question, stopping) for question in questions.values()
            ]
            try:
                for key, future in zip(questions, futures, strict=True):
                    outcome = future.result()
                    self._tally.add(outcome)
                    is_last = len(found) == len(questions) - 1
                    self._tally.check(self.name, is_last=is_last and not self._kept.has_answers)
                    found[key] = outcome.spans or {}
            except BaseException as error:
                # What is under way is paid for, so its answers are awaited and kept.
                stopping.set()
                pool.shutdown(cancel_futures=True)
                raise _first_cause(error, futures) from None
        return found

    def _answer_one(self, question: Question, stopping: Event) -> Outcome:
        try:
            return self._find_spans(question, stopping)
        except BaseException:
            stopping.set()
            raise

    def _find_spans(self, question: Question, stopping: Event) -> Outcome:
        outcome = Outcome()
        answers = self._ask(question, outcome.invalid, stopping)
        if not answers:
            return outcome
        passage = PassageText(question.words)
        sums: dict[Span, float] = {}
        for answer in answers:
            grounded = ground(passage, question.names, answer)
            outcome.counts += grounded.counts
            outcome.n_entities += grounded.n_entities
            for span, prob in grounded.spans.items():
                sums[span] = sums.get(span, 0.0) + prob
        outcome.spans = {span: min(1.0, total / len(answers)) for span, total in sums.items()}
        if self._settings.check:
            for span in sorted(outcome.spans):
                outcome.spans[span] *= self._check(question, span, stopping)
        return outcome

    def _ask(
        self, question: Question, invalid: Counter[str], stopping: Event
    ) -> list[list[FoundEntity]]:
        """Return the answers to a question, those that are kept first; fewer if some are invalid.

        The reasons of invalid answers are counted in `invalid`.
        """
        n_answers = self._settings.n_answers
        answers = self._kept_answers(question)
        n_left = _N_TRIES
        while len(answers) < n_answers and n_left:
            completion = self._request(
                question.messages(),
                stopping,
                n=n_answers - len(answers),
                temperature=self._settings.sampling_temperature,
                answer_format=question.answer_format(),
                max_tokens=_REASONING_TOKENS + len(question.text),
                # The share of several answers tells more than the tokens of one.
                n_alternatives=0 if n_answers == 1 else None,
            )
            new = _valid_answers(completion, n_answers - len(answers), invalid)
            self._kept.add(question.key, list(map(pack_answer, new)), completion.tokens)
            answers += new
            n_left = _N_TRIES if new else n_left - 1
        return answers

    def _check(self, question: Question, span: Span, stopping: Event) -> float:
        """Return the probability that a span is an entity; 1 without a valid answer."""
        key = question.check_key(*span)
        kept = self._kept.get(key)
        if kept and type(kept[0]) is float and 0 <= kept[0] <= 1:
            return kept[0]
        for _ in range(_N_TRIES):
            completion = self._request(
                question.check_messages(*span),
                stopping,
                n=1,
                temperature=0.0,
                answer_format=None,
                max_tokens=_REASONING_TOKENS,
                n_alternatives=_N_ALTERNATIVES,
            )
            for choice in completion.choices:
                try:
                    verdict = read_verdict(choice)
                except InvalidAnswerError:
                    continue
                self._kept.add(key, [verdict], completion.tokens)
                return verdict
        return 1.0

    def _request(
        self, messages: Messages, stopping: Event, *, n: int, max_tokens: int, **options: Any
    ) -> Completion:
        """Return the endpoint's answers to a request, within the limit of the cost."""
        if stopping.is_set():
            raise CancelledError
        n_bytes = count_bytes(messages)
        with self._bill.request(n_bytes, n * max_tokens) as charge:
            completion = self._endpoint.complete(messages, n=n, max_tokens=max_tokens, **options)
            n_written = sum(choice.n_bytes for choice in completion.choices)
            estimated = round(estimate_tokens(n_bytes)), round(estimate_tokens(n_written))
            charge.tokens = completion.tokens or estimated
        return completion


def open_llm_teacher(model: str, settings: LLMSettings | None = None) -> LLMTeacher:
    """Return a language model as a teacher.

    The address of its endpoint and the key are those of OPENAI_BASE_URL and OPENAI_API_KEY.

    Args:
        model: The model's name at the endpoint.
        settings: How it is asked, and what that may cost.

    Raises:
        TeacherError: The model has no name, or one of the variables cannot be used.
        MissingExtraError: The package openai is not installed.
    """
    return LLMTeacher(model, settings)


def _valid_answers(
    completion: Completion, n_most: int, invalid: Counter[str]
) -> list[list[FoundEntity]]:
    answers = []
    for choice in completion.choices[:n_most] or [Choice(None)]:
        try:
            answers.append(read_entities(choice))
        except InvalidAnswerError as error:
            invalid[str(error)] += 1
    return answers


def _word_probs(spans: Mapping[Span, float], n_words: int, n_labels: int) -> Probabilities:
    """Return the probabilities of words from those of spans.

    As for a GLiNER that scores spans, each is the highest of the spans that start at the word, end
    at it, or cover it.
    """
    probs = np.zeros((n_words, n_labels, 3), dtype=np.float32)
    for (start, end, label), prob in spans.items():
        for words, kind in (
            (slice(start, start + 1), START),
            (slice(end - 1, end), END),
            (slice(start, end), INSIDE),
        ):
            probs[words, label, kind] = np.maximum(probs[words, label, kind], np.float32(prob))
    return probs


def _first_cause(error: BaseException, futures: Sequence[Future[Outcome]]) -> BaseException:
    """Return an error; if it says that a question was canceled, the first error that led to it."""
    if not isinstance(error, CancelledError):
        return error
    ended = [future.exception() for future in futures if not future.cancelled()]
    causes = [cause for cause in ended if cause and not isinstance(cause, CancelledError)]
    return causes[0] if causes else error


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
