"""Find the entities of a column of texts, as a column of Arrow that data frames and databases take.

Arrow is the format in memory that pandas, Polars, DuckDB, Spark, Dask and Hugging Face's datasets
exchange, so one function serves all of them; `docs/integrations/data_frames.md` has a program for
each. A student is loaded once per process, so a function that runs in many processes can name it.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from gliner_distill.entities import arrow_entities_type, table_entities
from gliner_distill.errors import InputError, MissingExtraError, shorten
from gliner_distill.integrations.documents import check_not_empty
from gliner_distill.runtime.gliner_api.missing_texts import is_missing
from gliner_distill.runtime.inputs import OnBad, check_texts
from gliner_distill.runtime.labels import LabelSet
from gliner_distill.runtime.ner import StudentNER

try:
    import pyarrow as pa
except ModuleNotFoundError as error:
    raise MissingExtraError("pyarrow", "parquet") from error

ENTITIES = arrow_entities_type()
"""The type of a column of entities: `list<struct<start, end, text, label, score>>`."""

_MOST_STUDENTS = 4


def entity_column(
    texts: Iterable[str | None],
    labels: LabelSet,
    *,
    model: str | Path | StudentNER | None = None,
    num_threads: int | None = None,
    on_bad: OnBad = "skip",
    **options: Any,
) -> pa.Array:
    """Return the entities of a column of texts.

    All texts go through the student together, in batches, so pass many at once. Scores are rounded
    to four digits.

    Args:
        texts: A column of Arrow, pandas or Polars; or any other iterable of strings, in which
            None, NaN and the missing values of pandas are null.
        labels: The labels to find; see `StudentNER.inference`.
        model: A student; or the folder or hub id of one, which is loaded at the first call in each
            process and then kept. None stands for the student that comes with the package.
        num_threads: The number of threads of a student that is loaded here; None for
            `OMP_NUM_THREADS`, or else one per processor. Use 1 where other processes use the other
            processors.
        on_bad: The treatment of a text that is null: `skip` returns no entities for it, and `error`
            raises.
        **options: Other arguments of `StudentNER.inference`, such as `threshold`.

    Returns:
        An array of the type `ENTITIES`, as long as `texts`.

    Raises:
        InputError: `texts` is one string or a whole table, a text is not a string, there are no
            labels, or an option has a wrong type or value.
        StudentError: The student cannot be loaded.
    """
    student = model if isinstance(model, StudentNER) else _load(model, num_threads)
    if isinstance(texts, str):
        raise InputError(f"texts is {shorten(texts)}; expected a column of texts, such as a list")
    check_texts(texts)
    check_not_empty(labels)
    # A column of Arrow yields scalars, and those of other libraries Python objects.
    values = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
    column = [None if is_missing(text) else text for text in values]
    # The student itself refuses a null with on_bad="error", and names its position in the column.
    asked = column if on_bad == "error" else [text for text in column if text is not None]
    found = iter(student.inference(asked, labels, on_bad=on_bad, **options))
    rows = [[] if text is None else table_entities(next(found)) for text in column]
    return pa.array(rows, ENTITIES)


@lru_cache(_MOST_STUDENTS)
def _load(model: str | Path | None, num_threads: int | None) -> StudentNER:
    return StudentNER.from_pretrained(model, num_threads=num_threads)
