"""The command `predict`: find entities in texts."""

import sys
from contextlib import closing
from typing import Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.documents import (
    InputFormat,
    Inputs,
    LabelFile,
    Labels,
    MaxMemory,
    Model,
    SkipBad,
    TextField,
    check_streams,
    describe_labels,
    documents_at_once,
    read_documents,
)
from gliner_distill.cli.options import Patterns, ThreadCount, Threshold, option
from gliner_distill.cli.terminal import (
    is_terminal,
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)

OutputFormat = Annotated[
    Literal["jsonl", "csv", "color", "prodigy"] | None,
    option(
        "--output",
        metavar="FORM",
        text="The format of the output: jsonl prints one object per document, csv one row per "
        "entity, color the text with its entities in color, and prodigy one task per document for "
        "annotators who use Prodigy.",
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
    max_memory: MaxMemory = "2GB",
    skip_bad: SkipBad = False,
) -> None:
    """Find entities in a text, in files or in standard input.

    Answers appear while the input is read; the input is never held in memory as a whole.

    Prints the text with its entities in color if standard output is a terminal. Otherwise it prints
    one JSON object per document, on one line: {"text": ..., "entities": [...]}. Each entity has
    "start", "end", "text", "label" and "score", and "source": "pattern" if a pattern has found it.
    Start and end are character positions, and the end is exclusive. The other fields of the
    document's own object follow; those named "text" or "entities" are kept in "input". An empty
    line is a document without entities, so line N of the output belongs to line N of the input.

    With --output csv there is one row per entity, with the number of its document, counted from 0.
    A text that a spreadsheet would take for a formula begins with a single quote (').

    With --output prodigy, each line is a task for Prodigy's interface ner_manual, with "text",
    "tokens", "spans" and "meta". The answers that Prodigy exports are gold for `distill`.

    Writes no files. If the reader of the output stops early, as head does, the exit code is 141.
    """
    if not label and labels is None:
        raise typer.BadParameter("labels are missing; give --label LABEL or --labels FILE")
    check_streams(inputs)
    with when_stopped("what was printed is whole"), until_reader_leaves():
        from gliner_distill.cli.input import find_source
        from gliner_distill.cli.output import make_writer
        from gliner_distill.evaluation.models import load_model

        quiet_libraries()
        asked = describe_labels(label or [], labels)
        source = find_source(inputs or [], form=input_format, text_field=field, skip_bad=skip_bad)
        form = output or ("color" if is_terminal(sys.stdout) else "jsonl")
        writer = make_writer(form, list(asked))
        loaded = load_model(model, num_threads=threads, max_memory=max_memory)
        print_whole(writer.head(), is_colored=form == "color")
        with closing(read_documents(source, documents_at_once(loaded))) as batches:
            for first, documents in batches:
                entities = loaded.inference(
                    [document.text for document in documents],
                    asked,
                    flat_ner=not nested,
                    threshold=threshold,
                    multi_label=multi_label,
                    patterns=patterns,
                )
                lines = writer.answers(first, documents, entities)
                print_whole(lines, is_colored=form == "color")


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
    work="finding entities",
    less_memory="cut long texts, or ask for fewer labels",
)
