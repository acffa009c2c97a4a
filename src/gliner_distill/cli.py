"""The command line: `gliner-distill COMMAND`. Every error of ours is one line and exit code 1.

Nothing heavy is imported until a command runs, so that `--help` answers at once and without torch.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from gliner_distill import __version__
from gliner_distill.errors import DistillError, MissingExtraError
from gliner_distill.settings import TrainingSettings

if TYPE_CHECKING:
    from gliner_distill.entities import Passage
    from gliner_distill.evaluation import Predictor

app = typer.Typer(
    name="gliner-distill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Distil GLiNER into an LSTM student of at most 6M parameters, and compare the two.",
)

_DEFAULTS = TrainingSettings()
_setting = TrainingSettings.help

Teacher = Annotated[
    str, typer.Option("--teacher", help="A GLiNER: its folder, or its hub id (owner/name).")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave bad records out and say how many, and why.")
]
Epochs = Annotated[int, typer.Option(min=1, help=_setting("epochs"))]
Alpha = Annotated[float, typer.Option(min=0, max=1, help=_setting("alpha"))]
Temperature = Annotated[float, typer.Option(help=_setting("temperature"))]


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error of ours or Ctrl-C, 2 wrong usage."""
    command = typer.main.get_command(app)
    try:
        code = command.main(standalone_mode=False)
    except click.UsageError as error:
        _fail(f"{error.format_message()} (see --help)", code=2)
    except (DistillError, click.ClickException) as error:
        _fail(str(error), code=1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        _fail(str(MissingExtraError(error.name, "train")), code=1)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped; whatever was finished is kept, and the same command goes on", code=1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Distil GLiNER into an LSTM student of at most 6M parameters, and compare the two."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def reproduce(
    data: Annotated[
        str | None,
        typer.Option(
            help="A corpus: its path, or a hub data set's id such as urchade/pile-mistral-v0.1. "
            "Without it, the sample that comes with the package."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="A GLiNER: its folder, or its hub id. Without it, the soft labels that come with "
            "the sample."
        ),
    ] = None,
    train: Annotated[int, typer.Option(min=1, help="First passages, to train on.")] = 1000,
    test: Annotated[int, typer.Option(min=1, help="Last passages, to test on.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to run: 0, 1, ...")] = 3,
    epochs: Epochs = _DEFAULTS.epochs,
    out: Annotated[Path, typer.Option(help="Folder of the runs and the report.")] = Path(
        "reproduction"
    ),
) -> None:
    """Reproduce the report "Knowledge Distillation targeted at GliNER", up to its Table 1.

    Trains a student on gold labels alone and one on a GLiNER's soft labels and gold, of the same
    architecture and with the same passages, steps and seeds; measures both against the teacher
    and against gold; writes OUT/report.html, OUT/report.md, OUT/results.json and the figures.

    Run again with the same OUT, it goes on where it was stopped.
    """
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
    Console().print(table1(results))
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def label(
    corpus: Annotated[str, typer.Argument(help="A corpus: its path, or a hub data set's id.")],
    teacher: Teacher,
    out: Annotated[Path, typer.Option(help="Folder of the soft-label store.")],
    negatives: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Labels of the corpus to ask beside the passage's own. Default: 8 "
            "(0 with --labels).",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="A file of labels, one a line, to ask of every passage instead."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of negatives.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where the teacher runs, such as cpu or cuda.")
    ] = "cpu",
    skip_bad: SkipBad = False,
) -> None:
    """Ask a teacher about a corpus and keep its answers in a soft-label store.

    CORPUS is a JSON list or JSON lines in the form of GLiNER's training data, CoNLL columns, or
    plain text, one document a line; the form is recognised. Plain text needs --labels.

    A run that was stopped goes on when the same command runs again. A folder that holds the soft
    labels of another teacher, corpus or choice of labels is refused.
    """
    from gliner_distill.labelling import LabelPolicy, label_corpus, read_labels
    from gliner_distill.progress import StageProgress
    from gliner_distill.teacher import GLiNERTeacher

    _quiet()
    fixed = read_labels(labels) if labels is not None else ()
    drawn = negatives if negatives is not None else (0 if fixed else 8)
    policy = LabelPolicy(negatives=drawn, fixed=fixed, seed=seed)
    passages = _read(corpus, skip_bad=skip_bad)
    loaded = GLiNERTeacher.from_pretrained(teacher, device=device)
    n_words = sum(len(passage.words) for passage in passages)
    done = 0
    with StageProgress() as progress:

        def count(words: int) -> None:
            nonlocal done
            done += words
            progress.update("labelling", done, n_words, "")

        store = label_corpus(passages, loaded, out, policy=policy, on_progress=count)
    n_pairs = sum(shard.n_pairs for shard in store.manifest.shards)
    typer.echo(
        f"{out}: {len(store):,} passages, {n_words:,} words, {n_pairs:,} word-label pairs, "
        f"{store.size_bytes:,} bytes ({store.size_bytes / max(n_pairs, 1):.2f} a pair)"
    )


