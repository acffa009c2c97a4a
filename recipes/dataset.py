"""Make the data set of written passages: `python recipes/dataset.py DATA OUT`.

DATA is a folder with `train.json`, `more.json`, `focus.json` and `labels.jsonl`, or a folder that
holds these in `open`. The files in OUT are:

1. `passages.parquet`, one row per passage, and `thesaurus.parquet`, one row per label.
2. `manifest.json`, with the counts of both files, their sizes and their SHA-256.
3. `README.md`, the data card, and `LICENSE`, the text of CC0 1.0.

The same input and the same version of pyarrow give the same bytes. After writing, the recipe reads
both files back and compares them with the input.

DATA may also be the data set itself. With `--json`, OUT gets the JSON files instead, so
`python recipes/dataset.py dataset DATA/open --json` makes the input of the other recipes.
"""

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
from pyarrow import parquet
from thesaurus import RELATIONS, THESAURUS_FILE, ThesaurusEntry, read_thesaurus
from written_passages import PASSAGES_FILE, read_passages, write_as_json

from gliner_distill.entities import Passage, count_words
from gliner_distill.errors import CorpusError
from gliner_distill.files import write_file, write_json

MANIFEST_FILE, CARD_FILE, LICENSE_FILE = "manifest.json", "README.md", "LICENSE"
LICENSE = Path(__file__).resolve().parents[1] / "dataset" / LICENSE_FILE
TEMPLATE = Path(__file__).with_name("dataset_card.md.jinja")
MAX_BYTES = 6_000_000
"""The largest size of all files of the data set together."""

_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
_PASSAGE_SCHEMA = pa.schema(
    [("source", pa.string()), ("words", pa.list_(pa.string())), ("entities", pa.list_(_SPAN))]
)
_THESAURUS_SCHEMA = pa.schema(
    [("label", pa.string()), *((name, pa.list_(pa.string())) for name in RELATIONS)]
)
# Zstandard compresses words better as they stand, in one large page, than as a dictionary.
_DICTIONARY_COLUMNS = {
    PASSAGES_FILE: ["source", "entities.list.element.start", "entities.list.element.label"],
    THESAURUS_FILE: ["broader.list.element", "siblings.list.element"],
}
_PAGE_BYTES = 1 << 26


