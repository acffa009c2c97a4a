"""Read passages from files and hub data sets, and write them: the only reader of annotated text.

The input is a file in any of the formats of docs/formats.md, and may be messy. The output is clean
`Passage`s, one at a time, and `CorpusNotes` on everything that was changed or left out.
`corpus.recognition` recognizes the formats, `corpus.formats` and `corpus.exports` read them, and
`corpus.records` checks a record.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Literal

from gliner_distill.corpus.exports.brat import is_brat, read_brat
from gliner_distill.corpus.exports.recognition import as_words
from gliner_distill.corpus.formats import open_corpus, read_records
from gliner_distill.corpus.records import (
    BadRecordError,
    RawRecord,
    RecordError,
    passage_from_record,
)
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, HubError, suggest_file
from gliner_distill.files import reason_of, replacing
from gliner_distill.hub.downloads import download_dataset_file
from gliner_distill.hub.ids import looks_like_hub_id

_logger = logging.getLogger(__name__)


def sample_path(split: Literal["train", "dev", "test"]) -> Path:
    """Return the path of a split of the sample corpus that is part of this package."""
    return Path(str(files("gliner_distill") / "resources" / "sample" / f"{split}.json"))


def read_passages(
    source: str | Path, *, skip_bad: bool = False, notes: CorpusNotes | None = None
) -> Iterator[Passage]:
    """Return an iterator over the passages of a file or hub data set, in order.

    The format is recognized by the content: a JSON list or JSON lines of
    `{"tokenized_text": [...], "ner": [[start, end_inclusive, type], ...]}`, optionally with
    `ner_labels` and `ner_negatives`; JSON lines of `{"text": "..."}`; a Parquet file (see
    `corpus.parquet`); CoNLL columns; an export of another tool (see `corpus.exports`), such as
    texts with `entities` by characters; or plain text with one document per line. Text is split by
    `split_words`. Files are streamed and never held in memory as a whole, except for a DocBin.

    Args:
        source: A path or, if no such file exists, the "owner/name" of a hub data set. A folder must
            hold the `.txt` and `.ann` files of BRAT.
        skip_bad: Whether to leave bad records out and count them instead of raising an error.
        notes: Counts what was cleaned or left out; filled while the iterator runs. Without it, bad
            records and entities that were left out are logged as a warning.

    Raises:
        CorpusError: At the call: `source` is not a readable file. During the iteration: a record
            is bad (the message names file, record, field and reason), the file is cut off, or it
            holds no passage.
        HubError: At the call: the hub and its cache cannot provide the data set.
        MissingExtraError: During the iteration: the file is a Parquet file or a DocBin, and pyarrow
            or spaCy is not installed.

    >>> next(read_passages(sample_path("train"))).entities[0].label
    'toy company'
    """
    path = _find_source(source)
    return _read_file(path, skip_bad=skip_bad, notes=notes)


class CorpusFile:
    """The passages of a file or hub data set, which are read again for each iteration.

    Attributes:
        path: The file.
        notes: The counts of what the first iteration cleaned or left out.
    """

    def __init__(self, source: str | Path, *, skip_bad: bool = False) -> None:
        """Find the source; see `read_passages`.

        Raises:
            CorpusError: The source is not a readable file, or it is a pipe, which can be read only
                once.
            HubError: The hub and its cache cannot provide the data set.
        """
        self.path = _find_source(source)
        if not self.path.is_file() and not self.path.is_dir():
            raise CorpusError(
                f"{source}: a corpus is read twice, but a pipe can be read only once; write the "
                "corpus to a file and give its path"
            )
        self.notes = CorpusNotes()
        self._skip_bad = skip_bad
        self._is_read = False

    def __iter__(self) -> Iterator[Passage]:
        # Later iterations read the same records and must not count them again.
        notes = CorpusNotes() if self._is_read else self.notes
        self._is_read = True
        return _read_file(self.path, skip_bad=self._skip_bad, notes=notes)


def _find_source(source: str | Path) -> Path:
    path = Path(source)
    try:
        # `is_dir` alone reports a missing file as False, so `stat` is called, too.
        is_folder = path.is_dir()
        path.stat()
    except FileNotFoundError:
        if not looks_like_hub_id(str(source)):
            raise CorpusError(
                f"{source}: this file does not exist{suggest_file(source)}; expected the path of a "
                "corpus file or the owner/name of a hub data set"
            ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    else:
        if is_folder and not is_brat(path):
            raise CorpusError(
                f"{source}: this folder has no .ann files of BRAT; expected such a folder, or the "
                "path of a corpus file"
            )
        return path
    try:
        return download_dataset_file(str(source))
    except HubError as error:
        raise HubError(
            f"{source}: this file does not exist, and the data set cannot be loaded from the hub: "
            f"{error}"
        ) from error


def _read_file(path: Path, *, skip_bad: bool, notes: CorpusNotes | None) -> Iterator[Passage]:
    counted = CorpusNotes() if notes is None else notes
    n_passages = 0
    try:
        for record in _records_of(path, counted):
            try:
                converted = as_words(record, counted)
                passage = passage_from_record(converted, counted) if converted else None
            except RecordError as error:
                message = f"{path}: {record.place}: {error}"
                if not skip_bad:
                    raise BadRecordError(message) from None
                counted.add_bad_record(message)
            else:
                if passage is not None:
                    n_passages += 1
                    yield passage
    except OSError as error:
        raise _unreadable(path, error) from error
    if not n_passages:
        raise CorpusError(_no_passages(path, counted))
    if notes is None:
        _warn_about_losses(path, counted)


def _records_of(path: Path, notes: CorpusNotes) -> Iterator[RawRecord]:
    if is_brat(path):
        yield from read_brat(path, notes)
        return
    with open_corpus(path) as stream:
        yield from read_records(stream, name=str(path), notes=notes)


def _warn_about_losses(path: Path, notes: CorpusNotes) -> None:
    if notes.bad_records:
        _logger.warning(
            "%s: left out %d bad records; the first problem: %s",
            path,
            notes.bad_records,
            notes.bad_messages[0],
        )
    for line in notes.left_out_lines():
        _logger.warning("%s: %s", path, line)


def _unreadable(source: str | Path, error: Exception) -> CorpusError:
    return CorpusError(f"{source}: the file cannot be read: {reason_of(error)}")


def _no_passages(path: Path, notes: CorpusNotes) -> str:
    if notes.bad_records:
        return (
            f"{path}: none of the {notes.bad_records} records can be used; the first problem: "
            f"{notes.bad_messages[0]}"
        )
    reasons = "".join(f"; {line}" for line in notes.skipped_lines())
    return f"{path}: the file holds no passage; expected at least one{reasons}"


def write_passages(path: str | Path, passages: Iterable[Passage]) -> None:
    """Write passages as a pile-mistral JSON list, one per line; `read_passages` reads them back.

    Listed labels go to `ner_labels`. The file is renamed to `path` when it is complete, so a reader
    never sees half of it, and `passages` may even be read from the file at `path`.

    Raises:
        CorpusError: The file cannot be written.
    """
    try:
        with replacing(Path(path)) as stream:
            # The list is written passage by passage, so it is never held in memory as a whole.
            separator = "[\n"
            for passage in passages:
                record = json.dumps(_as_record(passage), ensure_ascii=False)
                stream.write((separator + record).encode())
                separator = ",\n"
            stream.write(b"[]\n" if separator == "[\n" else b"\n]\n")
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be written: {reason_of(error)}") from error


def _as_record(passage: Passage) -> dict[str, object]:
    record: dict[str, object] = {
        "tokenized_text": passage.words,
        "ner": [
            [entity.start_word, entity.end_word - 1, entity.label] for entity in passage.entities
        ],
    }
    if passage.labels:
        record["ner_labels"] = passage.labels
    return record
