"""The one way in which long work reports its progress, and the choice of who is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """A function that is told how far a stage of long work is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take one report.

        Args:
            stage: The name of the stage, such as `training`.
            done: The words (or steps) finished so far, including those of earlier runs.
            total: The words (or steps) in the whole stage.
            note: A short remark such as the current loss; may be empty.
        """
        ...


def no_progress(stage: str, done: int, total: int, note: str = "") -> None:
    """Ignore a progress report."""


@contextmanager
def show_progress(
    choice: bool | Progress | None = True, *, log_lines: bool = False
) -> Iterator[Progress]:
    """Provide the function to report progress to, for as long as the block runs.

    The progress bars, and rich with them, are imported only if bars are wanted.

    Args:
        choice: True for bars on standard error, where there is a terminal or a notebook; False or
            None for nothing; or a function of your own that takes the reports.
        log_lines: Whether True means plain lines, at most one per half minute and stage, where
            there is neither a terminal nor a notebook, such as in a log file.
    """
    if callable(choice):
        yield choice
    elif choice:
        from gliner_distill.progress import StageProgress

        with StageProgress(log_lines=log_lines) as bars:
            yield bars.update
    else:
        yield no_progress
