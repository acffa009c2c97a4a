"""The published report's experiment, from passages to Table 1.

Two students of one architecture, the same passages, steps and seeds: *hard* learns the gold labels
alone, *distilled* the teacher's soft labels and gold. Out: a folder with the runs, `results.json`,
figures and report. Whatever is finished in the folder is not done again.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gliner_distill.callbacks import Progress
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import CorpusError, DistillError, SettingsError, StoreError
from gliner_distill.evaluation.evaluate import measure_speed, score_entities
from gliner_distill.evaluation.models import TeacherNER
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import mean_and_spread
from gliner_distill.reproduction.figures import plot_curves
from gliner_distill.reproduction.report import write_report
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.student.files import weights_size_bytes
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.data import EvaluationSplit, make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import STUDENT_FOLDER, describe_environment, read_metrics
from gliner_distill.training.settings import TrainingSettings

STUDENTS = ("student_hard", "student_distilled")

REPORTED = [
    {"model": "gliner", "accuracy": 1.0, "recall": 1.0, "parameters": "2.1B"},
    {"model": "student_hard", "accuracy": 0.86, "recall": 0.69, "parameters": "6M"},
    {"model": "student_distilled", "accuracy": 0.99, "recall": 0.97, "parameters": "6M"},
]
"""Table 1 of Xu, Ma and Wang, "Knowledge Distillation targeted at GliNER"."""

THRESHOLDS = {"student_hard": 0.6, "student_distilled": 0.4}
"""Of each student, the best for word F1 (mean of both readings) of 0.3, 0.4, 0.5, 0.6 on dev."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What to run.

    Attributes:
        data: A corpus path or hub id; None for the sample that comes with the package.
        teacher: A GLiNER's folder or hub id; None for the soft labels that come with the sample.
        n_train: First passages, to train on.
        n_test: Last passages, to test on.
        n_seeds: Seeds 0, 1, ....
        training: Settings of both students; `alpha` is the distilled one's, the hard one has 0.

    Raises:
        SettingsError: There is a corpus but no teacher, or a count is below 1.
    """

    data: str | None = None
    teacher: str | None = None
    n_train: int = 1000
    n_test: int = 100
    n_seeds: int = 3
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        for name in ("n_train", "n_test", "n_seeds"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more; got {getattr(self, name)}")
        if self.data is not None and self.teacher is None:
            raise SettingsError(
                "soft labels come with the package for its own sample alone: "
                "with --data, name the --teacher that is to label it"
            )
        if self.training.alpha == 0:
            raise SettingsError("alpha 0 is the hard student; the distilled one needs more than 0")


@dataclass(frozen=True, slots=True)
class _Material:
    train: list[LabeledPassage]
    test: list[LabeledPassage]
    vocabulary: Vocabulary
    pieces: SubwordVectors | None
    teacher_name: str
    teacher_fingerprint: str
    teacher_metadata: Mapping[str, Any]
    teacher: GLiNERTeacher | None
    label_seconds: float


def reproduce(plan: Reproduction, out: Path, *, progress: Progress) -> dict[str, Any]:
    """Run the experiment and write its folder; return what `results.json` holds.

    Raises:
        DistillError: Whatever is wrong with data, teacher, settings or the folder.
    """
    started = time.perf_counter()
    material = _gather(plan, out, progress)
    vocabulary = material.vocabulary
    test = make_split("test", material.test, vocabulary)
    probe = make_split("train", material.train[: plan.n_test], vocabulary)
    curves: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in STUDENTS}
    students: dict[str, Student] = {}
    for seed in range(plan.n_seeds):
        for name in STUDENTS:
            folder = out / "runs" / name / f"seed-{seed}"
            alpha = plan.training.alpha if name == "student_distilled" else 0.0
            settings = replace(plan.training, alpha=alpha, seed=seed)
            students[name] = _train(
                name, material, vocabulary, folder, settings, [probe, test], progress
            )
            curves[name].append(read_metrics(folder))
    predictors = {name: StudentPredictor(student, vocabulary) for name, student in students.items()}
    table = [_teacher_row(material, test)]
    table += [
        _student_row(name, curves[name], students[name], predictors[name], test, out)
        for name in STUDENTS
    ]
    results = _results(plan, material, table, curves, time.perf_counter() - started)
    return _write(out, results, curves)


def _gather(plan: Reproduction, out: Path, progress: Progress) -> _Material:
    if plan.teacher is None:
        sample = sample_path("train").parent
        folder, pieces_folder = sample / "soft_labels", sample / "subword_vectors"
        train_store, test_store = SoftLabelStore(folder / "train"), SoftLabelStore(folder / "test")
        teacher = None
        if plan.n_train > len(train_store) or plan.n_test > len(test_store):
            raise SettingsError(
                f"the sample has {len(train_store)} passages to train and {len(test_store)} to "
                f"test on; got --train {plan.n_train} --test {plan.n_test}"
            )
    else:
        train, test = _split(plan)
        teacher = GLiNERTeacher.from_pretrained(plan.teacher)
        train_store = _label(
            "labeling train",
            train,
            teacher,
            out / "soft_labels" / "train",
            LabelPolicy(),
            progress,
        )
        test_store = _label(
            "labeling test",
            test,
            teacher,
            out / "soft_labels" / "test",
            LabelPolicy(),
            progress,
        )
        pieces_folder = train_store.folder
    manifest = train_store.manifest
    passages = list(train_store)[: plan.n_train]
    vocabulary, pieces = load_or_train_vocabulary(pieces_folder, passages)
    return _Material(
        train=passages,
        test=list(test_store)[-plan.n_test :],
        vocabulary=vocabulary,
        pieces=pieces,
        teacher_name=manifest.teacher,
        teacher_fingerprint=manifest.teacher_fingerprint,
        teacher_metadata=manifest.teacher_metadata,
        teacher=teacher,
        label_seconds=manifest.seconds + test_store.manifest.seconds,
    )


def _split(plan: Reproduction) -> tuple[list[Passage], list[Passage]]:
    if plan.data is None:
        train = list(read_passages(sample_path("train")))
        test = list(read_passages(sample_path("test")))
        return (
            split_first_last(train, plan.n_train, 0)[0],
            split_first_last(test, 0, plan.n_test)[1],
        )
    passages = list(read_passages(plan.data, notes=CorpusNotes()))
    parts = split_first_last(passages, plan.n_train, plan.n_test)
    for name, part in zip(("first", "last"), parts, strict=True):
        if not any(passage.entities for passage in part):
            raise CorpusError(
                f"{plan.data}: none of the {name} {len(part)} passages has an entity; "
                f"the experiment needs gold to train on and to test on"
            )
    return parts


def _label(
    stage: str,
    passages: Sequence[Passage],
    teacher: GLiNERTeacher,
    folder: Path,
    policy: LabelPolicy,
    progress: Progress,
) -> SoftLabelStore:
    return label_corpus(passages, teacher, folder, policy=policy, progress=progress, stage=stage)


def _train(
    name: str,
    material: _Material,
    vocabulary: Vocabulary,
    folder: Path,
    settings: TrainingSettings,
    splits: Sequence[EvaluationSplit],
    progress: Progress,
) -> Student:
    config = StudentConfig(len(vocabulary), threshold=THRESHOLDS[name])
    student = initialize_student(vocabulary, material.pieces, config, seed=settings.seed)
    stage = f"{name.replace('_', ' ')}, seed {settings.seed}"
    metadata = {
        "teacher": material.teacher_name,
        "teacher_fingerprint": material.teacher_fingerprint,
    }
    return train_student(
        student,
        vocabulary,
        material.train,
        folder,
        settings,
        splits=splits,
        metadata=metadata,
        resume=True,
        progress=progress,
        stage=stage,
    )


def _teacher_row(material: _Material, test: EvaluationSplit) -> dict[str, Any]:
    # The store has the teacher's entities, so that no teacher need run.
    evaluation = score_entities(
        test.teacher_entities,
        test.passages,
        test.labels,
        teacher_entities=test.teacher_entities,
    )
    speed: Mapping[str, float | None] = {"ms_per_passage": None, "words_per_second": None}
    if material.teacher is not None:
        model = TeacherNER(material.teacher)
        speed = measure_speed(model, test.passages, test.labels).as_json()
    costs = ("n_parameters", "n_parameters_without_embeddings", "size_bytes")
    metadata = {key: material.teacher_metadata.get(key) for key in costs}
    return {"model": "gliner", **_numbers(evaluation.as_json()), **metadata, **speed}


def _student_row(
    name: str,
    runs: Sequence[Sequence[Mapping[str, Any]]],
    student: Student,
    predictor: StudentPredictor,
    test: EvaluationSplit,
    out: Path,
) -> dict[str, Any]:
    last = [_last_row(rows, "test") for rows in runs]
    row: dict[str, Any] = {"model": name}
    for key in _numbers(last[0]):
        row[key], row[f"{key}_sd"] = mean_and_spread([scores[key] for scores in last])
    folder = out / "runs" / name / "seed-0" / STUDENT_FOLDER
    return row | {
        "n_parameters": student.n_parameters,
        "n_parameters_without_embeddings": student.n_parameters_without_embeddings,
        "size_bytes": weights_size_bytes(folder),
        **measure_speed(predictor, test.passages, test.labels).as_json(),
    }


def _results(
    plan: Reproduction,
    material: _Material,
    table: list[dict[str, Any]],
    curves: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    seconds: float,
) -> dict[str, Any]:
    return {
        "table1": table,
        "reported": REPORTED,
        "seeds": list(range(plan.n_seeds)),
        "gap": {name: _gap(curves[name]) for name in STUDENTS},
        "probe": (
            f"Curves on training passages are measured on the first {plan.n_test} of them, "
            f"asked for their own labels, without dropout, after each epoch."
        ),
        "data": {
            "source": plan.data or "the sample that comes with gliner-distill",
            "n_train": len(material.train),
            "n_test": len(material.test),
            "n_words_train": sum(len(item.passage.words) for item in material.train),
            "n_words_test": sum(len(item.passage.words) for item in material.test),
            "teacher": material.teacher_name,
            "teacher_hash": material.teacher_fingerprint,
            "labels_asked": (
                "the passage's own labels alone, in training and in test, "
                "as in the published report"
            ),
            "label_seconds": round(material.label_seconds, 1),
        },
        "settings": {
            "training": asdict(plan.training) | {"alpha of the hard student": 0.0},
            "thresholds": THRESHOLDS,
            "seeds": plan.n_seeds,
        },
        "environment": describe_environment() | {"seconds": round(seconds, 1)},
    }


def _gap(runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Return train minus test after the last epoch, mean over seeds."""
    return {
        key: mean_and_spread(
            [_last_row(rows, "train")[key] - _last_row(rows, "test")[key] for rows in runs]
        )[0]
        for key in ("accuracy_vs_teacher", "recall_vs_teacher", "f1_vs_teacher", "span_f1_vs_gold")
    }


