"""The commands on what finds entities: `evaluate`, `predict`, `export` and `bench`."""

import sys
from collections.abc import Callable
from functools import partial
from itertools import count, starmap
from typing import TYPE_CHECKING

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import (
    is_terminal,
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)
from gliner_distill.errors import DistillError

if TYPE_CHECKING:
    from gliner_distill.cli.input import DocumentSource
    from gliner_distill.cli.output import AnswerWriter
    from gliner_distill.evaluation.models import NERModel
    from gliner_distill.runtime.inputs import EntityDict


def predict(
    inputs: given.InputArguments = None,
    label: given.LabelsToFind = None,
    labels: given.DescribedLabels = None,
    model: given.ModelOption = None,
    input_form: given.InputFormName = "auto",
    field: given.TextField = "text",
    output: given.OutputFormName = None,
    threshold: given.ScoreThreshold = 0.5,
    nested: given.Nested = False,
    multi_label: given.MultiLabel = False,
    threads: given.ThreadCount = None,
) -> None:
    """Find entities in a text, files or standard input.

    Without --model, the student of any label that comes with the package answers. Input is read
    as it comes and never held in memory.

    Prints the text with its entities in color on a terminal; elsewhere one JSON object a
    document, on one line: {"text": ..., "entities": [...]}, each entity with "start", "end",
    "text", "label" and "score", and then the other fields of the document's own object. Start and
    end are character positions, end exclusive. An empty line is a document without entities, so
    line N of what is printed belongs to line N of the input. With --output csv, a row an entity,
    with its document's number from 0. Writes nothing. When its reader leaves early, as head does,
    it stops with exit code 141.
    """
    if not label and labels is None:
        raise typer.BadParameter("give --label LABEL or --labels FILE")
    if not inputs and is_terminal(sys.stdin):
        raise typer.BadParameter("give a text, a file, or - for standard input")
    if sys.stdout is None:
        raise DistillError("standard output is closed")
    with when_stopped("what was printed is whole"), until_reader_leaves():
        from gliner_distill.cli.input import find_source
        from gliner_distill.cli.output import make_form
        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.evaluation.models import load_model

        quiet_libraries()
        asked = dict.fromkeys(label or [], "")
        asked |= read_labels(labels) if labels is not None else {}
        source = find_source(inputs or [], form=input_form, text_field=field)
        if output is None:
            output = "color" if is_terminal(sys.stdout) else "jsonl"
        form = make_form(output, list(asked))
        labels_asked = {label: text or label for label, text in asked.items()}
        loaded = load_model(model, num_threads=threads)
        find = partial(
            loaded.inference,
            labels=labels_asked,
            flat_ner=not nested,
            threshold=threshold,
            multi_label=multi_label,
        )
        _answer_documents(source, find, form, max_documents=_max_documents(loaded))


def _max_documents(model: "NERModel") -> int:
    """Return how many documents a model is given at once, so that answers come soon."""
    from gliner_distill.runtime.ner import StudentNER

    return 512 if isinstance(model, StudentNER) else 16


def _answer_documents(
    source: "DocumentSource",
    find: "Callable[[list[str]], list[list[EntityDict]]]",
    form: "AnswerWriter",
    *,
    max_documents: int,
) -> None:
    """Print the answers, as soon as there are documents, as many at once as there are."""
    from gliner_distill.cli.input import Prefetcher
    from gliner_distill.cli.progress import DocumentProgress

    is_shown = is_terminal(sys.stderr) and not is_terminal(sys.stdout)
    number = 0
    print_whole(form.head())
    with (
        DocumentProgress(source.n_bytes, is_shown=is_shown) as progress,
        Prefetcher(source.read(), max_documents=max_documents) as batches,
    ):
        for documents in batches:
            found = find([document.text for document in documents])
            answers = zip(count(number), documents, found, strict=False)
            print_whole(b"".join(starmap(form.answer, answers)))
            progress.count(documents)
            number += len(documents)
