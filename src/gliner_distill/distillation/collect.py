"""Read the documents of a job and write the new ones into the working folder, split by document."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gliner_distill.corpus.documents import (
    MIN_PASSAGES,
    SplitCorpus,
    cut_document,
    read_documents,
    split_documents,
)
from gliner_distill.corpus.reader import CorpusFile, read_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.job import Plan
from gliner_distill.distillation.plan import make_plan
from gliner_distill.distillation.sources import Source, locate_gold, locate_texts
from gliner_distill.distillation.stages import Collected
from gliner_distill.distillation.workspace import Kind, PassageFolder, Workspace
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError
from gliner_distill.labels import clean_label

_logger = logging.getLogger(__name__)

_SHOWN_LABELS = 8
"""The labels that a message names, at most."""


def collect(work: Workspace) -> Collected:
    """Read the documents of a job and return all passages, including those of earlier runs.

    New passages are written only after all documents were read. If there is a time limit, a run
    that was stopped is finished before new documents are read.

    Raises:
        InputError: Texts or annotated passages have a wrong type or content.
        CorpusError: There is too little text, or it cannot be read, or no annotated passage has
            one of the labels.
        SettingsError: The time is too short.
        DistillError: The folder cannot be written, or there are new passages and the teacher cannot
            be loaded.
    """
    texts, gold = locate_texts(work), locate_gold(work)
    plan = Plan() if work.job.minutes is None else make_plan(work, texts.path)
    folders = {kind: work.passage_folders(kind) for kind in _KINDS}
    annotated = _documents_of(folders["gold"])
    warnings = [*texts.warnings, *(gold.warnings if gold is not None else ())]
    max_words = plan.max_words
    read: dict[Kind, _Read] = {}
    if gold is not None:
        read["gold"] = _read_gold(work, gold, folders["gold"])
        annotated.update(read["gold"].corpus.documents)
        # Annotated passages are labeled, too, so their words count for the time limit.
        if max_words is not None:
            max_words = max(0, max_words - read["gold"].corpus.n_words)
    # With a time limit, a run that was stopped gets the time that would go to new documents.
    is_stopped = bool(folders["text"]) and not work.is_finished(_run_number(folders))
    if plan.max_words is None or not is_stopped:
        read["text"] = _read_text(work, texts, annotated, folders["text"], max_words)
    if any(new.corpus.documents for new in read.values()):
        # If the teacher cannot be loaded, its texts must not stay in the folder for another job.
        work.teacher.load()
    for kind, new in read.items():
        warnings += new.warnings
        if new.corpus.documents:
            work.add_passages(kind, new.corpus)
        else:
            warnings += new.corpus.warnings
    folders = {kind: work.passage_folders(kind) for kind in _KINDS}
    for kind in _KINDS:
        warnings += [line for folder in folders[kind] for line in folder.warnings]
    return Collected(
        text=folders["text"],
        gold=folders["gold"],
        run=_run_number(folders),
        plan=plan,
        # A warning of an earlier run may be the same as a new one.
        warnings=tuple(dict.fromkeys(warnings)),
    )


_KINDS: tuple[Kind, ...] = ("gold", "text")


@dataclass(frozen=True, slots=True)
class _Read:
    """New passages, and the warnings of this call."""

    corpus: SplitCorpus
    warnings: list[str]


def _run_number(folders: Mapping[Kind, Sequence[PassageFolder]]) -> int:
    """Return the number of the run on these folders; each new folder starts a new run."""
    return sum(map(len, folders.values())) - 1


def _documents_of(folders: Iterable[PassageFolder]) -> set[str]:
    return {digest for folder in folders for digest in folder.documents}


def _read_text(
    work: Workspace,
    source: Source,
    annotated: set[str],
    folders: Sequence[PassageFolder],
    max_words: int | None,
) -> _Read:
    notes = CorpusNotes()
    job = work.job
    documents = read_documents(source.path, column=job.column, skip_bad=job.skip_bad, notes=notes)
    corpus = split_documents(
        # Entities that the file of texts itself has annotated are not used.
        (Passage(document.words) for document in documents),
        source=source.name,
        known=annotated | _documents_of(folders),
        min_passages=0 if folders else MIN_PASSAGES - len(annotated),
        max_words=max_words,
    )
    notes.long_passages = notes.passages_without_entities = 0  # documents are cut
    return _Read(corpus, notes.lines())


def _read_gold(work: Workspace, source: Source, folders: Sequence[PassageFolder]) -> _Read:
    notes = CorpusNotes()
    passages = list(read_passages(source.path, skip_bad=work.job.skip_bad, notes=notes))
    documents = [_keep_labels(passage, work.job.labels) for passage in passages]
    corpus = split_documents(
        documents, source=source.name, known=_documents_of(folders), min_passages=0
    )
    notes.long_passages = 0  # documents are cut
    warnings = [
        *_warn_about_changes(source.name, documents, folders),
        *notes.lines(),
        *_warn_about_other_labels(source.name, passages, work.job.labels),
        *_warn_about_absent_labels(source.name, passages, work.job.labels),
    ]
    return _Read(corpus, warnings)


def _keep_labels(passage: Passage, labels: Iterable[str]) -> Passage:
    """Return a passage with only the entities of some labels; those of a corpus are clean."""
    asked = set(map(clean_label, labels))
    return Passage(passage.words, tuple(e for e in passage.entities if e.label in asked))


def _warn_about_other_labels(
    source: str, passages: Sequence[Passage], labels: Iterable[str]
) -> list[str]:
    """Return a warning that counts the entities whose labels are not asked for, if there are any.

    They are left out, which is wrong if a label of the file is misspelled.
    """
    asked = set(map(clean_label, labels))
    left_out = Counter(
        entity.label
        for passage in passages
        for entity in passage.entities
        if entity.label not in asked
    )
    if not left_out:
        return []
    counts = [f"{label!r} ({count:,})" for label, count in left_out.most_common(_SHOWN_LABELS)]
    rest = len(left_out) - len(counts)
    more = f" and {rest:,} more labels" if rest else ""
    return [
        f"{source}: entities of labels that you did not ask for are left out: "
        f"{', '.join(counts)}{more}"
    ]


def _warn_about_absent_labels(
    source: str, passages: Sequence[Passage], labels: Iterable[str]
) -> list[str]:
    """Return a warning for each label that no passage is annotated with, and log it at once.

    Raises:
        CorpusError: No passage has any of the labels.
    """
    present = {entity.label for passage in passages for entity in passage.entities}
    asked = {label: clean_label(label) for label in labels}
    absent = [label for label in asked if asked[label] not in present]
    if len(absent) == len(asked):
        has = ", ".join(map(repr, sorted(present)[:_SHOWN_LABELS])) or "none"
        raise CorpusError(
            f"{source}: no annotated entity has one of your labels; the labels in the file: {has}; "
            f"expected {', '.join(map(repr, absent[:_SHOWN_LABELS]))}"
        )
    warnings = []
    for label in absent:
        similar = get_close_matches(asked[label], sorted(present - set(asked.values())))
        hint = f" (but the file has {', '.join(map(repr, similar))})" if similar else ""
        warnings.append(
            f"{source}: no entity is annotated as {label!r}{hint}, so the student learns that "
            "there are none"
        )
        # The label may be misspelled, and training takes long, so the user is told now.
        _logger.warning("%s", warnings[-1])
    return warnings


def _warn_about_changes(
    source: str, documents: Iterable[Passage], folders: Sequence[PassageFolder]
) -> list[str]:
    """Return a warning if the annotation of passages that were read before has changed."""
    before = {
        passage.words: set(passage.entities)
        for folder in folders
        for split in folder.splits
        for passage in CorpusFile(folder.passages_file(split))
    }
    n_changed = sum(
        passage.words in before and set(passage.entities) != before[passage.words]
        for document in documents
        for passage in cut_document(document)
    )
    if not n_changed:
        return []
    return [
        f"{source}: the annotation of {n_changed:,} passages has changed since they were first "
        "read, and the student still learns the earlier one; choose another --out for the new one"
    ]
