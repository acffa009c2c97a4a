"""The commands on what finds entities: `evaluate`, `predict`, `export` and `bench`."""

import sys
from itertools import count, starmap
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gliner_distill import cli_options as given
from gliner_distill.cli_terminal import (
    is_terminal,
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)
from gliner_distill.errors import CorpusError, DistillError, ExportError, StudentError

if TYPE_CHECKING:
    from gliner_distill.documents import DocumentSource
    from gliner_distill.entities import Passage
    from gliner_distill.prediction import AnswerForm, Finder, Question


def evaluate(
    model: given.ModelArgument,
    corpus: given.CorpusArgument,
    labels: given.LabelFile = None,
    threshold: given.Threshold = None,
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
        from gliner_distill.label_policy import read_labels
        from gliner_distill.predictors import find_predictor, measure_predictor, write_figures

        quiet_libraries()
        _check_folder_of(json_file)
        fixed = tuple(read_labels(labels)) if labels is not None else None
        passages = _read_gold(corpus, skip_bad=skip_bad)
        predictor = find_predictor(model, threshold=threshold)
        given_as = {"model": model, "corpus": corpus, "threshold": threshold or "default"}
        figures = given_as | measure_predictor(predictor, passages, fixed)
    for key, value in figures.items():
        if isinstance(value, float):
            typer.echo(f"{key:32} {value:10.4f}")
        elif not isinstance(value, dict):
            typer.echo(f"{key:32} {value!s:>10}")
    if json_file is not None:
        write_figures(json_file, figures)


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

    Prints the text with its entities in colour on a terminal; elsewhere one JSON object a
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
        from gliner_distill.documents import find_source
        from gliner_distill.label_policy import read_labels
        from gliner_distill.prediction import Question, make_form

        quiet_libraries()
        asked = dict.fromkeys(label or [], "")
        asked |= read_labels(labels) if labels is not None else {}
        source = find_source(inputs or [], form=input_form, text_field=field)
        if output is None:
            output = "color" if is_terminal(sys.stdout) else "jsonl"
        form = make_form(output, list(asked))
        question = Question(asked, threshold, flat_ner=not nested, multi_label=multi_label)
        _answer_documents(source, _find_finder(model, question, threads), form)


def _find_finder(model: str | None, question: "Question", threads: int | None) -> "Finder":
    from gliner_distill.prediction import StudentFinder, find_model
    from gliner_distill.runtime import StudentNER

    found = find_model(model)
    if found.is_student:
        student = StudentNER.from_pretrained(found.folder, num_threads=threads)
        return StudentFinder(student, question)
    from gliner_distill.predictors import load_teacher_finder

    return load_teacher_finder(found.folder, question, num_threads=threads)


def _answer_documents(source: "DocumentSource", finder: "Finder", form: "AnswerForm") -> None:
    """Print the answers, as soon as there are documents, as many at once as there are."""
    from gliner_distill.documents import ReadAhead
    from gliner_distill.progress import DocumentProgress

    is_shown = is_terminal(sys.stderr) and not is_terminal(sys.stdout)
    number = 0
    print_whole(form.head())
    with (
        DocumentProgress(source.n_bytes, is_shown=is_shown) as progress,
        ReadAhead(source.read(), max_documents=finder.max_documents) as batches,
    ):
        for documents in batches:
            found = finder.find([document.text for document in documents])
            answers = zip(count(number), documents, found, strict=False)
            print_whole(b"".join(starmap(form.answer, answers)))
            progress.count(documents)
            number += len(documents)


def export(
    student: given.StudentArgument,
    out: given.ExportFolder,
    precision: given.Precision = "int8",
    check: given.CheckCorpus = None,
) -> None:
    """Make a student that runs without torch.

    Holds it against the student first: in fp32 its logits must be the same within 0.0001, in int8
    its F1 must be within half a point. What does not pass is not written.

    Prints one line: size, largest difference of logits, F1 of both against gold, F1 of the export
    against the student's entities, and its threshold. Writes words.onnx, tables.safetensors,
    student_config.json and tokenizer.json into OUT, for `predict --model OUT`.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.student_config import (
            CONFIG_FILE,
            find_student,
            other_facts,
            read_student_config,
        )

        folder = find_student(student)
        if folder is None:
            raise StudentError(
                f"{student}: no student: no {CONFIG_FILE} in it or in its folder student; expected "
                f"the folder of a student or of a run"
            )
        if out.exists() and (not out.is_dir() or out.samefile(folder)):
            problem = "holds the student itself" if out.is_dir() else "is a file"
            raise ExportError(f"{out}: {problem}; choose another --out")
        from gliner_distill.corpus import sample_path
        from gliner_distill.export import export_student
        from gliner_distill.student import load_student

        quiet_libraries()
        loaded = load_student(folder)
        corpus = check if check is not None else str(sample_path("dev"))
        passages = _read_gold(corpus, skip_bad=False)
        facts = other_facts(read_student_config(folder)[1])
        figures = export_student(*loaded, out, precision=precision, passages=passages, facts=facts)
    typer.echo(
        f"{out}: {figures.n_bytes:,} bytes, {figures.precision}; on {figures.n_passages:,} "
        f"passages: logits at most {figures.max_logit_difference:.2g} off, F1 "
        f"{100 * figures.f1:.1f} (student {100 * figures.torch_f1:.1f}), agreement "
        f"{100 * figures.agreement_f1:.1f}, threshold {figures.threshold:.2f}"
    )


def bench(
    models: given.BenchModels = None,
    threads: given.ThreadCount = None,
    rounds: given.Rounds = 5,
    json_file: given.JsonFile = None,
) -> None:
    """Measure how fast models read, side by side: text in, entities out.

    Words a second with texts of 25, 100 and 400 words and 5 and 50 labels, milliseconds for one
    text, seconds from a process's start to its first answer, and peak memory. Text and labels are
    the sample's.

    Prints a table in Markdown. Writes nothing but the file of --json.
    """
    with when_stopped("nothing was written"):
        import json

        from gliner_distill.files import replace_file
        from gliner_distill.scoring import count_processors
        from gliner_distill.speed import compare_speed, describe_speed

        quiet_libraries()
        _check_folder_of(json_file)
        figures = compare_speed(
            models or [None],
            num_threads=threads or count_processors(),
            rounds=rounds,
            on_step=lambda step, n_steps, what: typer.echo(f"{step}/{n_steps} {what}", err=True),
        )
        if json_file is not None:
            replace_file(json_file, (json.dumps(figures, indent=1) + "\n").encode())
    for line in describe_speed(figures):
        typer.echo(line)


def _check_folder_of(file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise DistillError(f"{file}: cannot be written: no folder {file.parent}")


def _read_gold(corpus: str, *, skip_bad: bool) -> "list[Passage]":
    from gliner_distill.corpus import CorpusNotes, read_passages

    notes = CorpusNotes()
    passages = list(read_passages(corpus, skip_bad=skip_bad, notes=notes))
    for line in notes.lines():
        typer.echo(line, err=True)
    if not any(passage.entities for passage in passages):
        raise CorpusError(
            f"{corpus}: no passage has a gold entity, so there is nothing to measure against"
        )
    return passages
