"""Teach a trained student which of two labels is the broader one.

From the hidden layer of the label tower, the layer `label_kind` computes two vectors and a number
for each label: `narrow`, `broad` and `breadth`. A label x is broader than a label y if
`narrow(y) · broad(x) + breadth(x)` is above 0 (see `gliner_distill.specificity`). The layer is
trained after the student, whose other weights stay as they are.

The examples come from the thesaurus, in which a label and its synonyms are narrower than all that
is broader, and no sibling is broader than another; and from the passages, in which the first of the
labels of a span is the most specific. Catch-all labels are broader than everything else.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from thesaurus import Thesaurus
from torch import Tensor, nn

from gliner_distill.entities import Passage
from gliner_distill.labeling.synonyms import labels_overlap
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.model import Student

CATCH_ALL = (
    *("miscellaneous", "misc", "other", "others", "entity", "other entity", "any entity"),
    *("named entity", "miscellaneous entity", "thing", "anything", "object", "unknown"),
)
WIDTH = 32
EPOCHS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 5, 2048, 3e-3, 0.02
N_UNRELATED, N_PER_CATCH_ALL, N_BESIDE = 150_000, 1_500, 6
N_LABELS_APART = 1_500
MARGIN = 2.0
"""The logit that a pair must exceed: a label that yields to an unrelated one does more harm."""
_ENCODED_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels, and whether the second one is broader than the first one.

    Attributes:
        narrow: The first label.
        broad: The second label.
        holds: Whether `broad` is broader than `narrow`.
        weight: The weight in the loss; pairs that rest on less evidence have less.
    """

    narrow: str
    broad: str
    holds: bool
    weight: float


@dataclass(frozen=True, slots=True)
class Relations:
    """The quality of the trained layer on labels that it never saw as the narrower of two.

    Attributes:
        found: The share of the broader labels that it recognizes; 0 if there are none.
        invented: The share of the other labels that it takes for broader ones.
        n_pairs: The number of pairs with a broader and with another label.
    """

    found: float
    invented: float
    n_pairs: tuple[int, int]


def make_pairs(thesaurus: Thesaurus, passages: Sequence[Passage], seed: int) -> list[Pair]:
    """Return the examples; they and their order are the same in every run.

    Args:
        thesaurus: The meaning of the labels; it must have a broader label.
        passages: Passages with open labels.
        seed: The random seed.
    """
    rng = random.Random(seed)
    pairs = [*_from_thesaurus(thesaurus), *_from_passages(thesaurus, passages, rng)]
    labels = sorted({label for pair in pairs for label in (pair.narrow, pair.broad)})
    counts = Counter(pair.broad for pair in pairs if pair.holds)
    broad = sorted(counts)
    totals = list(accumulate(counts[label] ** 0.5 for label in broad))
    for _ in range(N_UNRELATED):
        label, other = rng.choice(labels), rng.choices(broad, cum_weights=totals)[0]
        if not thesaurus.is_same_or_broader(other, label) and not labels_overlap(label, other):
            pairs.append(Pair(label, other, False, 1.0))
    concrete = [label for label in labels if label not in CATCH_ALL]
    for catch_all in CATCH_ALL:
        for label in rng.choices(concrete, k=N_PER_CATCH_ALL):
            pairs += [Pair(label, catch_all, True, 1.0), Pair(catch_all, label, False, 1.0)]
    # One source may call a pair broader that another one takes for synonyms, for example.
    broader = {(pair.narrow, pair.broad) for pair in pairs if pair.holds}
    return [pair for pair in pairs if pair.holds or (pair.narrow, pair.broad) not in broader]


def fit_relations(
    student: Student, vocabulary: Vocabulary, pairs: Sequence[Pair], *, apart: set[str], seed: int
) -> tuple[Student, Relations]:
    """Return a student with a trained `label_kind`, and a measurement of it.

    Args:
        student: A trained student with a hidden layer in its label tower.
        vocabulary: Its subword pieces.
        pairs: The examples.
        apart: Labels for the measurement; pairs in which one of them is the narrower label are
            left out of training.
        seed: The random seed.
    """
    labels = sorted({label for pair in pairs for label in (pair.narrow, pair.broad)})
    row_of = {label: row for row, label in enumerate(labels)}
    hidden = read_hidden(student, vocabulary, labels)
    mean, spread = hidden.mean(0), hidden.std(0) + 1e-4
    rows = torch.tensor([(row_of[pair.narrow], row_of[pair.broad]) for pair in pairs])
    holds = torch.tensor([float(pair.holds) for pair in pairs])
    weights = torch.tensor([pair.weight for pair in pairs])
    is_apart = torch.tensor([pair.narrow in apart for pair in pairs])
    torch.manual_seed(seed)
    layer = nn.Linear(hidden.shape[1], 2 * WIDTH + 1)
    standard = (hidden - mean) / spread
    _train(layer, standard, rows[~is_apart], holds[~is_apart], weights[~is_apart])
    with torch.no_grad():
        said = _score(layer, standard, rows[is_apart]) > MARGIN
        is_broader = holds[is_apart] > 0
        relations = Relations(
            found=_share(said[is_broader]),
            invented=_share(said[~is_broader]),
            n_pairs=(int(is_broader.sum()), int((~is_broader).sum())),
        )
        # The layer of the student reads the hidden layer itself, not its standardized values, and
        # its products are not divided.
        scale = torch.ones(len(layer.bias))
        scale[:WIDTH] = WIDTH**-0.5
        weight = layer.weight / spread * scale[:, None]
        bias = scale * layer.bias - weight @ mean
        bias[-1] -= MARGIN
    related = Student(replace(student.config, relation_width=WIDTH))
    kind = {"label_kind.weight": weight, "label_kind.bias": bias}
    related.load_state_dict(student.weights_without_projections() | kind)
    return related.eval(), relations


