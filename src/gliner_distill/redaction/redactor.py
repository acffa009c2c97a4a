"""Replace the entities of a text: by their label, a mask, a keyed hash or a placeholder.

The input is a text and entities with character positions, as any GLiNER returns them. The output is
a `Redaction`: the new text, and the positions of each entity in both texts.
"""

import hashlib
import hmac
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, get_args

from gliner_distill.errors import InputError, shorten
from gliner_distill.redaction.keys import check_key
from gliner_distill.redaction.placeholders import Placeholders, placeholder_name

RedactionMode = Literal["label", "mask", "hash", "mapping"]

_MASK = "*"
# 64 bits: among a million values, two have the same token with a probability of 1 in 37 million.
_TOKEN_HEX_DIGITS = 16


class RedactedEntity(TypedDict):
    """An entity that was replaced; it does not repeat the original characters. Plain JSON.

    Attributes:
        start: The first character in the original text.
        end: The character after the last one there.
        redacted_start: The first character of the replacement in the redacted text.
        redacted_end: The character after the last one there.
        label: The label.
        score: The score.
        source: `pattern` if a checked pattern has found the entity.
    """

    start: int
    end: int
    redacted_start: int
    redacted_end: int
    label: str
    score: float
    source: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Redaction:
    """A redacted text.

    Attributes:
        text: The text with every entity replaced.
        entities: The entities in order of position; they do not overlap.
        mapping: With the mode `mapping`, the original text of each placeholder in the text; with
            the other modes, nothing. `restore(text, mapping)` returns the original.
    """

    text: str
    entities: list[RedactedEntity]
    mapping: dict[str, str] = field(default_factory=dict)


class Redactor:
    """Replaces the entities of texts; all texts share its placeholders.

    Args:
        mode: `label` writes `[PERSON]`; `mask` writes a `*` for each character; `hash` writes
            `[PERSON:0123456789abcdef]`, with a keyed hash that is equal for equal values; and
            `mapping` writes `[PERSON_1]`, which can be restored.
        key: The secret for `hash`, of at least 16 bytes.
        mapping: The placeholders of earlier texts for `mapping`; new ones are added to it.

    Attributes:
        mapping: The original text of each placeholder, over all texts.

    Raises:
        InputError: The mode does not exist, its key or mapping is not valid, or it takes none.
    """

    def __init__(
        self,
        mode: RedactionMode = "label",
        *,
        key: str | bytes | None = None,
        mapping: MutableMapping[str, str] | None = None,
    ) -> None:
        if mode not in get_args(RedactionMode):
            modes = ", ".join(map(repr, get_args(RedactionMode)))
            raise InputError(f"mode is {shorten(mode)}; expected one of {modes}")
        for name, value, own_mode in (("key", key, "hash"), ("mapping", mapping, "mapping")):
            if value is not None and mode != own_mode:
                raise InputError(f"{name} has no effect with the mode {mode!r}; leave it out")
        self.mapping: MutableMapping[str, str] = {} if mapping is None else mapping
        self._mode = mode
        self._key = check_key(key) if mode == "hash" else b""
        self._placeholders = Placeholders(self.mapping)

    def redact(self, text: str, entities: Sequence[Mapping[str, Any]]) -> Redaction:
        """Return a text with its entities replaced.

        Of entities that overlap, everything that one of them covers is replaced at once, with the
        label of the longest.

        Args:
            text: The text.
            entities: Its entities in any order, with `start`, `end` and `label`, and perhaps
                `score` and `source`, as `predict_entities` returns them.

        Raises:
            InputError: The text is not a string, or an entity lacks a field or lies outside the
                text.
        """
        if not isinstance(text, str):
            raise InputError(f"text is {shorten(text)}; expected a string")
        parts: list[str] = []
        redacted: list[RedactedEntity] = []
        n_chars = end = 0
        for entity in _join_overlaps(_check_entities(text, entities)):
            kept = self._keep(text[end : entity["start"]])
            end = entity["end"]
            replacement = self._replace(text[entity["start"] : end], entity["label"])
            entity["redacted_start"] = n_chars + len(kept)
            n_chars = entity["redacted_end"] = entity["redacted_start"] + len(replacement)
            parts += [kept, replacement]
            redacted.append(entity)
        redacted_text = "".join([*parts, self._keep(text[end:])])
        mapping = self._placeholders.used_in(redacted_text) if self._mode == "mapping" else {}
        return Redaction(redacted_text, redacted, mapping)

    def _keep(self, text: str) -> str:
        """Return text between entities, with what looks like a placeholder replaced."""
        return self._placeholders.escape(text) if self._mode == "mapping" else text

    def _replace(self, text: str, label: str) -> str:
        if self._mode == "mask":
            return _MASK * len(text)
        if self._mode == "mapping":
            return self._placeholders.get(text, label)
        name = placeholder_name(label)
        return f"[{name}:{self._hash(text)}]" if self._mode == "hash" else f"[{name}]"

    def _hash(self, text: str) -> str:
        value = text.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, value, hashlib.sha256).hexdigest()[:_TOKEN_HEX_DIGITS]


def _check_entities(text: str, entities: Sequence[Mapping[str, Any]]) -> list[RedactedEntity]:
    """Return entities in order of position, without their texts."""
    checked: list[RedactedEntity] = []
    for number, entity in enumerate(entities):
        try:
            start, end, label = entity["start"], entity["end"], entity["label"]
        except (KeyError, TypeError) as error:
            raise InputError(
                f"entities[{number}] is not an entity; it must have start, end and label"
            ) from error
        if not isinstance(label, str):
            raise InputError(f"entities[{number}] has the label {label!r}; expected a string")
        is_span = all(isinstance(place, int) for place in (start, end))
        if not is_span or not 0 <= start < end <= len(text):
            raise InputError(
                f"entities[{number}] has the characters {start!r} to {end!r}; expected a part of "
                f"the text, which has {len(text):,} characters"
            )
        found: RedactedEntity = {
            "start": start,
            "end": end,
            "redacted_start": start,
            "redacted_end": end,
            "label": label,
            "score": float(entity.get("score", 1.0)),
        }
        if "source" in entity:
            found["source"] = entity["source"]
        checked.append(found)
    return sorted(checked, key=lambda entity: (entity["start"], -entity["end"]))


def _join_overlaps(entities: Sequence[RedactedEntity]) -> list[RedactedEntity]:
    """Return entities of which those that overlap are joined, with the label of the longest."""
    joined: list[RedactedEntity] = []
    longest = 0
    for entity in entities:
        n_chars = entity["end"] - entity["start"]
        if not joined or entity["start"] >= joined[-1]["end"]:
            joined.append(entity)
            longest = n_chars
            continue
        last = joined[-1]
        end = max(last["end"], entity["end"])
        if n_chars > longest:
            longest = n_chars
            joined[-1] = {**entity, "start": last["start"]}
        joined[-1]["end"] = end
    return joined
