"""Ask the teacher about the passages, and warn about labels that are hard to learn."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.distillation.measurements import Reading
from gliner_distill.distillation.selection.asking import is_labeled
from gliner_distill.distillation.selection.texts import (
    Passages,
    is_in_rounds,
    read_text,
    read_whole,
)
from gliner_distill.distillation.stages import Collected, Labeled
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import END, INSIDE, START, LabeledPassage
from gliner_distill.labeling.synonyms import labels_mean_the_same
from gliner_distill.labels import clean_label
from gliner_distill.teacher.paid import Asked, ListQuestions, announce_questions


def label(work: Workspace, collected: Collected) -> Labeled:
    """Ask the teacher about the passages that it has not been asked about yet.

    Raises:
        SettingsError: The teacher's budget is too small.
        DistillError: The teacher cannot be used, or a store is broken or cannot be written.
    """
    started = time.monotonic()
    _announce(work, [*collected.gold, *collected.text])
    gold: dict[str, list[LabeledPassage]] = {split: [] for split in SPLITS}
    text: dict[str, list[LabeledPassage]] = {split: [] for split in SPLITS}
    for folder in collected.gold:
        _add(gold, read_whole(work, folder))
    reading, start = Reading(0, 0), work.start_of_run(collected.run)
    for folder in collected.text:
        known = {split: [*text[split], *gold[split]] for split in SPLITS}
        passages, more, start = read_text(work, folder, known, start)
        _add(text, passages)
        reading += more
    # A passage that was read as text, and was annotated later, counts as annotated.
    annotated = {passage.words for split in gold.values() for passage in split}
    text = {
        split: [passage for passage in passages if passage.words not in annotated]
        for split, passages in text.items()
    }
    labels = tuple(work.job.labels)
    warnings = [
        *([reading.sentence] if reading.is_chosen else []),
        *warn_about_synonyms(labels),
        *warn_about_unseen_labels([*text["train"], *gold["train"]], labels),
    ]
    return Labeled(
        text=text,
        gold=gold,
        run=collected.run,
        plan=collected.plan,
        reading=reading,
        start=start,
        seconds=time.monotonic() - started,
        warnings=(*collected.warnings, *warnings),
    )


def _add(labeled: dict[str, list[LabeledPassage]], more: Passages) -> None:
    for split, passages in more.items():
        labeled[split] += passages


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
    """Tell a teacher that costs money about all passages that it has not labeled yet.

    Texts that it reads in rounds are announced whole at first, and then round by round.
    """

    def list_questions(path: Path) -> Iterator[Asked]:
        labels = tuple(work.job.policy.prompts(work.job.policy.fixed))
        for passage in CorpusFile(path):
            yield passage.words, labels

    questions: dict[Path, ListQuestions] = {
        folder.store(split): partial(list_questions, folder.passages_file(split))
        for folder in folders
        for split in folder.splits
        if split != "train" or not is_in_rounds(folder)
    }
    finished = [store for store in questions if is_labeled(work, store)]
    if len(finished) < len(questions):
        # A finished store may keep answers that another one needs.
        questions |= dict.fromkeys(finished, tuple)
        announce_questions(work.teacher.load(), questions)
