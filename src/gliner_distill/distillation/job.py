"""The job and the settings that a user gives to a distillation, and its result.

This module does not import torch, so settings can be created before any large package is loaded.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gliner_distill.distillation.measurements import Measurements
from gliner_distill.distillation.selection.budget import Pace, TeacherBudget
from gliner_distill.entities import Passage
from gliner_distill.errors import InputError, SettingsError
from gliner_distill.hub.ids import looks_like_hub_id
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.labels import clean_label
from gliner_distill.runtime.locate import bundled_student_path


@dataclass(frozen=True, slots=True)
class DistillJob:
    """The task of a distillation.

    Attributes:
        texts: The path of the documents (see `read_documents`), or the texts themselves.
        labels: The labels to find, in the spelling for the report, each with the description that
            the teacher is given, which may be empty. `describe_labels` returns such a mapping.
        column: The column of a CSV or Parquet file, or the field of JSON lines, with the text.
        gold: Annotated passages in which every entity of the labels is marked: the path of a
            corpus (see `read_passages`), or the passages themselves. Each is a `Passage`, a
            dictionary with `text` and `entities` as `StudentNER.inference` returns them, or a
            record in GLiNER's training form.
        minutes: The time that the whole distillation may take; None to use all documents.
        skip_bad: Whether to leave out bad records instead of raising an error.
        teacher_budget: The part of the training text that the teacher reads.

    Raises:
        InputError: The labels are not a mapping.
        SettingsError: `minutes` is not above 0, or there is a `column` but no file.
    """

    texts: str | Path | Iterable[str]
    labels: Mapping[str, str]
    column: str | None = None
    gold: str | Path | Sequence[Passage | Mapping[str, Any]] | None = None
    minutes: float | None = None
    skip_bad: bool = False
    teacher_budget: TeacherBudget = field(default_factory=TeacherBudget)

    def __post_init__(self) -> None:
        if not isinstance(self.labels, Mapping):
            raise InputError(
                f"labels: got {self.labels!r}; expected a dictionary from labels to descriptions, "
                "as describe_labels returns it"
            )
        if self.minutes is not None and not (
            isinstance(self.minutes, int | float) and 0 < self.minutes < math.inf
        ):
            raise SettingsError(f"minutes must be a finite number above 0; got {self.minutes!r}")
        if self.column is not None and not isinstance(self.texts, str | Path):
            raise SettingsError(
                f"column: {self.column!r} names a column of a file, but texts is not a path; "
                "leave column out"
            )

    @property
    def policy(self) -> LabelPolicy:
        """The label policy: every label, with its description, is asked about every passage."""
        # Without a description, the teacher is asked for the label alone.
        described = {label: text for label, text in self.labels.items() if text}
        return LabelPolicy(fixed=tuple(self.labels), descriptions=described)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The hub ids among the sources of the texts and the annotated passages."""
        named = [str(item) for item in (self.texts, self.gold) if isinstance(item, str | Path)]
        found = (name for name in named if looks_like_hub_id(name) and not Path(name).exists())
        return tuple(dict.fromkeys(found))


