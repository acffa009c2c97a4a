"""Shards: labeled passages as the bytes of a Parquet file, and back."""

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.shards import (
    ShardOrigin,
    decode_shard,
    encode_shard,
    open_shard,
    pack_shard,
    read_origin,
    read_row,
    read_scores,
    shard_schema,
)

ORIGIN = ShardOrigin(store="a" * 64, teacher="lexicon", index=7)
both_quantizers = pytest.mark.parametrize(
    "quantizer", [UNIFORM, COMPACT], ids=["uniform", "compact"]
)


def of_two_teachers(items):
    """Return the items with what each of two teachers said, which differs from their mean."""
    return [replace(item, individual_probs=(item.probs / 2, 1 - item.probs)) for item in items]


def opened(content):
    return open_shard(pa.BufferReader(content))


def spoil_column(content, column):
    """Return a shard with one byte changed in the middle of a column's pages."""
    chunks = opened(content).metadata.row_group(0)
    [chunk] = [
        chunk
        for chunk in map(chunks.column, range(chunks.num_columns))
        if chunk.path_in_schema.split(".")[0] == column
    ]
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    spoilt = bytearray(content)
    # The header of a page comes first; its content, which the checksum is of, lies behind.
    spoilt[first + chunk.total_compressed_size - 3] ^= 1
    return bytes(spoilt)


class TestRoundTrip:
    @both_quantizers
    def test_decode_shard_returns_the_passages_with_quantized_probabilities(
        self, mixed_passages, quantizer
    ):
        read = list(decode_shard(encode_shard(mixed_passages, quantizer, ORIGIN), quantizer))
        assert len(read) == 4
        for found, expected in zip(read, mixed_passages, strict=True):
            assert (found.passage, found.labels) == (expected.passage, expected.labels)
            assert found.individual_probs == ()
            assert found.probs.dtype == np.float32
            np.testing.assert_array_equal(
                found.probs, quantizer.decode(quantizer.encode(expected.probs))
            )

    @both_quantizers
    def test_decode_shard_returns_individual_probabilities(
        self, mixed_passages, comparable, quantizer
    ):
        items = of_two_teachers(mixed_passages)
        read = list(decode_shard(encode_shard(items, quantizer, ORIGIN), quantizer))
        assert comparable(read, quantizer) == comparable(items, quantizer)
        assert [len(item.individual_probs) for item in read] == [2, 2, 2, 2]

    def test_decode_shard_returns_a_passage_without_words(self):
        item = LabeledPassage(Passage(()), ("city",), np.zeros((0, 1, 3), dtype=np.float32))
        [found] = decode_shard(encode_shard([item], UNIFORM, ORIGIN), UNIFORM)
        assert (found.passage, found.labels) == (item.passage, item.labels)
        assert found.probs.shape == (0, 1, 3)

    def test_decode_shard_returns_nothing_for_a_shard_without_passages(self):
        assert list(decode_shard(encode_shard([], UNIFORM, ORIGIN), UNIFORM)) == []

    def test_decode_shard_keeps_the_order_of_more_than_ten_teachers(self):
        each = tuple(np.full((1, 1, 3), number / 16, dtype=np.float32) for number in range(12))
        item = LabeledPassage(Passage(("word",)), ("city",), each[6], each)
        [found] = decode_shard(encode_shard([item], UNIFORM, ORIGIN), UNIFORM)
        assert [int(probs[0, 0, 0] * 16) for probs in found.individual_probs] == list(range(12))


def test_encode_shard_gives_equal_bytes_for_equal_passages(mixed_passages):
    assert len({encode_shard(mixed_passages, COMPACT, ORIGIN) for _ in range(3)}) == 1


def test_pack_shard_counts_passages_words_and_pairs(mixed_passages):
    shard, content = pack_shard(mixed_passages, COMPACT, ORIGIN)
    assert content == encode_shard(mixed_passages, COMPACT, ORIGIN)
    assert (shard.file, shard.index) == ("data/shard-000007.parquet", 7)
    assert (shard.n_passages, shard.n_words) == (4, 5 + 2 + 3 + 1)
    assert shard.n_pairs == 5 * 3 + 2 * 1 + 3 * 0 + 1 * 2
    assert shard.n_bytes == len(content)
    assert shard.sha256 == hashlib.sha256(content).hexdigest()


