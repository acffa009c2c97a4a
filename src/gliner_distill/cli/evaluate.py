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
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The folder of a student, of a run, of an export or of a GLiNER; or a hub id.",
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


def evaluate(
    model: Model,
    corpus: CorpusArgument,
    labels: LabelFile = None,
    threshold: Threshold = 0.5,
    json_file: JsonFile = None,
    skip_bad: SkipBad = False,
) -> None:
    """Measure a student or a GLiNER against the gold entities of a corpus.

    A student is measured as `predict` runs it, without torch. In each passage, the model looks for
    the passage's own labels, or for those of --labels. Gold entities with other labels do not
    count.

    Prints one line per measurement: accuracy, precision, recall and F1 per word; precision, recall
    and F1 of exact spans (micro); and speed. Writes only the file of --json, which also has the
    measurements per label.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.cli.reading.input import read_annotated
        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.evaluation.evaluate import measure_model
        from gliner_distill.evaluation.models import load_model
        from gliner_distill.files import write_json

        quiet_libraries()
        asked = tuple(read_labels(labels)) if labels is not None else None
        passages = read_annotated(corpus, skip_bad=skip_bad)
        measurements = measure_model(load_model(model), passages, asked, threshold=threshold)
        shown = {"model": model, "corpus": corpus, "threshold": threshold}
        # The file has the same figures as the terminal, and those per label.
        shown |= measurements.as_json()
    for key, value in shown.items():
        if isinstance(value, float):
            say(f"{key:32} {value:10.4f}")
        elif not isinstance(value, dict):
            say(f"{key:32} {value!s:>10}")
    if json_file is not None:
        write_json(json_file, shown)


EVALUATE = Command(
    evaluate,
    "Measure how good a student or a GLiNER is on a corpus.",
    """\
  gliner-distill evaluate runs/distilled test.json --json distilled.json
  gliner-distill evaluate urchade/gliner_medium-v2.1 test.json --threshold 0.3""",
    work="measuring a model",
    less_memory="give a smaller corpus, cut long passages, or ask for fewer labels",
)
