"""Shards of a soft-label store: labeled passages to Parquet bytes, and back.

The columns of a shard are `words` (a list of strings), `labels` (a list of strings: the labels that
were asked), `entities` (a list of start, exclusive end and label: the gold annotation), `n_words`,
and `scores` (binary, one byte per probability, in the order of `Quantizer.encode_scores`). A store
that keeps the probabilities of several teachers also has `scores_0`, `scores_1` and so on. The
metadata of the file name the store that it belongs to, so that a shard in the wrong store is
detected. This module does not write to disk.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gliner_distill.entities import Entity, LabeledPassage, Passage, count_words
from gliner_distill.errors import StoreError
from gliner_distill.json_files import COUNT, TEXT, check_fields
from gliner_distill.store.manifest import Shard, shard_name
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shard_bounds import (
    DICTIONARY_COLUMNS,
    check_columns,
    check_dictionaries,
    check_sizes,
    open_parquet,
)
from gliner_distill.store.stored_files import MAX_FILE_BYTES

# Parquet compresses each column by itself. Level 17 takes half the time of 19 for 2% more bytes.
_COMPRESSION = {"compression": "zstd", "compression_level": 17}

# The errors that pyarrow raises for bytes that are not a Parquet file, or not a whole one.
UNREADABLE = (OSError, ValueError, KeyError, pa.ArrowException)

_METADATA_KEY = b"gliner_distill"

_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])


@dataclass(frozen=True, slots=True)
class ShardOrigin:
    """The store that a shard belongs to, as recorded in the metadata of its file.

    Attributes:
        store: The hash of everything that the store is made from (`Manifest.origin`).
        teacher: The teacher's name.
        index: The number of the shard in the store.
    """

    store: str
    teacher: str
    index: int


def pack_shard(
    items: Sequence[LabeledPassage], quantizer: Quantizer, origin: ShardOrigin
) -> tuple[Shard, bytes]:
    """Return labeled passages as a shard: the record for the manifest, and the file's bytes.

    Raises:
        StoreError: The shard would be too large to be read again.
    """
    content = encode_shard(items, quantizer, origin)
    _check_readable(content, origin.index)
    return describe_shard(items, content, origin.index), content


def describe_shard(items: Sequence[LabeledPassage], content: bytes, index: int) -> Shard:
    """Return the record of a shard.

    Args:
        items: The shard's passages.
        content: The bytes of its file.
        index: Its number in the store.
    """
    return Shard(
        file=shard_name(index),
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        index=index,
        n_passages=len(items),
        n_words=count_words(items),
        n_pairs=sum(len(item.passage.words) * len(item.labels) for item in items),
    )


def encode_shard(
    items: Sequence[LabeledPassage], quantizer: Quantizer, origin: ShardOrigin
) -> bytes:
    """Return labeled passages as the bytes of a Parquet file; equal passages give equal bytes."""
    columns: dict[str, list[Any]] = {
        "words": [list(item.passage.words) for item in items],
        "labels": [list(item.labels) for item in items],
        "entities": [
            [
                {"start": entity.start_word, "end": entity.end_word, "label": entity.label}
                for entity in item.passage.entities
            ]
            for item in items
        ],
        "n_words": [len(item.passage.words) for item in items],
        "scores": [quantizer.encode_scores(item.probs) for item in items],
    }
    n_teachers = len(items[0].individual_probs) if items else 0
    for teacher in range(n_teachers):
        name = f"scores_{teacher}"
        columns[name] = [quantizer.encode_scores(item.individual_probs[teacher]) for item in items]
    metadata = {"store": origin.store, "teacher": origin.teacher, "index": origin.index}
    schema = shard_schema(n_teachers).with_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns, schema=schema),
        sink,
        use_dictionary=list(DICTIONARY_COLUMNS),
        write_page_checksum=True,
        **_COMPRESSION,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode_shard(
    content: bytes, quantizer: Quantizer, n_passages: int | None = None
) -> Iterator[LabeledPassage]:
    """Yield the labeled passages of a shard's bytes.

    Args:
        content: The bytes.
        quantizer: The encoding of the probabilities.
        n_passages: The number of passages that there must be; None if it is not known.

    Raises:
        ValueError: The bytes are not a Parquet file with the columns of a shard, or its content is
            too large; or the values of a row do not fit each other. (The errors of pyarrow are
            subclasses of it.)
        KeyError: The footer is broken.
    """
    check_shard(content)
    # This does not use `pq.read_table` or pyarrow's threads, because a process that ends soon after
    # using them may abort (pyarrow 26.0.1).
    table = open_parquet(pa.py_buffer(content)).read(use_threads=False)
    if n_passages not in (None, table.num_rows):
        raise ValueError(f"it has {table.num_rows:,} passages; expected {n_passages:,}")
    n_teachers = sum(name.startswith("scores_") for name in table.column_names)
    for row in table.to_pylist():
        yield _labeled_passage(row, n_teachers, quantizer)


def check_shard(content: bytes) -> None:
    """Check that bytes are a shard, and that its content is not too large to be read.

    Raises:
        ValueError: They are not a Parquet file or not a shard, or it is too large.
        KeyError: The footer is broken.
    """
    check_sizes(content)
    with open_parquet(pa.py_buffer(content)) as shard:
        found = shard.schema_arrow
        n_teachers = sum(name.startswith("scores_") for name in found.names)
        check_columns(found, shard_schema(n_teachers))
    check_dictionaries(pa.py_buffer(content))


def open_shard(source: Any) -> pq.ParquetFile:
    """Open a shard; the checksum of each page is verified when the page is read.

    The columns and the size of its content are not checked; `check_shard` does so.
    """
    return open_parquet(source, page_checksum_verification=True)


def read_row(shard: pq.ParquetFile, row: int, quantizer: Quantizer) -> LabeledPassage:
    """Return one labeled passage of an open shard."""
    [values] = shard.read(use_threads=False).slice(row, 1).to_pylist()
    n_teachers = sum(name.startswith("scores_") for name in values)
    return _labeled_passage(values, n_teachers, quantizer)


def read_scores(shard: pq.ParquetFile, row: int, quantizer: Quantizer) -> NDArray[np.float32]:
    """Return the probabilities of one row, shape `(words, labels, 3)`, without words and labels.

    The shape of a passage without words is always `(0, 0, 3)`, since its labels are not read.
    """
    table = shard.read(columns=["n_words", "scores"], use_threads=False)
    [values] = table.slice(row, 1).to_pylist()
    n_words = values["n_words"]
    n_labels = len(values["scores"]) // max(3 * n_words, 1)
    return quantizer.decode_scores(values["scores"], n_words, n_labels)


def read_origin(shard: pq.ParquetFile) -> ShardOrigin | None:
    """Return the store that an open shard belongs to; None if its metadata do not name one."""
    raw = (shard.schema_arrow.metadata or {}).get(_METADATA_KEY)
    if raw is None:
        return None
    try:
        record = json.loads(raw)
        check_fields(record, {"store": TEXT, "teacher": TEXT, "index": COUNT})
    except (ValueError, RecursionError):
        return None
    return ShardOrigin(**record)


def shard_schema(n_teachers: int) -> pa.Schema:
    """Return the columns of a shard that keeps the scores of `n_teachers` besides their mean."""
    individual = [(f"scores_{teacher}", pa.binary()) for teacher in range(n_teachers)]
    return pa.schema(
        [
            ("words", pa.list_(pa.string())),
            ("labels", pa.list_(pa.string())),
            ("entities", pa.list_(_SPAN)),
            ("n_words", pa.int32()),
            ("scores", pa.binary()),
            *individual,
        ]
    )


def _labeled_passage(
    row: Mapping[str, Any], n_teachers: int, quantizer: Quantizer
) -> LabeledPassage:
    _check_row(row)
    entities = tuple(Entity(span["start"], span["end"], span["label"]) for span in row["entities"])
    passage = Passage(words=tuple(row["words"]), entities=entities)
    shape = len(row["words"]), len(row["labels"])
    return LabeledPassage(
        passage,
        tuple(row["labels"]),
        quantizer.decode_scores(row["scores"], *shape),
        tuple(quantizer.decode_scores(row[f"scores_{n}"], *shape) for n in range(n_teachers)),
    )


def _check_row(row: Mapping[str, Any]) -> None:
    """Check that a row lacks no value, and that its parts fit each other."""
    for name, value in row.items():
        if value is None or (isinstance(value, list) and None in value):
            raise ValueError(f"column {name!r} lacks a value")
    n_words = len(row["words"])
    if row["n_words"] != n_words:
        raise ValueError(f"column 'n_words': found {row['n_words']}, but there are {n_words} words")
    for span in row["entities"]:
        if None in span.values():
            raise ValueError("column 'entities' lacks a value")
        if not 0 <= span["start"] < span["end"] <= n_words:
            raise ValueError(
                f"column 'entities': words {span['start']} to {span['end']} are not in a passage "
                f"of {n_words} words"
            )


def _check_readable(content: bytes, index: int) -> None:
    try:
        check_sizes(content)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"it has {len(content):,} bytes; expected at most {MAX_FILE_BYTES:,}")
    except ValueError as error:
        raise StoreError(
            f"{shard_name(index)}: the shard would be too large to be read: {error}; cut long "
            "passages, or ask for fewer labels"
        ) from error
