"""TODO-DOC."""

from pathlib import Path

from gliner_distill.errors import CorpusError


def clean_label(raw: str) -> str:
    r"""Return a label in the one form that the package uses.

    Lower case, single spaces, no underscores, and without the quotes of a label that was written
    as JSON twice.

    >>> clean_label('"Work_of  Art" ')
    'work of art'
    """
    label = raw.replace('\\"', '"').strip()
    while len(label) > 1 and label[0] == label[-1] == '"':
        label = label[1:-1].strip()
    return " ".join(label.replace("_", " ").lower().split())


_DESCRIPTION_MARK = ": "


def read_labels(path: str | Path) -> dict[str, str]:
    """Return the labels of a file, one a line, with their descriptions, which may be empty.

    A line is `label` or `label: description`. Labels are cleaned as a corpus's are; blank lines
    are skipped.

    Raises:
        CorpusError: The file cannot be read, holds no label, or the same label twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    found: dict[str, str] = {}
    seen_on: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name, _, description = line.partition(_DESCRIPTION_MARK)
        label = clean_label(name)
        if label in seen_on:
            raise CorpusError(
                f"{path}: line {number}: label {label!r} stands on line {seen_on[label]} already"
            )
        if not label and description.strip():
            raise CorpusError(
                f"{path}: line {number}: a description without a label; "
                f"expected `label` or `label: description`"
            )
        if label:
            found[label] = " ".join(description.split())
            seen_on[label] = number
    if not found:
        raise CorpusError(f"{path}: no label in it; expected one a line")
    return found
