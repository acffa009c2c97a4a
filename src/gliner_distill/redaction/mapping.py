"""The file of a mapping: a JSON object from placeholders to the texts that they stand for."""

import json
from collections.abc import Mapping
from pathlib import Path

from gliner_distill.errors import InputError, RedactionError
from gliner_distill.files import reason_of, write_file
from gliner_distill.redaction.placeholders import check_mapping

_OWNER_ALONE = 0o600


def write_mapping(file: str | Path, mapping: Mapping[str, str]) -> None:
    """Write a mapping completely or not at all; only the owner of the file may read it.

    Args:
        file: The file; an older one is replaced.
        mapping: Texts by placeholder, as in `Redaction.mapping`.

    Raises:
        InputError: The mapping is not one.
        RedactionError: The file cannot be written.
    """
    check_mapping(mapping)
    # ASCII keeps lone surrogates, which UTF-8 cannot encode.
    content = json.dumps(dict(mapping), indent=1) + "\n"
    write_file(Path(file), content, error=RedactionError, mode=_OWNER_ALONE)


def read_mapping(file: str | Path) -> dict[str, str]:
    """Return the mapping in a file that `write_mapping` or `gliner-distill redact` has written.

    Raises:
        RedactionError: The file cannot be read, or it holds something else.
    """
    try:
        mapping = json.loads(Path(file).read_text(encoding="utf-8"))
        check_mapping(mapping)
    except OSError as error:
        raise RedactionError(f"{file}: the mapping cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:  # also an InputError
        problem = str(error) if isinstance(error, InputError) else "it is not JSON"
        raise RedactionError(
            f"{file}: this is not the mapping of a redaction: {problem}"
        ) from error
    return dict(mapping)