def _write(out: Path, results: dict[str, Any], curves: Mapping[str, Any]) -> dict[str, Any]:
    try:
        figures = plot_curves(dict(curves), out / "figures")
        results["figures"] = {
            str(figure.number): {
                "title": figure.title,
                "caption": figure.caption,
                "png": figure.png_path.relative_to(out).as_posix(),
                "svg": figure.svg_path.relative_to(out).as_posix(),
            }
            for figure in figures
        }
        write_report(out, results, figures)
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        replace_file(out / "results.json", text.encode())
    except OSError as error:
        raise DistillError(f"{out}: cannot be written: {error.strerror or error}") from error
    return results


def _last_row(rows: Sequence[Mapping[str, Any]], split: str) -> Mapping[str, Any]:
    found = [row for row in rows if row["split"] == split]
    if not found:
        raise StoreError(f"metrics.jsonl has no row of {split}; remove the run and start it again")
    return found[-1]


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: value
        for key, value in scores.items()
        if key.endswith(("_vs_teacher", "_vs_gold")) and isinstance(value, float)
    }


def split_first_last(
    passages: Sequence[Passage], n_train: int, n_test: int
) -> tuple[list[Passage], list[Passage]]:
    """Return the report's split: the first `n_train` passages, and the last `n_test`.

    Raises:
        CorpusError: There are too few passages for the two parts to stay apart.
    """
    if len(passages) < n_train + n_test:
        raise CorpusError(
            f"the corpus has {len(passages)} passages, fewer than the {n_train} to train on and "
            f"{n_test} to test on; ask for fewer, or give a larger corpus"
        )
    return list(passages[:n_train]), list(passages[len(passages) - n_test :])
