"""The command line's arguments and options, each with its help text; exit codes and examples.

Nothing here runs a command. Texts on training come from `TrainingSettings`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gliner_distill.training.settings import TrainingSettings

_MAX_SEED = 2**31 - 1


# The largest student of one layer has about 850 units; more only costs memory to refuse.
_MAX_HIDDEN_WIDTH = 1024


_MAX_LAYERS = 16


_EXIT_CODES = """\b
Exit codes:
  0  done
  1  something is wrong with a file, a model or a setting, or Ctrl-C: one line
     on standard error says what, and what to do
  2  wrong usage"""


_EXAMPLES = {
    "root": """
  gliner-distill reproduce
  gliner-distill reproduce --train 20 --test 5 --seeds 1 --epochs 1 --out out
  gliner-distill COMMAND --help""",
    "reproduce": """
  gliner-distill reproduce
  gliner-distill reproduce --data pile.json --train 1000 --test 100 \\
    --teacher urchade/gliner_medium-v2.1 --out pile-reproduction""",
    "label": """
  gliner-distill label train.json --teacher urchade/gliner_medium-v2.1 \\
    --out soft_labels/train
  gliner-distill label notes.txt --labels labels.txt \\
    --teacher models/gliner --out soft_labels/notes
  gliner-distill label train.json --teacher models/a --teacher models/b \\
    --ray --workers 4 --out soft_labels/mean""",
    "train": """
  gliner-distill train soft_labels/train --dev soft_labels/dev \\
    --out runs/distilled
  gliner-distill train soft_labels/train --alpha 0 --out runs/hard
  gliner-distill train soft_labels/train --feature-weight 1 \\
    --teacher urchade/gliner_medium-v2.1 --out runs/matched
  gliner-distill train soft_labels/train --out runs/distilled --resume""",
    "evaluate": """
  gliner-distill evaluate runs/distilled test.json --json distilled.json
  gliner-distill evaluate urchade/gliner_medium-v2.1 test.json --threshold 0.3""",
    "predict": """
  gliner-distill predict "Mary left Paris." --label person --label city
  gliner-distill predict notes.txt -l drug -m runs/distilled > found.jsonl
  gliner-distill predict a.jsonl b.jsonl --field body --labels labels.txt \\
    --output csv > found.csv
  tail -f server.log | gliner-distill predict -l "ip address"
  gliner-distill predict -l drug -m models/gliner < notes.txt | head -1""",
    "export": """
  gliner-distill export runs/distilled --out small
  gliner-distill export runs/distilled --out exact --precision fp32 \\
    --check test.json""",
    "distill": """
  gliner-distill distill notes.txt --labels labels.txt \\
    --teacher urchade/gliner_small-v2.1 --out my-student
  gliner-distill distill mails.csv --column body --labels labels.txt \\
    --teacher models/gliner --gold annotated.jsonl --minutes 30 \\
    --out my-student""",
    "bench": """
  gliner-distill bench
  gliner-distill bench my-student my-student/fp32 models/gliner --threads 2""",
    "inspect": """
  gliner-distill inspect soft_labels/train
  gliner-distill inspect soft_labels/train --verify
  gliner-distill inspect train.json
  gliner-distill inspect urchade/pile-mistral-v0.1""",
}


MANUAL_ENDS = {
    command: f"{_EXIT_CODES}\n\n\b\nExamples:{examples}" for command, examples in _EXAMPLES.items()
}
"""What stands below each command's options."""


def _clean_labels(labels: list[str] | None) -> list[str]:
    """Return labels as a corpus has them, each once."""
    if not labels:
        return []
    from gliner_distill.corpus.labels import clean_label

    cleaned = list(dict.fromkeys(clean_label(_check_utf8(label)) for label in labels))
    if "" in cleaned:
        raise typer.BadParameter("a label must not be empty")
    return cleaned


def _check_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 arrive as lone surrogates
        raise typer.BadParameter("this is not UTF-8") from None
    return text


def _check_texts(texts: list[str] | None) -> list[str]:
    return [_check_utf8(text) for text in texts or []]


