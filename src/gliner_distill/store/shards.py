"""Shards of a soft-label store: labeled passages to Parquet bytes, and back.

A shard's columns are `words` (list of string), `labels` (list of string: the labels asked),
`entities` (list of start, end exclusive, label: the gold annotation), `n_words` and `scores`
(binary: one byte a probability; `Quantizer.encode_scores` says in which order). A store that keeps
each of several teachers has `scores_0`, `scores_1`, ... as well. The file names the store that it
belongs to in its metadata, so that a shard that strayed is known. Nothing here writes to a disk.
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

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.store.manifest import Shard, shard_name
from gliner_distill.store.quantization import Quantizer

# One column's bytes are in reach without the others'; 17 takes half the time of 19 for 2% more.
_COMPRESSION = {"compression": "zstd", "compression_level": 17}


_OF_FEW_STRINGS = ["labels.list.element", "entities.list.element.label"]


_METADATA_KEY = b"gliner_distill"


_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])


@dataclass(frozen=True, slots=True)
class ShardOrigin:
    """Which store a shard belongs to, as its metadata say.

    Attributes:
        store: Hash of what the store is made from (`Manifest.origin`).
        teacher: The teacher's name, for people.
        index: The shard's number in the store.
    """

    store: str
    teacher: str
    index: int


def pack_shard(
    items: Sequence[LabeledPassage], quantizer: Quantizer, origin: ShardOrigin
) -> tuple[Shard, bytes]:
    """Return labeled passages as a shard: the record for the manifest, and the file's bytes."""
    content = encode_shard(items, quantizer, origin)
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
        n_words=sum(len(item.passage.words) for item in items),
        n_pairs=sum(len(item.passage.words) * len(item.labels) for item in items),
    )


def encode_shard(
    items: Sequence[LabeledPassage], quantizer: Quantizer, origin: ShardOrigin
) -> bytes:
    """Return labeled passages as the bytes of a Parquet file, the same bytes each time."""
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
        use_dictionary=_OF_FEW_STRINGS,
        write_page_checksum=True,
        **_COMPRESSION,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode_shard(content: bytes, quantizer: Quantizer) -> Iterator[LabeledPassage]:
    """Return an iterator over the labeled passages of a shard's bytes.

    Raises:
        ValueError: The bytes are no Parquet file, or a row of scores does not fit its words and
            labels (pyarrow's own errors are kinds of it).
        KeyError: A column is missing.
    """
    # Neither `pq.read_table` nor pyarrow's threads: a process that ends soon after they were used
    # may abort (pyarrow 26.0.1).
    table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    n_teachers = sum(name.startswith("scores_") for name in table.column_names)
    for row in table.to_pylist():
        yield _labeled_passage(row, n_teachers, quantizer)


def open_shard(source: Any) -> pq.ParquetFile:
    """Return a shard, opened; of what is read, the pages' checksums are verified."""
    return pq.ParquetFile(source, page_checksum_verification=True)


def read_row(shard: pq.ParquetFile, row: int, quantizer: Quantizer) -> LabeledPassage:
    """Return one labeled passage of an opened shard."""
    [found] = shard.read(use_threads=False).slice(row, 1).to_pylist()
    n_teachers = sum(name.startswith("scores_") for name in found)
    return _labeled_passage(found, n_teachers, quantizer)


def read_scores(shard: pq.ParquetFile, row: int, quantizer: Quantizer) -> NDArray[np.float32]:
    """Return one row's probabilities, shape `(words, labels, 3)`; words and labels are not read.

    So of a passage without words the shape is `(0, 0, 3)`, whatever labels were asked.
    """
    [found] = shard.read(columns=["n_words", "scores"], use_threads=False).slice(row, 1).to_pylist()
    n_words = found["n_words"]
    n_labels = len(found["scores"]) // max(3 * n_words, 1)
    return quantizer.decode_scores(found["scores"], n_words, n_labels)


def read_origin(shard: pq.ParquetFile) -> ShardOrigin | None:
    """Return which store an opened shard belongs to; None where its metadata do not say."""
    raw = (shard.schema_arrow.metadata or {}).get(_METADATA_KEY)
    try:
        return None if raw is None else ShardOrigin(**json.loads(raw))
    except (ValueError, TypeError):
        return None


def shard_schema(n_teachers: int) -> pa.Schema:
    """Return a shard's columns; `n_teachers` are kept each."""
    of_each = [(f"scores_{teacher}", pa.binary()) for teacher in range(n_teachers)]
    return pa.schema(
        [
            ("words", pa.list_(pa.string())),
            ("labels", pa.list_(pa.string())),
            ("entities", pa.list_(_SPAN)),
            ("n_words", pa.int32()),
            ("scores", pa.binary()),
            *of_each,
        ]
    )


def _labeled_passage(
    row: Mapping[str, Any], n_teachers: int, quantizer: Quantizer
) -> LabeledPassage:
    entities = tuple(Entity(span["start"], span["end"], span["label"]) for span in row["entities"])
    passage = Passage(words=tuple(row["words"]), entities=entities)
    shape = len(row["words"]), len(row["labels"])
    return LabeledPassage(
        passage,
        tuple(row["labels"]),
        quantizer.decode_scores(row["scores"], *shape),
        tuple(quantizer.decode_scores(row[f"scores_{n}"], *shape) for n in range(n_teachers)),
    )
