"""The command `predict`: find entities in texts."""

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import (
    DEFAULT_WORKERS,
    Patterns,
    RayAddress,
    RayAddressParser,
    ThreadCount,
    Threshold,
    WorkerCount,
    check_ray_options,
    option,
)
from gliner_distill.cli.reading.documents import (
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
)
from gliner_distill.cli.terminal import (
    is_terminal,
    print_whole,
    quiet_libraries,
    say,
    until_reader_leaves,
    when_stopped,
)

if TYPE_CHECKING:
    from gliner_distill.cli.reading.input import InputOptions
    from gliner_distill.cli.tables.answers import Answers, Question
    from gliner_distill.labeling.cluster import Cluster

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

OutTable = Annotated[
    str | None,
    option(
        "--out",
        metavar="PATH",
        text="Write a table instead of printing: all columns of the input and the column entities. "
        "PATH is a file, whose suffix .parquet, .csv, .tsv, .jsonl or .ndjson gives the format; or "
        "a folder, which gets a file of the same name for each input. With this option, INPUT may "
        "be a folder. Parquet needs gliner-distill[parquet].",
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
    out: OutTable = None,
    ray: RayAddress = None,
    workers: WorkerCount = None,
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

    With --out, it writes a table and prints the number of its rows: all columns of the input, in
    their order, and the column "entities". This holds a list of structures in Parquet, and JSON in
    CSV. A text that is null has no entities. A file gets its name once it is complete, and then
    replaces an older one.

    Writes no files without --out. If the reader of the output stops early, as head does, the exit
    code is 141.
    """
    if not label and labels is None:
        raise typer.BadParameter("labels are missing; give --label LABEL or --labels FILE")
    if out is not None and output is not None:
        raise typer.BadParameter("--output is for what is printed; the suffix of --out decides")
    check_ray_options(ray, workers)
    check_streams(inputs)
    kept = "what was printed is whole" if out is None else f"{out} has no half-written file"
    with when_stopped(kept), until_reader_leaves():
        from gliner_distill.cli.tables.answers import Question

        quiet_libraries()
        question = Question(
            model,
            describe_labels(label or [], labels),
            threshold=threshold,
            flat_ner=not nested,
            multi_label=multi_label,
            patterns=patterns,
            # The cores of a machine are divided among its workers.
            num_threads=threads or (1 if ray is not None else None),
            max_memory=max_memory,
        )
        options: InputOptions = {
            "form": input_format,
            "text_field": field,
            "skip_bad": skip_bad,
        }
        if out is None:
            form = output or ("color" if is_terminal(sys.stdout) else "jsonl")
            _print_answers(inputs or [], options, form, question, _cluster(ray, workers, threads))
        else:
            _write_tables(inputs or [], options, out, question, _cluster(ray, workers, threads))


def _cluster(address: str | None, n_workers: int | None, n_threads: int | None) -> "Cluster | None":
    if address is None:
        return None
    from gliner_distill.labeling.cluster import Cluster

    return Cluster(
        n_workers or DEFAULT_WORKERS, address, cpus_per_worker=n_threads or 1, in_order=True
    )


def _print_answers(
    inputs: list[str],
    options: "InputOptions",
    form: Literal["jsonl", "csv", "color", "prodigy"],
    question: "Question",
    cluster: "Cluster | None",
) -> None:
    from gliner_distill.cli.output import make_writer
    from gliner_distill.cli.reading.input import find_source

    source = find_source(inputs, **options)
    writer = make_writer(form, list(question.labels))
    answer = _answerer(question, cluster)
    print_whole(writer.head(), is_colored=form == "color")
    with closing(answer(source)) as answers:
        for first, documents, entities in answers:
            lines = writer.answers(first, documents, entities)
            print_whole(lines, is_colored=form == "color")


def _write_tables(
    inputs: list[str],
    options: "InputOptions",
    out: str,
    question: "Question",
    cluster: "Cluster | None",
) -> None:
    from gliner_distill.cli.tables.columns import check_columns, read_columns
    from gliner_distill.cli.tables.outputs import plan_tables
    from gliner_distill.cli.tables.writers import write_table

    jobs = plan_tables(inputs, out, **options)
    for job in jobs:
        check_columns(job.source)
    answer = _answerer(question, cluster)
    for job in jobs:
        columns = read_columns(job.source, job.form)
        with (
            write_table(job.path, job.form, columns) as table,
            closing(answer(job.source, prints=False)) as answers,
        ):
            for _, documents, entities in answers:
                table.write(documents, entities)
        rows = _count(table.n_rows, "row", "rows")
        say(f"{job.path}: {rows}, {_count(table.n_entities, 'entity', 'entities')}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _answerer(question: "Question", cluster: "Cluster | None") -> "Callable[..., Answers]":
    """Return a function that answers the documents of a source."""
    from gliner_distill.cli.tables.answers import answer_here, answer_on_cluster

    if cluster is not None:
        return partial(answer_on_cluster, question, cluster)
    return partial(answer_here, question, question.load())


PREDICT = Command(
    predict,
    "Find entities in a text, files or standard input.",
    """\
  gliner-distill predict "Mary left Paris." --label person --label city
  gliner-distill predict notes.txt -l drug -m runs/distilled > found.jsonl
  gliner-distill predict a.jsonl b.jsonl --field body --labels labels.txt \\
    --output csv > found.csv
  gliner-distill predict mails.parquet --column body -l person \\
    --out found.parquet
  gliner-distill predict tables/ -l person --out found/ --ray --workers 4
  tail -f server.log | gliner-distill predict -l "ip address"
  gliner-distill predict -l drug -m models/gliner < notes.txt | head -1""",
    work="finding entities",
    less_memory="cut long texts, or ask for fewer labels",
    parser=RayAddressParser,
)
