"""The best student that a given time allows: as close to its teacher as we know how to come.

The published experiment trains a student from scratch on 1,000 passages. This one starts from the
bundled student, and learns from the sample's training part and from further text, which the teacher
labels. `best_plan` decides how much text that is.
"""

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Final

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.exports.brat import is_brat
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.errors import CorpusError, SettingsError
from gliner_distill.files import lock_folder
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.reproduction.agreement import agreement_at_best_threshold, load_bundled
from gliner_distill.reproduction.best_plan import (
    PLANNED_SHARE,
    RECIPE,
    Best,
    WorkPlan,
    plan_work,
    rate_of_two,
    read_plan,
    write_plan,
)
from gliner_distill.reproduction.best_report import BestResults, BestRow, write_best_report
from gliner_distill.reproduction.transfer import ask_like_test, leave_out_copies
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.files import save_student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import STUDENT_FOLDER, describe_environment

BEST_FOLDER: Final = "best"
SPLITS: Final = ("train", "dev", "test")
_PROBE_PASSAGES: Final = 96
_LIMITS: Final = ShardLimits(passages=250)
"""Small shards, so that a stopped run repeats little."""


def reproduce_best(plan: Best, out: Path, *, progress: Progress = no_progress) -> BestResults:
    """Train the best student that the time allows, and write the folder `best` in `out`.

    It gets `plan.json`, `soft_labels`, `run`, `student`, `results.json` and `report.md`. Finished
    work in it is not repeated.

    Args:
        plan: The settings.
        out: The folder; it may be the one of a reproduction.
        progress: A function that receives the progress of labeling and of training.

    Raises:
        DistillError: The data, the teacher or the settings cannot be used; or the folder holds a
            run of other settings, another process works in it, or it cannot be written.
    """
    busy = f"{out}: another process works in it; wait for it, or choose another --out"
    with lock_folder(out, busy=busy):
        return _run(plan, out / BEST_FOLDER, progress)


def _run(plan: Best, folder: Path, progress: Progress) -> BestResults:
    started = time.perf_counter()
    folder.mkdir(exist_ok=True)
    material = _gather(plan, folder, progress, started)
    student, vocabulary = load_bundled()
    dev, test = (make_split(name, material[name], vocabulary) for name in ("dev", "test"))
    before = BestRow.of("bundled", *agreement_at_best_threshold(student, vocabulary, dev, test))
    metadata = {"teacher": material.teacher, "teacher_fingerprint": material.fingerprint}
    passages = [*material["train"], *material["text"]]
    student = train_student(
        student,
        vocabulary,
        passages,
        folder / "run",
        replace(RECIPE, epochs=material.work.epochs),
        metadata=metadata,
        resume=True,
        progress=progress,
        stage="training the best student",
    )
    threshold, evaluation = agreement_at_best_threshold(student, vocabulary, dev, test)
    student.config = replace(student.config, threshold=threshold)
    save_student(folder / STUDENT_FOLDER, student, vocabulary, metadata=metadata)
    results = BestResults(
        rows=[before, BestRow.of("best", threshold, evaluation)],
        source=_describe_source(plan, count_words(material["text"])),
        teacher=material.teacher,
        teacher_fingerprint=material.fingerprint,
        n_test=len(material["test"]),
        n_words_test=count_words(material["test"]),
        n_words_train=count_words(passages),
        settings=asdict(plan) | {"work": asdict(material.work)} | dict(material.notes),
        environment=describe_environment() | {"seconds": round(time.perf_counter() - started, 1)},
    )
    write_best_report(folder, results)
    return results


def _describe_source(plan: Best, n_text_words: int) -> str:
    sample = f"the first {plan.n_train:,} training passages of the sample"
    if plan.data is None:
        return f"No further text was given, so it learned only from {sample}."
    if not n_text_words:
        return f"There was no time to label text of {plan.data}, so it learned only from {sample}."
    return f"It learned from {sample} and from {n_text_words:,} words of {plan.data}."


@dataclass(frozen=True, slots=True)
class _Material:
    """The labeled passages of each part (`train`, `dev`, `test`, `text`), and the plan."""

    parts: Mapping[str, Sequence[LabeledPassage]]
    work: WorkPlan
    teacher: str
    fingerprint: str
    notes: Mapping[str, int]

    def __getitem__(self, part: str) -> Sequence[LabeledPassage]:
        return self.parts[part]


def _gather(plan: Best, folder: Path, progress: Progress, started: float) -> _Material:
    # A bad text is reported before the teacher is loaded and labels the sample.
    passages, notes = _choose_text(plan)
    teacher = None if plan.teacher is None else GLiNERTeacher.from_pretrained(plan.teacher)
    parts = _sample(plan, teacher, folder, progress)
    labels = sorted({label for labeled in parts["test"] for label in labeled.labels})
    path = folder / "plan.json"
    if path.is_file():
        work = read_plan(path, plan)
    else:
        label_rate = 0.0 if teacher is None else _label_rate(teacher, passages, labels)
        work = plan_work(
            60 * plan.minutes * PLANNED_SHARE,
            sample_words=count_words(parts["train"]),
            text_words=count_words(passages),
            label_rate=label_rate,
            training_rate=_training_rate(parts["train"]),
            seconds_spent=time.perf_counter() - started,
        )
        write_plan(path, plan, work)
    parts["text"] = []
    if teacher is not None and work.text_words:
        asked = _ask(_first_words(passages, work.text_words), labels)
        parts["text"] = list(_label(asked, teacher, folder, "text", progress))
    manifest = _stored("test").manifest
    return _Material(
        parts,
        work,
        manifest.teacher if teacher is None else teacher.name,
        manifest.teacher_fingerprint if teacher is None else teacher.fingerprint,
        notes,
    )