def _option(*flags: str, metavar: str | None, text: str, **more: Any) -> Any:
    return typer.Option(*flags, metavar=metavar, help=text, **more)


def _setting(name: str, metavar: str, **limits: Any) -> Any:
    return typer.Option(metavar=metavar, help=TrainingSettings.help(name), **limits)


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A folder of a student, a run, an export or a GLiNER, or the hub id of one.",
    ),
]


CorpusArgument = Annotated[
    str, typer.Argument(metavar="CORPUS", help="A corpus file, or a hub data set's id.")
]


StoreArgument = Annotated[
    Path, typer.Argument(metavar="STORE", help="A soft-label store, as `label` writes it.")
]


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A soft-label store, a corpus file, or a hub data set's id."
    ),
]


InputArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="The text itself; or a file of documents, one a line, or several files; or - for "
        "standard input, which is also read without INPUT.",
        show_default=False,
        callback=_check_texts,
    ),
]


StudentArgument = Annotated[
    str, typer.Argument(metavar="STUDENT", help="A student's folder, or a run folder.")
]


Version = Annotated[
    bool, _option("--version", metavar=None, text="Print the version and exit.", is_eager=True)
]


TeacherOption = Annotated[
    list[str],
    _option(
        "--teacher",
        metavar="MODEL",
        text="A GLiNER: its folder, or its hub id. Given again: the mean of several.",
    ),
]


SkipBad = Annotated[
    bool,
    _option("--skip-bad", metavar=None, text="Leave bad records out and say how many, and why."),
]


Threshold = Annotated[
    float | None,
    _option(
        metavar="P",
        text="Probability that an entity must exceed. Default: a student's own; 0.5 for a GLiNER.",
        min=0,
        max=1,
    ),
]


Seed = Annotated[int, _setting("seed", "N", min=0, max=_MAX_SEED)]


Epochs = Annotated[int, _setting("epochs", "N", min=1)]


# reproduce
Data = Annotated[
    str | None,
    _option(
        metavar="CORPUS",
        text="A corpus file, or a hub data set's id such as urchade/pile-mistral-v0.1. Needs "
        "--teacher. Without it: the sample that comes with the package.",
    ),
]


ReproductionTeacher = Annotated[
    str | None,
    _option(
        "--teacher",
        metavar="MODEL",
        text="A GLiNER: its folder, or its hub id. Without it: the soft labels that come with "
        "the sample.",
    ),
]


TrainCount = Annotated[
    int, _option("--train", metavar="N", text="Passages to train on, the first ones.", min=1)
]


TestCount = Annotated[
    int, _option("--test", metavar="N", text="Passages to test on, the last ones.", min=1)
]


SeedCount = Annotated[
    int, _option("--seeds", metavar="N", text="How many seeds to run: 0, 1, ...", min=1)
]


ReproductionFolder = Annotated[
    Path, _option("--out", metavar="FOLDER", text="Folder of the runs and the report.")
]


# label
StoreFolder = Annotated[
    Path, _option("--out", metavar="FOLDER", text="Folder of the soft-label store.")
]


Negatives = Annotated[
    int | None,
    _option(
        metavar="N",
        text="Labels of the corpus to ask beside the passage's own, drawn by frequency; none that "
        "means nearly the same as one of those.",
        min=0,
        show_default="8, or 0 with --labels or --pool",
    ),
]


LabelFile = Annotated[
    Path | None,
    _option(
        "--labels",
        metavar="FILE",
        text="Labels to ask of every passage instead, one a line: `label` or `label: description`.",
    ),
]


PoolFile = Annotated[
    Path | None,
    _option(
        "--pool",
        metavar="FILE",
        text="Labels, one a line, to draw from for each passage, beside its own.",
    ),
]


FromPool = Annotated[
    int | None,
    _option(
        metavar="K",
        text="How many labels of the pool to ask of each passage.",
        min=1,
        show_default="8 with --pool",
    ),
]


DescriptionFile = Annotated[
    Path | None,
    _option(
        "--descriptions",
        metavar="FILE",
        text="What to tell the teacher of the corpus's labels: `label: description`, one a line.",
    ),
]


