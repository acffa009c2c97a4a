"""The published experiment (Xu, Ma and Wang), from passages to its Table 1.

Two students with the same architecture are trained on the same passages with the same number of
steps and the same seeds: the *hard* one on the gold labels alone, and the *distilled* one on the
teacher's soft labels mixed with gold. The output is a folder with the runs, `results.json`, the
figures and the report. Finished parts of the folder are not computed again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.errors import CorpusError, SettingsError, StudentError
from gliner_distill.evaluation.evaluate import measure_speed, score_entities
from gliner_distill.evaluation.models import TeacherNER
from gliner_distill.files import lock_folder, write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import mean_and_spread
from gliner_distill.reproduction.figures import plot_curves
from gliner_distill.reproduction.report import write_report
from gliner_distill.reproduction.results import PUBLISHED, DataSummary, ModelRow, Results
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.store.integrity import check_other_files
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import VECTORS_FILE, SubwordVectors
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

THRESHOLDS = {"student_hard": 0.6, "student_distilled": 0.4}
"""For each student, the best of 0.3, 0.4, 0.5 and 0.6 by the mean of both word F1 values on dev."""

_GAP_MEASURES = ("accuracy_vs_teacher", "recall_vs_teacher", "f1_vs_teacher", "span_f1_vs_gold")


MetricRows = Sequence[dict[str, Any]]
"""The rows of one run's `metrics.jsonl`."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The settings of a reproduction.

    Attributes:
        data: The path or hub id of a corpus; None for the sample that is part of this package.
        teacher: The folder or hub id of a GLiNER; None for the soft labels of the sample.
        n_train: The number of passages at the beginning of the corpus to train on.
        n_test: The number of passages at the end of the corpus to test on.
        n_seeds: The number of seeds, which are 0, 1, and so on.
        training: The settings of both students, except that `alpha` is 0 for the hard one.

    Raises:
        SettingsError: There is a corpus but no teacher, or a count is below 1, or `alpha` is 0.
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
                raise SettingsError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.data is not None and self.teacher is None:
            raise SettingsError(
                "only the sample corpus comes with soft labels; with --data, name the GLiNER that "
                "labels it: --teacher"
            )
        if self.training.alpha == 0:
            raise SettingsError(
                "alpha is 0, so the distilled student would be the same as the hard one; expected "
                "more than 0"
            )


def reproduce(plan: Reproduction, out: Path, *, progress: Progress = no_progress) -> Results:
    """Run the experiment and write its folder.

    Args:
        plan: The settings.
        out: The folder; finished runs in it are not repeated.
        progress: A function that receives the progress of labeling and of each training.

    Raises:
        DistillError: The data, the teacher or the settings cannot be used; or the folder holds
            other runs, another process works in it, or it cannot be written.
    """
    busy = f"{out}: another process works in it; wait for it, or choose another --out"
    with lock_folder(out, busy=busy):
        return _run_experiment(plan, out, progress)


def _run_experiment(plan: Reproduction, out: Path, progress: Progress) -> Results:
    started = time.perf_counter()
    material = _gather(plan, out, progress)
    test = make_split("test", material.test, material.vocabulary)
    # Measuring all training passages after each epoch would take longer than training.
    probe = make_split("train", material.train[: plan.n_test], material.vocabulary)
    curves: dict[str, list[MetricRows]] = {name: [] for name in STUDENTS}
    students: dict[str, Student] = {}
    for seed in range(plan.n_seeds):
        for name in STUDENTS:
            folder = out / "runs" / name / f"seed-{seed}"
            alpha = plan.training.alpha if name == "student_distilled" else 0.0
            settings = replace(plan.training, alpha=alpha, seed=seed)
            students[name] = _train(name, material, folder, settings, [probe, test], progress)
            curves[name].append(read_metrics(folder))
    table = [_teacher_row(material, test)]
    for name, student in students.items():
        # Size and speed do not depend on the seed, so one student is enough.
        folder = out / "runs" / name / "seed-0" / STUDENT_FOLDER
        table.append(_student_row(name, curves[name], student, material.vocabulary, test, folder))
    results = Results(
        table1=table,
        published=PUBLISHED,
        seeds=range(plan.n_seeds),
        gap={name: _gap(curves[name]) for name in STUDENTS},
        probe=(
            f"Curves on training passages are measured on the first {plan.n_test} of them, "
            "asked for their own labels, without dropout, after each epoch."
        ),
        data=_summarize_data(plan, material),
        settings={
            "training": asdict(plan.training) | {"alpha of the hard student": 0.0},
            "thresholds": THRESHOLDS,
            "seeds": plan.n_seeds,
        },
        environment=describe_environment() | {"seconds": round(time.perf_counter() - started, 1)},
    )
    _write(out, results, curves)
    return results


