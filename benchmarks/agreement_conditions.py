"""The conditions of `agreement.py`, and their order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from study import Job, jobs_of

from gliner_distill.training.settings import TrainingSettings

MEASURES: Final = {
    "accuracy_vs_teacher": "word accuracy",
    "recall_vs_teacher": "word recall",
    "f1_vs_teacher": "word F1",
    "span_f1_vs_teacher": "span F1",
    "span_f1_vs_gold": "span F1 vs. gold",
}
TARGETS: Final = {"accuracy_vs_teacher": 0.99, "recall_vs_teacher": 0.97}
"""The published agreement."""

SAMPLE_WORDS: Final = 89_042
"""The words of the sample's training part."""

SIZES: Final = (30_000, SAMPLE_WORDS, 180_000, 300_000, 600_000)
"""The numbers of words of the curve."""

MIXED_SIZES: Final = {"vectors": (SAMPLE_WORDS,), "bundled": (SAMPLE_WORDS, 300_000)}
"""By start, the numbers of words with which soft labels are mixed with the annotation."""

STARTS: Final = {
    "vectors": TrainingSettings(epochs=7),
    "bundled": TrainingSettings(epochs=2, batch_size=16, learning_rate=5e-3),
}
"""The settings of each start up to the sample's words: those of `reproduce`, and of `distill`."""

MIXED: Final = 0.4
"""The weight of the soft labels in mixed targets, as in `reproduce`."""

LARGE_EPOCHS: Final = {"vectors": 3, "bundled": 2}
"""The epochs of each start with more words than the sample has."""

COMBINED_WORDS: Final = 1_200_000
"""The number of words with which the settings of the highest recalls are combined."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A student, or a reference that is not trained.

    Attributes:
        start: A key of `STARTS`, or the name of a reference.
        n_words: The number of words to train on; 0 to measure the start itself.
        alpha: The weight of the teacher's soft labels; the annotation has the rest.
        epochs: The number of epochs; None for the usual number.
        temperature: The temperature of the loss.
        text: The folder of labeled text.
        teacher: The folder of the GLiNER of a reference.
    """

    start: str
    n_words: int = 0
    alpha: float = 1.0
    epochs: int | None = None
    temperature: float = 1.0
    text: str = ""
    teacher: str = ""

    @property
    def name(self) -> str:
        """The key in `results.json`."""
        if self.teacher or not self.n_words:
            return self.start
        parts = [self.start, f"{self.n_words} words", f"{self.training.epochs} epochs"]
        parts += [f"alpha {self.alpha:g}"] if self.alpha < 1 else []
        parts += [f"temperature {self.temperature:g}"] if self.temperature != 1 else []
        return ", ".join(parts)

    @property
    def training(self) -> TrainingSettings:
        """The settings of the training run."""
        usual = STARTS[self.start]
        epochs = LARGE_EPOCHS[self.start] if self.n_words > SAMPLE_WORDS else usual.epochs
        return replace(
            usual,
            alpha=self.alpha,
            temperature=self.temperature,
            epochs=self.epochs or epochs,
        )


def plan(text: str, max_words: int, n_seeds: int, n_large_seeds: int) -> list[Job]:
    """Return all trainings, the most important first."""
    sizes = [n for n in curve_sizes(max_words) if n <= SAMPLE_WORDS or text]
    curve = [
        Condition(start, n, text=text)
        for n in sizes
        for start in ("bundled", "vectors")
        if start == "bundled" or n <= SIZES[-1]
    ]
    mixed = [
        replace(item, alpha=MIXED) for item in curve if item.n_words in MIXED_SIZES[item.start]
    ]
    at = Condition("bundled", SAMPLE_WORDS, text=text)
    others = [replace(at, epochs=times * at.training.epochs) for times in (2, 4)]
    others += [replace(at, alpha=0.7), *(replace(at, temperature=value) for value in (2.0, 0.5))]
    others = others if SAMPLE_WORDS in sizes else []
    n_long = min(sizes[-1], SIZES[-1])
    best = [Condition("bundled", n_long, epochs=2 * LARGE_EPOCHS["bundled"], text=text)]
    best += [replace(best[0], n_words=n, temperature=0.5) for n in sizes if n == COMBINED_WORDS]
    small, large = _by_size(curve)
    small_mixed, large_mixed = _by_size(mixed)
    groups: list[tuple[list[Condition], Sequence[int]]] = [
        ([Condition("bundled"), *small], [0]),
        (large, [0]),
        (others[:1] + small_mixed + others[1:], [0]),
        (small + small_mixed + others, range(1, n_seeds)),
        (best + large_mixed, [0]),
        (large + large_mixed + best, range(1, n_large_seeds)),
    ]
    jobs = [
        job
        for items, seeds in groups
        for job in jobs_of({item.name: item for item in items}, list(seeds))
    ]
    # Without text, the longest training is also one of the others.
    return list({(job.name, job.seed): job for job in jobs}.values())


def _by_size(conditions: Sequence[Condition]) -> tuple[list[Condition], list[Condition]]:
    """Return the conditions with at most the words of the sample, and the larger ones."""
    small = [item for item in conditions if item.n_words <= SAMPLE_WORDS]
    return small, [item for item in conditions if item.n_words > SAMPLE_WORDS]


def curve_sizes(max_words: int) -> list[int]:
    """Return the words of the curve: `SIZES`, then twice as many each time, and the maximum.

    >>> curve_sizes(1_900_000)[-3:]
    [600000, 1200000, 1900000]
    """
    sizes = [n for n in SIZES if n <= max_words]
    while sizes[-1] >= SIZES[-1] and 2 * sizes[-1] <= max_words:
        sizes.append(2 * sizes[-1])
    return sizes if sizes[-1] < SIZES[-1] else sorted({*sizes, max_words})
