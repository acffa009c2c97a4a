"""The command `evaluate`: measure how good a model is."""

from pathlib import Path
from typing import Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import (
    LABEL_LINES,
    CorpusArgument,
    JsonFile,
    SkipBad,
    Threshold,
    option,
)
from gliner_distill.cli.terminal import quiet_libraries, say, until_reader_leaves, when_stopped
from gliner_distill.errors import DistillError

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The folder of a student, of a run, of an export or of a GLiNER; a hub id; or "
        "bundled, for the student that comes with the package.",
    ),
]

LabelFile = Annotated[
    Path | None,
    option(
        "--labels",
        metavar="FILE",
        text=f"Look for the labels in this file instead of each passage's own. {LABEL_LINES}",
    ),
]

ShowAll = Annotated[
    bool,
    option(
        "--all",
        metavar=None,
        text="Print all labels and all errors, instead of the most frequent ones.",
    ),
]


def evaluate(
    model: Model,
    corpus: CorpusArgument,
    labels: LabelFile = None,
    threshold: Threshold = 0.5,
    json_file: JsonFile = None,
    show_all: ShowAll = False,
    skip_bad: SkipBad = False,
) -> None:
    """Measure a student or a GLiNER against the gold entities of a corpus.

    A student is measured as `predict` runs it, without torch. In each passage, the model looks for
    the passage's own labels, or for those of --labels. Gold entities with other labels do not
    count.

    Prints a table with precision, recall and F1 of exact spans per label, the 95% interval of F1,
    and partial matches: gold entities that were found with wrong borders, or with a wrong label.
    Below it are the figures per word, the speed, and the most frequent errors, each with an
    example. A passage has the number that it has in the corpus, counted from 1 without the records
    that were left out. Writes only the file of --json, which has everything, also all errors.
    """
    if json_file is not None:
        _refuse_input(json_file, Path(corpus), labels)
    with when_stopped("nothing was written"):
        from gliner_distill.cli.reading.input import read_annotated
        from gliner_distill.cli.scores import Subject, page_width, score_page
        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.evaluation.evaluate import measure_model
        from gliner_distill.evaluation.models import load_model
        from gliner_distill.files import write_json

        quiet_libraries()
        asked = tuple(read_labels(labels)) if labels is not None else None
        passages = read_annotated(corpus, skip_bad=skip_bad)
        measurements = measure_model(load_model(model), passages, asked, threshold=threshold)
    # The file comes first: a reader of the page, such as `head`, may leave before its end.
    if json_file is not None:
        head = {"model": model, "corpus": corpus, "threshold": threshold}
        write_json(json_file, head | measurements.as_json())
    subject = Subject(model, corpus, threshold)
    with until_reader_leaves():
        for line in score_page(subject, measurements, width=page_width(), show_all=show_all):
            say(line)


def _refuse_input(json_file: Path, *inputs: Path | None) -> None:
    for path in inputs:
        if path is not None and path.is_file() and json_file.exists() and json_file.samefile(path):
            raise DistillError(
                f"{json_file}: it is what this command reads; give --json another file"
            )


EVALUATE = Command(
    evaluate,
    "Measure how good a student or a GLiNER is on a corpus.",
    """\
  gliner-distill evaluate bundled test.json
  gliner-distill evaluate runs/distilled test.json --json distilled.json
  gliner-distill evaluate urchade/gliner_medium-v2.1 test.json --threshold 0.3""",
    work="measuring a model",
    less_memory="give a smaller corpus, cut long passages, or ask for fewer labels",
)
