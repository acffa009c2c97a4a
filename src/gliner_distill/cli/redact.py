"""The command `redact`: replace personal data in texts, and restore it."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import Patterns, ThreadCount, Threshold, option
from gliner_distill.cli.reading.documents import (
    InputFormat,
    Inputs,
    LabelFile,
    Labels,
    MaxMemory,
    Model,
    SkipBad,
    TextField,
    check_streams,
    describe_labels,
    documents_at_once,
    read_documents,
)
from gliner_distill.cli.terminal import (
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)

if TYPE_CHECKING:
    from gliner_distill.cli.reading.input import DocumentSource
    from gliner_distill.cli.tables.records import Document
    from gliner_distill.entities import EntityDict
    from gliner_distill.redaction.redactor import RedactedEntity, RedactionMode, Redactor

    # The number of the first document, the documents, and the entities of each.
    Answers = Iterable[tuple[int, list[Document], list[list[EntityDict]]]]

Mode = Annotated[
    Literal["label", "mask", "hash", "mapping"] | None,
    option(
        "--mode",
        metavar="MODE",
        text="The replacement: label writes [PERSON]; mask writes a * for each character; hash "
        "writes [PERSON:...] with a keyed hash, which is equal for equal values; mapping writes "
        "[PERSON_1] and keeps the value in the file of --mapping.",
        show_default="mapping with --mapping, otherwise label",
    ),
]

MappingFile = Annotated[
    Path | None,
    option(
        "--mapping",
        metavar="FILE",
        text="The file of the replaced values, which only its owner may read. If it exists, its "
        "placeholders are used again and new ones are added.",
    ),
]

Restore = Annotated[
    bool,
    option(
        "--restore",
        metavar=None,
        text="Put the values of --mapping back in place of their placeholders. No model is used.",
    ),
]

KeyFile = Annotated[
    Path | None,
    option(
        "--key-file",
        metavar="FILE",
        text="A file with the secret key for the mode hash, of at least 16 bytes.",
        show_default="the environment variable GLINER_DISTILL_KEY",
    ),
]

OutputFormat = Annotated[
    Literal["lines", "jsonl"] | None,
    option(
        "--output",
        metavar="FORM",
        text="The format of the output: lines prints the redacted text alone; jsonl prints one "
        "object per document, with the positions of what was replaced.",
        show_default="the format of the input",
    ),
]


def redact(
    inputs: Inputs = None,
    label: Labels = None,
    labels: LabelFile = None,
    model: Model = None,
    mode: Mode = None,
    mapping: MappingFile = None,
    restore: Restore = False,
    key_file: KeyFile = None,
    input_format: InputFormat = "auto",
    field: TextField = "text",
    output: OutputFormat = None,
    threshold: Threshold = 0.5,
    patterns: Patterns = True,
    threads: ThreadCount = None,
    max_memory: MaxMemory = "2GB",
    skip_bad: SkipBad = False,
) -> None:
    """Replace personal data in a text, in files or in standard input.

    Without --label and --labels, this looks for persons, contact data, dates of birth, numbers of
    cards, accounts and documents, user names, passwords and network addresses. A model misses some
    of them: read the output before you publish it.

    Prints one line per document. For a line of text, it is the redacted text. For JSON and CSV, it
    is the document's object, with the redacted text in its field and with what was replaced in the
    field "entities". Each entity has "start" and "end" in the original text, "redacted_start" and
    "redacted_end" in the redacted text, "label", "score", and "source": "pattern" if a pattern has
    found it, but not the original characters. The other fields of an object are copied as they are.

    Writes only the file of --mapping. It holds every value that was replaced, and is written before
    the lines that need it are printed. If the reader of the output stops early, as head does, the
    exit code is 141.
    """
    mode = mode or ("label" if mapping is None else "mapping")
    _check_options(mode, mapping, restore, key_file, field)
    check_streams(inputs)
    with when_stopped("what was printed is whole"), until_reader_leaves():
        from gliner_distill.cli.reading.input import find_source

        quiet_libraries()
        source = find_source(inputs or [], form=input_format, text_field=field, skip_bad=skip_bad)
        form = output or ("jsonl" if source.has_records else None)
        # Only the text on the command line needs no line of its own.
        lines = _Lines(form, field, may_break=source.text is not None)
        if restore and mapping is not None:
            parts = _restore_documents(source, mapping, lines)
        else:
            # A key or mapping that is broken is reported before the model is loaded.
            redactor = _make_redactor(mode, mapping, key_file)
            asked = describe_labels(label or [], labels)
            answers = _answer_documents(
                source,
                asked,
                model,
                threads,
                threshold=threshold,
                patterns=patterns,
                max_memory=max_memory,
            )
            parts = _redact_documents(answers, redactor, mapping, lines)
        with closing(parts):
            for part in parts:
                print_whole(part)


def _check_options(
    mode: str, mapping: Path | None, restore: bool, key_file: Path | None, field: str
) -> None:
    if mode == "mapping" and mapping is None:
        raise typer.BadParameter("the mode mapping needs a file for the values; give --mapping")
    if mode != "mapping" and mapping is not None:
        raise typer.BadParameter(f"--mapping has no effect with the mode {mode}; leave one out")
    if restore and mapping is None:
        raise typer.BadParameter("--restore needs the file of the values; give --mapping")
    if mode != "hash" and key_file is not None:
        raise typer.BadParameter("--key-file has no effect without --mode hash; give both")
    if field == "entities":
        raise typer.BadParameter("--field entities is taken: the output has such a field")


def _make_redactor(
    mode: "RedactionMode", mapping: Path | None, key_file: Path | None
) -> "Redactor":
    from gliner_distill.redaction.keys import read_key
    from gliner_distill.redaction.mapping import read_mapping, write_mapping
    from gliner_distill.redaction.redactor import Redactor

    if mapping is None:
        return Redactor(mode, key=read_key(key_file) if mode == "hash" else None)
    redactor = Redactor(mode, mapping=read_mapping(mapping) if mapping.exists() else {})
    # A file that cannot be written must not show up after half of the output.
    write_mapping(mapping, redactor.mapping)
    return redactor


def _answer_documents(
    source: "DocumentSource",
    asked: dict[str, str],
    model: str | None,
    threads: int | None,
    *,
    threshold: float,
    patterns: bool,
    max_memory: str,
) -> "Generator[tuple[int, list[Document], list[list[EntityDict]]], None, None]":
    """Yield documents with their entities, and the number of the first one."""
    from gliner_distill.evaluation.models import load_model
    from gliner_distill.redaction.labels import PERSONAL_LABELS

    loaded = load_model(model, num_threads=threads, max_memory=max_memory)
    labels = asked or {label: label for label in PERSONAL_LABELS}
    with closing(read_documents(source, documents_at_once(loaded))) as batches:
        for first, documents in batches:
            texts = [document.text for document in documents]
            entities = loaded.inference(texts, labels, threshold=threshold, patterns=patterns)
            yield first, documents, entities


def _redact_documents(
    answers: "Answers", redactor: "Redactor", mapping: Path | None, lines: "_Lines"
) -> Generator[bytes, None, None]:
    """Yield the lines of documents without their entities, and write the mapping before them."""
    from gliner_distill.redaction.mapping import write_mapping

    n_written = len(redactor.mapping)
    for first, documents, entities in answers:
        part = b""
        for number, (document, found) in enumerate(zip(documents, entities, strict=True), first):
            redaction = redactor.redact(document.text, found)
            part += lines.write(number, document, redaction.text, redaction.entities)
        if mapping is not None and len(redactor.mapping) > n_written:
            write_mapping(mapping, redactor.mapping)
            n_written = len(redactor.mapping)
        yield part


def _restore_documents(
    source: "DocumentSource", mapping: Path, lines: "_Lines"
) -> Generator[bytes, None, None]:
    """Yield the lines of documents with the values of a mapping in them."""
    from gliner_distill.redaction.mapping import read_mapping
    from gliner_distill.redaction.placeholders import restore

    values = read_mapping(mapping)
    with closing(read_documents(source)) as batches:
        for first, documents in batches:
            yield b"".join(
                lines.write(number, document, restore(document.text, values))
                for number, document in enumerate(documents, first)
            )


@dataclass(frozen=True, slots=True)
class _Lines:
    """The form of the output: the text alone, or a JSON object with the text in a field.

    If `form` is None, each document has the form that it has in the input.
    """

    form: Literal["lines", "jsonl"] | None
    text_field: str
    may_break: bool

    def write(
        self,
        number: int,
        document: "Document",
        text: str,
        entities: "Sequence[RedactedEntity] | None" = None,
    ) -> bytes:
        from gliner_distill.cli.output import json_line, text_line

        form = self.form or ("jsonl" if document.is_record else "lines")
        if form == "lines":
            return text_line(number, text, may_break=self.may_break)
        answer: dict[str, Any] = {self.text_field: None if document.is_null else text}
        if entities is not None:
            answer["entities"] = [
                {**entity, "score": round(entity["score"], 4)} for entity in entities
            ]
        answer |= {key: value for key, value in document.fields.items() if key not in answer}
        return json_line(number, answer)


REDACT = Command(
    redact,
    "Replace personal data in texts, and restore it.",
    """\
  gliner-distill redact "Write to maria.lopez@example.com."
  gliner-distill redact notes.txt > redacted.txt
  gliner-distill redact mails.jsonl --field body --mapping values.json \\
    > redacted.jsonl
  gliner-distill redact redacted.jsonl --field body --restore \\
    --mapping values.json > mails.jsonl
  gliner-distill redact - --mode hash --key-file key < notes.txt""",
    work="finding personal data",
    less_memory="cut long texts, or ask for fewer labels",
)
