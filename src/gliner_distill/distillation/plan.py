"""TODO-DOC."""

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gliner_distill.corpus.documents import MAX_PASSAGE_WORDS, MIN_PASSAGES, read_documents
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.job import DistillJob, LoadTeacher, _policy
from gliner_distill.distillation.train import EPOCHS, _count_words, train_on, training_settings
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import SettingsError
from gliner_distill.runtime.locate import bundled_student_path

_PROBE_PASSAGES = 32


_LABELLING_SHARE = 0.65
"""Of the time that loading, exporting and measuring leave; the rest is for training."""


_EXPORT_SECONDS = 10


TIMED_WORDS, TIMED_ROUNDS = 6_000, 3
"""What student and teacher read side by side, once all is made."""


_MIN_EPOCHS = 2


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
    def make(cls, job: DistillJob, load_teacher: "LoadTeacher") -> "Plan":
        """Measure the teacher and a student on the first documents, and divide the time.

        Raises:
            SettingsError: The time is too short to label 20 passages.
        """
        seconds = 60 * (job.minutes or 0)
        deadline = time.monotonic() + seconds
        notes = CorpusNotes()
        documents = read_documents(job.texts, column=job.column, skip_bad=job.skip_bad, notes=notes)
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


def _training_rate(n_labels: int) -> float:
    """Return words a second of training, as measured on a few steps with the bundled student."""
    import tempfile

    words = tuple(f"word{number}" for number in range(40))
    labels = tuple(f"label {number}" for number in range(n_labels))
    probs = np.full((len(words), n_labels, 3), 0.1, dtype=np.float32)
    items = [LabeledPassage(Passage(words), labels, probs)] * 160
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train_on(
            Path(folder),
            {"train": items, "dev": items[:1]},
            {"train": [], "dev": []},
            training_settings(epochs=1),
            start=bundled_student_path(),
            progress=lambda *step: None,
        )
        return _count_words(items) / (time.perf_counter() - started)
