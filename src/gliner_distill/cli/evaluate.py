"""TODO-DOC."""

from pathlib import Path

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, DistillError
from gliner_distill.files import write_json


def evaluate(
    model: given.ModelArgument,
    corpus: given.CorpusArgument,
    labels: given.LabelFile = None,
    threshold: given.ScoreThreshold = 0.5,
    json_file: given.JsonFile = None,
    skip_bad: given.SkipBad = False,
) -> None:
    """Measure a student or a GLiNER against a corpus's gold entities.

    Each passage is asked for its own labels, or for those of --labels; gold entities of labels
    that were not asked do not count.

    Prints a line a figure: word accuracy, precision, recall and F1; exact-match span precision,
    recall and F1 (micro); and speed. Writes nothing but the file of --json, which has each
    label's figures as well.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.corpus.labels import read_labels
        from gliner_distill.evaluation.evaluate import measure_model
        from gliner_distill.evaluation.models import load_model

        quiet_libraries()
        _check_folder_of(json_file)
        fixed = tuple(read_labels(labels)) if labels is not None else None
        passages = _read_gold(corpus, skip_bad=skip_bad)
        measurements = measure_model(load_model(model), passages, fixed, threshold=threshold)
        figures = {"model": model, "corpus": corpus, "threshold": threshold}
        figures |= measurements.as_json()
    for key, value in figures.items():
        if isinstance(value, float):
            typer.echo(f"{key:32} {value:10.4f}")
        elif not isinstance(value, dict):
            typer.echo(f"{key:32} {value!s:>10}")
    if json_file is not None:
        write_json(json_file, figures)


def _check_folder_of(file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise DistillError(f"{file}: cannot be written: no folder {file.parent}")


def _read_gold(corpus: str, *, skip_bad: bool) -> "list[Passage]":
    from gliner_distill.corpus.reader import read_passages
    from gliner_distill.corpus.statistics import CorpusNotes

    notes = CorpusNotes()
    passages = list(read_passages(corpus, skip_bad=skip_bad, notes=notes))
    for line in notes.lines():
        typer.echo(line, err=True)
    if not any(passage.entities for passage in passages):
        raise CorpusError(
            f"{corpus}: no passage has a gold entity, so there is nothing to measure against"
        )
    return passages
