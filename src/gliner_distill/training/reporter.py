"""The progress of a training run, as it is reported to whoever started it."""

from collections.abc import Iterator
from dataclasses import dataclass

from gliner_distill.callbacks import Progress


@dataclass(frozen=True, slots=True)
class Reporter:
    """The progress of a run, counted in the words of all its epochs."""

    progress: Progress
    stage: str
    n_epochs: int
    epoch_words: int

    def resume(self, n_epochs_done: int) -> None:
        """Report the epochs that an earlier process has finished."""
        if 0 < n_epochs_done < self.n_epochs:
            self._tell(n_epochs_done * self.epoch_words, f"epoch {n_epochs_done}/{self.n_epochs}")

    def report(self, steps: Iterator[tuple[float, int]], epoch: int) -> list[float]:
        """Run the steps of an epoch, report each, and return their losses."""
        losses = []
        n_done = epoch * self.epoch_words
        for loss, n_words in steps:
            losses.append(loss)
            n_done += n_words
            self._tell(n_done, f"epoch {epoch + 1}/{self.n_epochs}, loss {loss:.3f}")
        return losses

    def _tell(self, n_done: int, note: str) -> None:
        self.progress(self.stage, n_done, self.n_epochs * self.epoch_words, note)