def describe_labels(labels: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Return labels as they are spelled, each with its description, which may be empty.

    Args:
        labels: Label names, or a mapping from label names to descriptions.

    Raises:
        InputError: The list is empty, or a label is blank, not a string, or given twice, in
            whatever spelling.

    >>> describe_labels(["Person", "bicycle_part"])
    {'Person': '', 'bicycle_part': ''}
    """
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise InputError(
            f"labels: got {labels!r}; expected a list of strings, or a dictionary from labels to "
            "descriptions"
        )
    pairs = labels.items() if isinstance(labels, Mapping) else ((label, "") for label in labels)
    described: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for number, (label, description) in enumerate(pairs, start=1):
        if not isinstance(label, str) or not isinstance(description or "", str):
            raise InputError(f"labels: item {number} is {(label, description)!r}; expected strings")
        name = clean_label(label)
        if not name:
            raise InputError(f"labels: item {number} is blank ({label!r}); expected a name")
        if not _is_unicode(label + (description or "")):
            raise InputError(
                f"labels: item {number}, {label!r}, holds half of a surrogate pair, which is not a "
                "character; correct it"
            )
        if name in spellings:
            raise InputError(
                f"labels: item {number}, {label!r}, repeats an earlier label "
                f"({spellings[name]!r}); upper case and underscores make no difference, so give "
                "each label once"
            )
        spellings[name] = label
        described[label.strip()] = " ".join((description or "").split())
    if not described:
        raise InputError("labels: the list is empty; expected at least one label")
    return described


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """The settings of a distillation; the defaults suit most corpora.

    Attributes:
        epochs: The number of passes over the training passages, at most. 8 is enough when training
            starts from the bundled student; early stopping ends it sooner.
        patience: The number of epochs without better agreement on dev after which training stops;
            the best epoch is kept. 0 trains for all epochs.
        learning_rate: The peak learning rate of training and of tuning.
        shard_passages: The number of passages after which finished soft labels are written down.
        seed: The random seed of training and of tuning.
        precision: The arithmetic of training: `fp32`, `bf16`, or `auto` for bf16 where the
            processor computes in it.
        start: The folder of the student that training and tuning start from; None for the student
            that is installed with the package.
        gold_share: The ratio of annotated passages to other passages in an epoch. Annotated
            passages are repeated until they reach it.
        max_gold_repeats: The largest number of times that an epoch contains an annotated passage.
        gold_weight: The weight of the annotation in the targets of an annotated passage, 0 to 1;
            the rest goes to the teacher's answers.
        min_gold_passages: With fewer annotated training passages than this, no student is tuned on
            them, and the soft labels of the teacher are not changed. It takes at least a dozen to
            help; a hundred is a good number.
        n_folds: The number of folds of the cross-validation that chooses the weight of the tuned
            student.
        ensemble_shares: The weights of the tuned student to choose from, ascending, including 0.
        ensemble_thresholds: The thresholds of the weighted mean to choose from, the preferred ones
            first. Lower ones are needed because the mean of two models that are unsure about
            different spans is seldom above 0.5.
        min_f1_share: The largest weight is chosen whose F1 is at least this share of the best F1.
            It is below 1 because the final student is tuned on more passages than the student of a
            fold, and deserves a larger weight.
        min_label_count: Labels with fewer entities than this in the annotated passages keep the
            teacher's answers.
        tuning_passages: The number of passages that tuning reads, over all epochs.
        min_tuning_epochs: The smallest number of epochs of tuning.
        max_tuning_epochs: The largest number of epochs of tuning.
        min_threshold_gain: The F1 that a label must gain on dev before its threshold is moved from
            0.5.
        probe_passages: The number of passages on which the teacher's speed is measured for a plan.
        labeling_share: The share of the time for labeling and training that labeling gets.
        export_seconds: The time that a plan leaves for the export.
        min_epochs: The smallest number of epochs that a plan leaves time for.
        timed_words: The number of words on which student and teacher are timed at the end.
        timed_rounds: The number of rounds in which they are timed; the median counts.
        timed_seconds: The seconds per round for a model that is too slow to read all these words.
        max_disagreements: The largest number of disagreements that the report lists.
        pace: The rounds in which the teacher is asked, where it does not read all texts.

    Raises:
        SettingsError: A value is outside its range.
    """

    epochs: int = 8
    patience: int = 3
    learning_rate: float = 5e-3
    shard_passages: int = 1_000
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    start: Path | None = None
    gold_share: float = 0.2
    max_gold_repeats: int = 8
    gold_weight: float = 0.85
    min_gold_passages: int = 12
    n_folds: int = 3
    ensemble_shares: tuple[float, ...] = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
    ensemble_thresholds: tuple[float, ...] = (0.5, 0.4, 0.35, 0.3, 0.25)
    min_f1_share: float = 0.98
    min_label_count: int = 3
    tuning_passages: int = 2_000
    min_tuning_epochs: int = 6
    max_tuning_epochs: int = 60
    min_threshold_gain: float = 0.02
    probe_passages: int = 32
    labeling_share: float = 0.65
    export_seconds: float = 10.0
    min_epochs: int = 2
    timed_words: int = 6_000
    timed_rounds: int = 3
    timed_seconds: float = 2.0
    max_disagreements: int = 30
    pace: Pace = field(default_factory=Pace)

    @property
    def start_folder(self) -> Path:
        """The folder of the student that training and tuning start from."""
        return self.start or bundled_student_path()

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in _SHARES:
            _check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "from 0 to 1")
        _check(self.patience >= 0, "patience", self.patience, "0 or more")
        _check(self.n_folds >= 2, "n_folds", self.n_folds, "2 or more")
        is_rate = self.learning_rate > 0 and math.isfinite(self.learning_rate)
        _check(is_rate, "learning_rate", self.learning_rate, "above 0")
        precisions = ("auto", "fp32", "bf16")
        _check(self.precision in precisions, "precision", self.precision, "auto, fp32 or bf16")
        shares = self.ensemble_shares
        is_range = 0.0 in shares and all(0 <= share < 1 for share in shares)
        _check(is_range, "ensemble_shares", shares, "0 and other shares below 1")
        cuts = self.ensemble_thresholds
        is_range = bool(cuts) and all(0 < cut < 1 for cut in cuts)
        _check(is_range, "ensemble_thresholds", cuts, "thresholds between 0 and 1")


_COUNTS = (
    *(
        "epochs",
        "shard_passages",
        "max_gold_repeats",
        "min_gold_passages",
        "tuning_passages",
        "min_tuning_epochs",
    ),
    *("max_tuning_epochs", "probe_passages", "min_epochs", "timed_words", "timed_rounds"),
)
_SHARES = ("gold_share", "gold_weight", "min_f1_share", "min_threshold_gain", "labeling_share")


def _check(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{name} must be {expected}; got {value}")


@dataclass(frozen=True, slots=True)
class Plan:
    """The amount of text and of training that fits into the time of a distillation.

    Attributes:
        max_words: The largest number of words to label; None for all.
        training_ends: The time at which training must end, in seconds of `time.monotonic`; None
            without a time limit.
        words_per_second: The speed of training, in words per second.
    """

    max_words: int | None = None
    training_ends: float | None = None
    words_per_second: float = 0.0

    def epochs(self, n_words: int, settings: DistillSettings) -> int:
        """Return the number of epochs that there is time for, at least `min_epochs`.

        Args:
            n_words: The number of words of an epoch.
            settings: The settings of the distillation.
        """
        if self.training_ends is None:
            return settings.epochs
        # Labeling may have taken more or less time than planned.
        left = self.training_ends - time.monotonic()
        possible = int(left * self.words_per_second / max(n_words, 1))
        return min(settings.epochs, max(settings.min_epochs, possible))


@dataclass(frozen=True, slots=True)
class Distilled:
    """A finished distillation.

    Attributes:
        student: The folder of the student, which `StudentNER.from_pretrained` loads.
        report: The path of the report, a page of HTML.
        plan: How the time was divided; see `Plan`.
        measurements: The quality, speed and size of the student; `results.json` holds the same.
        warnings: Sentences for the user about documents left out and doubtful results.
    """

    student: Path
    report: Path
    plan: Plan
    measurements: Measurements
    warnings: tuple[str, ...]