@app.command()
def train(
    store: Annotated[Path, typer.Argument(help="A soft-label store, as `label` writes it.")],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    dev: Annotated[
        Path | None, typer.Option(help="Another store, to measure the student on after each epoch.")
    ] = None,
    alpha: Alpha = _DEFAULTS.alpha,
    temperature: Temperature = _DEFAULTS.temperature,
    epochs: Epochs = _DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(min=1, help=_setting("batch_size"))] = (
        _DEFAULTS.batch_size
    ),
    learning_rate: Annotated[float, typer.Option(help=_setting("learning_rate"))] = (
        _DEFAULTS.learning_rate
    ),
    embedding_rate: Annotated[float, typer.Option(min=0, help=_setting("embedding_rate"))] = (
        _DEFAULTS.embedding_rate
    ),
    hidden_width: Annotated[
        int, typer.Option(min=1, help="Units of the LSTM in each direction.")
    ] = 192,
    layers: Annotated[int, typer.Option(min=1, help="LSTM layers.")] = 1,
    bidirectional: Annotated[
        bool, typer.Option(help="Read each passage from its end as well.")
    ] = True,
    seed: Annotated[int, typer.Option(help=_setting("seed"))] = _DEFAULTS.seed,
    device: Annotated[str, typer.Option(help=_setting("device"))] = _DEFAULTS.device,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
    ] = False,
) -> None:
    """Train a student on a soft-label store.

    The loss is alpha · T² · KL(teacher || student) + (1 - alpha) · CE(gold), Hinton et al. 2015.
    --alpha 0 is a student of gold labels alone, --alpha 1 one of the teacher alone.

    OUT/student is the student: weights (safetensors), shape and tokenizer. Beside it stand
    metrics.jsonl, config.json, environment.json, TensorBoard's files and the checkpoint of the
    last epoch, from which --resume goes on exactly.
    """
    from gliner_distill.progress import StageProgress
    from gliner_distill.student import StudentConfig
    from gliner_distill.training_run import train_on_store

    _quiet()
    settings = TrainingSettings(
        alpha=alpha,
        temperature=temperature,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        embedding_rate=embedding_rate,
        seed=seed,
        device=device,
    )
    shape: dict[str, Any] = {
        "hidden_width": hidden_width,
        "n_layers": layers,
        "bidirectional": bidirectional,
    }
    with StageProgress() as progress:
        student = train_on_store(
            store,
            out,
            settings,
            make_config=lambda n_pieces: StudentConfig(n_pieces, **shape),
            dev=dev,
            resume=resume,
            on_progress=progress.update,
        )
    typer.echo(
        f"{out / 'student'}: {student.n_parameters:,} parameters, "
        f"{student.n_parameters_without_embeddings:,} without embeddings"
    )


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A student's folder, a GLiNER's, or its hub id.")],
    corpus: Annotated[str, typer.Argument(help="A corpus: its path, or a hub data set's id.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="A file of labels to ask of every passage instead of its own."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that an entity must exceed.")
    ] = 0.5,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures, by label too, to this file.")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Measure a student or a GLiNER against a corpus's gold entities.

    Each passage is asked for its own labels, or for those of --labels. Printed: word accuracy,
    precision, recall and F1, and exact-match span precision, recall and F1 (micro). --json has
    each label's as well.
    """
    from gliner_distill.evaluation import evaluate as evaluate_predictor
    from gliner_distill.evaluation import measure_speed
    from gliner_distill.files import replace_file
    from gliner_distill.labelling import read_labels

    _quiet()
    fixed = read_labels(labels) if labels is not None else None
    passages = _read(corpus, skip_bad=skip_bad)
    predictor = _predictor(model, threshold)
    asked = [fixed if fixed is not None else passage.own_labels for passage in passages]
    scores = evaluate_predictor(predictor, passages, asked)
    scores |= measure_speed(predictor, passages[:100], asked[:100])
    facts = {
        "model": model,
        "corpus": corpus,
        "n_passages": len(passages),
        "n_words": sum(len(passage.words) for passage in passages),
        "n_entities": sum(len(passage.entities) for passage in passages),
        "threshold": threshold,
    }
    for key, value in (facts | scores).items():
        if isinstance(value, float):
            typer.echo(f"{key:32} {value:10.4f}")
        elif not isinstance(value, dict):
            typer.echo(f"{key:32} {value!s:>10}")
    if json_file is not None:
        text = json.dumps(facts | scores, indent=1, ensure_ascii=False) + "\n"
        try:
            replace_file(json_file, text.encode())
        except OSError as error:
            raise DistillError(
                f"{json_file}: cannot be written: {error.strerror or error}"
            ) from error


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A student's folder, a GLiNER's, or its hub id.")],
    text: Annotated[
        str | None,
        typer.Argument(
            help="The text; or a file of documents, one a line; or - for standard input."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="A label to find; give it again for more."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that an entity must exceed.")
    ] = 0.5,
) -> None:
    """Find entities in a text, a file or standard input, one document a line.

    Prints one JSON object a document: {"text": ..., "entities": [{"start", "end", "text", "label",
    "score"}]}, where start and end are character positions, end exclusive.
    """
    asked = tuple(dict.fromkeys(name.strip() for name in label or []))
    if not asked or "" in asked:
        raise click.UsageError("no label to find: give --label NAME, once or several times")
    _quiet()
    predictor = _predictor(model, threshold)
    for document in _documents(text):
        typer.echo(json.dumps(_prediction(predictor, document, asked), ensure_ascii=False))


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="A soft-label store, or a corpus.")],
    skip_bad: SkipBad = False,
) -> None:
    """Say what a soft-label store or a corpus holds: counts, lengths, labels, oddities."""
    from gliner_distill.corpus import CorpusNotes, read_passages
    from gliner_distill.corpus_statistics import describe_corpus

    _quiet()
    if Path(source).is_dir():
        from gliner_distill.store_statistics import describe_store

        lines = describe_store(Path(source))
    else:
        notes = CorpusNotes()
        passages = read_passages(source, skip_bad=skip_bad, notes=notes)
        lines = describe_corpus(passages, notes).lines()
    for line in lines:
        typer.echo(line)


def _read(corpus: str, *, skip_bad: bool) -> "list[Passage]":
    from gliner_distill.corpus import CorpusNotes, read_passages

    notes = CorpusNotes()
    passages = list(read_passages(corpus, skip_bad=skip_bad, notes=notes))
    for line in notes.lines():
        typer.echo(line, err=True)
    return passages


def _predictor(model: str, threshold: float) -> "Predictor":
    from gliner_distill.evaluation import StudentPredictor, TeacherPredictor
    from gliner_distill.student import find_student, load_student
    from gliner_distill.teacher import GLiNERTeacher

    folder = find_student(model)
    if folder is None:
        return TeacherPredictor(GLiNERTeacher.from_pretrained(model), threshold=threshold)
    student, vocabulary = load_student(folder)
    return StudentPredictor(student, vocabulary, threshold=threshold)


def _documents(text: str | None) -> Iterator[str]:
    if text is None or text == "-":
        if text is None and sys.stdin.isatty():
            raise click.UsageError("no text: give it, a file, or - for standard input")
        yield from _lines(sys.stdin)
    elif _is_file(text):
        try:
            with Path(text).open(encoding="utf-8-sig") as stream:
                yield from _lines(stream)
        except (OSError, UnicodeDecodeError) as error:
            raise DistillError(f"{text}: cannot be read as UTF-8 text: {error}") from error
    else:
        yield text


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or a null character in it
        return False


def _lines(stream: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in stream)


def _prediction(predictor: "Predictor", text: str, labels: tuple[str, ...]) -> dict[str, Any]:
    from gliner_distill.entities import split_words

    words = split_words(text)
    found = predictor.predict([[word.text for word in words]], [labels])[0]
    spans = [
        (words[entity.start_word].start_char, words[entity.end_word - 1].end_char, entity)
        for entity in found
    ]
    return {
        "text": text,
        "entities": [
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "label": entity.label,
                "score": round(entity.score, 4),
            }
            for start, end, entity in spans
        ],
    }


def _quiet() -> None:
    """Keep other libraries' chatter off the terminal."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    for name in ("transformers", "gliner", "huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _fail(message: str, *, code: int) -> None:
    typer.echo(f"gliner-distill: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
