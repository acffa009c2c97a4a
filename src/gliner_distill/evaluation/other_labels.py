"""Measure what a student that was made for some labels has lost on all others.

The passages are those of the sample's dev and test splits, which come with the package and have
entities of hundreds of labels. In each passage, the student looks for the passage's own labels,
except for those that it was made for. The student that it started from does the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation.evaluate import WordPredictor, score_entities
from gliner_distill.evaluation.intervals import Interval, f1_difference_interval
from gliner_distill.labels import clean_label

_TITLE: Final = "Labels not asked for"


@dataclass(frozen=True, slots=True)
class OtherLabels:
    """The F1 of a student, and of the one it started from, on labels that it was not made for.

    Attributes:
        n_labels: The number of these labels.
        n_entities: The number of gold entities that have them.
        n_passages: The number of passages that hold these entities.
        student_f1: The student's F1 of exact spans.
        start_f1: The F1 of the student that it started from; None if that cannot be loaded.
        difference_interval: The 95% interval of `student_f1 - start_f1`, by a bootstrap over
            passages; None without `start_f1` or entities.
    """

    n_labels: int
    n_entities: int
    n_passages: int
    student_f1: float
    start_f1: float | None
    difference_interval: Interval | None

    @property
    def difference(self) -> float | None:
        """The student's F1 minus that of its start; None if one of them was not measured."""
        if self.start_f1 is None or not self.n_entities:
            return None
        return self.student_f1 - self.start_f1

    @property
    def sentence(self) -> str:
        """The same for the user."""
        if not self.n_entities:
            return f"{_TITLE}: not measured, since the sample has no others."
        entities = "1 entity" if self.n_entities == 1 else f"{self.n_entities:,} entities"
        figures = f"{_TITLE}: F1 {100 * self.student_f1:.1f} on {entities} of the English sample"
        if self.start_f1 is None or self.difference_interval is None:
            return (
                f"{figures}; the student that it started from cannot be loaded, so there is "
                "nothing to compare with."
            )
        low, high = self.difference_interval
        return (
            f"{figures}, and {100 * self.start_f1:.1f} for the student that it started from "
            f"(95% interval of the difference {100 * low:+.1f} to {100 * high:+.1f})."
        )


def measure_other_labels(
    student: WordPredictor,
    start: WordPredictor | None,
    labels: Iterable[str],
    *,
    passages: Iterable[Passage] | None = None,
) -> OtherLabels:
    """Return how well a student finds entities of labels other than its own.

    Args:
        student: The student that was made for some labels.
        start: The student that its training started from; None if there is none.
        labels: The labels that the student was made for, in whatever spelling.
        passages: Annotated passages; None for the sample's dev and test splits.
    """
    if passages is None:
        passages = chain(read_passages(sample_path("dev")), read_passages(sample_path("test")))
    others = _leave_out(passages, labels)
    words = [passage.words for passage in others]
    asked = [passage.own_labels for passage in others]
    gold = [passage.entities for passage in others]
    answers = student.predict_words(words, asked)
    started = None if start is None else start.predict_words(words, asked)
    return OtherLabels(
        n_labels=len({label for own in asked for label in own}),
        n_entities=sum(map(len, gold)),
        n_passages=len(others),
        student_f1=_f1(answers, others, asked),
        start_f1=None if started is None else _f1(started, others, asked),
        difference_interval=(
            None
            if started is None or not others
            else f1_difference_interval(answers, started, gold)
        ),
    )


def _leave_out(passages: Iterable[Passage], labels: Iterable[str]) -> list[Passage]:
    """Return the passages with entities of other labels, and of each only these."""
    own = {clean_label(label) for label in labels}
    others = []
    for passage in passages:
        entities = tuple(x for x in passage.entities if clean_label(x.label) not in own)
        if entities:
            asked = tuple(label for label in passage.labels if clean_label(label) not in own)
            others.append(replace(passage, entities=entities, labels=asked))
    return others


def _f1(
    predicted: Sequence[Sequence[Entity]],
    passages: Sequence[Passage],
    asked: Sequence[Sequence[str]],
) -> float:
    return score_entities(predicted, passages, asked).gold.spans.f1