def main() -> None:
    """Write the files of the data set and print their sizes, or write the JSON files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--json", action="store_true", help="write the JSON files to OUT instead")
    options = parser.parse_args()
    if options.json:
        write_as_json(options.data, options.out)
        return
    make_data_set(options.data, options.out)
    for name, file in json.loads((options.out / MANIFEST_FILE).read_text())["files"].items():
        print(f"{name}: {file['rows']:,} rows, {file['bytes']:,} bytes, SHA-256 {file['sha256']}")


def make_data_set(data: Path, out: Path) -> None:
    """Write the files of the data set into a folder.

    Raises:
        CorpusError: The input cannot be read, the files are larger than `MAX_BYTES`, or reading
            them back does not give the input.
    """
    passages, thesaurus = read_passages(data), read_thesaurus(data)
    contents = {
        PASSAGES_FILE: pack_table(passage_rows(passages), _PASSAGE_SCHEMA, PASSAGES_FILE),
        THESAURUS_FILE: pack_table(thesaurus_rows(thesaurus), _THESAURUS_SCHEMA, THESAURUS_FILE),
    }
    for name, content in contents.items():
        write_file(out / name, content)
    if read_passages(out) != passages or read_thesaurus(out) != thesaurus:
        raise CorpusError(f"{out}: the Parquet files do not give back what {data} holds")
    manifest = describe(passages, thesaurus, contents)
    write_json(out / MANIFEST_FILE, manifest)
    write_file(out / CARD_FILE, render_card(manifest))
    if (out / LICENSE_FILE).resolve() != LICENSE:
        write_file(out / LICENSE_FILE, LICENSE.read_bytes())
    n_bytes = sum(path.stat().st_size for path in out.iterdir())
    if n_bytes > MAX_BYTES:
        raise CorpusError(f"{out}: the files have {n_bytes:,} bytes; at most {MAX_BYTES:,} may be")


def passage_rows(passages: Mapping[str, Iterable[Passage]]) -> Iterator[dict[str, Any]]:
    """Yield the row of each passage; ends are exclusive."""
    for source, group in passages.items():
        for passage in group:
            entities = [
                {"start": entity.start_word, "end": entity.end_word, "label": entity.label}
                for entity in passage.entities
            ]
            yield {"source": source, "words": list(passage.words), "entities": entities}


def thesaurus_rows(thesaurus: Mapping[str, ThesaurusEntry]) -> Iterator[dict[str, Any]]:
    """Yield the row of each label."""
    for label, entry in thesaurus.items():
        yield {"label": label} | {name: list(getattr(entry, name)) for name in RELATIONS}


def pack_table(rows: Iterable[dict[str, Any]], schema: pa.Schema, name: str) -> bytes:
    """Return the bytes of a Parquet file.

    Args:
        rows: The rows.
        schema: The columns.
        name: The name of the file, which decides which columns get a dictionary.
    """
    table = pa.Table.from_pylist(list(rows), schema=schema)
    sink = io.BytesIO()
    parquet.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=22,
        use_dictionary=_DICTIONARY_COLUMNS[name],
        dictionary_pagesize_limit=_PAGE_BYTES,
        data_page_size=_PAGE_BYTES,
        row_group_size=max(1, table.num_rows),
    )
    return sink.getvalue()


def describe(
    passages: Mapping[str, Sequence[Passage]],
    thesaurus: Mapping[str, ThesaurusEntry],
    contents: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the manifest: sizes and hashes of the files, and counts of what they hold.

    Args:
        passages: The passages of each source.
        thesaurus: The entries of the thesaurus.
        contents: The bytes of each Parquet file.
    """
    everything = [passage for group in passages.values() for passage in group]
    rows = {
        PASSAGES_FILE: list(passage_rows(passages)),
        THESAURUS_FILE: list(thesaurus_rows(thesaurus)),
    }
    files = {
        name: {
            "rows": len(rows[name]),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "sha256 of the rows": hash_rows(rows[name]),
        }
        for name, content in contents.items()
    }
    return {
        "pyarrow": pa.__version__,
        "files": files,
        "passages": {source: count(group) for source, group in passages.items()}
        | {"all": count(everything)},
        "thesaurus": count_thesaurus(thesaurus, everything),
    }


def hash_rows(rows: Iterable[dict[str, Any]]) -> str:
    """Return the SHA-256 of rows as JSON lines, which depends on no version of pyarrow."""
    digest = hashlib.sha256()
    for row in rows:
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def count(passages: Sequence[Passage]) -> dict[str, int]:
    """Return the numbers of passages, words, spans, entities (span and label) and labels."""
    entities = [entity for passage in passages for entity in passage.entities]
    spans = sum(
        len({(entity.start_word, entity.end_word) for entity in passage.entities})
        for passage in passages
    )
    return {
        "passages": len(passages),
        "words": count_words(passages),
        "spans": spans,
        "entities": len(entities),
        "labels": len({entity.label for entity in entities}),
    }


def count_thesaurus(
    thesaurus: Mapping[str, ThesaurusEntry], passages: Iterable[Passage]
) -> dict[str, Any]:
    """Return the numbers of labels and relations, and the shares of the passages' labels covered.

    Args:
        thesaurus: The entries of the thesaurus.
        passages: The passages in which the labels are used.
    """
    uses = Counter(entity.label for passage in passages for entity in passage.entities)
    known = [label for label in uses if label in thesaurus]
    return {
        "labels": len(thesaurus),
        **{
            name: sum(len(getattr(entry, name)) for entry in thesaurus.values())
            for name in RELATIONS
        },
        "share of entities covered": round(sum(uses[label] for label in known) / uses.total(), 4),
        "share of labels covered": round(len(known) / len(uses), 4),
    }


def render_card(manifest: Mapping[str, Any]) -> str:
    """Return the text of the data card, with the counts of a manifest."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.0f}%"
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(manifest)


if __name__ == "__main__":
    main()
