"""From a pile of documents to a student in one go: what `gliner-distill distill` does.

In: documents, labels, a teacher. Out: a folder that `StudentNER` loads, and in its folder `work`
what each stage made: passages by part, the teacher's soft labels, the training run. Whatever is
there already is not made again, so a run that was stopped goes on, and a run with more documents
adds to the one before: their passages, their soft labels, and training from the student it made.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.corpus import CorpusFile, CorpusNotes
from gliner_distill.domain_corpus import (
    MAX_PASSAGE_WORDS,
    MIN_PASSAGES,
    PARTS,
    read_domain,
)
from gliner_distill.domain_work import (
    FINISHED_FILE,
    GOLD,
    TEXT,
    WORK_FOLDER,
    DistilJob,
    alone_in,
    check_same_job,
    collect_passages,
    holds_passages,
    run_folder,
    write_noted,
)
from gliner_distill.entities import END, INSIDE, START, Passage
from gliner_distill.errors import SettingsError, StoreError
from gliner_distill.examples import make_split
from gliner_distill.gold_tuning import blend_gold, guide_by_gold, started_settings
from gliner_distill.label_policy import LabelPolicy
from gliner_distill.labelling import label_corpus
from gliner_distill.near_synonyms import are_near_synonyms
from gliner_distill.progress import ShowProgress, count_words
from gliner_distill.settings import TrainingSettings
from gliner_distill.shards import LabelledPassage
from gliner_distill.soft_labels import SoftLabelStore, read_manifest
from gliner_distill.student import Student, load_student
from gliner_distill.student_config import open_student_path
from gliner_distill.teacher import Teacher
from gliner_distill.training import CHECKPOINT_FILE, STUDENT_FOLDER, train_student

EPOCHS = 8
LEARNING_RATE = 5e-3
GOLD_FOLDER = "gold"
"""In the folder of a run: what was tuned on annotated passages, and its answers."""
GOLD_SHARE, MAX_GOLD_REPEATS = 0.2, 8
"""Gold passages are repeated until they are a fifth of the others, at most eight times."""
_PROBE_PASSAGES = 32
_LABELLING_SHARE = 0.65
"""Of the time that loading, exporting and measuring leave; the rest is for training."""
_EXPORT_SECONDS = 10
TIMED_WORDS, TIMED_ROUNDS = 6_000, 3
"""What student and teacher read side by side, once all is made."""
_MIN_EPOCHS = 2


@dataclass(slots=True)
class Distilled:
    """What the stages made.

    Attributes:
        student: The trained student's folder, with torch's weights.
        run: The run folder.
        items: The passages of each part with the teacher's soft labels, without gold.
        gold: The annotated passages of each part, with gold and soft labels.
        dev: The passages of `items["dev"]` with the targets that the student learned to meet.
        notes: What a user should know: what was left out, what is doubtful.
        seconds: How long labelling and training took, in this run.
    """

    student: Path
    run: Path
    items: dict[str, list[LabelledPassage]]
    gold: dict[str, list[LabelledPassage]]
    dev: list[LabelledPassage]
    notes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


LoadTeacher = Callable[[], Teacher]
"""Returns the teacher; called when it is first needed, since what is labelled needs it no more."""


def distil(
    job: DistilJob, out: Path, load_teacher: LoadTeacher, *, on_progress: ShowProgress
) -> Distilled:
    """Read, label and train, or go on where that was stopped.

    Args:
        job: What to distil.
        out: The folder of the student.
        load_teacher: Returns the job's teacher, the same one each time.
        on_progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        CorpusError: There is too little text, or it cannot be read.
        SettingsError: The folder holds the work of other labels or another teacher.
        DistillError: The teacher or a store is broken, or the disk is full.
    """
    job = check_same_job(out, job)
    with alone_in(out / WORK_FOLDER):
        return _distil(job, out / WORK_FOLDER, load_teacher, on_progress)


def _distil(
    job: DistilJob, work: Path, load_teacher: LoadTeacher, on_progress: ShowProgress
) -> Distilled:
    notes = warn_of_labels(tuple(job.labels))
    plan = Plan.make(job, load_teacher) if job.minutes is not None else Plan()
    folders = collect_passages(work, job, max_words=plan.n_words, notes=notes)
    seconds = {}
    started = time.monotonic()
    policy = _policy(job.labels)
    gold = _label(folders[GOLD], load_teacher, policy, on_progress)
    items = _without(_label(folders[TEXT], load_teacher, policy, on_progress), gold)
    seconds["labelling"] = time.monotonic() - started
    train = [*items["train"], *gold["train"]]
    notes += warn_of_absent(train, tuple(job.labels))
    started = time.monotonic()
    run = run_folder(work, folders)
    learned, weight = guide_by_gold(
        run / GOLD_FOLDER, items, gold["train"], training_settings(), on_progress=on_progress
    )
    notes += [weight.note()] if weight is not None else []
    n_words = _count_words(gold_among(learned["train"], gold["train"]))
    settings = started_settings(run) or training_settings(epochs=plan.epochs(n_words))
    if settings.epochs < EPOCHS:
        notes.append(
            f"for the time given, training has {settings.epochs} epochs instead of {EPOCHS}"
        )
    train_on(run, learned, gold, settings, start=_start_folder(run), on_progress=on_progress)
    write_noted(run / FINISHED_FILE, b"")
    seconds["training"] = time.monotonic() - started
    return Distilled(run / STUDENT_FOLDER, run, items, gold, learned["dev"], notes, seconds)


def training_settings(*, epochs: int = EPOCHS, seed: int = 0) -> TrainingSettings:
    """Return how students of a domain are trained: from the soft labels, to the best on dev."""
    return TrainingSettings(
        alpha=1.0,
        epochs=epochs,
        patience=3,
        learning_rate=LEARNING_RATE,
        seed=seed,
        precision="bf16" if computes_in_bf16() else "fp32",
    )


def train_on(
    run: Path,
    items: Mapping[str, Sequence[LabelledPassage]],
    gold: Mapping[str, Sequence[LabelledPassage]],
    settings: TrainingSettings,
    *,
    start: Path,
    on_progress: ShowProgress,
) -> Student:
    """Train a student from another one's weights into a run folder, or go on with it.

    Args:
        run: The run folder.
        items: With their targets, by part; `dev` decides which epoch is best.
        gold: Annotated passages by part, used as those are.
        settings: See `training_settings`.
        start: The folder of the student to start from.
        on_progress: As in `distil`.

    Raises:
        DistillError: As `train_student`.
    """
    student, vocabulary = load_student(start)
    train = gold_among(items["train"], gold["train"])
    dev = [without_gold(item) for item in items["dev"]]
    dev += [blend_gold(item) for item in gold["dev"]]
    n_words = settings.epochs * _count_words(train)
    return train_student(
        student,
        vocabulary,
        train,
        run,
        settings,
        splits=[make_split("dev", dev, vocabulary)],
        facts={"started_from": start.parent.name if start.name == STUDENT_FOLDER else start.name},
        resume=(run / CHECKPOINT_FILE).exists(),
        on_progress=count_words(on_progress, "training", n_words),
    )


def gold_among(
    items: Sequence[LabelledPassage], gold: Sequence[LabelledPassage]
) -> list[LabelledPassage]:
    """Return an epoch's passages: the text, and gold as often as a few need not to drown in it."""
    wanted = GOLD_SHARE * len(items) / max(len(gold), 1)
    repeats = min(MAX_GOLD_REPEATS, max(1, round(wanted)))
    return [without_gold(item) for item in items] + [blend_gold(item) for item in gold] * repeats


