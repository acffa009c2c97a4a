"""How far a long command is, on standard error: bars on a terminal, else a line now and then."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

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

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` words of a stage are done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
        if not self._console.is_terminal:
            self._write_line(stage, done, total, note)

    def _write_line(self, stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if done < total and now - self._last_line_at < _SECONDS_A_LINE:
            return
        self._last_line_at = now
        text = f"{stage}: {done:,} of {total:,} words" + (f", {note}" if note else "")
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
