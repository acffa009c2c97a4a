"""Send requests to an endpoint that speaks OpenAI's chat completions, with the package `openai`.

The package repeats a request after a rate limit, an error of the server or a failed connection, and
waits as long as the server asks. This module bounds the size and the time of an answer, leaves out
options that an endpoint refuses, and turns errors into one line. No such line holds what the
endpoint says, since that may repeat a text or the key.
"""

import json
import os
import re
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from gliner_distill.errors import MissingExtraError, TeacherError, is_out_of_memory
from gliner_distill.teacher.llm.answers import Choice, Token
from gliner_distill.teacher.llm.questions import Messages
from gliner_distill.teacher.llm.settings import LLMSettings

KEY_VARIABLE: Final = "OPENAI_API_KEY"
URL_VARIABLE: Final = "OPENAI_BASE_URL"

_DEFAULT_URL: Final = "https://api.openai.com/v1"
_FIRST_RETRIES: Final = 2
_SECONDS_TO_CONNECT: Final = 20.0
_MAX_CHOICES: Final = 128
_TOO_MANY_TOKENS: Final = 2**40
_MAY_NAME_OPTION: Final = (400, 403, 404, 422)
_KEPT: Final = "; all answers so far are kept"


@dataclass(frozen=True, slots=True)
class Completion:
    """The answers to a request, and its tokens as the endpoint counts them, if it does.

    Attributes:
        choices: The answers; empty if the endpoint's reply is not a chat completion.
        tokens: The tokens that were read and written.
    """

    choices: Sequence[Choice]
    tokens: tuple[int, int] | None = None


class _TooMuchError(Exception):
    """An answer is too long, or takes too long."""


