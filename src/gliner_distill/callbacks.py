"""How long work reports its progress: one callback shape for the whole package."""

from typing import Protocol


class Progress(Protocol):
    """A function that is told how far a stage of long work is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take one report.

        Args:
            stage: The name of the stage, such as `training`.
            done: Words (or steps) finished so far, those of earlier runs included.
            total: Words (or steps) in the whole stage.
            note: A short remark such as the current loss; may be empty.
        """
        ...


def no_progress(stage: str, done: int, total: int, note: str = "") -> None:
    """Ignore a progress report."""