def _count_words(items: Sequence[LabelledPassage]) -> int:
    return sum(len(item.passage.words) for item in items)


def without_gold(item: LabelledPassage) -> LabelledPassage:
    """Return a passage with the teacher's answers alone."""
    return replace(item, passage=Passage(item.passage.words))


def warn_of_labels(labels: Sequence[str]) -> list[str]:
    """Return a warning for each two labels that mean nearly the same."""
    return [
        f"labels {one!r} and {other!r} mean nearly the same; an entity of one may be found as the "
        "other, so keep one of them"
        for place, one in enumerate(labels)
        for other in labels[place + 1 :]
        if are_near_synonyms(one, other)
    ]


def warn_of_absent(items: Sequence[LabelledPassage], labels: Sequence[str]) -> list[str]:
    """Return a warning for each label that the teacher never finds, with its best score.

    Labels that the passages' annotation has are taught by it, so there is no warning of them.
    """
    best = np.zeros(len(labels))
    for item in items:
        missing = np.flatnonzero(best <= 0.5)
        if not len(missing):
            break
        best[missing] = np.maximum(best[missing], _best_scores(item.probs[:, missing]))
    annotated = {entity.label for item in items for entity in item.passage.entities}
    return [
        f"the teacher finds no {label!r} in the training text (its best score is {score:.2f}, "
        "not above 0.5), so the student learns to find none; word it otherwise, or leave it out"
        for label, score in zip(labels, best.tolist(), strict=True)
        if score <= 0.5 and label not in annotated
    ]