def _stored(split: str) -> SoftLabelStore:
    return SoftLabelStore(sample_path("train").parent / "soft_labels" / split)


def _sample(
    plan: Best, teacher: GLiNERTeacher | None, folder: Path, progress: Progress
) -> dict[str, list[LabeledPassage]]:
    """Return the sample with the teacher's soft labels, from the package if it has them."""
    splits = {split: list(_stored(split)) for split in SPLITS}
    for name, split in (("n_train", "train"), ("n_test", "test")):
        if getattr(plan, name) > len(splits[split]):
            raise SettingsError(
                f"{name} is {getattr(plan, name)}, but the sample has {len(splits[split])} such "
                "passages"
            )
    splits["train"] = splits["train"][: plan.n_train]
    splits["test"] = splits["test"][-plan.n_test :]
    if teacher is None or teacher.fingerprint == _stored("test").manifest.teacher_fingerprint:
        return splits
    for split, labeled in splits.items():
        passages = [item.passage for item in labeled]
        splits[split] = list(_label(passages, teacher, folder, split, progress))
    return splits


def _choose_text(plan: Best) -> tuple[list[Passage], dict[str, int]]:
    """Return the text in random order, without copies of the sample, and how many were left out."""
    if plan.data is None:
        return [], {}
    known = [labeled.passage for split in SPLITS for labeled in _stored(split)]
    kept = leave_out_copies(_read(plan.data), known)
    if not kept.passages:
        raise CorpusError(
            f"{plan.data}: every passage is a copy of one in the sample, or shares too many words "
            "in a row with one; give other text"
        )
    passages = list(kept.passages)
    random.Random(0).shuffle(passages)
    return passages, {"exact copies left out": kept.n_exact, "near copies left out": kept.n_near}


def _first_words(passages: Sequence[Passage], n_words: int) -> list[Passage]:
    """Return the first passages that have at most so many words together, at least one passage."""
    ends = accumulate(len(passage.words) for passage in passages)
    n_chosen = sum(1 for end in ends if end <= n_words)
    return list(passages[: max(1, n_chosen)])


def _ask(passages: Sequence[Passage], labels: Sequence[str]) -> list[Passage]:
    return list(ask_like_test(passages, labels, StudentNER.from_pretrained(bundled_student_path())))


def _label(
    passages: Sequence[Passage],
    teacher: GLiNERTeacher,
    folder: Path,
    part: str,
    progress: Progress,
) -> SoftLabelStore:
    return label_corpus(
        passages,
        teacher,
        folder / "soft_labels" / part,
        policy=LabelPolicy(),
        keep_subword_vectors=False,
        limits=_LIMITS,
        progress=progress,
        stage=f"labeling {part}",
    )


def _read(data: str) -> list[Passage]:
    """Return the passages of a corpus, or of each file in a folder in alphabetical order."""
    path = Path(data)
    if not path.is_dir() or is_brat(path):
        return list(read_passages(data, notes=CorpusNotes()))
    files = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.suffix != ".md"
    )
    if not files:
        raise CorpusError(f"{data}: the folder has no files; expected files of passages")
    return [passage for file in files for passage in read_passages(file, notes=CorpusNotes())]


def _label_rate(
    teacher: GLiNERTeacher, passages: Sequence[Passage], labels: Sequence[str]
) -> float:
    """Return the words that the teacher labels per second; 0 without passages."""
    probe = passages[:_PROBE_PASSAGES]
    if not probe:
        return 0.0
    return count_words(probe) / _seconds(lambda: _score(teacher, _ask(probe, labels)))


def _training_rate(passages: Sequence[LabeledPassage]) -> float:
    """Return the words that are trained on per second, without the time to start and to save.

    Two runs are compared, because a short run takes most of its time to start and to save.
    """
    short, long = passages[: RECIPE.batch_size], passages[:_PROBE_PASSAGES]
    _train_once(short)  # the first run loads libraries
    short_seconds = _seconds(lambda: _train_once(short))
    long_seconds = _seconds(lambda: _train_once(long))
    return rate_of_two(count_words(short), short_seconds, count_words(long), long_seconds)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _score(teacher: GLiNERTeacher, passages: Sequence[Passage]) -> None:
    labels = [passage.own_labels for passage in passages]
    teacher.score_passages([passage.words for passage in passages], labels)


def _train_once(passages: Sequence[LabeledPassage]) -> None:
    student, vocabulary = load_bundled()
    with tempfile.TemporaryDirectory() as folder:
        train_student(student, vocabulary, passages, Path(folder), replace(RECIPE, epochs=1))
