"""Read the footer and the page headers of a Parquet file, which give the size of its content.

This cannot be left to pyarrow, because a broken footer may end the whole process, and the sizes in
a footer may be wrong: when pyarrow decompresses a page, it goes by the header of the page. The
footer and the headers are structures of Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), and are
described in https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Final

_MAGIC: Final = b"PAR1"
_MOST_LEVELS: Final = 16
# A shard has a few hundred.
_MOST_PAGES: Final = 100_000

_ENCODINGS: Final = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 8: "RLE_DICTIONARY"}

Struct = dict[int, Any]
"""A structure of Thrift: its values by the numbers of their fields."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a column.

    Attributes:
        column: The path of the column, such as `words.list.element`.
        n_bytes: The size when it is decompressed.
        n_values: The number of values.
        encoding: The encoding of the values: its name if it is plain or a dictionary, or else its
            number.
    """

    column: str
    n_bytes: int
    n_values: int
    encoding: str


def read_pages(content: bytes | mmap, *, most_pages: int = _MOST_PAGES) -> Iterator[Page]:
    """Yield the pages of a Parquet file from its footer and their headers.

    Args:
        content: The bytes of the file.
        most_pages: The largest number of pages. A footer can name the same ones any number of
            times.

    Raises:
        ValueError: The bytes are not a Parquet file, or a broken one, or it has too many pages.
    """
    size = int.from_bytes(content[-8:-4], "little")
    first = len(content) - 8 - size
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or first < len(_MAGIC):
        raise ValueError("it is not a Parquet file")
    try:
        footer = _ThriftReader(content, first).read_struct()
        columns = (column[3] for group in footer[4] for column in group[1])
        pages = (page for column in columns for page in _column_pages(content, column))
        for number, page in enumerate(pages):
            if number == most_pages:
                raise ValueError(f"it has more than {most_pages:,} pages")
            yield page
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("it is a broken Parquet file") from error


def _column_pages(content: bytes | mmap, column: Struct) -> Iterator[Page]:
    name = b".".join(column[3]).decode("utf-8", "replace")
    if column[5] == 0:  # no values, so that there may be no page
        return
    # A dictionary comes before the pages of data.
    starts = [start for start in (column.get(11), column[9]) if start]
    at, end = min(starts), min(starts) + column[7]
    if not 0 < at <= end <= len(content):
        raise ValueError(f"column {name!r} lies outside of the file")
    while at < end:
        reader = _ThriftReader(content, at)
        header = reader.read_struct()
        # A page is of data (5), a dictionary (7) or of data in a newer form (8).
        part = header.get(5) or header.get(7) or header[8]
        encoding = part[4 if 8 in header else 2]
        n_bytes, n_stored, n_values = header[2], header[3], part[1]
        if min(n_bytes, n_stored, n_values) < 0:
            raise ValueError(f"column {name!r} has a page of negative size")
        yield Page(name, n_bytes, n_values, _ENCODINGS.get(encoding, f"number {encoding}"))
        at = reader.at + n_stored
    if at != end:
        raise ValueError(f"column {name!r} has a page that is cut off")


class _ThriftReader:
    """A reader of Thrift's compact protocol in bytes, from a position on."""

    def __init__(self, content: bytes | mmap, at: int) -> None:
        self.at = at
        self._content = content

    def read_struct(self, level: int = 0) -> Struct:
        values: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            # In a structure, the kind of a boolean is its value.
            values[number] = kind == 1 if kind in (1, 2) else self._value(kind, level)
        return values

    def _value(self, kind: int, level: int) -> Any:
        if level > _MOST_LEVELS:
            raise ValueError("its footer is nested too deeply")
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._number()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                return self._list(level)
            case 12:
                return self.read_struct(level + 1)
        raise ValueError(f"its footer has a value of the unknown kind {kind}")

    def _list(self, level: int) -> list[Any]:
        head = self._byte()
        size = self._varint() if head >> 4 == 15 else head >> 4
        return [self._value(head & 15, level + 1) for _ in range(size)]

    def _number(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("its footer has a number that is too long")

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self._content):
            raise ValueError("its footer is cut off")
        return self._content[self.at - size : self.at]
