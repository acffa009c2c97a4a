"""Read a JSON list value by value; only the value that is being read is held in memory.

A list may have any number of values and be laid out over lines in any way. This module needs only
the standard library.
"""

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import count

from gliner_distill.corpus.records import RawRecord, RecordError
from gliner_distill.errors import CorpusError

CHUNK_BYTES = 1 << 16
"""The number of bytes that are read at a time."""

MAX_VALUE_CHARS = 128_000_000
"""The largest number of characters in a value of the list."""

# The longest JSON token that may be cut off by the end of a chunk: an escape, a number, `false`.
_N_TOKEN_CHARS = 16
_DECODER = json.JSONDecoder()


def read_json_list(
    stream: BufferedReader, *, name: str, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[RawRecord]:
    """Yield a record for each value of a JSON list.

    Args:
        stream: The file, opened at the start of the list.
        name: The path of the file, for messages.
        chunk_bytes: The number of bytes to read at a time.

    Raises:
        CorpusError: The list is cut off or broken, so that the rest of it cannot be read.
    """
    text = _JsonText(stream, chunk_bytes)
    place = "record 1"
    try:
        if (first := text.take_mark()) != "[":
            raise CorpusError(f"{name}: the file begins with {first!r}; expected a JSON list")
        if text.next_mark() == "]":
            text.take_mark()
        else:
            for number in count(1):
                place = f"record {number}"
                yield RawRecord(place, text.take_value())
                place = f"after record {number}"
                if (mark := text.take_mark()) == "]":
                    break
                if mark != ",":
                    raise RecordError(f"found {mark!r}; expected a comma or the closing bracket")
                place = f"record {number + 1}"
        if rest := text.next_mark():
            raise RecordError(f"found {rest!r} after the list; expected the end of the file")
    except RecordError as error:
        raise CorpusError(
            f"{name}: {place}: {error}; the rest of the file cannot be read, "
            "so download or write the file again"
        ) from None


class _JsonText:
    """The text of a UTF-8 stream; only the part that was not parsed yet is held in memory."""

    def __init__(self, stream: BufferedReader, chunk_bytes: int) -> None:
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position = 0
        self._has_ended = False
        self._bad_bytes: RecordError | None = None

    def next_mark(self) -> str:
        """Return the next character that is not white space without taking it; "" at the end."""
        while True:
            rest = self._text[self._position : self._position + 1]
            if rest and rest not in " \t\r\n":
                return rest
            if rest:
                self._position += 1
            elif self._has_ended:
                return ""
            else:
                self._read_on()

    def take_mark(self) -> str:
        """Take the next character that is not white space and return it.

        Raises:
            RecordError: The file ends here.
        """
        if not (mark := self.next_mark()):
            raise RecordError("the file is cut off here: the list is not closed")
        self._position += 1
        return mark

    def take_value(self) -> object:
        """Take the next JSON value and return it.

        Raises:
            RecordError: The file ends within the value, or the value is not valid JSON.
        """
        while True:
            self.next_mark()
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                self._check_unfinished(error)
            except (RecursionError, ValueError) as error:
                raise RecordError(f"the JSON cannot be read ({error})") from None
            else:
                # A number that touches the end of the buffer may continue in the next chunk.
                if end < len(self._text) or self._has_ended:
                    self._position = end
                    return value
            self._read_on()

    def _check_unfinished(self, error: json.JSONDecodeError) -> None:
        """Raise a RecordError unless reading more of the file may repair the error."""
        rest = self._text[error.pos :]
        is_unfinished = error.msg.startswith("Unterminated string")
        if not self._has_ended and (is_unfinished or len(rest) <= _N_TOKEN_CHARS):
            return
        if self._has_ended and (is_unfinished or re.fullmatch(r"[\w\\+.-]*\s*", rest)):
            raise RecordError("the file is cut off within this record")
        raise RecordError(f"this is not JSON ({error.msg}) near {rest[:_N_TOKEN_CHARS]!r}")

    def _read_on(self) -> None:
        """Drop the text that was parsed, and append at least as much new text as is kept.

        A value that needs several chunks is parsed again from its start each time. Because the text
        at least doubles, the total time still grows linearly.
        """
        if self._bad_bytes:
            raise self._bad_bytes
        if len(self._text) - self._position > MAX_VALUE_CHARS:
            raise RecordError(f"the value is longer than {MAX_VALUE_CHARS:,} characters")
        self._text = self._text[self._position :]
        self._position = 0
        data = self._stream.read(max(self._chunk_bytes, len(self._text)))
        self._has_ended = not data
        try:
            self._text += self._utf8.decode(data, final=self._has_ended)
        except UnicodeDecodeError as error:
            # Keep the text before the bad byte, so that its complete records are still returned.
            self._text += error.object[: error.start].decode()
            bad_byte = error.object[error.start]
            self._bad_bytes = RecordError(f"byte 0x{bad_byte:02x} is not UTF-8")
            self._has_ended = False
