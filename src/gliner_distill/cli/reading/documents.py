"""The arguments that `predict` and `redact` share: documents, labels and the model."""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.options import LABEL_LINES, option
from gliner_distill.cli.terminal import is_terminal
from gliner_distill.errors import DistillError

if TYPE_CHECKING:
    from gliner_distill.cli.reading.input import DocumentSource
    from gliner_distill.cli.tables.records import Document
    from gliner_distill.evaluation.models import NERModel

# A student answers hundreds of texts in a moment; a GLiNER needs smaller batches to answer soon.
STUDENT_DOCUMENTS = 512
TEACHER_DOCUMENTS = 16


def _check_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 arrive as lone surrogates
        raise typer.BadParameter("this is not UTF-8") from None
    return text


def _check_texts(texts: list[str] | None) -> list[str]:
    """Return the arguments after a check: only names of files may hold bytes that are not UTF-8."""
    return [text if _is_path(text) else _check_utf8(text) for text in texts or []]


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a path, or a null character in it
        return False


def _read_label_options(values: list[str] | None) -> list[str]:
    """Return the labels of all `--label` options, each once."""
    if not values:
        return []
    from gliner_distill.corpus.labels import split_labels
    from gliner_distill.labels import clean_label

    labels: list[str] = []
    for value in values:
        own = split_labels(_check_utf8(value))
        if not own or not all(map(clean_label, own)):
            raise typer.BadParameter("a label must not be empty")
        labels += own
    return list(dict.fromkeys(labels))


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="The text itself; or one or more files of documents, see --input; or - for standard "
        "input, which is also read if INPUT is left out.",
        show_default=False,
        callback=_check_texts,
    ),
]

Labels = Annotated[
    list[str] | None,
    option(
        "--label",
        "-l",
        metavar="LABEL",
        text="A label to find. Repeat the option for more labels, or separate them by commas; put "
        "quotes around a label that contains a comma. Answers show your spelling; upper case and "
        "underscores make no other difference.",
        callback=_read_label_options,
    ),
]

LabelFile = Annotated[
    Path | None,
    option(
        "--labels",
        metavar="FILE",
        text=f"A file of labels to find. {LABEL_LINES} A student reads the description in place "
        "of the label; a GLiNER reads both.",
    ),
]

Model = Annotated[
    str | None,
    option(
        "--model",
        "-m",
        metavar="MODEL",
        text="The folder of a student, of a run, of an export or of a GLiNER; a hub id; or "
        "bundled, for the student that comes with the package, which is the default.",
    ),
]

InputFormat = Annotated[
    Literal["auto", "lines", "jsonl"],
    option(
        "--input",
        metavar="FORM",
        text="The format of the input: with lines, each line is a document; with jsonl, each line "
        "is a JSON string, or a JSON object with the text in a field; auto recognizes lines, JSON "
        "lines, JSON lists and Parquet by the content, and CSV files by the suffix .csv or .tsv.",
    ),
]

TextField = Annotated[
    str,
    option(
        "--field",
        "--column",
        metavar="NAME",
        text="The field of a JSON object, or the column of a CSV or Parquet file, that holds the "
        "text.",
    ),
]


SkipBad = Annotated[
    bool,
    option(
        "--skip-bad",
        metavar=None,
        text="Give a bad record an empty answer instead of stopping, and list the bad records on "
        "standard error at the end. The exit code is 1 if all records are bad.",
    ),
]


def _check_size(size: str) -> str:
    from gliner_distill.errors import InputError
    from gliner_distill.runtime.memory import read_size

    try:
        read_size(size)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    return size


MaxMemory = Annotated[
    str,
    option(
        "--max-memory",
        metavar="SIZE",
        text="The memory that the process should take at most, such as 2GB or 512MB. It limits "
        "what a student caches and compares at once, and does not change any answer. A very long "
        "text may take more.",
        callback=_check_size,
    ),
]


def check_streams(inputs: list[str] | None) -> None:
    """Refuse to start without input or output.

    Raises:
        BadParameter: The input is missing, and standard input is a terminal.
        DistillError: Standard output is closed.
    """
    if not inputs and is_terminal(sys.stdin):
        raise typer.BadParameter("input is missing; give a text, a file, or - for standard input")
    if sys.stdout is None:
        raise DistillError("standard output is closed")


def describe_labels(labels: list[str], file: Path | None) -> dict[str, str]:
    """Return all labels with their descriptions; one without a description describes itself.

    Args:
        labels: The labels of the command line.
        file: A file of more labels, or None.

    Raises:
        CorpusError: The file cannot be read.
        InputError: Two of the labels differ only in their spelling.
    """
    from gliner_distill.runtime.labels import read_label_set

    asked = dict.fromkeys(labels, "")
    if file is not None:
        from gliner_distill.corpus.labels import read_labels

        asked |= read_labels(file)
    return dict(
        read_label_set({label: description or label for label, description in asked.items()})
    )


def documents_at_once(model: "NERModel") -> int:
    """Return how many documents to pass to a model at once, so that it answers soon."""
    from gliner_distill.evaluation.models import TeacherNER

    return TEACHER_DOCUMENTS if isinstance(model, TeacherNER) else STUDENT_DOCUMENTS


def read_documents(
    source: "DocumentSource", max_documents: int = STUDENT_DOCUMENTS, *, prints: bool = True
) -> Generator[tuple[int, "list[Document]"], None, None]:
    """Yield documents as they arrive, with the number of the first one, and show progress.

    Args:
        source: The place that they come from.
        max_documents: The most documents to yield at once.
        prints: Whether the answers are printed.

    Raises:
        CorpusError: See `DocumentSource.read`; or bad records are skipped, and all are bad.
    """
    from gliner_distill.cli.progress import DocumentProgress
    from gliner_distill.cli.reading.prefetcher import Prefetcher

    # A bar would disturb answers that are printed on the same terminal.
    is_shown = is_terminal(sys.stderr) and not (prints and is_terminal(sys.stdout))
    first = 0
    with (
        DocumentProgress(source.n_bytes, is_shown=is_shown) as progress,
        Prefetcher(
            source.read(),
            max_documents=max_documents,
            # A pipe may pause after a document, which should be answered at once.
            waits_for_room=source.n_bytes is not None,
        ) as batches,
    ):
        for documents in batches:
            yield first, documents
            first += len(documents)
            progress.count(documents)
    _report_bad(source)


def _report_bad(source: "DocumentSource") -> None:
    """Say which records were bad.

    Raises:
        CorpusError: All of them were.
    """
    from gliner_distill.cli.terminal import say
    from gliner_distill.errors import CorpusError

    if source.bad is None or not source.bad.n_bad:
        return
    for line in source.bad.lines():
        say(line, err=True)
    if source.bad.n_bad == source.bad.n_records:
        raise CorpusError("all records are bad, for the reasons above")
