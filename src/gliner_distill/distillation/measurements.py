"""The measurements of a distilled student, as in `results.json`, and the verdict on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from gliner_distill.evaluation.other_labels import OtherLabels
from gliner_distill.metrics import SpanScores, wilson_interval

TEACHER: Final = "teacher"
STUDENT: Final = "student"
STUDENT_FP32: Final = "student fp32"

# The smallest F1 against the teacher's answers, or share of the teacher's F1 against gold, at which
# a student may replace its teacher: in general, and where a few misses do no harm.
_ENOUGH_AGREEMENT: Final = (0.9, 0.75)
_ENOUGH_GOLD: Final = (0.97, 0.9)

_REASONS: Final = {
    "budget": ", as much as its budget allows",
    "agreement": ", since the agreement on dev stopped rising; --teacher-budget all reads it all, "
    "with another --out",
    "earlier": ", as an earlier --teacher-budget said; choose another --out to read more",
}

_FEW_ENTITIES: Final = 50
_FEW_PASSAGES: Final = 10

_SHOWN_LABELS: Final = 8
"""The number of labels whose shares are shown in the note on several teachers."""


@dataclass(frozen=True, slots=True)
class SpanFigures:
    """Scores of exact spans with exact labels.

    Attributes:
        precision: The share of the entities found that are in the reference.
        recall: The share of the reference's entities that are found.
        f1: The harmonic mean of both.
        n_found: The number of entities found.
        n_reference: The number of entities in the reference.
    """

    precision: float
    recall: float
    f1: float
    n_found: int
    n_reference: int

    @property
    def f1_interval(self) -> tuple[float, float]:
        """The 95% interval of F1: Wilson's interval of a share among `n_reference` entities.

        It is wide for few entities even if all of them are right. Entities of one passage are
        alike, so it is rather too narrow.

        >>> low, high = SpanFigures(1.0, 1.0, 1.0, n_found=4, n_reference=4).f1_interval
        >>> round(low, 2), high
        (0.51, 1.0)
        """
        return wilson_interval(self.f1, self.n_reference)

    @classmethod
    def from_scores(cls, scores: SpanScores) -> "SpanFigures":
        """Return the figures of scores."""
        return cls(
            precision=scores.precision,
            recall=scores.recall,
            f1=scores.f1,
            n_found=scores.n_predicted,
            n_reference=scores.n_reference,
        )


@dataclass(frozen=True, slots=True)
class GoldFigures:
    """The scores of student and teacher against annotated test passages.

    Attributes:
        student: The student's scores.
        teacher: The teacher's scores.
        by_label: For each label, both scores by the names `student` and `teacher`.
    """

    student: SpanFigures
    teacher: SpanFigures
    by_label: Mapping[str, Mapping[str, SpanFigures]]


@dataclass(frozen=True, slots=True)
class LabelWeights:
    """The shares of several teachers in the soft labels of one label.

    Attributes:
        label: The label.
        shares: The share of each teacher; all are 0 if no teacher knows the label.
        f1s: The F1 of each teacher alone on the annotated training passages; empty if there are too
            few of them.
        n_entities: The number of annotated entities behind the F1 values.
    """

    label: str
    shares: Sequence[float]
    f1s: Sequence[float]
    n_entities: int


@dataclass(frozen=True, slots=True)
class TeacherWeights:
    """The shares of several teachers in the soft labels of all labels.

    Attributes:
        teachers: Their names.
        labels: The shares for each label.
        n_passages: The number of annotated passages that decided; 0 if there were too few, so that
            each teacher has the same share in the labels that it knows.
    """

    teachers: Sequence[str]
    labels: Sequence[LabelWeights]
    n_passages: int

    def describe(self) -> str:
        """Return how the teachers were weighed, as a sentence for the user."""
        how = "each counts the same for the labels that it knows"
        if self.n_passages:
            how = f"they are weighed for each label by {self.n_passages:,} annotated passages"
        shares = "; ".join(
            f"{row.label}: {', '.join(f'{100 * share:.0f}%' for share in row.shares)}"
            for row in self.labels[:_SHOWN_LABELS]
        )
        more = " and so on, see the report" if len(self.labels) > _SHOWN_LABELS else ""
        names = ", ".join(self.teachers)
        return f"there are {len(self.teachers)} teachers ({names}), and {how}: {shares}{more}"


@dataclass(frozen=True, slots=True)
class ReadingSpeed:
    """The speed of a model in words per second: the median of all rounds and the range."""

    words_per_second: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """The loss of an epoch, and the F1 against the targets of dev after it."""

    epoch: int
    loss: float
    agreement_f1: float


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """The training words that the teacher has read after a round, and a quick student's F1 on dev.

    Attributes:
        n_words: The words of all rounds so far.
        agreement_f1: The F1 against the teacher's answers of a student that learned from them.
    """

    n_words: int
    agreement_f1: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The part of the training text that the teacher read.

    Attributes:
        n_words: The number of words that it read.
        n_all_words: The number of words that there are.
        reason: Why it stopped: `all` (it read everything), `budget`, `agreement` (that on dev
            stopped rising), or `earlier` (an earlier run had a smaller budget).
        curve: The agreement on dev by round.
    """

    n_words: int
    n_all_words: int
    reason: str = "all"
    curve: Sequence[RoundFigures] = ()

    def __add__(self, later: "Reading") -> "Reading":
        """Return what was read of two texts, with the course of the later one."""
        course = later if later.is_chosen else self
        return Reading(
            self.n_words + later.n_words,
            self.n_all_words + later.n_all_words,
            course.reason,
            course.curve,
        )

    @property
    def is_chosen(self) -> bool:
        """Whether the passages were chosen in rounds, even if these are all of them."""
        return bool(self.curve) or self.reason != "all"

    @property
    def sentence(self) -> str:
        """The same for a user, without a full stop."""
        share = 100 * self.n_words / max(self.n_all_words, 1)
        read = (
            f"the teacher read {self.n_words:,} of {self.n_all_words:,} words of the training text "
            f"({share:.0f}%)"
        )
        return read + _REASONS.get(self.reason, "")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A span that student and teacher label differently.

    Attributes:
        before: The words before the span.
        span: The words of the span.
        after: The words after the span.
        student: The label that the student gives; None if it gives no label.
        teacher: The label that the teacher gives; None if it gives no label.
        score: The higher of both scores.
    """

    before: str
    span: str
    after: str
    student: str | None
    teacher: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """All measurements of a distilled student.

    Attributes:
        labels: The labels.
        passages: The number of passages of text per split.
        gold_passages: The number of annotated passages per split.
        words: The number of words of text per split.
        agreement: The student's scores on test, with the teacher's answers as the reference.
        agreement_by_label: The same for each label.
        gold: Scores against annotated test passages; None if there are no entities in them.
        speed: The speed of each export and of the teacher, unless its answers cost money.
        machine: The processor and system.
        threads: The number of threads.
        size_bytes: The size of each export and of the teacher; None if it is not known.
        curve: Loss and F1 on dev per epoch.
        disagreements: The spans that the two label differently, the highest score first.
        warnings: Sentences for the user, such as on documents left out.
        seconds: The seconds that each stage took in this process.
        date: The day of the measurement.
        teacher: The teacher's hub id or the name of its folder.
        version: The version of the package.
        datasets: The hub ids of the data sets that the texts and the annotated passages are from.
        teacher_weights: The shares of the teachers, if there are several; otherwise None.
        start: The student that training started from, and why, as a sentence; empty if the user has
            chosen it.
        reading: How much of the training text the teacher read; None if that was not chosen.
        other_labels: The F1 for labels that were not asked for; None if it was not measured.
    """

    labels: Sequence[str]
    passages: Mapping[str, int]
    gold_passages: Mapping[str, int]
    words: Mapping[str, int]
    agreement: SpanFigures
    agreement_by_label: Mapping[str, SpanFigures]
    gold: GoldFigures | None
    speed: Mapping[str, ReadingSpeed]
    machine: str
    threads: int
    size_bytes: Mapping[str, int | None]
    curve: Sequence[EpochFigures]
    disagreements: Sequence[Disagreement]
    warnings: Sequence[str]
    seconds: Mapping[str, float]
    date: str
    teacher: str
    version: str
    datasets: Sequence[str] = field(default_factory=list)
    teacher_weights: TeacherWeights | None = None
    start: str = ""
    reading: Reading | None = None
    other_labels: OtherLabels | None = None

    @property
    def n_test_passages(self) -> int:
        """The number of test passages, the annotated ones included."""
        return self.passages["test"] + self.gold_passages["test"]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Lines on agreement, F1 against gold, speed and size, other labels, and what to do."""
        return (
            self._agreement_line(),
            self._gold_line(),
            self._cost_line(),
            *([] if self.other_labels is None else [self.other_labels.sentence]),
            f"Recommendation: {self._recommendation()}",
        )

    def as_json(self) -> dict[str, Any]:
        """Return the content of `results.json`; its key `notes` holds the warnings."""
        content = asdict(self)
        if self.reading is None:
            del content["reading"]
        content["notes"] = content.pop("warnings")
        return content | {"verdict": list(self.verdict)}

    def _agreement_line(self) -> str:
        if not self.agreement.n_reference:
            return (
                "Agreement with the teacher: not measured, since the teacher finds nothing in the "
                f"{self.n_test_passages:,} test passages."
            )
        f1, counted = f"{100 * self.agreement.f1:.1f}", f"{self.n_test_passages:,} test passages"
        if self.gold is None:  # the recommendation rests on this figure
            f1, counted = _with_interval(self.agreement), self._counted()
        return f"Agreement with the teacher: F1 {f1} on {counted} that the student never saw."

    def _gold_line(self) -> str:
        if self.gold is None:
            return (
                "Against gold: not measured, since no annotated passage is among the test passages."
            )
        return (
            f"Against gold: F1 {_with_interval(self.gold.student)} on {self._counted()}, and "
            f"{100 * self.gold.teacher.f1:.1f} for the teacher."
        )

    def _cost_line(self) -> str:
        speed = self.speed[STUDENT].words_per_second
        # A teacher whose answers cost money is not timed.
        if TEACHER in self.speed:
            times = speed / self.speed[TEACHER].words_per_second
            compared = f"{times:.0f} times the teacher's words per second"
        else:
            compared = f"{speed:,.0f} words per second"
        student_bytes, teacher_bytes = self.size_bytes[STUDENT] or 0, self.size_bytes[TEACHER]
        size = f"{student_bytes / 1e6:.1f} MB"
        if teacher_bytes:
            size += f" instead of {teacher_bytes / 1e6:.0f} MB"
        return f"Speed and size: {compared}, in {size}."

    def _recommendation(self) -> str:
        if not self.agreement.n_reference:
            return "give other labels or other text, in which the teacher finds something."
        share, limits = self.agreement.f1, _ENOUGH_AGREEMENT
        if self.gold is not None:
            share = self.gold.student.f1 / max(self.gold.teacher.f1, 1e-9)
            limits = _ENOUGH_GOLD
        if share < limits[1]:
            return "give the student more text before it replaces its teacher."
        n_passages, n_entities = self._n_judged
        if n_passages < _FEW_PASSAGES or n_entities < _FEW_ENTITIES:
            return (
                f"test the student on at least {_FEW_ENTITIES} entities in {_FEW_PASSAGES} "
                "passages before you rely on it."
            )
        if share < limits[0]:
            return "use the student where a few misses do no harm."
        return "use the student in place of its teacher."

    @property
    def _n_judged(self) -> tuple[int, int]:
        """The numbers of test passages and of entities on which the recommendation rests."""
        if self.gold is None:
            return self.n_test_passages, self.agreement.n_reference
        return self.gold_passages["test"], self.gold.student.n_reference

    def _counted(self) -> str:
        n_passages, n_entities = self._n_judged
        entities = "entity" if n_entities == 1 else "entities"
        passages = "passage" if n_passages == 1 else "passages"
        return f"{n_entities:,} {entities} in {n_passages:,} test {passages}"


def _with_interval(figures: SpanFigures) -> str:
    """Return an F1 in percent with its 95% interval."""
    low, high = figures.f1_interval
    return f"{100 * figures.f1:.1f} (95% interval {100 * low:.0f} to {100 * high:.0f})"