class Endpoint:
    """The endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name; threads may share it.

    Attributes:
        url: Its address without user, password and query.
        is_local: Whether it is on this machine.

    Raises:
        MissingExtraError: The package openai is not installed.
        TeacherError: The key is missing, or one of the two variables cannot be used.
    """

    def __init__(self, name: str, model: str, settings: LLMSettings) -> None:
        """Read the environment; nothing is sent.

        Args:
            name: The teacher's name, for messages.
            model: The model's name at the endpoint.
            settings: The limits of requests.
        """
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtraError("openai", "llm") from error
        self._openai = openai
        self._name, self._model, self._settings = name, model, settings
        self._base = os.environ.get(URL_VARIABLE) or _DEFAULT_URL
        self._key = _read_key(name)
        self.url, self.is_local = _read_url(name, self._base)
        self._refused: dict[str, int] = {}
        self._has_answered = False
        self._lock = Lock()

    def complete(
        self,
        messages: Messages,
        *,
        n: int,
        temperature: float,
        max_tokens: int,
        answer_format: Mapping[str, Any] | None = None,
        n_alternatives: int | None = None,
    ) -> Completion:
        """Return the answers to a request.

        Args:
            messages: The messages.
            n: The number of answers to ask for; an endpoint may give fewer.
            temperature: The temperature.
            max_tokens: The most tokens of an answer.
            answer_format: The JSON schema of an answer; None for plain text.
            n_alternatives: The number of likely tokens to ask for at each place, 0 for the
                probabilities of the answer's own tokens, and None for neither.

        Raises:
            TeacherError: The endpoint cannot be reached, or refuses the request, after all retries.
        """
        logprobs = {"logprobs": True} | ({"top_logprobs": n_alternatives} if n_alternatives else {})
        options: dict[str, list[dict[str, Any]]] = {
            "n": [{"n": n}, {}] if n > 1 else [{}],
            "temperature": [{"temperature": temperature}, {}],
            "logprobs": [logprobs, {}] if n_alternatives is not None else [{}],
            "length": [{"max_completion_tokens": max_tokens}, {"max_tokens": max_tokens}, {}],
            "format": [{}],
        }
        if answer_format is not None:
            formats = (answer_format, {"type": "json_object"})
            options["format"] = [*({"response_format": form} for form in formats), {}]
        while True:
            before = dict(self._refused)
            chosen = {
                option: forms[min(before.get(option, 0), len(forms) - 1)]
                for option, forms in options.items()
            }
            try:
                return self._send(messages, chosen)
            except self._openai.APIStatusError as error:
                option = _refused_option(error, chosen)
                if option is None:
                    raise TeacherError(self._explain_status(error)) from None
                with self._lock:  # other threads may get the same answer at the same time
                    self._refused[option] = max(
                        self._refused.get(option, 0), before.get(option, 0) + 1
                    )

    def _send(self, messages: Messages, chosen: Mapping[str, Mapping[str, Any]]) -> Completion:
        """Return the answer to one request with the chosen options.

        Raises:
            APIStatusError: The endpoint answers with an error.
            TeacherError: The endpoint does not answer.
        """
        body = {name: value for form in chosen.values() for name, value in form.items()}
        # Until there was an answer, an error is more likely a mistake in the address.
        n_retries = self._settings.n_retries
        if not self._has_answered:
            n_retries = min(n_retries, _FIRST_RETRIES)
        client = self._client.with_options(max_retries=n_retries)
        try:
            raw = client.chat.completions.with_raw_response.create(
                model=self._model, messages=messages, **body
            )
        except self._openai.APIStatusError:
            raise
        except _TooMuchError as error:
            raise self._failed(f"{error}; check {URL_VARIABLE}, or use another model") from None
        except self._openai.APIConnectionError as error:  # also for a request that took too long
            raise self._failed(self._explain_connection(error)) from None
        except Exception as error:  # of any class, such as for a header that cannot be sent
            if is_out_of_memory(error):
                raise
            raise self._failed(
                f"cannot be asked ({type(error).__name__}); check the variables OPENAI_..."
            ) from None
        self._has_answered = True
        return read_completion(raw.content)

    @cached_property
    def _client(self) -> Any:
        bounds = _bound_response(self._settings.max_answer_bytes, self._settings.timeout_seconds)
        seconds = self._settings.timeout_seconds
        try:
            client = self._openai.OpenAI(
                api_key=self._key,
                base_url=self._base,
                timeout=self._openai.Timeout(seconds, connect=min(seconds, _SECONDS_TO_CONNECT)),
                # A small compressed answer may become a huge one.
                default_headers={"Accept-Encoding": "identity"},
                http_client=self._openai.DefaultHttpxClient(event_hooks={"response": [bounds]}),
            )
        except Exception as error:  # of any class, for a proxy or certificates that are not usable
            raise TeacherError(
                f"{self._name}: no connection can be prepared ({type(error).__name__}); check "
                "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
            ) from None
        weakref.finalize(self, client.close)
        return client

    def _failed(self, reason: str) -> TeacherError:
        return TeacherError(f"{self._name}: {self.url} {reason}{_KEPT}")

    def _explain_connection(self, error: Any) -> str:
        cause = type(error.__cause__ or error).__name__
        is_slow = isinstance(error, self._openai.APITimeoutError) and cause != "ConnectTimeout"
        if is_slow:
            return (
                f"gave no answer within {self._settings.timeout_seconds:g} seconds; try again "
                "later, or use a faster model"
            )
        return (
            f"cannot be reached ({cause}); check the network, {URL_VARIABLE} and the proxy, if any"
        )

    def _explain_status(self, error: Any) -> str:
        status, code = error.status_code, error.code
        where = f"{self._name}: {self.url}"
        said = f"(status {status})"
        if status == 401:
            return f"{where} refuses the key in {KEY_VARIABLE} {said}; check it{_KEPT}"
        if status == 403:
            return f"{where} does not let this key use the model {said}{_KEPT}"
        if status == 404:
            return (
                f"{where} knows no model {self._model!r}, or is not the address of such an API "
                f"{said}; check the name, and {URL_VARIABLE}, which usually ends in /v1{_KEPT}"
            )
        if status in (402, 429) and (status == 402 or code == "insufficient_quota"):
            return f"{where} says that the credit of this key is used up {said}{_KEPT}"
        if status == 429:
            return (
                f"{where} still limits the rate after {self._settings.n_retries} retries, or asks "
                f"for a long pause {said}; run the same command again later, or with fewer "
                f"--llm-requests{_KEPT}"
            )
        if status >= 500:
            return f"{where} fails {said}; run the same command again later{_KEPT}"
        if code == "context_length_exceeded":
            return f"{where} finds a passage with its labels too long {said}; ask for fewer labels"
        return f"{where} refuses the request {said}; check that the model can chat{_KEPT}"


