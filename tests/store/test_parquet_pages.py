"""The pages of Parquet files: equal to what pyarrow says, and nothing that a footer makes up."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gliner_distill.store.parquet_pages import read_pages
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import UNREADABLE, ShardOrigin, decode_shard, encode_shard


def written(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"data_page_size": 500, "compression": "zstd", "write_page_checksum": True},
        {"row_group_size": 100},
    ],
)
def test_read_pages_says_what_pyarrow_says(options):
    rows = [[f"word {n % 50}"] * (n % 4) for n in range(1000)]
    content = written(pa.table({"n": range(1000), "words": rows}), **options)
    footer = pq.ParquetFile(pa.py_buffer(content)).metadata
    pages = list(read_pages(content))
    for column in range(footer.num_columns):
        chunks = [footer.row_group(g).column(column) for g in range(footer.num_row_groups)]
        name = chunks[0].path_in_schema
        mine = [page for page in pages if page.column == name]
        # The footer also counts the headers of the pages.
        total = sum(chunk.total_uncompressed_size for chunk in chunks)
        assert 0 < sum(page.n_bytes for page in mine) <= total
        of_data = [page for page in mine if page.encoding != "PLAIN" or "DICT" not in str(mine)]
        assert sum(page.n_values for page in of_data) == sum(c.num_values for c in chunks)


def test_read_pages_does_not_believe_the_footer():
    content = written(pa.table({"x": [bytes(10**7)]}), use_dictionary=False, compression="zstd")
    said = pq.ParquetFile(pa.py_buffer(content)).metadata.row_group(0).column(0)
    number = as_varint(said.total_uncompressed_size, 4)
    assert number in content
    lie = content.replace(number, as_varint(1000, 4))
    assert pq.ParquetFile(pa.py_buffer(lie)).metadata.row_group(0).column(0).num_values == 1
    assert sum(page.n_bytes for page in read_pages(lie)) > 10**7


def as_varint(number, n_bytes):
    """Return a positive number as Thrift writes it, in a fixed number of bytes."""
    sevens = [(int(2 * number) >> 7 * place) & 127 for place in range(n_bytes)]
    return bytes([*(seven | 128 for seven in sevens[:-1]), sevens[-1]])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 3, b"PAR1" + b"\x1c" * 9999 + b"PAR1"])
def test_read_pages_refuses_bytes_that_are_not_parquet(content):
    with pytest.raises(ValueError, match="Parquet"):
        list(read_pages(content))


@pytest.mark.parametrize("nesting", [b"\x1c", b"\x19"])  # structures and lists
def test_read_pages_refuses_a_footer_that_is_nested_too_deeply(nesting):
    footer = nesting * 100_000
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ValueError, match="nested too deeply"):
        list(read_pages(content))


def same_pages_often(n_pages, n_columns):
    """Return a small file with empty pages, and a footer that names all of them for each column."""

    def number(value, *, field=1, n_bytes=3):
        return bytes([field << 4 | 5]) + as_varint(value, n_bytes)

    page = number(0) * 3 + b"\x2c" + number(0) * 2 + b"\0\0"
    size = number(n_pages * len(page), field=2)
    column = b"\x3c\x39\x18\x01w" + number(1, field=2) + size + number(4, field=2) + b"\0\0"
    group = b"\x19\x1c" + column + b"\0"
    footer = b"\x49\xfc" + as_varint(n_columns / 2, 3) + group * n_columns + b"\0"
    content = b"PAR1" + page * n_pages + footer
    return content + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.slow
def test_read_pages_does_not_follow_a_footer_that_names_the_same_pages_often():
    assert len(list(read_pages(same_pages_often(100, 3)))) == 300
    content = same_pages_often(1_000, 1_000)
    assert len(content) < 100_000
    with pytest.raises(ValueError, match="100,000 pages"):
        list(read_pages(content))


@pytest.mark.slow
def test_decode_shard_answers_any_flipped_bit_of_the_footer_with_one_kind_of_error(mixed_passages):
    content = encode_shard(mixed_passages, COMPACT, ShardOrigin("a" * 64, "t", 0))
    first = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for position in range(first, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        try:
            list(decode_shard(bytes(changed), COMPACT))
        except UNREADABLE:
            refused += 1
    assert refused > 100
