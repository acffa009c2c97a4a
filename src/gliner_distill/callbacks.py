"""Progress reports of long work: the callback that receives them, and a choice of callbacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """A function that receives the progress of a stage of long work."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Receive one report.

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
    """Provide a function that takes progress reports while the block runs.

    The module of the progress bars, which imports rich, is imported only if bars are wanted.

    Args:
        choice: True (the default) for bars on standard error if there is a terminal or a notebook;
            False or None for nothing; or a function of your own that takes the reports.
        log_lines: Whether `choice=True` writes plain lines if there is neither a terminal nor a
            notebook, such as in a log file: at most one line per half minute and stage.
    """
    if callable(choice):
        yield choice
    elif choice:
        from gliner_distill.progress import StageProgress

        with StageProgress(log_lines=log_lines) as bars:
            yield bars.update
    else:
        yield no_progress