def read_hidden(student: Student, vocabulary: Vocabulary, labels: Sequence[str]) -> Tensor:
    """Return the hidden layer of the label tower for labels, shape `(labels, hidden)`."""
    parts = []
    student.eval()
    with torch.no_grad():
        for first in range(0, len(labels), _ENCODED_AT_ONCE):
            pieces = [
                vocabulary.encode_label(label) for label in labels[first : first + _ENCODED_AT_ONCE]
            ]
            lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
            vectors = student.pieces.weight[[piece for ids in pieces for piece in ids]]
            starts = torch.from_numpy(np.cumsum(lengths) - lengths)
            parts.append(student.read_labels(vectors, starts))
    return torch.cat(parts)


def labels_apart(thesaurus: Thesaurus, seed: int) -> set[str]:
    """Return labels of the thesaurus, with their synonyms, to keep apart from training."""
    labels = random.Random(seed).sample(
        sorted(thesaurus.entries), min(N_LABELS_APART, len(thesaurus.entries) // 5)
    )
    synonyms = (synonym for label in labels for synonym in thesaurus.entries[label].synonyms)
    return {*labels, *synonyms}


def _train(
    layer: nn.Linear, standard: Tensor, rows: Tensor, holds: Tensor, weights: Tensor
) -> None:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n_steps = EPOCHS * -(-len(rows) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, n_steps)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(rows)), BATCH_SIZE):
            losses = F.binary_cross_entropy_with_logits(
                _score(layer, standard, rows[batch]), holds[batch], reduction="none"
            )
            optimizer.zero_grad()
            torch.autograd.backward((losses * weights[batch]).mean())
            optimizer.step()
            schedule.step()


def _score(layer: nn.Linear, standard: Tensor, rows: Tensor) -> Tensor:
    """Return a logit per pair, above 0 if its second label is the broader one."""
    narrow, broad = layer(standard[rows[:, 0]]), layer(standard[rows[:, 1]])
    products = (narrow[:, :WIDTH] * broad[:, WIDTH : 2 * WIDTH]).sum(1)
    logits: Tensor = products / WIDTH**0.5 + broad[:, 2 * WIDTH]
    return logits


def _share(values: Tensor) -> float:
    return float(values.float().mean()) if len(values) else 0.0


def _from_thesaurus(thesaurus: Thesaurus) -> Iterator[Pair]:
    same_or_broader = thesaurus.is_same_or_broader
    for label, entry in thesaurus.entries.items():
        for name in (label, *entry.synonyms):
            for broad in sorted(thesaurus.all_broader(label) - {name}):
                yield Pair(name, broad, True, 1.0)
                yield Pair(broad, name, False, 1.0)
        for synonym in entry.synonyms:
            yield Pair(synonym, label, False, 0.5)
            yield Pair(label, synonym, False, 0.5)
        for sibling in entry.siblings:
            if not same_or_broader(sibling, label) and not same_or_broader(label, sibling):
                yield Pair(sibling, label, False, 1.0)
                yield Pair(label, sibling, False, 1.0)


def _from_passages(
    thesaurus: Thesaurus, passages: Iterable[Passage], rng: random.Random
) -> Iterator[Pair]:
    before: Counter[tuple[str, str]] = Counter()
    beside: Counter[tuple[str, str]] = Counter()
    for passage in passages:
        spans: dict[tuple[int, int], list[str]] = {}
        for entity in passage.entities:
            spans.setdefault((entity.start_word, entity.end_word), []).append(entity.label)
        for labels in spans.values():
            before.update(
                (label, later)
                for place, label in enumerate(labels)
                for later in labels[place + 1 :]
            )
        own = passage.own_labels
        if own:
            beside.update((rng.choice(own), rng.choice(own)) for _ in range(N_BESIDE))
    for (label, later), count in before.items():
        # Once may be chance, and an order that changes shows two wordings of one thing.
        is_clear = count >= 2 and 4 * before[later, label] <= count
        if label != later and is_clear and not thesaurus.is_same_or_broader(label, later):
            yield Pair(label, later, True, 0.5)
            yield Pair(later, label, False, 0.5)
    for label, other in beside:
        if (
            label != other
            and not before[label, other]
            and not before[other, label]
            and not thesaurus.are_related(label, other)
        ):
            yield Pair(label, other, False, 0.5)
