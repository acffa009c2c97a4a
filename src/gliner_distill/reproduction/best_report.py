"""The results of the best student, their table, and the short report on them.

`best` creates the results. The report is Markdown alone, with one table: the published student, the
bundled student before training, and the best one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.table import Table

from gliner_distill.evaluation.evaluate import Evaluation
from gliner_distill.files import write_file, write_json
from gliner_distill.reproduction.results import PUBLISHED

ROW_NAMES: Final = {
    "published": "Published distilled student",
    "bundled": "Bundled student, untrained",
    "best": "Best student",
}

COLUMNS: Final = {
    "accuracy_vs_teacher": "Word accuracy",
    "recall_vs_teacher": "Word recall",
    "f1_vs_teacher": "Word F1",
    "span_f1_vs_teacher": "Span F1",
    "span_f1_vs_gold": "Span F1 against gold",
}
"""The columns of the table; all but the last measure agreement with the teacher."""


@dataclass(frozen=True, slots=True)
class BestRow:
    """The scores of one student on the test.

    Attributes:
        model: A key of `ROW_NAMES`.
        threshold: The threshold, which was chosen on other passages.
        shares: The scores in [0, 1], by the keys of `COLUMNS`.
    """

    model: str
    threshold: float
    shares: Mapping[str, float]

    @classmethod
    def of(cls, model: str, threshold: float, evaluation: Evaluation) -> "BestRow":
        """Return the row of an evaluation."""
        scores = evaluation.as_json()
        return cls(model, threshold, {key: scores[key] for key in COLUMNS})

    def as_json(self) -> dict[str, Any]:
        """Return flat keys."""
        return {"model": self.model, "threshold": self.threshold, **self.shares}


@dataclass(frozen=True, slots=True)
class BestResults:
    """The results and the settings of a run.

    Attributes:
        rows: The rows of the bundled student and of the best one.
        source: A sentence on the text that the student learned from.
        teacher: The name of the teacher.
        teacher_fingerprint: Its fingerprint.
        n_test: The number of test passages.
        n_words_test: The number of words in them.
        n_words_train: The number of words in all training passages.
        settings: All settings, in plain JSON values.
        environment: The versions, the machine and the duration, in plain JSON values.
    """

    rows: Sequence[BestRow]
    source: str
    teacher: str
    teacher_fingerprint: str
    n_test: int
    n_words_test: int
    n_words_train: int
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the content of `results.json`."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "source": self.source,
            "teacher": self.teacher,
            "teacher_fingerprint": self.teacher_fingerprint,
            "n_test": self.n_test,
            "n_words_test": self.n_words_test,
            "n_words_train": self.n_words_train,
            "settings": dict(self.settings),
            "environment": dict(self.environment),
        }


def best_table(results: BestResults) -> Table:
    """Return the table for the terminal."""
    table = Table(title="Agreement with the teacher", box=box.SIMPLE)
    table.add_column("")
    for name in COLUMNS.values():
        table.add_column(name.replace(" against", "\nagainst"), justify="right")
    for cells in _rows(results):
        table.add_row(*cells)
    return table


def write_best_report(folder: Path, results: BestResults) -> None:
    """Write `report.md`, then `results.json`, which tells that everything else is complete.

    Raises:
        OSError: The folder cannot be written.
    """
    write_file(folder / "report.md", "\n".join(_lines(results)) + "\n")
    write_json(folder / "results.json", results.as_json())


def _rows(results: BestResults) -> Iterator[list[str]]:
    published = next(row for row in PUBLISHED if row.model == "student_distilled")
    shares = {"accuracy_vs_teacher": published.accuracy, "recall_vs_teacher": published.recall}
    dash = "–"
    yield [
        ROW_NAMES["published"],
        *(f"{shares[key]:.0%}" if key in shares else dash for key in COLUMNS),
    ]
    for row in results.rows:
        yield [ROW_NAMES[row.model], *(f"{row.shares[key]:.1%}" for key in COLUMNS)]


def _lines(results: BestResults) -> Iterator[str]:
    work = results.settings["work"]
    yield "# The best student"
    yield ""
    yield (
        f"This student started from the one that comes with gliner-distill. {results.source} In "
        f"all, it learned from {results.n_words_train:,} words in {work['epochs']} "
        f"epoch{'s' if work['epochs'] != 1 else ''}, from the soft labels of the GLiNER "
        f'"{results.teacher}" ({results.teacher_fingerprint[:12]}) alone. It is compared with this '
        f"teacher on {results.n_test:,} passages ({results.n_words_test:,} words) of the sample, "
        "which are asked for their own labels. No student was trained on them."
    )
    yield ""
    yield f"| | {' | '.join(COLUMNS.values())} |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for cells in _rows(results):
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        "The columns without a remark measure agreement with the teacher: how faithfully a student "
        "copies it, not how often it is right. The published figures are those of another teacher "
        "and of other passages. The thresholds of the students "
        f"({', '.join(f'{row.threshold:g}' for row in results.rows)}) are the best ones on the "
        "sample's `dev` part. `results.json` has all settings."
    )