def test_encode_shard_writes_the_documented_columns(mixed_passages):
    strings, span = pa.list_(pa.string()), {"start": pa.int32(), "end": pa.int32()}
    documented = {
        **{"words": strings, "labels": strings},
        **{"entities": pa.list_(pa.struct(span | {"label": pa.string()})), "n_words": pa.int32()},
        **{"scores": pa.binary(), "scores_0": pa.binary(), "scores_1": pa.binary()},
    }
    content = encode_shard(of_two_teachers(mixed_passages), COMPACT, ORIGIN)
    assert opened(content).schema_arrow.equals(pa.schema(documented))


class TestOrigin:
    def test_read_origin_returns_the_origin_that_was_written(self, mixed_passages):
        assert read_origin(opened(encode_shard(mixed_passages, UNIFORM, ORIGIN))) == ORIGIN

    def test_read_origin_returns_any_name_of_a_teacher(self):
        origin = ShardOrigin("b" * 64, 'mean of "Zoë" and 東京\n', 0)
        assert read_origin(opened(encode_shard([], UNIFORM, origin))) == origin

    @pytest.mark.parametrize(
        "metadata",
        [
            None,
            {"another": "key"},
            {"gliner_distill": "{"},
            {"gliner_distill": b"\xff"},
            {"gliner_distill": "null"},
            {"gliner_distill": "[]"},
            {"gliner_distill": '{"store": "a"}'},
            {"gliner_distill": '{"store": "a", "teacher": "b", "index": 0, "more": 1}'},
        ],
    )
    def test_read_origin_returns_none_without_metadata(self, metadata):
        sink = pa.BufferOutputStream()
        schema = pa.schema([("scores", pa.binary())], metadata=metadata)
        pq.write_table(pa.table({"scores": [b""]}, schema=schema), sink)
        assert read_origin(opened(sink.getvalue())) is None


class TestOneRow:
    @both_quantizers
    def test_read_row_returns_one_passage(self, mixed_passages, comparable, quantizer):
        items = of_two_teachers(mixed_passages)
        shard = opened(encode_shard(items, quantizer, ORIGIN))
        read = [read_row(shard, row, quantizer) for row in (3, 0, 2, 1)]
        assert comparable(read, quantizer) == comparable(
            [items[row] for row in (3, 0, 2, 1)], quantizer
        )

    @both_quantizers
    def test_read_scores_returns_the_scores_of_one_passage(self, mixed_passages, quantizer):
        shard = opened(encode_shard(mixed_passages, quantizer, ORIGIN))
        for row, item in enumerate(mixed_passages):
            found = read_scores(shard, row, quantizer)
            np.testing.assert_array_equal(found, quantizer.decode(quantizer.encode(item.probs)))

    def test_read_scores_has_no_labels_for_a_passage_without_words(self):
        item = LabeledPassage(Passage(()), ("city",), np.zeros((0, 1, 3), dtype=np.float32))
        shard = opened(encode_shard([item], UNIFORM, ORIGIN))
        assert read_scores(shard, 0, UNIFORM).shape == (0, 0, 3)

    def test_read_row_refuses_a_row_beyond_the_last(self, mixed_passages):
        shard = opened(encode_shard(mixed_passages, UNIFORM, ORIGIN))
        for read in (read_row, read_scores):
            with pytest.raises(ValueError, match="not enough values"):
                read(shard, 4, UNIFORM)

    @pytest.mark.parametrize("column", ["words", "labels", "scores_0", "scores_1"])
    def test_read_scores_ignores_a_broken_page_of_another_column(self, mixed_passages, column):
        content = encode_shard(of_two_teachers(mixed_passages), COMPACT, ORIGIN)
        shard = opened(spoil_column(content, column))
        with pytest.raises(OSError, match="CRC checksum verification failed"):
            read_row(shard, 0, COMPACT)
        whole = read_row(opened(content), 0, COMPACT)
        np.testing.assert_array_equal(read_scores(shard, 0, COMPACT), whole.probs)

    @pytest.mark.parametrize("column", ["scores", "n_words"])
    def test_read_scores_refuses_a_broken_page_of_scores(self, mixed_passages, column):
        shard = opened(spoil_column(encode_shard(mixed_passages, COMPACT, ORIGIN), column))
        with pytest.raises(OSError, match="CRC checksum verification failed"):
            read_scores(shard, 0, COMPACT)


