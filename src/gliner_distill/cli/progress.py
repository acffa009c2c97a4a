"""The progress bar of `predict`: bytes, documents and words per second."""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gliner_distill.cli.tables.records import Document
from gliner_distill.entities import word_texts


class _DocumentCount(ProgressColumn):
    """A column with the number of documents and the words per second."""

    def get_table_column(self) -> Column:
        return Column(no_wrap=True)

    def render(self, task: Task) -> Text:
        n_documents, n_words = task.fields["n_documents"], task.fields["n_words"]
        rate = f", {n_words / task.elapsed:,.0f} words/s" if task.elapsed else ""
        return Text(f"{n_documents:,} documents{rate}")


class DocumentProgress:
    """A bar that shows how many documents have been answered; use it as a context manager.

    Args:
        n_bytes: The number of bytes to read; None if it is not known.
        is_shown: Whether there is a bar; without one, nothing is counted.
    """

    def __init__(self, n_bytes: int | None, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._progress = Progress(
            *([] if n_bytes is None else [BarColumn(), TaskProgressColumn()]),
            DownloadColumn(),
            _DocumentCount(),
            TimeElapsedColumn() if n_bytes is None else TimeRemainingColumn(),
            console=Console(stderr=True),
            # The answers go to standard output as bytes, past rich.
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
        """Count documents that have been answered."""
        if not self._is_shown:
            return
        self._n_documents += len(documents)
        self._n_words += sum(len(word_texts(document.text)) for document in documents)
        self._progress.update(
            self._task,
            advance=sum(document.n_bytes for document in documents),
            n_documents=self._n_documents,
            n_words=self._n_words,
        )
