"""The columns of the files that a table is written from, known before its first row is written.

The columns of a Parquet or CSV file stand at its end or beginning. JSON lines are read once to find
theirs, a thousand at a time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from gliner_distill.cli.reading.input import STANDARD_INPUT, DocumentSource
from gliner_distill.cli.tables.parquet import (
    check_text_column,
    describe_columns,
    import_pyarrow,
    parquet_schema,
)
from gliner_distill.cli.tables.records import BadRecords
from gliner_distill.cli.tables.writers import ENTITIES, TAKEN, TableForm
from gliner_distill.corpus.formats import open_and_recognize
from gliner_distill.corpus.recognition import Format
from gliner_distill.corpus.texts import table_columns
from gliner_distill.errors import CorpusError, DistillError

_CHUNK_ROWS = 1000


def check_columns(source: DocumentSource) -> None:
    """Check the columns of all CSV and Parquet files of a source before one of them is answered.

    Raises:
        CorpusError: A file cannot be read, lacks the column of the texts, has two columns of one
            name, or has a column `entities` already.
    """
    for name in source.files:
        path = Path(name)
        form = _form(source, path) if path.is_file() else "text"
        if form == "parquet":
            schema = parquet_schema(path)
            check_text_column(schema, source.text_field, path)
            _check_names(schema.names, path)
        elif form == "table":
            _check_names(table_columns(path), path)


def read_columns(source: DocumentSource, form: TableForm) -> Any:
    """Return what a writer needs to know of the columns of a source; see `write_table`.

    Raises:
        CorpusError: A file cannot be read, a record is bad, the files do not fit together, or a
            field of JSON lines holds values of several types.
        DistillError: The source can be read only once.
        MissingExtraError: Parquet is to be written or read, and pyarrow is not installed.
    """
    if form == "jsonl":
        return None
    for name in source.files:
        if source.form != "lines" and not Path(name).is_file():
            shown = "standard input" if name == STANDARD_INPUT else name
            raise DistillError(
                f"{shown}: the columns of the output are known only after the input has been read "
                "once; give a file, or write JSON lines"
            )
    return _parquet_columns(source) if form == "parquet" else _csv_columns(source)


def _csv_columns(source: DocumentSource) -> list[str]:
    names: dict[str, None] = {}
    for part in _single_files(source):
        if part.text is None and (known := _known_names(part)):
            names |= dict.fromkeys(known)
            continue
        for document in part.read():
            names |= dict.fromkeys(document.row)
    _check_names(list(names), None)
    return list(names) or [source.text_field]


def _parquet_columns(source: DocumentSource) -> Any:
    pa = import_pyarrow()
    # Metadata of several files cannot be joined; that of a single one is kept.
    first, *others = _single_files(source)
    schema = _schema_of(first)
    for part in others:
        try:
            schemas = [schema, _schema_of(part)]
            schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            problem = " ".join(str(error).split())
            raise CorpusError(
                f"{part.files[0]}: its columns do not fit those of the files before it: {problem}; "
                "write a file for each of them with --out FOLDER"
            ) from error
    _check_names(schema.names, None)
    return schema


def _schema_of(source: DocumentSource) -> Any:
    """Return the schema of a source of one file or text."""
    import pyarrow as pa

    if source.text is None:
        form = _form(source, Path(source.files[0]))
        if form == "parquet":
            return parquet_schema(Path(source.files[0]))
        if known := _known_names(source):
            for name in known:
                _check_unicode(name, source)
            return pa.schema([(name, pa.string()) for name in known])
    types: dict[str, Any] = {}
    rows = (document.row for document in source.read())
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        for name, kind in _types_of(chunk, source):
            _check_unicode(name, source)
            types[name] = _join(types.get(name, pa.null()), kind, name, source)
    fields = {name: pa.string() if kind == pa.null() else kind for name, kind in types.items()}
    return pa.schema(list((fields or {source.text_field: pa.string()}).items()))


def _types_of(
    rows: Sequence[Mapping[str, Any]], source: DocumentSource
) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            yield name, pa.array([row.get(name) for row in rows]).type
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _mixed(name, source, error) from error


def _join(known: Any, kind: Any, name: str, source: DocumentSource) -> Any:
    import pyarrow as pa

    schemas = [pa.schema([(name, kind)]) for kind in (known, kind)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(name).type
    except pa.ArrowException as error:
        raise _mixed(name, source, error) from error


def _check_unicode(name: str, source: DocumentSource) -> None:
    """Refuse a name with half of a surrogate pair, or with a byte that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{source.files[0] if source.files else 'the text'}: the name of the field {name!r} is "
            "not valid Unicode, so it cannot name a column of Parquet; rename the field, or write "
            "JSON lines instead"
        ) from error


def _mixed(name: str, source: DocumentSource, error: Exception) -> CorpusError:
    where = source.files[0] if source.files else "the text"
    problem = " ".join(str(error).split())
    return CorpusError(
        f"{where}: the values of the field {name!r} do not fit one Parquet column: {problem}; "
        "write JSON lines instead"
    )


def _known_names(source: DocumentSource) -> list[str]:
    """Return the columns of a file that names them or is known to have one; none otherwise."""
    path = Path(source.files[0])
    form = _form(source, path)
    if form == "parquet":
        return list(parquet_schema(path).names)
    if form == "table":
        return table_columns(path)
    return [source.text_field] if form == "text" else []


def _form(source: DocumentSource, path: Path) -> Format:
    if source.form != "auto":
        return "json lines" if source.form == "jsonl" else "text"
    return open_and_recognize(path)


def _single_files(source: DocumentSource) -> Iterator[DocumentSource]:
    """Yield a source for each file, which counts bad records of its own."""
    for name in source.files or ((),):
        files = (name,) if isinstance(name, str) else ()
        bad = None if source.bad is None else BadRecords()
        yield replace(source, files=files, bad=bad)


def _check_names(names: list[str], path: Path | None) -> None:
    where = "" if path is None else f"{path}: "
    if ENTITIES in names:
        raise CorpusError(f"{where}{TAKEN} (columns: {describe_columns(names)})")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise CorpusError(
            f"{where}the column {repeated[0]!r} occurs {names.count(repeated[0])} times; give each "
            "column a name of its own"
        )