class TestBrokenShard:
    @pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 10, b'{"words": []}' * 10])
    def test_decode_shard_refuses_bytes_that_are_not_parquet(self, content):
        with pytest.raises(ValueError, match="Parquet"):
            list(decode_shard(content, UNIFORM))
        with pytest.raises(ValueError, match="Parquet"):
            opened(content)

    def test_decode_shard_refuses_a_missing_column(self):
        table = self.table().drop_columns("entities")
        with pytest.raises(ValueError, match="'entities' is missing"):
            self.decode(table)

    @pytest.mark.parametrize(
        ("column", "kind"),
        [("words", pa.string()), ("scores", pa.large_binary()), ("n_words", pa.string())],
    )
    def test_decode_shard_refuses_a_column_of_another_type(self, column, kind):
        table = self.table()
        place = table.column_names.index(column)
        changed = table.set_column(place, column, pa.nulls(1, kind))
        with pytest.raises(ValueError, match=rf"column '{column}': found '{kind}'; expected "):
            self.decode(changed)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"words": [None]}, "column 'words' lacks a value"),
            ({"words": [[None]]}, "column 'words' lacks a value"),
            ({"labels": [[None]]}, "column 'labels' lacks a value"),
            ({"scores": [None]}, "column 'scores' lacks a value"),
            ({"entities": [[None]]}, "column 'entities' lacks a value"),
            ({"entities": [[{"start": 0, "end": 1}]]}, "column 'entities' lacks a value"),
            ({"entities": [[{"start": 0, "end": 2, "label": "a"}]]}, "words 0 to 2 .* of 1 words"),
            ({"entities": [[{"start": 1, "end": 1, "label": "a"}]]}, "words 1 to 1"),
            ({"entities": [[{"start": -1, "end": 1, "label": "a"}]]}, "words -1 to 1"),
            ({"n_words": [-1]}, "n_words.*-1.* 1 words"),
        ],
    )
    def test_decode_shard_refuses_values_that_do_not_fit(self, change, reason):
        with pytest.raises(ValueError, match=reason):
            self.decode(self.table(**change))

    def test_decode_shard_refuses_another_number_of_passages(self, mixed_passages):
        content = encode_shard(mixed_passages, UNIFORM, ORIGIN)
        assert len(list(decode_shard(content, UNIFORM, 4))) == 4
        with pytest.raises(ValueError, match="4 passages; expected 5"):
            list(decode_shard(content, UNIFORM, 5))

    def test_read_origin_returns_none_for_metadata_of_other_types(self, mixed_passages):
        content = encode_shard(mixed_passages, UNIFORM, ORIGIN)
        table = opened(content).read()
        for metadata in ("[" * 100_000, "7", '{"store": "a", "teacher": "b", "index": []}'):
            sink = pa.BufferOutputStream()
            pq.write_table(table.replace_schema_metadata({"gliner_distill": metadata}), sink)
            assert read_origin(opened(sink.getvalue())) is None

    @pytest.mark.parametrize("n_bytes", [0, 2, 4, 6])
    def test_decode_shard_refuses_scores_that_do_not_fit_words_and_labels(self, n_bytes):
        with pytest.raises(ValueError, match="reshape"):
            self.decode(self.table(scores=[bytes(n_bytes)]))

    @staticmethod
    def table(**change):
        row = {"words": [["a"]], "labels": [["city"]], "entities": [[]], "n_words": [1]}
        return pa.table(row | {"scores": [bytes(3)]} | change, schema=shard_schema(0))

    @staticmethod
    def decode(table):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, use_dictionary=False)
        return list(decode_shard(sink.getvalue().to_pybytes(), UNIFORM))
