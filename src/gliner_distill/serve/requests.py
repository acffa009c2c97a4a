"""The bodies of requests: their fields, their checks, and the errors that name a field."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, final

from gliner_distill.errors import InputError, MissingExtraError
from gliner_distill.redaction.labels import PERSONAL_LABELS
from gliner_distill.runtime.labels import read_label_set
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.questions import Bounds, Prompts, Question

try:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError
except ModuleNotFoundError as error:
    raise MissingExtraError("pydantic", "serve") from error

# A list of a million numbers would otherwise become a million errors.
Strings = Annotated[list[str], Field(fail_fast=True)]
Labels = Strings | dict[str, str]
Probability = Annotated[float, Field(ge=0, le=1)]
Body = TypeVar("Body", bound=BaseModel)

_LOW_THRESHOLD = 0.1
_MOST_LOW_PAIRS = 1_000_000
_MOST_CACHED_LABELS = 50
_MOST_CACHED_CHARS = 4_000
_MOST_ERRORS = 50
_MOST_FIELD_CHARS = 100
_CHOICES = ("list[str]", "dict[str,str]")
_EXPECTED = {
    "missing": "is missing",
    "extra_forbidden": "this is not a field of the request; leave it out",
    "string_type": "expected a string",
    "bool_type": "expected true or false",
    "float_type": "expected a number",
    "finite_number": "expected a number from 0 to 1",
    "greater_than_equal": "expected a number from 0 to 1",
    "less_than_equal": "expected a number from 0 to 1",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
}


class _TextsRequest(BaseModel):
    """The fields that requests about texts share."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    text: str | None = Field(None, description="One text; or give `texts`.")
    texts: Strings | None = Field(None, description="Several texts; or give `text`.")
    model: str | None = Field(
        None, description="The name of a model, see `/v1/models`; by default, the first one."
    )
    threshold: Probability = Field(0.5, description="The score that an entity must exceed.")
    thresholds: dict[str, Probability] | None = Field(
        None, description="Other thresholds for some labels."
    )
    patterns: bool = Field(
        True,
        description="Whether e-mail addresses, URLs, IP and MAC addresses, IBANs and card numbers "
        "are also found by checked patterns, where a label asks for them.",
    )

    @property
    def all_texts(self) -> list[str]:
        """The texts as a list.

        Raises:
            RequestError: There are none, or both fields are given.
        """
        if (self.text is None) == (self.texts is None):
            problem = "is missing" if self.text is None else "and texts are both given"
            raise RequestError(422, f"text {problem}; give one of text and texts", "text")
        return [self.text] if self.text is not None else self.texts or []


@final
class EntitiesRequest(_TextsRequest):
    """A request for the entities of texts."""

    labels: Labels = Field(
        description="The labels to find: a list, or an object that maps each label to a "
        "description, which the model reads in place of the label."
    )
    nested: bool = Field(False, description="Whether an entity may lie inside another one.")
    multi_label: bool = Field(False, description="Whether a span may have several labels.")

    def question(self, bounds: Bounds) -> Question:
        """Return what is asked, within bounds; see `check_question`."""
        return check_question(
            bounds,
            self.all_texts,
            self.labels,
            threshold=self.threshold,
            thresholds=self.thresholds,
            nested=self.nested,
            multi_label=self.multi_label,
            patterns=self.patterns,
        )


@final
class RedactRequest(_TextsRequest):
    """A request to replace entities in texts."""

    labels: Labels = Field(
        list(PERSONAL_LABELS),
        description="The labels to replace, as for `/v1/entities`; by default, personal data.",
    )
    mode: Literal["replace", "mask", "hash"] = Field(
        "replace",
        description="`replace` writes `[PERSON]`, `mask` a `*` per character, and `hash` "
        "`[PERSON:...]` with a keyed hash that is equal for equal values. The server needs a key "
        "for it.",
    )

    def question(self, bounds: Bounds) -> Question:
        """Return what is asked, within bounds; see `check_question`."""
        return check_question(
            bounds,
            self.all_texts,
            self.labels,
            threshold=self.threshold,
            thresholds=self.thresholds,
            patterns=self.patterns,
        )


