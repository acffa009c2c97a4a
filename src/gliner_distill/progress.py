"""Progress bars of long work, on standard error.

The library imports this module, which imports rich, only if bars are wanted; see
`callbacks.show_progress`.
"""

import time
from importlib.util import find_spec
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

_SECONDS_PER_LINE = 30.0


class _WordRate(ProgressColumn):
    """A column with the words per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} words/s" if speed else "", style="dim")


class StageProgress:
    """One bar per stage with its words, rate and time left; use it as a context manager.

    Bars appear in a terminal and in a notebook. Elsewhere, such as in a log file or a pipe, each
    stage writes a plain line every half minute and one at its end, if `log_lines` is set.

    Args:
        log_lines: Whether to write plain lines where there can be no bars.
        console: The console to write to; standard error by default.

    Attributes:
        has_bars: Whether there are bars.
    """

    def __init__(self, *, log_lines: bool = True, console: Console | None = None) -> None:
        self._console = console if console is not None else Console(stderr=True)
        self.has_bars = _can_draw(self._console)
        self._has_lines = log_lines and not self.has_bars
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _WordRate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
            disable=not self.has_bars,
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
        """Show that `done` of `total` words of a stage are done; see `callbacks.Progress`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
        if self._has_lines:
            self._write_line(stage, done, total, note)

    def _write_line(self, stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        # The last report of a stage is always written.
        if done < total and now - self._last_line_at < _SECONDS_PER_LINE:
            return
        self._last_line_at = now
        text = f"{stage}: {done:,} of {total:,} words" + (f", {note}" if note else "")
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _can_draw(console: Console) -> bool:
    """Return whether bars can be drawn; in a notebook, rich needs ipywidgets to draw them."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_terminal
