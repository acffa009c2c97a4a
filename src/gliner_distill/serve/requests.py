"""The bodies of requests: their fields, their checks, and the errors that name a field."""

from collections.abc import Mapping, Sequence
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

Labels = list[str] | dict[str, str]
Probability = Annotated[float, Field(ge=0, le=1)]
Body = TypeVar("Body", bound=BaseModel)

_MOST_ERRORS = 20


class _TextsRequest(BaseModel):
    """The fields that requests about texts share."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    text: str | None = Field(None, description="One text; or give `texts`.")
    texts: list[str] | None = Field(None, description="Several texts; or give `text`.")
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
    return Question(prompts, threshold, own, nested, multi_label, patterns)


def _read_prompts(labels: Labels, field: str) -> Prompts:
    try:
        return read_label_set(labels, where=field)
    except InputError as error:
        raise RequestError(422, str(error), field) from None


def _too_large(field: str, things: str, found: int, allowed: int) -> RequestError:
    detail = f"{field}: found {found:,} {things}; at most {allowed:,} are allowed in a request"
    return RequestError(413, detail, field)


def _name_fields(errors: Sequence[Any]) -> RequestError:
    """Return the error of a request for the errors of its fields."""
    if errors[0]["type"] == "json_invalid":
        return RequestError(400, f"the body is not JSON: {_plain(errors[0]['msg'])}", "body")
    details: dict[str, str] = {}
    for error in errors[:_MOST_ERRORS]:
        field = _field_name(error["loc"])
        details.setdefault(field, f"{field}: {_plain(error['msg'])}")
    (field, detail), *others = details.items()
    return RequestError(422, detail, field, others)


def _field_name(location: Sequence[int | str]) -> str:
    """Return the name of a field, such as `texts[2]`, from the steps that lead to it."""
    name = ""
    for step in location:
        if isinstance(step, int):
            name += f"[{step}]"
        elif "[" not in step or not name:  # `list[str]` is a choice and not a step
            name += f".{step}" if name else step
    return name or "body"


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:]