def split_first_last(
    passages: Sequence[Passage], n_train: int, n_test: int
) -> tuple[list[Passage], list[Passage]]:
    """Return the split of the published experiment: the first `n_train` and the last `n_test`.

    Raises:
        CorpusError: There are too few passages to keep the two apart.
    """
    if len(passages) < n_train + n_test:
        raise CorpusError(
            f"the corpus has {len(passages)} passages, but {n_train} to train on and {n_test} to "
            "test on were asked for; ask for fewer, or give a larger corpus"
        )
    return list(passages[:n_train]), list(passages[len(passages) - n_test :])


@dataclass(frozen=True, slots=True)
class _Material:
    """The labeled passages, and everything else that the students start from."""

    train: list[LabeledPassage]
    test: list[LabeledPassage]
    vocabulary: Vocabulary
    subword_vectors: SubwordVectors | None
    teacher_name: str
    teacher_fingerprint: str
    teacher_metadata: Mapping[str, Any]
    teacher: GLiNERTeacher | None
    label_seconds: float


def _gather(plan: Reproduction, out: Path, progress: Progress) -> _Material:
    teacher = None
    if plan.teacher is None:
        sample = sample_path("train").parent
        folder, vectors_folder = sample / "soft_labels", sample / "subword_vectors"
        train_store, test_store = SoftLabelStore(folder / "train"), SoftLabelStore(folder / "test")
        if plan.n_train > len(train_store) or plan.n_test > len(test_store):
            raise SettingsError(
                f"the sample has {len(train_store)} passages to train and {len(test_store)} to "
                f"test on; got --train {plan.n_train} --test {plan.n_test}"
            )
    else:
        train, test = _split(plan)
        teacher = GLiNERTeacher.from_pretrained(plan.teacher)
        train_store = _label(train, teacher, out, "train", progress)
        test_store = _label(test, teacher, out, "test", progress)
        vectors_folder = train_store.folder
        check_other_files(vectors_folder, train_store.manifest, (TOKENIZER_FILE, VECTORS_FILE))
    manifest = train_store.manifest
    passages = list(train_store)[: plan.n_train]
    vocabulary, subword_vectors = load_or_train_vocabulary(vectors_folder, passages)
    return _Material(
        train=passages,
        test=list(test_store)[-plan.n_test :],
        vocabulary=vocabulary,
        subword_vectors=subword_vectors,
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
    halves = split_first_last(passages, plan.n_train, plan.n_test)
    for name, half in zip(("first", "last"), halves, strict=True):
        if not any(passage.entities for passage in half):
            raise CorpusError(
                f"{plan.data}: none of the {name} {len(half)} passages has an entity; "
                "annotated passages are needed both to train and to test on"
            )
    return halves


def _label(
    passages: Sequence[Passage],
    teacher: GLiNERTeacher,
    out: Path,
    split: str,
    progress: Progress,
) -> SoftLabelStore:
    return label_corpus(
        passages,
        teacher,
        out / "soft_labels" / split,
        policy=LabelPolicy(),
        progress=progress,
        stage=f"labeling {split}",
    )


def _train(
    name: str,
    material: _Material,
    folder: Path,
    settings: TrainingSettings,
    splits: Sequence[EvaluationSplit],
    progress: Progress,
) -> Student:
    vocabulary = material.vocabulary
    config = StudentConfig(len(vocabulary), threshold=THRESHOLDS[name])
    student = initialize_student(vocabulary, material.subword_vectors, config, seed=settings.seed)
    return train_student(
        student,
        vocabulary,
        material.train,
        folder,
        settings,
        splits=splits,
        metadata={
            "teacher": material.teacher_name,
            "teacher_fingerprint": material.teacher_fingerprint,
        },
        resume=True,
        progress=progress,
        stage=f"{name.replace('_', ' ')}, seed {settings.seed}",
    )


def _teacher_row(material: _Material, test: EvaluationSplit) -> ModelRow:
    # The store has the teacher's answers, so the teacher's scores can be computed without running
    # it.
    evaluation = score_entities(
        test.teacher_entities, test.passages, test.labels, teacher_entities=test.teacher_entities
    )
    speed = None
    if material.teacher is not None:
        speed = measure_speed(TeacherNER(material.teacher), test.passages, test.labels)
    metadata = material.teacher_metadata
    return ModelRow(
        model="gliner",
        shares=_shares(evaluation.as_json()),
        spreads={},
        n_parameters=metadata.get("n_parameters"),
        n_parameters_without_embeddings=metadata.get("n_parameters_without_embeddings"),
        size_bytes=metadata.get("size_bytes"),
        ms_per_passage=None if speed is None else speed.ms_per_passage,
        words_per_second=None if speed is None else speed.words_per_second,
    )


def _student_row(
    name: str,
    runs: Sequence[MetricRows],
    student: Student,
    vocabulary: Vocabulary,
    test: EvaluationSplit,
    folder: Path,
) -> ModelRow:
    last = [_last_row(rows, "test") for rows in runs]
    over_seeds = {key: mean_and_spread([row[key] for row in last]) for key in _shares(last[0])}
    speed = measure_speed(StudentPredictor(student, vocabulary), test.passages, test.labels)
    return ModelRow(
        model=name,
        shares={key: mean for key, (mean, _) in over_seeds.items()},
        spreads={key: spread for key, (_, spread) in over_seeds.items()},
        n_parameters=student.n_parameters,
        n_parameters_without_embeddings=student.n_parameters_without_embeddings,
        size_bytes=weights_size_bytes(folder),
        ms_per_passage=speed.ms_per_passage,
        words_per_second=speed.words_per_second,
    )


def _summarize_data(plan: Reproduction, material: _Material) -> DataSummary:
    return DataSummary(
        source=plan.data or "the sample that comes with gliner-distill",
        n_train=len(material.train),
        n_test=len(material.test),
        n_words_train=count_words(material.train),
        n_words_test=count_words(material.test),
        teacher=material.teacher_name,
        teacher_hash=material.teacher_fingerprint,
        labels_asked=(
            "only the passage's own labels, in training and in test, as in the published experiment"
        ),
        label_seconds=round(material.label_seconds, 1),
    )


def _gap(runs: Sequence[MetricRows]) -> dict[str, float]:
    """Return the training minus the test score after the last epoch, as means over seeds."""
    return {
        key: mean_and_spread(
            [_last_row(rows, "train")[key] - _last_row(rows, "test")[key] for rows in runs]
        )[0]
        for key in _GAP_MEASURES
    }


def _write(out: Path, results: Results, curves: Mapping[str, Sequence[MetricRows]]) -> None:
    figures = plot_curves(curves, out / "figures")
    write_report(out, results, figures)
    described = {str(figure.number): figure.as_json(out) for figure in figures}
    # This file is written last, because it tells that everything else is complete.
    write_json(out / "results.json", results.as_json() | {"figures": described})


def _last_row(rows: MetricRows, split: str) -> Mapping[str, Any]:
    of_split = [row for row in rows if row["split"] == split]
    if not of_split:
        raise StudentError(
            f"metrics.jsonl has no row of the split {split!r}; remove the run's folder and start "
            "again"
        )
    return of_split[-1]


def _shares(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores that are single numbers, without those by label."""
    return {
        key: value
        for key, value in scores.items()
        if key.endswith(("_vs_teacher", "_vs_gold")) and isinstance(value, float)
    }
