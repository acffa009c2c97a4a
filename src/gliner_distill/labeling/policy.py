"""Choose the labels to ask about a passage, and their wording.

A `LabelPolicy` and the number of passages that have each label give a `LabelSampler`, which chooses
the labels of a passage. The choice depends only on the seed and the position of the passage, so it
is the same on every machine and in any order.
"""

import random
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any

from gliner_distill.corpus.labels import format_prompt
from gliner_distill.entities import Passage
from gliner_distill.errors import SettingsError
from gliner_distill.labeling.synonyms import labels_overlap
from gliner_distill.labels import by_clean_label, clean_label


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """The labels to ask about a passage: its own labels and further ones, or a fixed list.

    All labels are kept in their clean form (see `clean_label`), as in a corpus.

    Attributes:
        negatives: The number of labels of the corpus to ask in addition to the passage's own. They
            are sampled without replacement; the weight of a label is the square root of the number
            of its passages. Labels that overlap with one of the passage's own are left out (see
            `labels_overlap`). 8 is a good number.
        fixed: Labels to ask about every passage instead of its own; empty for no fixed list.
        pool: Labels to sample from with equal weights, for students that should find any label.
        from_pool: The number of labels of the pool to ask in addition to the passage's own.
        descriptions: Descriptions of labels, by label; not every label needs one. The teacher is
            asked for `label: description`, and the store has the label alone.
        seed: The random seed for sampling labels.
    """

    negatives: int = 0
    fixed: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    from_pool: int = 0
    descriptions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, count in (("negatives", self.negatives), ("from_pool", self.from_pool)):
            if count < 0:
                raise SettingsError(f"{name} must be 0 or more; got {count}")
        if self.fixed and (self.negatives or self.from_pool):
            raise SettingsError(
                "fixed labels cannot be combined with negatives or a pool, since they replace a "
                "passage's own labels; use only one of them"
            )
        for name in ("fixed", "pool"):
            labels = tuple(map(clean_label, getattr(self, name)))
            object.__setattr__(self, name, labels)  # the dataclass is frozen
            if len(set(labels)) != len(labels):
                repeated = next(label for label in labels if labels.count(label) > 1)
                raise SettingsError(f"{name} holds the label {repeated!r} twice; remove one")
        object.__setattr__(self, "descriptions", by_clean_label(self.descriptions))
        if bool(self.pool) != bool(self.from_pool):
            raise SettingsError(
                f"pool has {len(self.pool)} labels and from_pool is {self.from_pool}; set both or "
                f"neither"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the policy as plain JSON values."""
        return {
            "negatives": self.negatives,
            "fixed": list(self.fixed),
            "pool": list(self.pool),
            "from_pool": self.from_pool,
            "descriptions": dict(self.descriptions),
            "seed": self.seed,
        }

    def prompts(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the texts that the teacher is asked for.

        >>> LabelPolicy(descriptions={"drug": "a medicine"}).prompts(["drug", "city"])
        ('drug: a medicine', 'city')
        """
        return tuple(
            format_prompt(label, self.descriptions.get(clean_label(label), "")) for label in labels
        )


class LabelSampler:
    """Chooses the labels of each passage."""

    def __init__(
        self,
        policy: LabelPolicy,
        label_counts: Mapping[str, int],
        *,
        misses_per_label: int = 20,
    ) -> None:
        """Prepare the sampling of negatives.

        Args:
            policy: Which labels to ask.
            label_counts: The number of passages in the corpus that have each label as their own.
            misses_per_label: The number of rejected draws per label after which the sampler
                switches to exact sampling. Both ways have the same distribution.
        """
        self._policy = policy
        self._misses_per_label = misses_per_label
        self._labels = sorted(label_counts)
        self._weights = [label_counts[label] ** 0.5 for label in self._labels]
        self._totals = list(accumulate(self._weights))

    def choose(self, position: int, passage: Passage) -> tuple[str, ...]:
        """Return the labels to ask about a passage, without duplicates: its own labels come first.

        Args:
            position: The position of the passage in the corpus, from 0.
            passage: The passage.
        """
        policy = self._policy
        if policy.fixed:
            return policy.fixed
        own = passage.own_labels
        rng = random.Random(f"{policy.seed}/{position}")
        negatives = islice(self._sample(rng, own), policy.negatives) if policy.negatives else ()
        asked = (*own, *negatives)
        return (*asked, *self._sample_pool(rng, asked))

    def _sample(self, rng: random.Random, own: Sequence[str]) -> Iterator[str]:
        """Yield labels of the corpus in weighted random order, without those that overlap `own`."""
        seen = set(own)
        misses_left = self._misses_per_label * self._policy.negatives
        while misses_left and self._labels:
            [label] = rng.choices(self._labels, cum_weights=self._totals)
            if label in seen:
                misses_left -= 1
                continue
            seen.add(label)
            if not any(labels_overlap(label, own_label) for own_label in own):
                yield label
        yield from self._sample_exactly(rng, own, seen)

    def _sample_exactly(
        self, rng: random.Random, own: Sequence[str], seen: Container[str]
    ) -> Iterator[str]:
        """Yield the labels that are still unseen, in weighted random order.

        This looks at every label, but does not slow down when a few labels have most of the weight.
        """
        # Efraimidis and Spirakis 2006: sorting by u**(1/w) is weighted sampling without
        # replacement, with the same distribution as drawing and rejecting repeated labels.
        keys = [
            (rng.random() ** (1 / weight), label)
            for weight, label in zip(self._weights, self._labels, strict=True)
            if label not in seen
        ]
        for _, label in sorted(keys, reverse=True):
            if not any(labels_overlap(label, own_label) for own_label in own):
                yield label

    def _sample_pool(self, rng: random.Random, asked: Sequence[str]) -> list[str]:
        """Return labels of the pool that are not asked yet."""
        policy = self._policy
        # This many candidates are enough even if all labels that are already asked are among them.
        n_candidates = min(policy.from_pool + len(asked), len(policy.pool))
        candidates = rng.sample(policy.pool, n_candidates) if policy.from_pool else []
        return [label for label in candidates if label not in asked][: policy.from_pool]
