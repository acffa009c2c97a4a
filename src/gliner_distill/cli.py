"""The command line: `gliner-distill COMMAND`. Every error of ours is one line and exit code 1.

Nothing heavy is imported until a command runs, so that `--help` answers at once and without torch.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, pairwise, starmap
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

import typer

from gliner_distill import __version__
from gliner_distill import cli_options as given
from gliner_distill.errors import (
    CorpusError,
    DistillError,
    ExportError,
    MissingExtraError,
    StudentError,
)
from gliner_distill.settings import TrainingSettings

if TYPE_CHECKING:
    from gliner_distill.documents import DocumentSource
    from gliner_distill.entities import Passage
    from gliner_distill.label_policy import LabelPolicy
    from gliner_distill.prediction import AnswerForm, Finder, Question
    from gliner_distill.teacher import GLiNERTeacher

app = typer.Typer(
    name="gliner-distill",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Of click, or of the copy of it that newer releases of typer carry; typer exports the third alone.
_Errors = tuple[type[typer.BadParameter], type[typer.BadParameter]]
_UsageError, _CommandLineError = cast(_Errors, typer.BadParameter.__mro__[1:3])
_INTERRUPTED = 130
"""What typer returns after a Ctrl-C that no command took."""
_READER_LEFT = 141
"""What a shell says of a command that writes into a pipe that nobody reads any more."""

_DEFAULTS = TrainingSettings()


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error of ours or Ctrl-C, 2 wrong usage."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            _complete_ray(sys.argv[1:]), prog_name="gliner-distill", standalone_mode=False
        )
    except DistillError as error:
        _fail(str(error), code=1)
    except _CommandLineError as error:
        is_usage = isinstance(error, _UsageError)
        message = error.format_message()
        _fail(f"{message} (see --help)" if is_usage else message, code=2 if is_usage else 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        _fail(str(MissingExtraError(error.name, "train")), code=1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error}", code=1)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", code=1)
    if code == _INTERRUPTED:
        _fail("stopped", code=1)
    sys.exit(code if isinstance(code, int) else 0)


def _complete_ray(arguments: list[str]) -> list[str]:
    """Return the arguments with an address after a bare --ray, which typer would not take."""
    if arguments[:1] != ["label"]:
        return arguments
    completed = []
    for argument, following in pairwise([*arguments, "--"]):
        completed.append(argument)
        if argument == "--ray" and following.startswith("-"):
            completed.append("local")
    return completed


@app.callback(invoke_without_command=True, epilog=given.MANUAL_ENDS["root"])
def root(context: typer.Context, version: given.Version = False) -> None:
    """Distil GLiNER into an LSTM student of at most 6M parameters, and compare.

    `reproduce` runs the whole experiment. To distil on a corpus of your own: `label` it with a
    GLiNER, `train` a student on what the GLiNER said, `evaluate` the student, and `predict` with
    it.
    """
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


@app.command(
    short_help="Run the published experiment, up to its Table 1.",
    epilog=given.MANUAL_ENDS["reproduce"],
)
def reproduce(
    data: given.Data = None,
    teacher: given.ReproductionTeacher = None,
    train: given.TrainCount = 1000,
    test: given.TestCount = 100,
    seeds: given.SeedCount = 3,
    epochs: given.Epochs = _DEFAULTS.epochs,
    out: given.ReproductionFolder = Path("reproduction"),
) -> None:
    """Reproduce the report "Knowledge Distillation targeted at GliNER", up to its Table 1.

    Trains a student on gold labels alone and one on a GLiNER's soft labels and gold, of the same
    architecture and with the same passages, steps and seeds; measures both against the teacher
    and against gold.

    Prints Table 1 and the path of the report. Writes report.html, report.md, results.json and
    the folders figures and runs into OUT, and soft_labels with --teacher.

    A run that was stopped goes on when the same command runs again. A folder that holds runs of
    other settings or data is refused.
    """
    with _when_stopped(f"{out} keeps what is finished; the same command goes on from there"):
        from dataclasses import replace

        from rich.console import Console

        from gliner_distill.progress import StageProgress
        from gliner_distill.report import table1
        from gliner_distill.reproduction import Reproduction, reproduce

        _quiet()
        plan = Reproduction(
            data=data,
            teacher=teacher,
            n_train=train,
            n_test=test,
            n_seeds=seeds,
            training=replace(_DEFAULTS, epochs=epochs),
        )
        with StageProgress() as progress:
            results = reproduce(plan, out, on_progress=progress.update)
    # Off a terminal rich assumes 80 columns, which would break the table's lines.
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table1(results))
    typer.echo(f"report: {out / 'report.html'}")


@app.command(
    short_help="Ask a GLiNER about a corpus; keep its soft labels.",
    epilog=given.MANUAL_ENDS["label"],
)
def label(
    corpus: given.CorpusArgument,
    teacher: given.TeacherOption,
    out: given.StoreFolder,
    negatives: given.Negatives = None,
    labels: given.LabelFile = None,
    pool: given.PoolFile = None,
    from_pool: given.FromPool = None,
    descriptions: given.DescriptionFile = None,
    seed: given.DrawSeed = 0,
    keep_each: given.KeepEach = False,
    score_code: given.ScoreCodeName = "companded",
    device: given.TeacherDevice = None,
    ray: given.RayAddress = None,
    workers: given.WorkerCount = None,
    gpus_per_worker: given.GpuShare = 0.0,
    repair: given.Repair = False,
    skip_bad: given.SkipBad = False,
) -> None:
    """Ask a teacher about a corpus and keep its answers in a soft-label store.

    CORPUS is a JSON list or JSON lines in the form of GLiNER's training data, CoNLL columns, or
    plain text, one document a line; the form is recognised. Plain text needs --labels or --pool.
    It is read twice and never held in memory.

    Prints one line with counts and size. Writes manifest.json and Parquet shards into OUT, and
    the teacher's vectors of the pieces that a student starts from.

    A run that was stopped goes on when the same command runs again. A folder that holds the soft
    labels of another teacher, corpus or choice of labels is refused.
    """
    _check_usage(ray=ray, workers=workers, share=gpus_per_worker, pool=pool, from_pool=from_pool)
    if keep_each and len(teacher) < 2:
        raise typer.BadParameter("--keep-each is for several teachers; give --teacher again")
    with _when_stopped(f"{out} keeps the finished shards; the same command goes on from there"):
        from functools import partial

        from gliner_distill.corpus import CorpusFile
        from gliner_distill.labelling import label_corpus, load_teachers, survey_corpus
        from gliner_distill.progress import StageProgress
        from gliner_distill.score_codes import SCORE_CODES

        if ray is not None:  # said to be missing before the teacher is loaded
            from gliner_distill.ray_labelling import RayWorkers
        _quiet()
        policy = _label_policy(negatives, labels, pool, from_pool, descriptions, seed)
        passages = CorpusFile(corpus, skip_bad=skip_bad)
        survey = survey_corpus(passages)
        for line in passages.notes.lines():
            typer.echo(line, err=True)
        # Beside workers this process needs the teacher for its fingerprint and piece vectors alone.
        here = device if device is not None and ray is None else "cpu"
        loaded = load_teachers(teacher, device=here, keep_each=keep_each)
        cluster = None
        if ray is not None:
            there = device or ("cuda" if gpus_per_worker else "cpu")
            make = partial(load_teachers, teacher, device=there, keep_each=keep_each)
            cluster = RayWorkers(make, workers or 2, ray, gpus_per_worker)
        with StageProgress() as progress:
            store = label_corpus(
                passages,
                loaded,
                out,
                policy=policy,
                code=SCORE_CODES[score_code],
                survey=survey,
                workers=cluster,
                repair=repair,
                on_progress=progress.counter("labelling", survey.n_words),
            )
    n_pairs = sum(shard.n_pairs for shard in store.manifest.shards)
    typer.echo(
        f"{out}: {len(store):,} passages, {survey.n_words:,} words, {n_pairs:,} word-label pairs, "
        f"{store.size_bytes:,} bytes ({store.size_bytes / max(n_pairs, 1):.2f} a pair)"
    )


def _check_usage(
    *, ray: str | None, workers: int | None, share: float, pool: Path | None, from_pool: int | None
) -> None:
    if ray is None and (workers is not None or share):
        raise typer.BadParameter("--workers and --gpus-per-worker are for --ray; give it as well")
    if pool is None and from_pool is not None:
        raise typer.BadParameter("--from-pool draws from a pool; give it with --pool FILE")


def _label_policy(
    negatives: int | None,
    labels: Path | None,
    pool: Path | None,
    from_pool: int | None,
    descriptions: Path | None,
    seed: int,
) -> "LabelPolicy":
    from gliner_distill.label_policy import LabelPolicy, read_labels

    fixed = read_labels(labels) if labels is not None else {}
    drawn_from = read_labels(pool) if pool is not None else {}
    described = read_labels(descriptions) if descriptions is not None else {}
    texts = [*described.items(), *drawn_from.items(), *fixed.items()]
    return LabelPolicy(
        negatives=negatives if negatives is not None else (0 if labels or pool else 8),
        fixed=tuple(fixed),
        pool=tuple(drawn_from),
        from_pool=(from_pool or 8) if pool is not None else 0,
        descriptions={label: text for label, text in texts if text},
        seed=seed,
    )


@app.command(short_help="Train a student on a soft-label store.", epilog=given.MANUAL_ENDS["train"])
def train(
    store: given.StoreArgument,
    out: given.RunFolder,
    dev: given.DevStore = None,
    alpha: given.Alpha = _DEFAULTS.alpha,
    temperature: given.Temperature = _DEFAULTS.temperature,
    positive_weight: given.PositiveWeight = _DEFAULTS.positive_weight,
    feature_weight: given.FeatureWeight = _DEFAULTS.feature_weight,
    teacher: given.MatchedTeacher = None,
    epochs: given.Epochs = _DEFAULTS.epochs,
    batch_size: given.BatchSize = _DEFAULTS.batch_size,
    learning_rate: given.LearningRate = _DEFAULTS.learning_rate,
    embedding_rate: given.EmbeddingRate = _DEFAULTS.embedding_rate,
    head: given.Head = "softmax",
    hidden_width: given.HiddenWidth = 192,
    layers: given.Layers = 1,
    bidirectional: given.Bidirectional = True,
    seed: given.Seed = _DEFAULTS.seed,
    device: given.TrainingDevice = _DEFAULTS.device,
    resume: given.Resume = False,
) -> None:
    """Train a student on a soft-label store.

    The loss is alpha · T² · KL(teacher || student) + (1 - alpha) · CE(gold), Hinton et al. 2015;
    of a boundary head, binary cross-entropies in place of both.
    --alpha 0 makes a student of gold labels alone, --alpha 1 one of the teacher alone.
    --feature-weight adds how far the student's word and label vectors point away from those of
    the GLiNER that --teacher names, which then reads along at every step.

    Prints one line with the student's folder and size. Writes the student (weights, shape,
    tokenizer) into OUT/student; beside it metrics.jsonl, config.json, environment.json,
    TensorBoard's files and the last epoch's checkpoint, from which --resume goes on exactly.
    """
    _check_matching(feature_weight, teacher)
    with _when_stopped(f"{out} keeps the finished epochs; the same command with --resume goes on"):
        from gliner_distill.progress import StageProgress
        from gliner_distill.student_config import StudentConfig
        from gliner_distill.training_run import train_on_store

        _quiet()
        settings = TrainingSettings(
            alpha=alpha,
            temperature=temperature,
            positive_weight=positive_weight,
            feature_weight=feature_weight,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            seed=seed,
            device=device,
        )
        matched = _load_matched_teacher(teacher, device) if teacher is not None else None
        with StageProgress() as progress:
            student = train_on_store(
                store,
                out,
                settings,
                make_config=lambda n_pieces: StudentConfig(
                    n_pieces,
                    hidden_width=hidden_width,
                    n_layers=layers,
                    bidirectional=bidirectional,
                    head=head,
                ),
                dev=dev,
                teacher=matched,
                resume=resume,
                on_progress=progress.update,
            )
    typer.echo(
        f"{out / 'student'}: {student.n_parameters:,} parameters, "
        f"{student.n_parameters_without_embeddings:,} without embeddings"
    )


def _check_matching(feature_weight: float, teacher: str | None) -> None:
    if feature_weight and teacher is None:
        raise typer.BadParameter("--feature-weight matches a teacher; give it with --teacher MODEL")
    if teacher is not None and not feature_weight:
        raise typer.BadParameter("--teacher is for --feature-weight; give it as well")


def _load_matched_teacher(source: str, device: str) -> "GLiNERTeacher":
    import torch

    from gliner_distill.teacher import GLiNERTeacher

    is_on_gpu = device == "gpu" and torch.cuda.is_available()
    return GLiNERTeacher.from_pretrained(source, device="cuda" if is_on_gpu else "cpu")


@app.command(
    short_help="Measure a student or a GLiNER on a corpus.", epilog=given.MANUAL_ENDS["evaluate"]
)
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
    with _when_stopped("nothing was written"):
        from gliner_distill.label_policy import read_labels
        from gliner_distill.predictors import find_predictor, measure_predictor, write_figures

        _quiet()
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


def _check_folder_of(file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise DistillError(f"{file}: cannot be written: no folder {file.parent}")


@app.command(
    short_help="Find entities in a text, files or standard input.",
    epilog=given.MANUAL_ENDS["predict"],
)
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
    if not inputs and _is_terminal(sys.stdin):
        raise typer.BadParameter("give a text, a file, or - for standard input")
    if sys.stdout is None:
        raise DistillError("standard output is closed")
    with _when_stopped("what was printed is whole"), _until_reader_leaves():
        from gliner_distill.documents import find_source
        from gliner_distill.label_policy import read_labels
        from gliner_distill.prediction import Question, make_form

        _quiet()
        asked = dict.fromkeys(label or [], "")
        asked |= read_labels(labels) if labels is not None else {}
        source = find_source(inputs or [], form=input_form, text_field=field)
        if output is None:
            output = "color" if _is_terminal(sys.stdout) else "jsonl"
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

    is_shown = _is_terminal(sys.stderr) and not _is_terminal(sys.stdout)
    number = 0
    _print_whole(form.head())
    with (
        DocumentProgress(source.n_bytes, is_shown=is_shown) as progress,
        ReadAhead(source.read(), max_documents=finder.max_documents) as batches,
    ):
        for documents in batches:
            found = finder.find([document.text for document in documents])
            answers = zip(count(number), documents, found, strict=False)
            _print_whole(b"".join(starmap(form.answer, answers)))
            progress.count(documents)
            number += len(documents)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _print_whole(lines: bytes) -> None:
    """Print whole lines: a Ctrl-C in between counts when they are out, a second one at once."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:
        _print_bytes(lines)
        return
    is_stopped = False

    def note(number: int, frame: object) -> None:
        nonlocal is_stopped
        is_stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        _print_bytes(lines)
    finally:
        signal.signal(signal.SIGINT, handler)
    if is_stopped:
        raise KeyboardInterrupt


