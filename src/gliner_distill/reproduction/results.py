"""The results of a reproduction: the dataclasses that become `results.json`.

`experiment` creates them and `report` reads them. This module does not compute or open a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MODEL_NAMES = {
    "gliner": "GLiNER (teacher)",
    "student_hard": "Hard-label student",
    "student_distilled": "Distilled student",
}
"""The three models of the published experiment, and their names in figures and tables."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row of the published Table 1; accuracy and recall are agreement with the teacher.

    Attributes:
        model: A key of `MODEL_NAMES`.
        accuracy: The share of words, in [0, 1].
        recall: The share of words, in [0, 1].
        parameters: The number of parameters as it is printed.
    """

    model: str
    accuracy: float
    recall: float
    parameters: str


PUBLISHED = (
    PublishedRow("gliner", 1.0, 1.0, "2.1B"),
    PublishedRow("student_hard", 0.86, 0.69, "6M"),
    PublishedRow("student_distilled", 0.99, 0.97, "6M"),
)
"""Table 1 of Xu, Ma and Wang, "Knowledge Distillation targeted at GliNER"."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A row of our Table 1. A number is None if it was not measured.

    Attributes:
        model: A key of `MODEL_NAMES`.
        shares: The scores in [0, 1], under the keys of `metrics.jsonl` such as `span_f1_vs_gold`;
            for students, the mean over seeds.
        spreads: For students, the sample standard deviations over seeds under the same keys; each
            is None if there is one seed. Empty for the teacher.
        n_parameters: The number of parameters.
        n_parameters_without_embeddings: The number of parameters besides the embeddings.
        size_bytes: The size of the weights on disk.
        ms_per_passage: The median of the milliseconds that one passage takes by itself.
        words_per_second: The words per second when all passages are given at once.
    """

    model: str
    shares: Mapping[str, float | None]
    spreads: Mapping[str, float | None]
    n_parameters: int | None = None
    n_parameters_without_embeddings: int | None = None
    size_bytes: int | None = None
    ms_per_passage: float | None = None
    words_per_second: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return flat keys; the spread of a share has the key of the share with `_sd` behind it."""
        row: dict[str, Any] = {"model": self.model}
        for key, share in self.shares.items():
            row[key] = share
            if key in self.spreads:
                row[f"{key}_sd"] = self.spreads[key]
        return row | {
            "n_parameters": self.n_parameters,
            "n_parameters_without_embeddings": self.n_parameters_without_embeddings,
            "size_bytes": self.size_bytes,
            "ms_per_passage": self.ms_per_passage,
            "words_per_second": self.words_per_second,
        }


@dataclass(frozen=True, slots=True)
class DataSummary:
    """The passages and the teacher of a reproduction.

    Attributes:
        source: The corpus.
        n_train: The number of training passages.
        n_test: The number of test passages.
        n_words_train: The number of words in the training passages.
        n_words_test: The number of words in the test passages.
        teacher: The name of the teacher.
        teacher_hash: The fingerprint of the teacher.
        labels_asked: A sentence on the labels that are offered to every model.
        label_seconds: The seconds that labeling took.
    """

    source: str
    n_train: int
    n_test: int
    n_words_train: int
    n_words_test: int
    teacher: str
    teacher_hash: str
    labels_asked: str
    label_seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """The results and the settings of a reproduction.

    Attributes:
        table1: One row per model, in the order of `MODEL_NAMES`.
        published: The published Table 1.
        seeds: The seeds of the students.
        gap: For each student, the training minus the test score of some measures.
        probe: A sentence on the passages on which training scores are measured.
        data: The passages and the teacher.
        settings: All settings, in plain JSON values.
        environment: The versions, the machine and the duration, in plain JSON values.
    """

    table1: Sequence[ModelRow]
    published: Sequence[PublishedRow]
    seeds: Sequence[int]
    gap: Mapping[str, Mapping[str, float]]
    probe: str
    data: DataSummary
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]

    def row(self, model: str) -> ModelRow:
        """Return the row of a model.

        Raises:
            KeyError: The table has no such row.
        """
        return {row.model: row for row in self.table1}[model]

    def as_json(self) -> dict[str, Any]:
        """Return the content of `results.json`, without the figures."""
        return {
            "table1": [row.as_json() for row in self.table1],
            "reported": [asdict(row) for row in self.published],
            "seeds": list(self.seeds),
            "gap": {model: dict(gaps) for model, gaps in self.gap.items()},
            "probe": self.probe,
            "data": asdict(self.data),
            "settings": dict(self.settings),
            "environment": dict(self.environment),
        }
