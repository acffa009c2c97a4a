"""Recognize the format of a file by its first bytes and, if they do not tell, by its suffix.

Every command and function that reads texts or annotated passages asks here, so that the same file
is read in the same way everywhere.
"""

import codecs
import re
from typing import Literal

from gliner_distill.corpus.column_layout import looks_like_columns
from gliner_distill.corpus.exports.word_table import looks_like_word_table
from gliner_distill.corpus.parquet import MAGIC
from gliner_distill.errors import CorpusError

Format = Literal[
    "json list", "json lines", "columns", "word table", "table", "parquet", "spacy", "text"
]

HEAD_BYTES = 1 << 16
"""The number of bytes that are enough to recognize a format."""

_COLUMN_SUFFIXES = {".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes"}
_JSON_STRING = r'"(?:[^"\\]|\\.)*+"'

# Many notes begin with a checkbox such as "[ ]" or with braces, so a bracket alone is not enough.
_JSON_OBJECT = re.compile(rf"\{{\s*{_JSON_STRING}\s*:", re.DOTALL)
_FIRST_VALUES = (
    rf"\{{\s*{_JSON_STRING}\s*:",
    rf'{_JSON_STRING}\s*(?:,\s*"|\]\s*$)',
    r"\{\s*\}\s*(?:,\s*\{|\]\s*$)",
    r"\]\s*$",
)
_JSON_LIST = re.compile(rf"\[\s*(?:{'|'.join(_FIRST_VALUES)})", re.DOTALL)

# spaCy compresses a DocBin with zlib; these two bytes are not UTF-8.
_ZLIB_MARK = b"\x78\x9c"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case, with its period; "" without one.

    >>> suffix_of("pile/NOTES.TXT")
    '.txt'
    """
    return name[name.rfind(".") :].lower() if "." in name else ""


def recognize_format(head: bytes, *, suffix: str) -> Format:
    """Return the format of a file.

    Parquet and spaCy's DocBin are recognized by their marks, JSON by its first key or string,
    columns by the tags of most lines, and a table of words by its header. Other files whose names
    end in .csv or .tsv are tables. Anything else is plain text.

    Args:
        head: The first bytes of the file, without a byte order mark.
        suffix: The suffix of its name; see `suffix_of`.

    >>> recognize_format(b'{"text": "Anna left."}', suffix=".txt")
    'json lines'
    """
    if head.startswith(MAGIC) or suffix == ".parquet":
        return "parquet"
    if suffix == ".spacy" or head.startswith(_ZLIB_MARK):
        return "spacy"
    text = head.decode(errors="replace").lstrip()
    if _JSON_LIST.match(text):
        return "json list"
    if _JSON_OBJECT.match(text):
        return "json lines"
    if suffix == ".json":
        return "json lines" if text.startswith("{") else "json list"
    if suffix in (".jsonl", ".ndjson"):
        return "json lines"
    if looks_like_word_table(text):
        return "word table"
    if suffix == ".csv":
        return "table"
    if suffix in _COLUMN_SUFFIXES or looks_like_columns(text):
        return "columns"
    return "table" if suffix == ".tsv" else "text"


def refuse_utf16(head: bytes, name: str) -> None:
    """Refuse a file that is not UTF-8 from its first bytes on.

    Args:
        head: The first bytes of the file.
        name: The name of the file, for the message.

    Raises:
        CorpusError: The file is UTF-16 or UTF-32.
    """
    # The first character of UTF-16 without a mark is nearly always ASCII, with a zero beside it.
    if head.startswith(_UTF16_MARKS) or (len(head) > 1 and 0 in head[:2] and any(head[:2])):
        raise CorpusError(
            f"{name}: the file is UTF-16 or UTF-32; expected UTF-8; save it as UTF-8, or convert "
            "it with `iconv -f UTF-16 -t UTF-8 FILE > NEW_FILE`"
        )
