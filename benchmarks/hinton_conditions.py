"""The conditions of `hinton.py`, and their order."""

from dataclasses import dataclass, replace
from typing import Final

from hinton_teachers import FINE, TEMPERATURES
from study import Job, jobs_of

from gliner_distill.training.settings import TrainingSettings

TRAINING: Final = TrainingSettings()
ALPHA: Final = TRAINING.alpha
ALPHAS: Final = (ALPHA, 0.7, 1.0)
N_TRAIN: Final = 300
N_ALL: Final = 1000
OMITTED: Final = "person"
TEACHERS: Final = "teachers"


@dataclass(frozen=True, slots=True)
class Condition:
    """A student.

    Attributes:
        alpha: The weight of the soft labels; gold has the rest.
        temperature: The temperature of the soft part of the loss.
        n_train: The number of training passages.
        n_gold: The number of those that have gold; None for all of them.
        mixture: What the second teacher is used for; `FINE` for the answers of the first one in
            256 bins, and "" for its answers as the sample has them.
        omits: Whether no training passage asks for the label `OMITTED`.
        stores: The folder of the teachers' stores; not a part of the name.
    """

    alpha: float
    temperature: float = 1.0
    n_train: int = N_TRAIN
    n_gold: int | None = None
    mixture: str = ""
    omits: bool = False
    stores: str = ""

    @property
    def name(self) -> str:
        """The key in `results.json`."""
        parts = [f"alpha {self.alpha:g}", f"{self.n_train} passages"]
        parts += [f"T {self.temperature:g}"] if self.temperature != 1 else []
        parts += [f"{self.n_gold} with gold"] if self.n_gold is not None else []
        parts += [self.mixture] if self.mixture else []
        parts += [f"without {OMITTED}"] if self.omits else []
        return ", ".join(parts)

    @property
    def n_repeats(self) -> int:
        """The times an epoch has each passage: with less data, as many updates as usual."""
        return max(1, round(N_TRAIN / self.n_train))


@dataclass(frozen=True, slots=True)
class Teachers:
    """The measurement of both teachers; no student is trained.

    Attributes:
        stores: The folder of the teachers' stores.
    """

    stores: str
    name: str = TEACHERS


HARD: Final = Condition(0.0)
MIXED: Final = Condition(ALPHA)
SOFT: Final = Condition(1.0)
SHARED: Final = {HARD: "hard", SOFT: "soft", MIXED: "mixed"}
"""The students that the study `claims.py` has, too, with their names there."""


def plan(n_seeds: int, stores: str, *, has_fine: bool = True) -> list[Job]:
    """Return all jobs, the most important first.

    Args:
        n_seeds: The number of seeds.
        stores: The folder of the teachers' stores.
        has_fine: Whether there is a store of the first teacher's answers in 256 bins.
    """
    telling = [HARD, SOFT, replace(SOFT, temperature=4.0)]
    telling += [replace(item, n_train=30) for item in (HARD, SOFT)]
    fine = [Condition(1.0, temperature, mixture=FINE) for temperature in (4.0, 1.0)]
    telling += fine if has_fine else []
    teachers = [replace(SOFT, mixture=item) for item in ("second", "mean", "expert")]
    teachers += [replace(SOFT, omits=True), MIXED]
    more = [replace(MIXED, temperature=4.0), replace(SOFT, temperature=8.0)]
    more += [replace(SOFT, temperature=2.0), replace(SOFT, mixture="mean of logits")]
    more += [replace(item, n_train=100) for item in (HARD, SOFT)]
    more += [replace(MIXED, omits=True), replace(SOFT, mixture="control")]
    whole = [replace(item, n_train=N_ALL) for item in (HARD, SOFT, MIXED)]
    rest = [replace(MIXED, n_train=N_ALL, n_gold=N_TRAIN)]
    rest += [Condition(alpha, temperature) for temperature in TEMPERATURES for alpha in ALPHAS]
    rest += [replace(MIXED, n_train=n_train) for n_train in (30, 100)]
    first, later = list(range(min(3, n_seeds))), list(range(3, n_seeds))
    every = [*telling, *teachers, *more, *whole, *rest]
    # Each experiment has one seed early; then the first two have the others.
    groups = [(telling + teachers, first[:1]), (telling, first), (teachers, first), (more, first)]
    groups += [(whole, first), (rest, first), (every, later)]
    jobs = [Job(TEACHERS, Teachers(stores), 0)]
    for items, seeds in groups:
        jobs += jobs_of({item.name: replace(item, stores=stores) for item in items}, seeds)
    # Some conditions belong to two groups.
    return list({(job.name, job.seed): job for job in jobs}.values())