def _print_bytes(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


@app.command(
    short_help="Make a student that runs without torch.", epilog=given.MANUAL_ENDS["export"]
)
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
    with _when_stopped("nothing was written"):
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

        _quiet()
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


@app.command(
    short_help="Make a student for your labels out of your documents.",
    epilog=given.MANUAL_ENDS["distill"],
)
def distill(
    texts: given.TextsArgument,
    labels: given.LabelsToDistil,
    teacher: given.DistilTeacher,
    out: given.DistilFolder,
    gold: given.GoldCorpus = None,
    column: given.TextColumn = None,
    minutes: given.Minutes = None,
    skip_bad: given.SkipBad = False,
) -> None:
    """Make a student for your labels out of your documents: all steps in one.

    Cuts the documents into passages, sets a tenth of the documents each aside for dev and test,
    asks the teacher, trains from the student that comes with the package until agreement on dev
    gets no better, fits thresholds, and exports.

    Prints a verdict in one sentence and the path of the report. Writes the student into OUT (in
    eight bits if that loses little; OUT/fp32 in single precision), report.html, results.json and
    README.md, and what each step made into OUT/work.

    A run that was stopped goes on when the same command runs again; with more documents it adds
    them to those before.
    """
    with _when_stopped(f"{out} keeps what is finished; the same command goes on from there"):
        from functools import cache

        from gliner_distill.domain_student import REPORT_FILE, distil_to_folder
        from gliner_distill.domain_work import DistilJob
        from gliner_distill.label_policy import read_labels
        from gliner_distill.progress import StageProgress
        from gliner_distill.teacher import GLiNERTeacher

        _quiet()
        job = DistilJob(
            texts=texts,
            labels=read_labels(labels),
            teacher=teacher,
            column=column,
            gold=gold,
            minutes=minutes,
            skip_bad=skip_bad,
        )

        @cache
        def load_teacher() -> GLiNERTeacher:
            return GLiNERTeacher.from_pretrained(teacher)

        with StageProgress() as progress:
            figures = distil_to_folder(job, out, load_teacher, on_progress=progress.update)
    for note in figures["notes"]:
        typer.echo(note, err=True)
    typer.echo(figures["verdict"])
    typer.echo(f"report: {out / REPORT_FILE}")


@app.command(
    short_help="Measure how fast models read, side by side.", epilog=given.MANUAL_ENDS["bench"]
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
    with _when_stopped("nothing was written"):
        import json

        from gliner_distill.files import replace_file
        from gliner_distill.scoring import count_processors
        from gliner_distill.speed import compare_speed, describe_speed

        _quiet()
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


@app.command(
    short_help="Say what a soft-label store or a corpus holds.", epilog=given.MANUAL_ENDS["inspect"]
)
def inspect(
    source: given.SourceArgument, verify: given.Verify = False, skip_bad: given.SkipBad = False
) -> None:
    """Say what a soft-label store or a corpus holds.

    Prints counts, lengths, the most frequent labels and, of a corpus, what had to be cleaned or
    left out; of a store, also where it comes from, its probabilities, how well the teacher agrees
    with gold, and where the two disagree most. Writes nothing. A store that is not finished is
    described as far as it goes.

    With --verify, prints a line for each file of a store that is missing or is not what was
    written, and exits 1 if there is one; `label` with --repair labels again what is broken.
    """
    with _when_stopped("nothing was written"):
        _quiet()
        if verify:
            lines = _verify(Path(source))
        elif Path(source).is_dir():
            from gliner_distill.store_statistics import describe_store

            lines = describe_store(Path(source))
        else:
            from gliner_distill.corpus import CorpusNotes, read_passages
            from gliner_distill.corpus_statistics import describe_corpus

            notes = CorpusNotes()
            passages = read_passages(source, skip_bad=skip_bad, notes=notes)
            lines = describe_corpus(passages, notes).lines()
    for line in lines:
        typer.echo(line)


def _verify(folder: Path) -> list[str]:
    from gliner_distill.soft_labels import read_manifest
    from gliner_distill.store_faults import find_faults

    faults = find_faults(folder)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise DistillError(
            f"{folder}: {len(faults)} of its files are not as they should be; `label` with the "
            f"same arguments and --repair labels again what is broken"
        )
    manifest = read_manifest(folder)
    state = "" if manifest.is_complete else f" of {manifest.n_passages:,}, unfinished"
    return [
        f"{folder}: whole: {len(manifest.shards)} shards, {manifest.n_labelled:,} passages{state}"
    ]


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


@contextmanager
def _when_stopped(what_is_kept: str) -> Iterator[None]:
    """Turn Ctrl-C into an error that says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise DistillError(f"stopped; {what_is_kept}") from None


@contextmanager
def _until_reader_leaves() -> Iterator[None]:
    """End quietly when nobody reads standard output any more."""
    try:
        yield
    except BrokenPipeError:
        _drop_output()
        raise typer.Exit(_READER_LEFT) from None


def _drop_output() -> None:
    """Send what is left in the buffer nowhere; it would fail again when Python exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _quiet() -> None:
    """Keep other libraries' chatter off the terminal."""
    import logging
    import warnings

    # TensorBoard's thread meets a full disk first, and then hands the error on to us.
    threading.excepthook = _skip_file_errors
    warnings.filterwarnings("ignore")
    for name in ("transformers", "gliner", "huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _skip_file_errors(happened: threading.ExceptHookArgs) -> None:
    if not issubclass(happened.exc_type, OSError):
        threading.__excepthook__(happened)


def _fail(message: str, *, code: int) -> NoReturn:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # such as a full disk
        _drop_output()
    typer.echo(f"gliner-distill: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