DrawSeed = Annotated[
    int,
    _option("--seed", metavar="N", text="Of the draw of labels.", min=0, max=_MAX_SEED),
]


TeacherDevice = Annotated[
    str | None,
    _option(
        "--device",
        metavar="DEVICE",
        text="Where the teacher runs, such as cpu or cuda.",
        show_default="cpu, or cuda for workers with a GPU",
    ),
]


KeepEach = Annotated[
    bool,
    _option(
        "--keep-individual",
        metavar=None,
        text="Keep the answers of each teacher beside their mean.",
    ),
]


ScoreCodeName = Annotated[
    Literal["compact", "uniform"],
    _option(
        "--quantization",
        metavar="CODE",
        text="How a probability is kept: linear, at most 1/512 off; or compact, the same from "
        "1/8 up and coarser below, in half the space.",
    ),
]


Repair = Annotated[
    bool,
    _option("--repair", metavar=None, text="Read the whole store, and label again what is broken."),
]


RayAddress = Annotated[
    str | None,
    _option(
        "--ray",
        metavar="[ADDRESS]",
        text="Label on a Ray cluster: its address, or auto; without one, a cluster on this "
        "machine. Needs gliner-distill[ray].",
    ),
]


WorkerCount = Annotated[
    int | None,
    _option(
        "--workers",
        metavar="N",
        text="Teachers to run side by side with --ray.",
        min=1,
        show_default="2 with --ray",
    ),
]


GpuShare = Annotated[
    float,
    _option(
        metavar="SHARE",
        text="Of a GPU, for each worker with --ray, such as 0.5 for two on each; 0: none.",
        min=0,
    ),
]


# train
RunFolder = Annotated[Path, _option("--out", metavar="FOLDER", text="The run folder.")]


DevStore = Annotated[
    Path | None,
    _option(
        "--dev",
        metavar="STORE",
        text="Another store, to measure the student on after each epoch.",
    ),
]


Alpha = Annotated[float, _setting("alpha", "A", min=0, max=1)]


Temperature = Annotated[float, _setting("temperature", "T")]


BatchSize = Annotated[int, _setting("batch_size", "N", min=1)]


LearningRate = Annotated[float, _setting("learning_rate", "RATE")]


EmbeddingLrFactor = Annotated[float, _setting("embedding_lr_factor", "SHARE", min=0)]


PositiveWeight = Annotated[float, _setting("positive_weight", "W")]


FeatureWeight = Annotated[float, _setting("feature_weight", "W", min=0)]


MatchedTeacher = Annotated[
    str | None,
    _option(
        "--teacher",
        metavar="MODEL",
        text="The GLiNER for --feature-weight: its folder, or its hub id.",
    ),
]


Head = Annotated[
    Literal["softmax", "boundary"],
    _option(
        metavar="HEAD",
        text="softmax: one distribution a word over its labels and none, as in the report; "
        "boundary: start, end and inside of each label, for exact spans of any label.",
    ),
]


HiddenWidth = Annotated[
    int,
    _option(metavar="N", text="Units of the LSTM in each direction.", min=1, max=_MAX_HIDDEN_WIDTH),
]


Layers = Annotated[int, _option(metavar="N", text="LSTM layers.", min=1, max=_MAX_LAYERS)]


Bidirectional = Annotated[
    bool, _option(metavar=None, text="Whether each passage is read from its end as well.")
]


TrainingDevice = Annotated[str, _setting("device", "DEVICE")]


Resume = Annotated[
    bool,
    _option("--resume", metavar=None, text="Go on from the run folder's last checkpoint."),
]


# inspect
Verify = Annotated[
    bool,
    _option(
        "--verify",
        metavar=None,
        text="Read every file of the store and name each that is not as it was written.",
    ),
]


# evaluate
JsonFile = Annotated[
    Path | None,
    _option("--json", metavar="FILE", text="Write all figures, each label's too, to this file."),
]


# predict
ModelOption = Annotated[
    str | None,
    _option(
        "--model",
        "-m",
        metavar="MODEL",
        text="A folder of a student, a run, an export or a GLiNER, or the hub id of one; without "
        "it the student that comes with the package.",
    ),
]


