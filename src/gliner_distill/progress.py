"""How far a long command is, on standard error: bars on a terminal, else a line now and then."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gliner_distill.documents import Document
from gliner_distill.entities import word_texts

ShowProgress = Callable[[str, int, int, str], None]
"""Called with a stage's name, words done, words in all, and a short text on how it goes."""


def count_words(show: ShowProgress, stage: str, n_words: int) -> Callable[[int, str], None]:
    """Return what takes each step's words and a text, and shows the stage's sum so far."""
    done = 0

    def count(words: int, text: str) -> None:
        nonlocal done
        done += words
        show(stage, done, n_words, text)

    return count


_SECONDS_A_LINE = 30.0


class _WordRate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} words/s" if speed else "", style="dim")


class StageProgress:
    """Shows each stage's words done, rate and time left; use as a context manager.

    On a terminal a stage is a bar. Elsewhere (a log file, a pipe) it is a plain line every half
    minute and one at its end.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _WordRate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line_at = time.monotonic()

    def __enter__(self) -> "StageProgress":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, stage: str, done: int, total: int, note: str) -> None:
        """Show that `done` of `total` words of a stage are done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
        if not self._console.is_terminal:
            self._write_line(stage, done, total, note)

    def counter(self, stage: str, total: int) -> Callable[[int], None]:
        """Return a function that adds words to those done in a stage."""
        done = 0

        def count(n_words: int) -> None:
            nonlocal done
            done += n_words
            self.update(stage, done, total, "")

        return count

    def _write_line(self, stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if done < total and now - self._last_line_at < _SECONDS_A_LINE:
            return
        self._last_line_at = now
        text = f"{stage}: {done:,} of {total:,} words" + (f", {note}" if note else "")
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Documents(ProgressColumn):
    def get_table_column(self) -> Column:
        return Column(no_wrap=True)

    def render(self, task: Task) -> Text:
        n_documents, n_words = task.fields["n_documents"], task.fields["n_words"]
        rate = f", {n_words / task.elapsed:,.0f} words/s" if task.elapsed else ""
        return Text(f"{n_documents:,} documents{rate}")


class DocumentProgress:
    """Shows how far the reading of documents is; use as a context manager.

    Args:
        n_bytes: To read; None where that is not known.
        is_shown: If not, nothing is counted.
    """

    def __init__(self, n_bytes: int | None, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._progress = Progress(
            *([] if n_bytes is None else [BarColumn(), TaskProgressColumn()]),
            DownloadColumn(),
            _Documents(),
            TimeElapsedColumn() if n_bytes is None else TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not is_shown,
        )
        self._n_documents = self._n_words = 0
        self._task = self._progress.add_task("", total=n_bytes, n_documents=0, n_words=0)

    def __enter__(self) -> "DocumentProgress":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def count(self, documents: Sequence[Document]) -> None:
        """Show that documents were answered."""
        if not self._is_shown:
            return
        self._n_documents += len(documents)
        self._n_words += sum(len(word_texts(one.text)) for one in documents)
        self._progress.update(
            self._task,
            advance=sum(one.n_bytes for one in documents),
            n_documents=self._n_documents,
            n_words=self._n_words,
        )
