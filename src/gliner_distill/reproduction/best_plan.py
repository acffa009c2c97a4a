"""Plan how much text the best student learns from in a given time.

The words are planned from the measured speed of labeling and of training, so that the work takes
about this time at most; the clock does not stop it. The plan is kept in a file, so a stopped run
continues with it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gliner_distill.errors import SettingsError
from gliner_distill.files import reason_of, write_json
from gliner_distill.json_files import read_json
from gliner_distill.training.settings import TrainingSettings

RECIPE: Final = TrainingSettings(alpha=1.0, epochs=2, batch_size=16, learning_rate=5e-3)
"""The settings of the student. Four epochs showed no gain (docs/findings/agreement.md)."""

PLANNED_SHARE: Final = 0.85
"""The share of the time that is planned for labeling and training; the rest is for measuring."""


MOST_MINUTES: Final = 525_600.0
"""The minutes of a year."""


@dataclass(frozen=True, slots=True)
class Best:
    """The settings of a run.

    Attributes:
        data: The path of a corpus or of a folder of corpora whose text the teacher labels, or the
            hub id of a corpus; None for the passages of the package alone.
        teacher: The folder or hub id of a GLiNER; None for the soft labels of the sample.
        n_train: The number of passages at the beginning of the sample to train on.
        n_test: The number of passages at the end of the sample's test to test on.
        minutes: The time that labeling and training may take.

    Raises:
        SettingsError: There is text but no teacher, or a number is out of range.
    """

    data: str | None = None
    teacher: str | None = None
    n_train: int = 1000
    n_test: int = 100
    minutes: float = 30.0

    def __post_init__(self) -> None:
        for name in ("n_train", "n_test"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if not 0 < self.minutes <= MOST_MINUTES:
            raise SettingsError(
                f"minutes is {self.minutes}; expected more than 0 and at most {MOST_MINUTES:,.0f}"
            )
        if self.data is not None and self.teacher is None:
            raise SettingsError(
                "the text of --data has no soft labels yet; name the GLiNER that labels it: "
                "--teacher. Without --data, the soft labels of the package are used."
            )


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """The work of a run: how much it labels and trains on.

    Attributes:
        text_words: The words of the text to label and to train on.
        epochs: The number of epochs.
        label_rate: The words that were labeled per second in a probe; 0 without text.
        training_rate: The words that were trained on per second in a probe.
    """

    text_words: int
    epochs: int
    label_rate: float
    training_rate: float


def rate_of_two(
    short_words: int, short_seconds: float, long_words: int, long_seconds: float
) -> float:
    """Return the words per second that two runs have beyond what each takes to start and to end.

    If the long run took hardly more time than the short one, a disturbance hides the difference.
    Then the result is the rate of the long run with all its time, which is rather too low.

    >>> rate_of_two(100, 3.0, 500, 5.0)
    200.0
    """
    seconds = long_seconds - short_seconds
    if long_words <= short_words or seconds < 0.1 * long_seconds:
        return long_words / long_seconds
    return (long_words - short_words) / seconds


def plan_work(
    seconds: float,
    *,
    sample_words: int,
    text_words: int,
    label_rate: float,
    training_rate: float,
    seconds_spent: float = 0.0,
) -> WorkPlan:
    """Return the plan that takes at most a time: as much text as can be labeled and learned from.

    There is always one epoch on the sample, even if it takes longer.

    Args:
        seconds: The time for labeling and training.
        sample_words: The words that have soft labels.
        text_words: The words of the text that could be labeled.
        label_rate: Words labeled per second.
        training_rate: Words trained on per second, in one epoch.
        seconds_spent: The part of the time that has passed already.

    >>> plan_work(100, sample_words=100, text_words=900, label_rate=10, training_rate=20)
    WorkPlan(text_words=450, epochs=2, label_rate=10, training_rate=20)
    """
    seconds -= seconds_spent
    chosen = 0
    if text_words and label_rate > 0:
        left = seconds - RECIPE.epochs * sample_words / training_rate
        chosen = max(
            0, min(text_words, int(left / (1 / label_rate + RECIPE.epochs / training_rate)))
        )
    left = seconds - (chosen / label_rate if chosen else 0.0)
    epochs = int(left * training_rate / (sample_words + chosen) + 0.01)  # for rounding errors
    return WorkPlan(chosen, min(max(epochs, 1), RECIPE.epochs), label_rate, training_rate)


def write_plan(path: Path, settings: Best, work: WorkPlan) -> None:
    """Write a plan with the settings that it was made for.

    Raises:
        OSError: The file cannot be written.
    """
    write_json(path, {"settings": asdict(settings), "work": asdict(work)})


def read_plan(path: Path, settings: Best) -> WorkPlan:
    """Return the plan in a file.

    Raises:
        SettingsError: The file cannot be read, or it belongs to other settings.
    """
    try:
        kept = read_json(path)
        made_for, work = kept["settings"], WorkPlan(**kept["work"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path}: it is not a plan ({reason_of(error)}); remove the folder and start again"
        ) from error
    if made_for != asdict(settings):
        raise SettingsError(
            f"{path.parent}: it holds a run of other settings; choose another --out, or remove it"
        )
    return work