def read_completion(content: bytes) -> Completion:
    """Return a chat completion from its JSON; one without answers if it is something else."""
    try:
        record = json.loads(content)
        choices = [_read_choice(choice) for choice in record["choices"][:_MAX_CHOICES]]
        tokens = _read_usage(record.get("usage") or {})
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return Completion([])
    return Completion(choices, tokens)


def _read_usage(record: Any) -> tuple[int, int] | None:
    n_input, n_output = record.get("prompt_tokens"), record.get("completion_tokens")
    is_counted = all(type(n) is int and 0 <= n < _TOO_MANY_TOKENS for n in (n_input, n_output))
    return (n_input, n_output) if is_counted else None


def _read_choice(record: Any) -> Choice:
    message, reason = record["message"], record.get("finish_reason")
    content = message.get("content")
    logprobs = record.get("logprobs") or {}
    return Choice(
        content if isinstance(content, str) else None,
        is_refusal=bool(message.get("refusal")) or reason == "content_filter",
        is_cut=reason == "length",
        tokens=[_read_token(token) for token in logprobs.get("content") or ()],
    )


def _read_token(record: Any) -> Token:
    text, data = str(record["token"]), record.get("bytes")
    content = bytes(data) if isinstance(data, list) else text.encode("utf-8", "replace")
    others = record.get("top_logprobs") or ()
    return Token(
        content,
        _read_logprob(record),
        [(str(other["token"]), _read_logprob(other)) for other in others],
    )


def _read_logprob(record: Any) -> float:
    logprob = float(record["logprob"])
    return logprob if logprob <= 0 else 0.0  # also for NaN


def _bound_response(max_bytes: int, seconds: float) -> Callable[[Any], None]:
    """Return a hook of the HTTP client that bounds the size and the time of each answer."""

    def bound(response: Any) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _TooMuchError("sends compressed answers, whose size cannot be limited")
        response.stream = _bounded(response.stream, max_bytes, seconds)

    return bound


def _bounded(stream: Any, max_bytes: int, seconds: float) -> Any:
    class Bounded(type(stream)):  # type: ignore[misc]  # the client checks the class
        def __init__(self) -> None:
            pass

        def __iter__(self) -> Iterator[bytes]:
            n_bytes, deadline = 0, time.monotonic() + seconds
            for chunk in stream:
                n_bytes += len(chunk)
                if n_bytes > max_bytes:
                    raise _TooMuchError(f"sends an answer of more than {max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise _TooMuchError(f"takes more than {seconds:g} seconds for one answer")
                yield chunk

        def close(self) -> None:
            stream.close()

    return Bounded()


def _refused_option(error: Any, chosen: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the option that an endpoint refuses, if its error names one that was sent."""
    if error.status_code not in _MAY_NAME_OPTION:
        return None
    said = f"{error.param or ''} {json.dumps(error.body, default=str)}"
    named = [
        (found.start(), option)
        for option, form in chosen.items()
        for name in form
        if (found := re.search(rf"(?<![\\\w]){name}(?!\w)", said))
    ]
    return min(named)[1] if named else None


def _read_key(name: str) -> str:
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise TeacherError(
            f"{name}: {KEY_VARIABLE} is not set; set it to your key, or to any word for an "
            "endpoint that asks for none"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise TeacherError(
            f"{name}: {KEY_VARIABLE} holds a character that a key cannot have, such as a space or "
            "a line end; set it again"
        )
    return key


def _read_url(name: str, base: str) -> tuple[str, bool]:
    """Return an address without its secrets, and whether it is on this machine."""
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise TeacherError(
            f"{name}: {URL_VARIABLE} is not the address of an API; expected something like "
            f"{_DEFAULT_URL}"
        )
    shown = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    return url, host in ("localhost", "127.0.0.1", "::1")
