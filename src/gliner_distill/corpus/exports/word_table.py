"""Read a CSV file with one word per row below a header that names the columns.

Source: the "Annotated Corpus for Named Entity Recognition" on Kaggle (`ner_dataset.csv`), with the
columns "Sentence #", "Word", "POS" and "Tag", and `ner.csv` beside it, with "sentence_idx", "word",
"tag" and others. The number of a sentence may stand only in its first row.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.tags import TagStyle, join_tags, read_tag

_SENTENCE_COLUMNS = ("sentence #", "sentence_idx", "sentence_id", "sentence")
_WORD_COLUMNS = ("word", "token")
_TAG_COLUMNS = ("tag", "ner_tag", "ner", "label")
_DELIMITER = re.compile("[,;\t]")


def looks_like_word_table(text: str) -> bool:
    """Return whether the first line is a header with columns for the sentence, word and tag.

    >>> looks_like_word_table("Sentence #,Word,POS,Tag"), looks_like_word_table("id,body")
    (True, False)
    """
    names = _header(text.partition("\n")[0])[1]
    groups = (_SENTENCE_COLUMNS, _WORD_COLUMNS, _TAG_COLUMNS)
    return all(_find_column(names, group) is not None for group in groups)


def read_word_table(lines: Iterable[bytes]) -> Iterator[RawRecord]:
    """Yield a record for each sentence of a table of words.

    Args:
        lines: The lines of the file, as bytes; the first one is the header.
    """
    rows = iter(lines)
    delimiter, names = _header(decode_line(next(rows)))
    columns = [
        _find_column(names, group) or 0
        for group in (_SENTENCE_COLUMNS, _WORD_COLUMNS, _TAG_COLUMNS)
    ]
    style = TagStyle()
    sentence: list[tuple[int, str, str]] = []
    number, current, problem = 0, "", None
    for line_number, line in enumerate(rows, 2):
        if not line.strip():
            continue
        try:
            fields = _split_row(line, delimiter, len(names))
            name, word, tag = (fields[column].strip() for column in columns)
        except RecordError as error:
            problem = problem or (line_number, str(error))
            continue
        if sentence and name not in ("", current):
            number += 1
            yield _make_record(number, sentence, style, problem)
            sentence, problem = [], None
        current = name or current
        sentence.append((line_number, word, tag))
    if sentence or problem:
        yield _make_record(number + 1, sentence, style, problem)


def _header(line: str) -> tuple[str, list[str]]:
    """Return the delimiter of a header, and the names of its columns in lower case."""
    match = _DELIMITER.search(line)
    delimiter = match[0] if match else ","
    # A lone carriage return is not a line break in CSV, but an error.
    [names] = csv.reader([re.split(r"[\r\n]", line)[0] or " "], delimiter=delimiter)
    return delimiter, [name.strip().lower() for name in names]


def _find_column(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _split_row(line: bytes, delimiter: str, n_columns: int) -> list[str]:
    try:
        [fields] = csv.reader(io.StringIO(decode_line(line)), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise RecordError(f"the row is not valid CSV: {error}") from None
    if len(fields) != n_columns:
        raise RecordError(
            f"the row has {len(fields)} fields, but the header has {n_columns}; correct the "
            "delimiters, and put quotes around a word that contains one"
        )
    return fields


def _make_record(
    number: int,
    sentence: list[tuple[int, str, str]],
    style: TagStyle,
    problem: tuple[int, str] | None,
) -> RawRecord:
    line_number = sentence[0][0] if sentence else 0
    tags = []
    if problem is None:
        try:
            for line_number, _, tag in sentence:  # noqa: B007
                tags.append(read_tag(tag, style))
        except RecordError as error:
            problem = line_number, str(error)
    if problem is not None:
        return RawRecord(f"record {number} (line {problem[0]})", problem=problem[1])
    entities, _ = join_tags(tags)
    content = {
        "tokenized_text": [word for _, word, _ in sentence],
        "ner": [list(entity) for entity in entities],
    }
    return RawRecord(f"record {number} (line {sentence[0][0]})", content)
