"""The files that `predict --out` reads and writes: which input goes into which output."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gliner_distill.cli.reading.input import (
    STANDARD_INPUT,
    DocumentSource,
    InputFormat,
    InputOptions,
    find_source,
)
from gliner_distill.cli.tables.records import BadRecords
from gliner_distill.cli.tables.writers import TableForm
from gliner_distill.cli.terminal import say
from gliner_distill.errors import CorpusError, DistillError

FORMS: dict[str, TableForm] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""The format of an output by its suffix."""

_READ_SUFFIXES = {*FORMS, ".json"}


@dataclass(frozen=True, slots=True)
class TableJob:
    """A file to write.

    Attributes:
        source: The documents.
        path: The file.
        form: Its format.
    """

    source: DocumentSource
    path: Path
    form: TableForm


def plan_tables(
    arguments: Sequence[str],
    out: str,
    *,
    form: InputFormat = "auto",
    text_field: str = "text",
    skip_bad: bool = False,
) -> list[TableJob]:
    """Return the files to write.

    Args:
        arguments: A text; files; folders, of which the tables are read; or nothing, or `-`, for
            standard input.
        out: A file whose suffix gives the format, for all input together; or a folder, which gets
            a file of the same name for each input.
        form: See `find_source`.
        text_field: See `find_source`.
        skip_bad: See `find_source`.

    Raises:
        CorpusError: An input does not exist, or a folder has no table.
        DistillError: The suffix of `out` is unknown, or `out` is `-`; or two inputs would be
            written to one file, or an output would replace an input.
    """
    if out == STANDARD_INPUT:
        raise DistillError("--out is '-'; expected a file or a folder; leave it out to print")
    options: InputOptions = {"form": form, "text_field": text_field, "skip_bad": skip_bad}
    inputs = list(_list_inputs(arguments))
    path = Path(out)
    if path.suffix.lower() in FORMS and not path.is_dir():
        source = find_source([str(name) for name, _ in inputs], **options)
        jobs = [TableJob(source, path, FORMS[path.suffix.lower()])]
    elif path.suffix and not path.is_dir() and not out.endswith("/"):
        raise DistillError(
            f"{out}: the suffix {path.suffix!r} is not that of a table; expected "
            f"{', '.join(FORMS)}, or the name of a folder without a suffix"
        )
    else:
        source = find_source([str(name) for name, _ in inputs], **options)
        if source.text is not None or STANDARD_INPUT in source.files:
            raise DistillError(f"{out}: a folder is for files; name a file for this input")
        jobs = [
            _job_in(path, replace(source, files=(name,), bad=_bad(source)), below)
            for name, below in inputs
        ]
    _check_paths(jobs)
    return jobs


def _list_inputs(arguments: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield each file, with its path below the folder that was given; folders are listed."""
    for name in arguments:
        try:
            is_folder = bool(name) and Path(name).is_dir()
        except (OSError, ValueError):  # a text
            is_folder = False
        if not is_folder:
            yield name, Path(Path(name).name)
            continue
        folder = Path(name)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        taken = [path for path in files if _is_table(path.relative_to(folder))]
        if not taken:
            raise CorpusError(
                f"{name}: the folder has no table; expected files that end in "
                f"{', '.join(sorted(_READ_SUFFIXES))}"
            )
        n_left_out = len(files) - len(taken)
        say(f"{name}: files read: {len(taken):,}; left out: {n_left_out:,}", err=True)
        for path in taken:
            yield str(path), path.relative_to(folder)


def _is_table(path: Path) -> bool:
    # Spark and others mark their own files like this, such as `_SUCCESS` and `.part-0.crc`.
    is_hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not is_hidden and path.suffix.lower() in _READ_SUFFIXES


def _job_in(folder: Path, source: DocumentSource, below: Path) -> TableJob:
    """Return the file of an input in the output's folder; other formats become JSON lines."""
    form = FORMS.get(below.suffix.lower())
    if form is None:
        return TableJob(source, folder / below.with_suffix(".jsonl"), "jsonl")
    return TableJob(source, folder / below, form)


def _bad(source: DocumentSource) -> BadRecords | None:
    return None if source.bad is None else BadRecords()


def _check_paths(jobs: Sequence[TableJob]) -> None:
    """Check that no file would be replaced by another.

    Raises:
        DistillError: One would.
    """
    inputs = {
        Path(name).resolve() for job in jobs for name in job.source.files if name != STANDARD_INPUT
    }
    written: dict[Path, TableJob] = {}
    for job in jobs:
        if job.path.resolve() in inputs:
            raise DistillError(f"{job.path}: this is an input as well; choose another --out")
        other = written.setdefault(job.path.resolve(), job)
        if other is not job:
            names = f"{other.source.files[0]} and {job.source.files[0]}"
            raise DistillError(
                f"{job.path}: {names} would both be written to this file; give each an --out of "
                "its own"
            )