LabelsToFind = Annotated[
    list[str] | None,
    _option(
        "--label",
        "-l",
        metavar="LABEL",
        text="A label to find; give it again for more of them.",
        callback=_clean_labels,
    ),
]


DescribedLabels = Annotated[
    Path | None,
    _option(
        "--labels",
        metavar="FILE",
        text="More labels, one a line: `label`, or `label: description`. A student then reads the "
        "description in place of the label; a GLiNER reads both.",
    ),
]


InputFormName = Annotated[
    Literal["auto", "lines", "jsonl"],
    _option(
        "--input",
        metavar="FORM",
        text="lines: a document a line. jsonl: a string a line, or an object with the text in a "
        "field. auto: jsonl for files whose names end in .jsonl or .ndjson, else lines.",
    ),
]


TextField = Annotated[
    str, _option("--field", metavar="NAME", text="The field of a JSON object that has the text.")
]


OutputFormName = Annotated[
    Literal["jsonl", "csv", "color"] | None,
    _option(
        "--output",
        metavar="FORM",
        text="jsonl: an object a document. csv: a row an entity. color: the text with its entities "
        "in color.",
        show_default="color on a terminal, else jsonl",
    ),
]


ScoreThreshold = Annotated[
    float,
    _option(
        "--threshold",
        metavar="P",
        text="Score that an entity must exceed. A student's scores are moved so that its own "
        "threshold lies at 0.5.",
        min=0,
        max=1,
    ),
]


Nested = Annotated[
    bool, _option("--nested", metavar=None, text="Find entities inside of others as well.")
]


MultiLabel = Annotated[
    bool,
    _option("--multi-label", metavar=None, text="Give a span every label that it exceeds P for."),
]


ThreadCount = Annotated[
    int | None,
    _option(
        "--threads",
        metavar="N",
        text="Threads of the model.",
        min=1,
        max=1024,
        show_default="one for each processor",
    ),
]


# export
Precision = Annotated[
    Literal["fp32", "int8"],
    _option(
        metavar="PRECISION",
        text="fp32: as trained. int8: in eight bits, half the size and faster.",
    ),
]


ExportFolder = Annotated[
    Path, _option("--out", metavar="FOLDER", text="Folder of the exported student.")
]


CheckCorpus = Annotated[
    str | None,
    _option(
        "--check",
        metavar="CORPUS",
        text="Passages with gold entities to hold the export against the student on.",
        show_default="dev of the sample that comes with the package",
    ),
]


# distill
TextsArgument = Annotated[
    str,
    typer.Argument(
        metavar="TEXTS",
        help="Your documents: a text file, one a line; JSON lines; a CSV file with --column; "
        "CoNLL columns; or a folder of *.txt files.",
    ),
]


LabelsToDistil = Annotated[
    Path,
    _option(
        "--labels",
        metavar="FILE",
        text="What to find, one a line: `label` or `label: description`.",
    ),
]


DistilTeacher = Annotated[
    str, _option("--teacher", metavar="MODEL", text="A GLiNER: its folder, or its hub id.")
]


DistilFolder = Annotated[
    Path, _option("--out", metavar="FOLDER", text="Folder of the student, the report and the work.")
]


GoldCorpus = Annotated[
    str | None,
    _option(
        "--gold",
        metavar="CORPUS",
        text="Annotated passages, all entities of the labels: learned from, and measured against.",
    ),
]


TextColumn = Annotated[
    str | None,
    _option(
        "--column",
        metavar="NAME",
        text="The column of a CSV file, or the field of JSON lines, that holds the text.",
    ),
]


Minutes = Annotated[
    float | None,
    _option(
        "--minutes",
        metavar="M",
        text="Take only as much text as the whole job can use in this time, and say what is left "
        "out.",
        min=0.1,
    ),
]


# bench
BenchModels = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Students' folders and GLiNERs' folders; without any, the student that comes along.",
        show_default=False,
    ),
]


Rounds = Annotated[int, _option("--rounds", metavar="N", text="How often each is timed.", min=1)]
