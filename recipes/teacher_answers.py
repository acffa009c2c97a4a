"""Ask the teacher about labels that the annotation of a passage leaves open.

Some of these labels are broader than the passage's own, some stand beside the passage's own labels
in other passages, some are common everywhere, and some are drawn from all labels. None of the
labels that are asked together is broader than another one, because a teacher that was trained to
answer the more specific of two labels would hold back the broader one.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from open_passages import Draw
from thesaurus import COMMON

from gliner_distill.callbacks import Progress
from gliner_distill.entities import Passage
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.base import Teacher

EVERYWHERE = (
    *("person", "location", "organization", "date", "product", "event", "company", "country"),
    *("city", "facility", "work of art", "group", "quantity", "time"),
)
N_EVERYWHERE, N_BROADER, N_BESIDE, N_LABELS = 2, 2, 6, 12
N_DRAWN, ELSEWHERE = 40, 0.1
_MIN_COUNT = 5


class QuestionMaker:
    """Chooses the labels to ask the teacher about a passage.

    Args:
        passages: Passages with open labels.
        draw: The draws of labels, made from the same passages.
    """

    def __init__(self, passages: Sequence[Passage], draw: Draw) -> None:
        self._draw = draw
        self._thesaurus = draw.thesaurus
        own = [passage.own_labels for passage in passages]
        self._counts = Counter(label for labels in own for label in labels)
        self._frequent = [
            [label for label in labels if self._counts[label] >= _MIN_COUNT] for labels in own
        ]
        self._rows_with: dict[str, list[int]] = {}
        for row, labels in enumerate(own):
            for label in labels:
                self._rows_with.setdefault(label, []).append(row)

    def choose(self, passage: Passage, rng: random.Random) -> tuple[str, ...]:
        """Return up to 12 labels that the passage does not use.

        None of them is broader than another one or means the same.
        """
        own = passage.own_labels
        everywhere = [label for label in EVERYWHERE if label not in own]
        rng.shuffle(everywhere)
        broader = sorted({name for label in own for name in self._thesaurus.all_broader(label)})
        broader = [label for label in broader if label not in COMMON]
        rng.shuffle(broader)
        chosen: list[str] = []
        for labels, n in (
            (everywhere, N_EVERYWHERE),
            (broader, N_BROADER),
            (list(self._beside(own, rng)), N_BESIDE),
            (self._draw.random_labels(N_LABELS, rng), N_LABELS),
        ):
            self._add(chosen, labels, own, min(n, N_LABELS - len(chosen)))
        return tuple(chosen)

    def _add(self, chosen: list[str], labels: Sequence[str], own: Sequence[str], n: int) -> None:
        """Append up to `n` of some labels, without those that clash with others."""
        last = len(chosen) + n
        for label in labels:
            if len(chosen) >= last:
                return
            if label not in own and not any(self._clash(label, other) for other in chosen):
                chosen.append(label)

    def _clash(self, label: str, other: str) -> bool:
        same_or_broader = self._thesaurus.is_same_or_broader
        return same_or_broader(label, other) or same_or_broader(other, label)

    def _beside(self, own: Sequence[str], rng: random.Random) -> Iterator[str]:
        """Yield labels of passages that share a label with this one."""
        known = [label for label in own if label in self._rows_with]
        for _ in range(N_DRAWN):
            is_elsewhere = not known or rng.random() < ELSEWHERE
            label = self._draw.random_labels(1, rng)[0] if is_elsewhere else rng.choice(known)
            frequent = self._frequent[rng.choice(self._rows_with[label])]
            if frequent:
                # Frequent labels are chosen less often than they occur.
                weights = [self._counts[label] ** -0.5 for label in frequent]
                yield rng.choices(frequent, weights)[0]


def ask_teacher(
    passages: Sequence[Passage],
    questions: QuestionMaker,
    teacher: Teacher,
    folder: Path,
    seed: int,
    *,
    progress: Progress,
) -> SoftLabelStore:
    """Return the teacher's answers for each passage, in order; continue if it was stopped.

    Args:
        passages: The passages.
        questions: Chooses the labels of each.
        teacher: The model to ask.
        folder: The folder of the store; its name is shown with the progress.
        seed: The random seed.
        progress: Called with the number of words labeled so far.
    """
    asked = [
        Passage(passage.words, labels=questions.choose(passage, random.Random(f"{seed}/{row}")))
        for row, passage in enumerate(passages)
    ]
    return label_corpus(
        asked,
        teacher,
        folder,
        policy=LabelPolicy(seed=seed),
        keep_subword_vectors=False,
        progress=progress,
        stage=f"labeling {folder.name}",
    )
