"""Read the annotated documents that spaCy saves as a DocBin, in files whose names end in `.spacy`.

Source: spaCy (https://spacy.io/api/docbin). The entities are those of `doc.ents` and of all groups
in `doc.spans`. spaCy is imported when a file is read.
"""

import zlib
from collections.abc import Iterator
from io import BufferedReader

from gliner_distill.corpus.exports.spans import AnnotatedText, CharSpan, word_record
from gliner_distill.corpus.records import RawRecord, RecordError
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError, MissingExtraError

MAX_BYTES = 1 << 30
"""The largest size of the documents in a file, after decompression."""


def read_docbin(
    stream: BufferedReader, *, name: str, notes: CorpusNotes, max_bytes: int = MAX_BYTES
) -> Iterator[RawRecord]:
    """Yield a record for each document of a DocBin.

    Args:
        stream: The file, opened at its start.
        name: The path of the file, for messages.
        notes: Counts the entities and documents that are left out.
        max_bytes: The largest size after decompression.

    Raises:
        CorpusError: The file is too large, or spaCy cannot read it.
        MissingExtraError: The package spaCy is not installed.
    """
    try:
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab
    except ModuleNotFoundError as error:
        raise MissingExtraError("spaCy", "spacy") from error

    data = _checked_data(stream, name, max_bytes)
    try:
        docs = list(DocBin().from_bytes(data).get_docs(Vocab()))
    # spaCy raises errors of many kinds for a file that is not a DocBin.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(
            f"{name}: spaCy cannot read the file ({type(error).__name__}: {reason}); write it "
            "again with DocBin.to_disk"
        ) from error
    for number, doc in enumerate(docs, 1):
        place = f"record {number}"
        groups = {"doc.ents": doc.ents} | {
            f"doc.spans[{key!r}]": doc.spans[key] for key in doc.spans
        }
        spans = [
            CharSpan(f"{field}[{i}]", span.start_char, span.end_char, span.label_, span.text)
            for field, group in groups.items()
            for i, span in enumerate(group)
        ]
        try:
            content = word_record(AnnotatedText(doc.text, spans), place, notes)
        except RecordError as error:
            yield RawRecord(place, problem=str(error))
        else:
            if content is not None:
                yield RawRecord(place, content)


def _checked_data(stream: BufferedReader, name: str, max_bytes: int) -> bytes:
    """Return the bytes of a file, after checking its size and that of its decompressed content."""
    data = stream.read(max_bytes + 1)
    try:
        unpacker = zlib.decompressobj()
        n_bytes = len(data)
        rest = data
        while rest and n_bytes <= max_bytes:
            n_bytes += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise CorpusError(
            f"{name}: the file is not a DocBin of spaCy ({error}); write it again with "
            "DocBin.to_disk"
        ) from error
    if n_bytes > max_bytes:
        raise CorpusError(
            f"{name}: the decompressed documents take more than {max_bytes:,} bytes; split the file"
        )
    return data
