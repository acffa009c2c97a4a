"""Answer the documents of a source with a model, in this process or on a Ray cluster.

Both read the same documents in the same portions, so they give the same answers. On a cluster, one
task reads the texts and sends them to the workers; the calling process reads the documents itself
and puts them together with the answers, so that only texts and entities travel.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliner_distill.cli.reading.documents import (
    STUDENT_DOCUMENTS,
    TEACHER_DOCUMENTS,
    read_documents,
)
from gliner_distill.cli.reading.input import DocumentSource
from gliner_distill.cli.reading.prefetcher import Prefetcher
from gliner_distill.cli.tables.records import BadRecords, Document
from gliner_distill.entities import EntityDict
from gliner_distill.errors import CorpusError, DistillError, StudentError
from gliner_distill.evaluation.models import NERModel, load_model
from gliner_distill.gate import GLINER_CONFIG
from gliner_distill.runtime.config import CONFIG_FILE
from gliner_distill.runtime.locate import locate_model

if TYPE_CHECKING:
    from gliner_distill.labeling.cluster import Cluster

Answers = Generator[tuple[int, list[Document], list[list[EntityDict]]], None, None]
"""Documents with their entities, and the number of the first one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A model, the labels to find, and how.

    Attributes:
        model: The name of the model; see `load_model`.
        labels: The labels with their descriptions.
        threshold: The score that an entity must exceed.
        flat_ner: Whether entities may not overlap.
        multi_label: Whether a span may have several labels.
        patterns: Whether patterns find structured types.
        num_threads: The number of threads of the model; None for `OMP_NUM_THREADS`, or else one per
            processor.
        max_memory: The memory of the process.
    """

    model: str | None
    labels: Mapping[str, str]
    threshold: float = 0.5
    flat_ner: bool = True
    multi_label: bool = False
    patterns: bool = True
    num_threads: int | None = None
    max_memory: str = "2GB"

    def load(self) -> NERModel:
        """Return the model; see `load_model`."""
        return load_model(self.model, num_threads=self.num_threads, max_memory=self.max_memory)

    def ask(self, model: NERModel, texts: list[str]) -> list[list[EntityDict]]:
        """Return the entities of each text."""
        return model.inference(
            texts,
            self.labels,
            flat_ner=self.flat_ner,
            threshold=self.threshold,
            multi_label=self.multi_label,
            patterns=self.patterns,
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of the configuration of the model, which holds those of its other files."""
        located = locate_model(self.model)
        name = CONFIG_FILE if located.kind == "student" else GLINER_CONFIG
        return hashlib.sha256((located.folder / name).read_bytes()).hexdigest()

    @property
    def n_documents(self) -> int:
        """The number of documents to ask at once, so that answers come soon."""
        is_student = locate_model(self.model).kind == "student"
        return STUDENT_DOCUMENTS if is_student else TEACHER_DOCUMENTS


def answer_here(
    question: Question, model: NERModel, source: DocumentSource, *, prints: bool = True
) -> Answers:
    """Yield the documents of a source with their entities.

    Args:
        question: The labels and options.
        model: Its model.
        source: The documents.
        prints: See `read_documents`.

    Raises:
        CorpusError: See `read_documents`.
    """
    with closing(read_documents(source, question.n_documents, prints=prints)) as batches:
        for first, documents in batches:
            yield first, documents, question.ask(model, [document.text for document in documents])


def answer_on_cluster(
    question: Question, cluster: "Cluster", source: DocumentSource, *, prints: bool = True
) -> Answers:
    """Yield the documents of a source, in order, with the entities that a cluster has found.

    Args:
        question: The model, the labels and the options. Each worker loads the model.
        cluster: The cluster, whose answers come in order.
        source: The documents, in files that this process and a machine of the cluster can read.
        prints: See `read_documents`.

    Raises:
        CorpusError: See `read_documents`; or the files on the cluster differ from those here.
        StudentError: The model on a worker differs from that of this machine, or fails.
        DistillError: The source is not made of files, or the cluster cannot be reached or fails.
    """
    if source.n_bytes is None:
        raise DistillError("--ray reads the input twice, so it needs files; write it to a file")
    from gliner_distill.labeling.cluster import absolute_name

    files = tuple(str(Path(name).absolute()) for name in source.files)
    bad = None if source.bad is None else BadRecords()
    rows = partial(_read_rows, replace(source, files=files, bad=bad), question.n_documents)
    model = None if question.model is None else absolute_name(question.model)
    arguments = {"question": replace(question, model=model), "digest": question.digest}
    answers = cluster.answer(rows, AnswerWorker, arguments)
    with closing(read_documents(source, question.n_documents, prints=prints)) as batches:
        for first, documents in batches:
            answer = next(answers, None)
            texts = [document.text for document in documents]
            yield first, documents, _take_entities(answer, _to_json(texts))


def _read_rows(source: DocumentSource, n_documents: int) -> Iterator[str]:
    """Yield the texts of each portion as JSON, on another machine."""
    # Without an end to wait for, the portions would depend on the speed of reading.
    with Prefetcher(source.read(), max_documents=n_documents, waits_for_room=True) as portions:
        for documents in portions:
            yield _to_json([document.text for document in documents])


def _to_json(texts: list[str]) -> str:
    return json.dumps(texts)


def _take_entities(answer: Mapping[str, Any] | None, row: str) -> list[list[EntityDict]]:
    """Return the entities of an answer.

    Raises:
        CorpusError: It is the answer to other texts.
        StudentError: It describes the failure of a worker.
    """
    if answer is not None and answer["error"]:
        kind = CorpusError if answer["kind"] == "CorpusError" else StudentError
        raise kind(answer["error"])
    if answer is None or answer["texts"] != _digest(row):
        raise CorpusError(
            "the input has other texts on the machine of the cluster that reads it; put the same "
            "files there"
        )
    entities: list[list[EntityDict]] = json.loads(answer["entities"])
    return entities


def _digest(row: str) -> str:
    return hashlib.sha256(row.encode()).hexdigest()


class AnswerWorker:
    """An actor of a Ray cluster that holds a model; see `Cluster.answer`."""

    def __init__(self, question: Question, digest: str) -> None:
        from gliner_distill.labeling.cluster import describe_error

        self._question = question
        self._error: dict[str, str] = {}
        try:
            if question.digest != digest:
                raise StudentError(
                    f"{question.model or 'the bundled student'}: this worker has another model of "
                    "this name; put the same model and version on every machine"
                )
            self._model = question.load()
        except Exception as error:
            # An actor that fails in its constructor would be restarted again and again.
            self._error = describe_error(error)

    def __call__(self, batch: Any) -> Any:
        """Return a table with the answer to each row of a table."""
        import pyarrow as pa

        kinds = dict.fromkeys(("texts", "entities", "kind", "error"), pa.string())
        answers = [self._answer(**row) for row in batch.to_pylist()]
        return pa.Table.from_pylist(answers, pa.schema(list(kinds.items())))

    def _answer(self, row: str, kind: str, error: str) -> dict[str, str]:
        from gliner_distill.labeling.cluster import describe_error

        if error:
            return {"kind": kind, "error": error}
        if self._error:
            return self._error
        try:
            entities = self._question.ask(self._model, json.loads(row))
            return {"texts": _digest(row), "entities": json.dumps(entities)}
        except Exception as raised:
            return describe_error(raised)
