"""The command `predict`: find entities in texts."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import Patterns, ThreadCount, Threshold, option
from gliner_distill.cli.terminal import (
    is_terminal,
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)
from gliner_distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Generator

    from gliner_distill.cli.input import Document, DocumentSource
    from gliner_distill.evaluation.models import NERModel

# A student answers hundreds of texts in a moment; a GLiNER needs smaller batches to answer soon.
_STUDENT_DOCUMENTS = 512
_TEACHER_DOCUMENTS = 16


def _check_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 arrive as lone surrogates
        raise typer.BadParameter("this is not UTF-8") from None
    return text


def _check_texts(texts: list[str] | None) -> list[str]:
    return [_check_utf8(text) for text in texts or []]


def _clean_labels(labels: list[str] | None) -> list[str]:
    """Return the labels in the form that a corpus has them, each once."""
    if not labels:
        return []
    from gliner_distill.corpus.labels import clean_label

    cleaned = list(dict.fromkeys(clean_label(_check_utf8(label)) for label in labels))
    if "" in cleaned:
        raise typer.BadParameter("a label must not be empty")
    return cleaned


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="The text itself; or one or more files of documents, one per line; or - for standard "
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
        text="A label to find. Give this option once per label.",
        callback=_clean_labels,
    ),
]

LabelFile = Annotated[
    Path | None,
    option(
        "--labels",
        metavar="FILE",
        text="A file of labels to find, one per line: `label` or `label: description`. A student "
        "reads the description in place of the label; a GLiNER reads both.",
    ),
]

Model = Annotated[
    str | None,
    option(
        "--model",
        "-m",
        metavar="MODEL",
        text="The folder of a student, of a run, of an export or of a GLiNER; or a hub id. By "
        "default it is the student that comes with the package.",
    ),
]

InputFormat = Annotated[
    Literal["auto", "lines", "jsonl"],
    option(
        "--input",
        metavar="FORM",
        text="The format of the input: lines has one document per line; jsonl has a string per "
        "line, or an object with the text in a field; auto chooses jsonl for files whose names end "
        "in .jsonl or .ndjson, and lines otherwise.",
    ),
]

TextField = Annotated[
    str,
    option("--field", metavar="NAME", text="The field of a JSON object that holds the text."),
]

OutputFormat = Annotated[
    Literal["jsonl", "csv", "color"] | None,
    option(
        "--output",
        metavar="FORM",
        text="The format of the output: jsonl prints one object per document, csv one row per "
        "entity, and color the text with its entities in color.",
        show_default="color in a terminal, otherwise jsonl",
    ),
]

Nested = Annotated[
    bool, option("--nested", metavar=None, text="Find entities inside other entities as well.")
]

MultiLabel = Annotated[
    bool,
    option("--multi-label", metavar=None, text="Give a span every label whose score exceeds P."),
]


def predict(
    inputs: Inputs = None,
    label: Labels = None,
    labels: LabelFile = None,
    model: Model = None,
    input_format: InputFormat = "auto",
    field: TextField = "text",
    output: OutputFormat = None,
    threshold: Threshold = 0.5,
    nested: Nested = False,
    multi_label: MultiLabel = False,
    patterns: Patterns = True,
    threads: ThreadCount = None,
) -> None:
    """Find entities in a text, in files or in standard input.

    Answers appear while the input is read; the input is never held in memory as a whole.

    Prints the text with its entities in color if standard output is a terminal. Otherwise it prints
    one JSON object per document, on one line: {"text": ..., "entities": [...]}, where each entity
    has "start", "end", "text", "label" and "score", and "source": "pattern" if a pattern has found
    it; the other fields of the document's own object follow. Start and end are character positions,
    and the end is exclusive. An empty line is a document without entities, so line N of the output
    belongs to line N of the input. With --output csv there is one row per entity, with the number
    of its document, counted from 0.
    Writes no files. If the reader of the output stops early, as head does, the exit code is
    141.
    """
    if not label and labels is None:
        raise typer.BadParameter("labels are missing; give --label LABEL or --labels FILE")
    if not inputs and is_terminal(sys.stdin):
        raise typer.BadParameter("input is missing; give a text, a file, or - for standard input")
    if sys.stdout is None:
        raise DistillError("standard output is closed")
    with when_stopped("what was printed is whole"), until_reader_leaves():
        from gliner_distill.cli.input import find_source
        from gliner_distill.cli.output import make_writer
        from gliner_distill.evaluation.models import load_model

        quiet_libraries()
        asked = _read_labels(label or [], labels)
        source = find_source(inputs or [], form=input_format, text_field=field)
        form = output or ("color" if is_terminal(sys.stdout) else "jsonl")
        writer = make_writer(form, list(asked))
        loaded = load_model(model, num_threads=threads)
        print_whole(writer.head())
        with closing(_read_documents(source, _documents_at_once(loaded))) as batches:
            for first, documents in batches:
                entities = loaded.inference(
                    [document.text for document in documents],
                    asked,
                    flat_ner=not nested,
                    threshold=threshold,
                    multi_label=multi_label,
                    patterns=patterns,
                )
                print_whole(writer.answers(first, documents, entities))


def _read_labels(labels: list[str], file: Path | None) -> dict[str, str]:
    """Return all labels with their descriptions; one without a description describes itself."""
    asked = dict.fromkeys(labels, "")
    if file is not None:
        from gliner_distill.corpus.labels import read_labels

        asked |= read_labels(file)
    return {label: description or label for label, description in asked.items()}


def _documents_at_once(model: "NERModel") -> int:
    """Return how many documents to pass to a model at once, so that it answers soon."""
    from gliner_distill.evaluation.models import TeacherNER

    return _TEACHER_DOCUMENTS if isinstance(model, TeacherNER) else _STUDENT_DOCUMENTS


def _read_documents(
    source: "DocumentSource", max_documents: int
) -> "Generator[tuple[int, list[Document]], None, None]":
    """Yield documents as they arrive, with the number of the first one, and show progress."""
    from gliner_distill.cli.input import Prefetcher
    from gliner_distill.cli.progress import DocumentProgress

    # A bar would disturb answers that are printed on the same terminal.
    is_shown = is_terminal(sys.stderr) and not is_terminal(sys.stdout)
    first = 0
    with (
        DocumentProgress(source.n_bytes, is_shown=is_shown) as progress,
        Prefetcher(source.read(), max_documents=max_documents) as batches,
    ):
        for documents in batches:
            yield first, documents
            first += len(documents)
            progress.count(documents)


PREDICT = Command(
    predict,
    "Find entities in a text, files or standard input.",
    """\
  gliner-distill predict "Mary left Paris." --label person --label city
  gliner-distill predict notes.txt -l drug -m runs/distilled > found.jsonl
  gliner-distill predict a.jsonl b.jsonl --field body --labels labels.txt \\
    --output csv > found.csv
  tail -f server.log | gliner-distill predict -l "ip address"
  gliner-distill predict -l drug -m models/gliner < notes.txt | head -1""",
)
