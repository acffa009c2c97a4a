"""Read which texts of a task get which labels, from the labeling configuration of a project.

Source: Label Studio (https://labelstud.io/tags/labels, https://labelstud.io/tags/text). The
configuration is XML. `<Labels name="label" toName="text">` holds the labels of the object tag
`<Text name="text" value="$body">`, which shows the field `body` of a task. A `<Label>` has a
`value`, which annotators see, and may have an `alias`, which takes its place in results.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from gliner_distill.errors import InputError, shorten
from gliner_distill.integrations.label_studio.payloads import PayloadError
from gliner_distill.runtime.labels import Prompts, read_label_set

FIELD = "label_config"
"""The field of a request that holds the configuration."""

_MAX_CHARS = 2_000_000
_VARIABLE = re.compile(r"\$([\w.-]+)")


@dataclass(frozen=True, slots=True)
class TextLabels:
    """The labels of one text of a task.

    Attributes:
        from_name: The name of the `Labels` tag.
        to_name: The name of the `Text` tag.
        data_field: The field of a task's `data` that holds the text.
        prompts: Pairs of a label in results and the wording that the model reads.
        is_url: Whether the field holds the address of a text instead of the text.
    """

    from_name: str
    to_name: str
    data_field: str
    prompts: Prompts
    is_url: bool = False


def read_labeling_config(config: str, *, field: str = FIELD) -> tuple[TextLabels, ...]:
    """Return the labels of all texts that a configuration shows.

    Args:
        config: The XML.
        field: The field of the request that holds it, for messages.

    Raises:
        PayloadError: It is not XML, it has no `Labels` for a `Text`, or one of them cannot be used.
    """
    root = _parse(config, field)
    tags = list(root.iter())
    texts = {tag.get("name", ""): tag for tag in tags if tag.tag == "Text"}
    found = []
    for tag in tags:
        if tag.tag != "Labels":
            continue
        for to_name in filter(None, map(str.strip, tag.get("toName", "").split(","))):
            if to_name in texts:
                found.append(_text_labels(tag, texts[to_name], field))
    if not found:
        raise PayloadError(
            field,
            'it has no <Labels> whose toName is that of a <Text value="$field">; this backend '
            "labels entities only in plain text",
        )
    return tuple(found)


def _parse(config: str, field: str) -> ElementTree.Element:
    if len(config) > _MAX_CHARS:
        raise PayloadError(field, f"it is longer than {_MAX_CHARS:,} characters")
    # Entities of a document type may stand for texts of any length.
    if "<!DOCTYPE" in config:
        raise PayloadError(field, "it has a document type; leave the line <!DOCTYPE ...> out")
    try:
        return ElementTree.fromstring(config)
    except (ElementTree.ParseError, ValueError) as error:
        raise PayloadError(field, f"it is not XML: {error}") from None


def _text_labels(labels: ElementTree.Element, text: ElementTree.Element, field: str) -> TextLabels:
    from_name, to_name = labels.get("name", ""), text.get("name", "")
    where = f"{field}: <Labels name={from_name!r}>"
    if not from_name or not to_name:
        raise PayloadError(where, "<Labels> or its <Text> has no name; both need one")
    variable = _VARIABLE.fullmatch(text.get("value", ""))
    if variable is None:
        raise PayloadError(
            f"{field}: <Text name={to_name!r}>",
            f"value is {shorten(text.get('value', ''))}; expected one field, such as '$text'",
        )
    wordings = {}
    for label in labels.iter("Label"):
        value, alias = label.get("value", ""), label.get("alias", "")
        wordings[alias or value] = value or alias
    if not wordings:
        raise PayloadError(
            where, "it has no <Label>; labels that come with a task are not supported"
        )
    try:
        prompts = read_label_set(wordings)
    except InputError as error:
        raise PayloadError(where, str(error)) from None
    return TextLabels(
        from_name, to_name, variable[1], prompts, is_url=text.get("valueType") == "url"
    )
