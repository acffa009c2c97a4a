"""Ask a teacher about a part of the training passages, in rounds.

The first round is a spread sample. After each round a quick student learns all answers so far and
reads the passages that are left; the next round asks about those that `choice` prefers. A round is
written down before the teacher is asked, so a run that was stopped continues with the same choice.

In a folder of text, `round-R` (R = 0, 1, ...) holds the passages of a round (`round.json`), their
soft labels (`labels`), and the run folder of the quick student that learned them (`quick`) until
there is a later one. The last round has no passages, but the reason why it is the last.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.distillation.measurements import Reading, RoundFigures
from gliner_distill.distillation.selection.asking import ask_teacher, words_left
from gliner_distill.distillation.selection.choice import LEAST_SCORE, choose_next, spread_sample
from gliner_distill.distillation.train import train_on_targets, training_settings
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import LabeledPassage, count_words
from gliner_distill.errors import CorpusError, SettingsError
from gliner_distill.json_files import (
    SHARE,
    TEXT,
    FieldKind,
    check_fields,
    read_sealed_json,
    write_sealed_json,
)
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.files import load_student
from gliner_distill.training.run import DEV, STUDENT_FOLDER, read_metrics

ROUND_FILE: Final = "round.json"
QUICK_FOLDER: Final = "quick"

_WORDS_TO_CHOOSE_FROM: Final = 20
"""The largest number of words that a quick student reads to choose one, which bounds its time."""

_ADVICE: Final = "put the original file back, or choose another --out"

_ROUND_KINDS: Final = {
    "positions": FieldKind(
        "a list of whole numbers",
        lambda value: isinstance(value, list) and all(type(part) is int for part in value),
    ),
    "agreement": FieldKind(
        "a number from 0 to 1 or null", lambda value: value is None or SHARE.holds(value)
    ),
    "reason": TEXT,
}


@dataclass(frozen=True, slots=True)
class Round:
    """A round of asking.

    Attributes:
        positions: The positions of its passages in the training passages of the folder.
        agreement: The F1 on dev of the quick student that chose them; None without one.
        reason: Why the teacher is asked about no further passages; empty if it is.
    """

    positions: tuple[int, ...]
    agreement: float | None = None
    reason: str = ""


class RoundReader:
    """Reads the training passages of a folder of text in rounds.

    Args:
        work: The workspace.
        folder: The folder of text.
        dev: The dev passages with the teacher's soft labels, which measure quick students.
        known: Other passages with the teacher's soft labels, from which quick students learn, too.
        start: The folder of the student that the first quick student starts from.
    """

    def __init__(
        self,
        work: Workspace,
        folder: PassageFolder,
        dev: Sequence[LabeledPassage],
        known: Sequence[LabeledPassage],
        start: Path,
    ) -> None:
        self._work, self._folder = work, folder
        self._dev, self._known = dev, known
        self._start = start
        self._pool = tuple(CorpusFile(folder.passages_file("train")))
        self._n_words = [len(passage.words) for passage in self._pool]
        self._rounds: list[Round] = []
        self._labeled: list[LabeledPassage] = []

    def read(self) -> list[LabeledPassage]:
        """Return the passages that the teacher was asked about, in the order of the rounds.

        Raises:
            DistillError: The teacher cannot be used; or the folder is broken, or cannot be written.
        """
        while not (self._rounds and self._rounds[-1].reason):
            number = len(self._rounds)
            path = self._path(number) / ROUND_FILE
            if not path.is_file():
                write_sealed_json(path, asdict(self._next_round()))
            self._drop_quick_students()
            self._rounds.append(_read_round(path, len(self._pool)))
            self._labeled += self._ask(number)
        return self._labeled

    @property
    def student(self) -> Path:
        """The folder of the last quick student, or of the start, from which training continues."""
        runs = self._quick_runs()
        return runs[-1] / STUDENT_FOLDER if runs else self._start

    def describe(self) -> Reading:
        """Return how much the teacher read, and why it stopped."""
        curve: list[RoundFigures] = []
        n_words = 0
        for before, after in zip(self._rounds, self._rounds[1:], strict=False):
            n_words += sum(self._n_words[position] for position in before.positions)
            if after.agreement is not None:
                curve.append(RoundFigures(n_words, after.agreement))
        return Reading(n_words, sum(self._n_words), self._reason(), tuple(curve))

    def _reason(self) -> str:
        """Return why the teacher read no more; `earlier` if only an earlier budget forbade it."""
        reason = self._rounds[-1].reason
        taken = {position for each in self._rounds for position in each.positions}
        left = [n for position, n in enumerate(self._n_words) if position not in taken]
        budget = self._work.job.teacher_budget
        if not left or (budget.kind == "auto" and reason == "agreement"):
            return reason
        return "earlier" if words_left(budget, self._folder.path) >= min(left) else reason

    def _next_round(self) -> Round:
        taken = {position for each in self._rounds for position in each.positions}
        left = [position for position in range(len(self._pool)) if position not in taken]
        n_read = sum(self._n_words[position] for position in taken)
        budget, pace = self._work.job.teacher_budget, self._work.settings.pace
        room = min(words_left(budget, self._folder.path), sum(self._n_words) - n_read)
        if not left or budget.kind == "all":
            return Round(tuple(left), reason="" if left else "all")
        if not self._rounds:
            size = min(room / 3, pace.first_share * sum(self._n_words))
            sample = spread_sample(self._n_words, size) or spread_sample(self._n_words, room)
            if not sample:
                raise SettingsError(
                    f"teacher budget: {budget} were spent on the texts for dev and test; give more"
                )
            return Round(tuple(sample))
        shortest = min(self._n_words[position] for position in left)
        if room < shortest:
            return Round((), reason="budget")
        agreement = self._train_quick_student()
        # One round may gain too little by chance, so two are considered.
        before = self._rounds[-2].agreement if len(self._rounds) > 1 else None
        if budget.kind == "auto" and before is not None and agreement < before + pace.min_gain:
            return Round((), agreement, "agreement")
        size = max((pace.growth - 1) * n_read, shortest)
        # A rest that is not worth a round of its own is read at once.
        chosen = self._choose(left, taken, room if room < 1.5 * size else size)
        return Round(chosen, agreement, "" if chosen else "budget")

    def _train_quick_student(self) -> float:
        """Return the agreement on dev of a quick student that learned all answers so far."""
        settings = self._work.settings
        run = self._path(len(self._rounds) - 1) / QUICK_FOLDER
        earlier = [before for before in self._quick_runs() if before != run]
        # A few known passages keep what was learned; all of them could take longer than the rest.
        kept = spread_sample(
            [len(passage.words) for passage in self._known], count_words(self._labeled)
        )
        train_on_targets(
            run,
            {
                "train": [*(self._known[place] for place in kept), *self._labeled],
                "dev": self._dev,
            },
            {"train": [], "dev": []},
            replace(training_settings(settings), epochs=settings.pace.quick_epochs, patience=0),
            settings,
            start=earlier[-1] / STUDENT_FOLDER if earlier else self._start,
            progress=self._work.progress,
            stage=f"quick student {len(self._rounds)}",
        )
        rows = [row for row in read_metrics(run) if row["split"] == DEV]
        return float(rows[-1]["span_f1_vs_teacher"])

    def _choose(
        self, left: Sequence[int], taken: Iterable[int], max_words: float
    ) -> tuple[int, ...]:
        """Return the positions of the passages of the next round."""
        run = self._path(len(self._rounds) - 1) / QUICK_FOLDER
        student = StudentNER(make_bundle(*load_student(run / STUDENT_FOLDER)))
        # A long passage that is preferred would otherwise end the rounds before the budget is used.
        left = [position for position in left if self._n_words[position] <= max_words]
        sample = spread_sample(
            [self._n_words[position] for position in left],
            _WORDS_TO_CHOOSE_FROM * max_words,
            seed=len(self._rounds),
        )
        left = [left[place] for place in sorted(sample)]
        words = [self._pool[position].words for position in left]
        labels = self._work.job.policy.fixed
        entities = student.predict_words(words, [labels] * len(words), threshold=LEAST_SCORE)
        chosen = choose_next(words, entities, [self._pool[p].words for p in taken], max_words)
        return tuple(left[place] for place in chosen)

    def _ask(self, number: int) -> Iterable[LabeledPassage]:
        positions = self._rounds[number].positions
        if not positions:
            return []
        return ask_teacher(
            self._work,
            [self._pool[position] for position in positions],
            self._path(number) / "labels",
            source=self._path(number) / ROUND_FILE,
            n_passages=len(positions),
            stage=f"labeling {self._folder.path.name} train, round {number + 1}",
        )

    def _path(self, number: int) -> Path:
        return self._folder.path / f"round-{number}"

    def _quick_runs(self) -> list[Path]:
        """Return the run folders of the finished quick students that are still there, in order."""
        runs = (self._path(number) / QUICK_FOLDER for number in range(len(self._rounds)))
        return [run for run in runs if (run / STUDENT_FOLDER).is_dir()]

    def _drop_quick_students(self) -> None:
        """Delete all quick students but the last; it chose the round that was just written."""
        for run in self._quick_runs()[:-1]:
            shutil.rmtree(run, ignore_errors=True)


def _read_round(path: Path, n_passages: int) -> Round:
    """Return a round.

    Raises:
        CorpusError: The file cannot be read, or has changed.
    """
    content = read_sealed_json(path, advice=_ADVICE, error=CorpusError)
    try:
        check_fields(content, _ROUND_KINDS)
    except ValueError as error:
        raise CorpusError(f"{path}: {error}; {_ADVICE}") from error
    positions = tuple(content["positions"])
    if not all(0 <= position < n_passages for position in positions):
        raise CorpusError(f"{path}: names passages that are not in train.json; {_ADVICE}")
    return Round(positions, content["agreement"], content["reason"])
