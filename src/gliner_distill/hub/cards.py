"""Model cards: Markdown below a block of metadata in YAML, in a file `README.md`.

A card that this package writes ends with a comment that holds checksums of both parts. They show
which part was edited by hand. An edited part is kept when the card is written again.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CARD_FILE: Final = "README.md"

LIBRARY: Final = "gliner-distill"
"""The name by which the hub knows students."""

RESULTS: Final = "model-index"
"""The field of the metadata that holds measured results."""

TOKEN_CLASSIFICATION: Final = "token-classification"

_BLOCK = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_SEAL = re.compile(r"\n*<!-- written by gliner-distill \((\w{8}) (\w{8})\)[^\n]*-->\s*\Z")
_ADVICE = "what you edit stays as it is when this card is written again"

# These fields describe the student, so they are replaced; all others may be the user's.
_OF_THE_STUDENT = ("library_name", "pipeline_tag", "base_model", RESULTS)
_LISTS = ("tags", "datasets")


@dataclass(frozen=True, slots=True)
class Card:
    """A model card.

    Attributes:
        metadata: The fields that the hub reads.
        text: The Markdown below them.
        is_edited_text: Whether the text is not, or no longer, the one that this package wrote.
        is_edited_metadata: The same for the metadata.
    """

    metadata: Mapping[str, Any]
    text: str
    is_edited_text: bool = False
    is_edited_metadata: bool = False

    @classmethod
    def parse(cls, content: str) -> "Card":
        r"""Return the card in the content of a file.

        Raises:
            ValueError: The metadata is not an object in YAML.

        >>> Card.parse("---\nlicense: mit\n---\n# Ada").metadata
        {'license': 'mit'}
        """
        content = content.replace("\r\n", "\n")
        block = _BLOCK.match(content)
        metadata = {} if block is None else _load_yaml(block[1])
        text = content if block is None else content[block.end() :]
        seal = _SEAL.search(text)
        text = text if seal is None else text[: seal.start()]
        of_text, of_metadata = (None, None) if seal is None else seal.groups()
        return cls(
            metadata,
            text.strip("\n") + "\n",
            is_edited_text=of_text != _checksum(text),
            is_edited_metadata=of_metadata != _checksum(metadata),
        )

    def render(self) -> str:
        """Return the content of the file."""
        import yaml  # huggingface_hub needs it as well

        block = yaml.safe_dump(dict(self.metadata), sort_keys=False, allow_unicode=True, width=1000)
        text = self.text.strip("\n")
        # An edited part gets a checksum that it does not have, so that it still counts as edited.
        of_text = "00000000" if self.is_edited_text else _checksum(text)
        of_metadata = "00000000" if self.is_edited_metadata else _checksum(self.metadata)
        seal = f"<!-- written by gliner-distill ({of_text} {of_metadata}): {_ADVICE} -->"
        return f"---\n{block}---\n{text}\n\n{seal}\n"

    def updated(self, new: "Card") -> "Card":
        """Return the new card with what was edited in this one.

        An edited text stays. In edited metadata, only what describes the student itself changes.
        """
        metadata, text = new.metadata, new.text
        if self.is_edited_metadata:
            metadata = _merge(self.metadata, new.metadata)
        if self.is_edited_text:
            text = self.text
        return Card(
            metadata,
            text,
            is_edited_text=self.is_edited_text or new.is_edited_text,
            is_edited_metadata=self.is_edited_metadata or new.is_edited_metadata,
        )


@dataclass(frozen=True, slots=True)
class SpanResult:
    """Scores of exact spans on a data set, for the metadata of a card.

    Attributes:
        data_set: The name of the data set.
        split: The part of it.
        scores: The scores by name, such as `f1`, between 0 and 1.
        kind: The hub id of the data set, or a word for the kind of data.
    """

    data_set: str
    split: str
    scores: Mapping[str, float]
    kind: str


def student_metadata(
    name: str,
    *,
    base_models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    results: Sequence[SpanResult] = (),
    **others: Any,
) -> dict[str, Any]:
    """Return the metadata of a student; what is not known is left out.

    Args:
        name: The student's name in the results.
        base_models: The hub ids of its teachers.
        datasets: The data sets that it learned from.
        results: Its measured results.
        others: Other fields, such as `license` and `language`.
    """
    metadata: dict[str, Any] = dict(others)
    metadata |= {"library_name": LIBRARY, "pipeline_tag": TOKEN_CLASSIFICATION}
    metadata["tags"] = [LIBRARY, "named-entity-recognition", "ner", "distillation"]
    if base_models:
        metadata["base_model"] = base_models[0] if len(base_models) == 1 else list(base_models)
    if datasets:
        metadata["datasets"] = list(datasets)
    if results:
        metadata[RESULTS] = [{"name": name, "results": [_as_result(result) for result in results]}]
    return metadata


def rename_results(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return metadata with results under another name of the student."""
    index = metadata.get(RESULTS)
    if not isinstance(index, list) or not all(isinstance(item, dict) for item in index):
        return dict(metadata)
    return {**metadata, RESULTS: [{**item, "name": name} for item in index]}


def plain_markdown(text: str) -> str:
    """Return a text as one line that Markdown shows unchanged, even in a table."""
    return " ".join(re.sub(r"[\\`*_\[\]<>|&]", r"\\\g<0>", text).split())


def _as_result(result: SpanResult) -> dict[str, Any]:
    return {
        "task": {"type": TOKEN_CLASSIFICATION, "name": "Named entity recognition"},
        "dataset": {"type": result.kind, "name": result.data_set, "split": result.split},
        "metrics": [
            {"type": name, "value": round(float(score), 4), "name": f"{name}, exact spans"}
            for name, score in result.scores.items()
        ],
    }


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    merged.pop(RESULTS, None)  # they were those of another student
    for key, value in new.items():
        kept = merged.get(key)
        if key in _LISTS and isinstance(kept, list) and isinstance(value, list):
            merged[key] = list(dict.fromkeys([*map(str, kept), *map(str, value)]))
        elif key in _OF_THE_STUDENT or key not in merged:
            merged[key] = value
    return merged


def _load_yaml(block: str) -> dict[str, Any]:
    import yaml

    try:
        # A few nested aliases can stand for more values than fit into memory.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(block, yaml.SafeLoader)):
            raise ValueError("it holds an alias (*)")
        metadata = yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"its metadata cannot be read: {reason}") from error
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ValueError("its metadata is not an object with fields")
    return {str(key): value for key, value in metadata.items()}


def _checksum(value: str | Mapping[str, Any]) -> str:
    """Return the checksum of a text without the blank lines around it, or of metadata."""
    import yaml

    content = value.strip("\n") if isinstance(value, str) else yaml.safe_dump(dict(value))
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:8]