def parse_body(kind: type[Body], content: bytes) -> Body:
    """Return a body as an object.

    Raises:
        RequestError: It is not JSON, or a field has a wrong type or value; it names the field.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        if error.error_count() > _MOST_ERRORS:
            message = f"the body has {error.error_count():,} wrong or unknown fields"
            raise RequestError(422, message, "body") from None
        # The inputs are left out, because they may be long or private.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise _name_fields(found) from None
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply", "body") from None


def check_question(
    bounds: Bounds,
    texts: Sequence[str],
    labels: Labels,
    *,
    label_field: str = "labels",
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    nested: bool = False,
    multi_label: bool = False,
    patterns: bool = True,
) -> Question:
    """Return what is asked about texts.

    Args:
        bounds: The bounds of a request.
        texts: The texts.
        labels: The labels.
        label_field: The field of the labels, for messages.
        threshold: See `Question`, as for the following arguments.
        thresholds: See `Question`.
        nested: See `Question`.
        multi_label: See `Question`.
        patterns: See `Question`.

    Raises:
        RequestError: The request is too large, or its labels are not valid.
    """
    if len(texts) > bounds.max_texts:
        raise _too_large("texts", "texts", len(texts), bounds.max_texts)
    if len(labels) > bounds.max_labels:
        raise _too_large(label_field, "labels", len(labels), bounds.max_labels)
    prompts = _read_prompts(labels, label_field)
    n_chars = sum(map(len, texts)) + sum(len(prompt) for _, prompt in prompts)
    if n_chars > bounds.max_chars:
        field = "text" if len(texts) == 1 else "texts"
        raise _too_large(field, "characters", n_chars, bounds.max_chars)
    own = () if not thresholds else tuple(thresholds.items())
    if own:
        _read_prompts(dict.fromkeys(thresholds or (), "threshold"), "thresholds")
    if min([threshold, *(value for _, value in own)]) < _LOW_THRESHOLD:
        _check_low_threshold(texts, prompts)
    return Question(prompts, threshold, own, nested, multi_label, patterns)


def _read_prompts(labels: Labels, field: str) -> Prompts:
    pairs = tuple(labels.items() if isinstance(labels, dict) else zip(labels, labels, strict=True))
    n_chars = sum(len(label) + len(prompt) for label, prompt in pairs)
    is_small = len(pairs) <= _MOST_CACHED_LABELS and n_chars <= _MOST_CACHED_CHARS
    try:
        return _prompts_of(pairs) if is_small else read_label_set(labels)
    except InputError as error:
        raise RequestError(422, str(error).replace("labels", field, 1), field) from None


@lru_cache(maxsize=256)
def _prompts_of(pairs: Prompts) -> Prompts:
    """Return checked labels; the same few sets are asked again and again."""
    return read_label_set(dict(pairs))


def _check_low_threshold(texts: Sequence[str], prompts: Prompts) -> None:
    """Refuse a request in which nearly every span of a long text would be an entity."""
    n_pairs = sum(map(len, texts)) * len(prompts)
    if n_pairs > _MOST_LOW_PAIRS:
        raise RequestError(
            413,
            f"threshold: below {_LOW_THRESHOLD}, characters times labels may be at most "
            f"{_MOST_LOW_PAIRS:,}, and are {n_pairs:,}; raise it, or send fewer texts or labels",
            "threshold",
        )


def _too_large(field: str, things: str, found: int, allowed: int) -> RequestError:
    detail = f"{field}: found {found:,} {things}; at most {allowed:,} are allowed in a request"
    return RequestError(413, detail, field)


def _name_fields(errors: Sequence[Any]) -> RequestError:
    """Return the error of a request for the errors of its fields."""
    if errors[0]["type"] == "json_invalid":
        return RequestError(400, f"the body is not JSON: {_plain(errors[0]['msg'])}", "body")
    details: dict[str, str] = {}
    for field, detail in map(_describe, _without_choices(errors)):
        details.setdefault(field, f"{field}: {detail}")
    (field, detail), *others = list(details.items())[:_MOST_ERRORS]
    return RequestError(422, detail, field, others)


def _without_choices(errors: Sequence[Any]) -> list[Any]:
    """Return errors without those of a choice, such as `list[str]`, that was not the client's.

    A field that takes a list or an object has errors for both. An error inside one of them tells
    that the client meant this one.
    """
    places = {error["loc"][:n] for error in errors for n in range(1, len(error["loc"]))}
    inner = {error["loc"][:-1] for error in errors if _is_choice(error)} & {
        place[:-1] for place in places if place[-1] in _CHOICES
    }
    return [error for error in errors if not (_is_choice(error) and error["loc"][:-1] in inner)]


def _is_choice(error: Any) -> bool:
    last = error["loc"][-1] if error["loc"] else 0
    return isinstance(last, str) and last in _CHOICES


def _describe(error: Any) -> tuple[str, str]:
    """Return the name of a field, such as `texts[2]`, and what was expected there."""
    name = ""
    for step in error["loc"]:
        if isinstance(step, int):
            name += f"[{step}]"
        elif step not in _CHOICES:
            name += f".{step}" if name else step
    name = name[:_MOST_FIELD_CHARS]
    if _is_choice(error):
        return name, "expected a list of strings, or an object with strings"
    return name or "body", _EXPECTED.get(error["type"], _plain(error["msg"]))


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:]