def _best_scores(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each label the score of its best span, as `decode_entities` has it."""
    reached = best = np.zeros(probs.shape[1], dtype=np.float32)
    for word in probs:
        reached = np.minimum(word[:, INSIDE], np.maximum(word[:, START], reached))
        best = np.maximum(best, np.minimum(reached, word[:, END]))
    return best


def computes_in_bf16() -> bool:
    """Say whether this processor multiplies bfloat16 by itself, so that training is quicker."""
    info = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not info.is_file():
        return torch.cuda.is_available()
    flags = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of the text to take, and for how many epochs, so that the whole keeps to its time.

    Attributes:
        n_words: Words of text to label, at most; None for all.
        training_ends: When training must be over, by `time.monotonic`; None for no such time.
        words_per_second: Of training.
    """

    n_words: int | None = None
    training_ends: float | None = None
    words_per_second: float = 0.0

    @classmethod
    def make(cls, job: DistilJob, load_teacher: "LoadTeacher") -> "Plan":
        """Measure the teacher and a student on the first documents, and divide the time.

        Raises:
            SettingsError: The time is too short to label 20 passages.
        """
        seconds = 60 * (job.minutes or 0)
        deadline = time.monotonic() + seconds
        notes = CorpusNotes()
        documents = read_domain(job.texts, column=job.column, skip_bad=job.skip_bad, notes=notes)
        words = [one.words[:MAX_PASSAGE_WORDS] for one in islice(documents, _PROBE_PASSAGES)]
        words = [one for one in words if one] or [("text",)]
        labels = [tuple(_policy(job.labels).prompts(tuple(job.labels)))] * len(words)
        teacher = load_teacher()
        teacher.score_passages(words[:2], labels[:2])
        started = time.perf_counter()
        teacher.score_passages(words, labels)
        n_probed = sum(map(len, words))
        rate = n_probed / (time.perf_counter() - started)
        training_rate = _training_rate(len(job.labels))
        # To export and to time the teacher.
        finishing = min(_EXPORT_SECONDS + TIMED_WORDS * (TIMED_ROUNDS + 1) / rate, seconds / 4)
        left = deadline - finishing - time.monotonic()
        n_words = int(_LABELLING_SHARE * left * rate)
        if n_words < MIN_PASSAGES * n_probed / len(words):
            raise SettingsError(
                f"the teacher reads {rate:,.0f} words a second here, so {job.minutes:g} minutes "
                "are too short to label enough text; give more"
            )
        return cls(n_words, deadline - finishing, training_rate)

    def epochs(self, n_words: int) -> int:
        """Return how many epochs of so many words there is time for, at least two."""
        if self.training_ends is None:
            return EPOCHS
        left = self.training_ends - time.monotonic()
        possible = int(left * self.words_per_second / max(n_words, 1))
        return min(EPOCHS, max(_MIN_EPOCHS, possible))


def _policy(labels: Mapping[str, str]) -> LabelPolicy:
    described = {label: text for label, text in labels.items() if text}
    return LabelPolicy(fixed=tuple(labels), descriptions=described)


def _without(
    items: Mapping[str, Sequence[LabelledPassage]], gold: Mapping[str, Sequence[LabelledPassage]]
) -> dict[str, list[LabelledPassage]]:
    """Return the passages of text that were not annotated later on."""
    annotated = {item.passage.words for part in gold.values() for item in part}
    return {
        part: [item for item in of_part if item.passage.words not in annotated]
        for part, of_part in items.items()
    }


def _label(
    folders: Sequence[Path],
    load_teacher: LoadTeacher,
    policy: LabelPolicy,
    on_progress: ShowProgress,
) -> dict[str, list[LabelledPassage]]:
    """Return the soft labels of all folders by part, from their stores where they are finished."""
    items: dict[str, list[LabelledPassage]] = {part: [] for part in PARTS}
    for folder in folders:
        for part in PARTS:
            corpus, store = folder / f"{part}.json", folder / f"labels-{part}"
            if not holds_passages(corpus):
                continue
            if not _is_finished(store):
                passages = CorpusFile(corpus)
                n_words = sum(len(passage.words) for passage in passages)
                count = count_words(on_progress, f"labelling {folder.name} {part}", n_words)
                label_corpus(
                    passages,
                    load_teacher(),
                    store,
                    policy=policy,
                    keep_pieces=False,
                    on_progress=_words_alone(count),
                )
            items[part] += list(SoftLabelStore(store))
    return items


def _words_alone(count: Callable[[int, str], None]) -> Callable[[int], None]:
    return lambda n_words: count(n_words, "")


def _is_finished(store: Path) -> bool:
    try:
        return read_manifest(store).is_complete
    except StoreError:
        return False


def _start_folder(run: Path) -> Path:
    """Return the student to start from: of the run before, else the one that comes along."""
    number = int(run.name.split("-")[1])
    before = [run.with_name(f"run-{n}") / STUDENT_FOLDER for n in range(number - 1, -1, -1)]
    return next((folder for folder in before if folder.is_dir()), open_student_path())


def _training_rate(n_labels: int) -> float:
    """Return words a second of training, as measured on a few steps with the bundled student."""
    import tempfile

    words = tuple(f"word{number}" for number in range(40))
    labels = tuple(f"label {number}" for number in range(n_labels))
    probs = np.full((len(words), n_labels, 3), 0.1, dtype=np.float32)
    items = [LabelledPassage(Passage(words), labels, probs)] * 160
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train_on(
            Path(folder),
            {"train": items, "dev": items[:1]},
            {"train": [], "dev": []},
            training_settings(epochs=1),
            start=open_student_path(),
            on_progress=lambda *step: None,
        )
        return _count_words(items) / (time.perf_counter() - started)
