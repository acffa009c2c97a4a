"""Ask the teacher about all passages, and warn about labels that are hard to learn."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.distillation.stages import Collected, Labeled
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import END, INSIDE, START, LabeledPassage
from gliner_distill.errors import SettingsError, StoreError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.synonyms import labels_mean_the_same
from gliner_distill.labels import clean_label
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.base import individual_teachers
from gliner_distill.teacher.paid import Asked, ListQuestions, announce_questions


def label(work: Workspace, collected: Collected) -> Labeled:
    """Ask the teacher about all passages that it has not been asked about yet.

    Raises:
        DistillError: The teacher cannot be used, or a store is broken or cannot be written.
    """
    started = time.monotonic()
    _announce(work, [*collected.gold, *collected.text])
    gold = _label_folders(work, collected.gold)
    text = _label_folders(work, collected.text)
    # A passage that was read as text, and was annotated later, counts as annotated.
    annotated = {passage.words for split in gold.values() for passage in split}
    text = {
        split: [passage for passage in passages if passage.words not in annotated]
        for split, passages in text.items()
    }
    labels = tuple(work.job.labels)
    warnings = [
        *warn_about_synonyms(labels),
        *warn_about_unseen_labels([*text["train"], *gold["train"]], labels),
    ]
    return Labeled(
        text=text,
        gold=gold,
        run=collected.run,
        plan=collected.plan,
        seconds=time.monotonic() - started,
        warnings=(*collected.warnings, *warnings),
    )


def warn_about_synonyms(labels: Sequence[str]) -> list[str]:
    """Return a warning for each pair of labels that mean the same.

    >>> warn_about_synonyms(["company", "city", "firm"])
    ["labels 'company' and 'firm' mean the same; keep one of them, or entities of one may be found \
as the other"]
    """
    return [
        f"labels {first!r} and {second!r} mean the same; keep one of them, or entities of one may "
        "be found as the other"
        for first, second in combinations(labels, 2)
        if labels_mean_the_same(first, second)
    ]


def warn_about_unseen_labels(
    passages: Sequence[LabeledPassage], labels: Sequence[str]
) -> list[str]:
    """Return a warning, with the best score, for each label that the teacher never finds.

    The student learns a label that occurs in the annotation from there, so it gets no
    warning.

    Args:
        passages: The training passages; each was asked for `labels`, in that order.
        labels: The labels.
    """
    best = np.zeros(len(labels))
    for passage in passages:
        # Labels that were found once need no further check, which saves most of the work.
        missing = np.flatnonzero(best <= 0.5)
        if not len(missing):
            break
        best[missing] = np.maximum(best[missing], best_span_probs(passage.probs[:, missing]))
    annotated = {entity.label for passage in passages for entity in passage.passage.entities}
    return [
        f"the teacher finds no {label!r} in the training text (its best score is {score:.2f}, not "
        "above 0.5), so the student learns to find none; choose another word for it, or leave it "
        "out"
        for label, score in zip(labels, best.tolist(), strict=True)
        if score <= 0.5 and clean_label(label) not in annotated
    ]


def best_span_probs(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each label's best span, shape `(labels,)`; 0 without words.

    A span's score is that of `decode_entities`: the smallest of the start probability of its first
    word, the end probability of its last word, and the inside probabilities of all its words.

    Args:
        probs: Shape `(words, labels, 3)`.
    """
    # The best span that covers a word either starts there or also covers the word before.
    is_open = best = np.zeros(probs.shape[1], dtype=np.float32)
    for word in probs:
        is_open = np.minimum(word[:, INSIDE], np.maximum(word[:, START], is_open))
        best = np.maximum(best, np.minimum(is_open, word[:, END]))
    return best


def _announce(work: Workspace, folders: Sequence[PassageFolder]) -> None:
    """Tell a teacher that costs money about all passages that it has not labeled yet."""

    def list_questions(path: Path) -> Iterator[Asked]:
        labels = tuple(work.job.policy.prompts(work.job.policy.fixed))
        for passage in CorpusFile(path):
            yield passage.words, labels

    questions: dict[Path, ListQuestions] = {
        folder.store(split): partial(list_questions, folder.passages_file(split))
        for folder in folders
        for split in folder.splits
    }
    finished = [store for store in questions if _is_labeled(work, store)]
    if len(finished) < len(questions):
        # A finished store may keep answers that another one needs.
        questions |= dict.fromkeys(finished, tuple)
        announce_questions(work.teacher.load(), questions)


def _label_folders(
    work: Workspace, folders: Sequence[PassageFolder]
) -> dict[str, list[LabeledPassage]]:
    """Return the soft labels of all folders by split, from their stores once these are finished.

    Raises:
        CorpusError: A file of passages was changed.
        StoreError: A store holds another number of passages than its file.
    """
    labeled: dict[str, list[LabeledPassage]] = {split: [] for split in SPLITS}
    for folder in folders:
        for split in folder.splits:
            folder.check_passages(split)
            if not _is_labeled(work, folder.store(split)):
                label_corpus(
                    # Another process, which may read it for the workers, works in another folder.
                    CorpusFile(folder.passages_file(split).absolute()),
                    work.teacher.load(),
                    folder.store(split),
                    policy=work.job.policy,
                    keep_individual=bool(individual_teachers(work.teacher.load())),
                    keep_subword_vectors=False,
                    workers=work.workers,
                    limits=ShardLimits(passages=work.settings.shard_passages),
                    progress=work.progress,
                    stage=f"labeling {folder.path.name} {split}",
                )
            store = SoftLabelStore(folder.store(split))
            if len(store) != folder.n_passages[split]:
                raise StoreError(
                    f"{folder.store(split)}: has {len(store):,} passages, but "
                    f"{folder.passages_file(split)} has {folder.n_passages[split]:,}; remove the "
                    "store, so that they are labeled again"
                )
            labeled[split] += store
    return labeled


def _is_labeled(work: Workspace, store: Path) -> bool:
    """Say whether a store is finished.

    Raises:
        SettingsError: Another teacher has labeled it.
    """
    try:
        manifest = read_manifest(store)
    except StoreError:
        return False  # the store is missing, or broken, which `label_corpus` reports
    if work.teacher.fingerprint not in (None, manifest.teacher_fingerprint):
        raise SettingsError(
            f"{work.out}: its text was labeled by a different teacher that is also called "
            f"{work.teacher.name!r}; use that one with its settings, or choose another --out"
        )
    return manifest.is_complete
