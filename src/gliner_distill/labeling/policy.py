"""Which labels are asked of a passage, and in what words.

In: a policy, how often each label occurs in the corpus, a passage and its position. Out: the labels
to ask. A draw depends on the seed and the passage's position alone, so that it is the same whoever
does it and in whatever order.
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


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Which labels are asked of a passage: its own, and more; or a fixed list.

    Attributes:
        negatives: With the passage's own labels, so many others of the corpus, drawn without
            replacement with weights of the square root of their number of passages. Labels that
            mean nearly the same as one of its own are left out (see `near_synonyms`).
        fixed: Ask these of every passage instead, where given.
        pool: Labels to draw from, all alike, for students of any label.
        from_pool: With the passage's own labels, so many of the pool.
        descriptions: What to tell the teacher of a label. It is asked for `label: description`;
            the store has the label alone.
        seed: Of the draw. The draw of a passage depends on the seed and its position alone.
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
                "a fixed label list leaves no room for negatives or a pool: give one of them"
            )
        for name, labels in (("fixed", self.fixed), ("pool", self.pool)):
            if len(set(labels)) != len(labels):
                raise SettingsError(f"{name} holds a label twice; each must differ from the others")
        if bool(self.pool) != bool(self.from_pool):
            raise SettingsError(
                f"a pool of {len(self.pool)} labels and {self.from_pool} to draw from it: "
                f"both are needed, or neither"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the policy in plain JSON values."""
        return {
            "negatives": self.negatives,
            "fixed": list(self.fixed),
            "pool": list(self.pool),
            "from_pool": self.from_pool,
            "descriptions": dict(self.descriptions),
            "seed": self.seed,
        }

    def prompts(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return labels as the teacher is asked for them.

        >>> LabelPolicy(descriptions={"drug": "a medicine"}).prompts(["drug", "city"])
        ('drug: a medicine', 'city')
        """
        return tuple(format_prompt(label, self.descriptions.get(label, "")) for label in labels)


class LabelSampler:
    """Chooses each passage's labels."""

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
            misses_per_label: How many rejected draws per wanted label are allowed before the
                sampler falls back to exact sampling. Both ways have the same distribution.
        """
        self._policy = policy
        self._misses_per_label = misses_per_label
        self._labels = sorted(label_counts)
        self._weights = [label_counts[label] ** 0.5 for label in self._labels]
        self._totals = list(accumulate(self._weights))

    def choose(self, position: int, passage: Passage) -> tuple[str, ...]:
        """Return the labels to ask of a passage, each once: its own first, then those drawn."""
        policy = self._policy
        if policy.fixed:
            return policy.fixed
        own = passage.own_labels
        drawn = random.Random(f"{policy.seed}/{position}")
        negatives = islice(self._others(drawn, own), policy.negatives) if policy.negatives else ()
        asked = (*own, *negatives)
        return (*asked, *self._from_pool(drawn, asked))

    def _others(self, draw: random.Random, own: Sequence[str]) -> Iterator[str]:
        """Yield the corpus's labels in a random order, frequent ones sooner, near-synonyms not."""
        seen = set(own)
        misses_left = self._misses_per_label * self._policy.negatives
        while misses_left and self._labels:
            [label] = draw.choices(self._labels, cum_weights=self._totals)
            if label in seen:
                misses_left -= 1
                continue
            seen.add(label)
            if not any(labels_overlap(label, one) for one in own):
                yield label
        yield from self._rest(draw, own, seen)

    def _rest(self, draw: random.Random, own: Sequence[str], seen: Container[str]) -> Iterator[str]:
        # Efraimidis and Spirakis 2006: the largest u**(1/w) are a weighted draw without
        # replacement, as is drawing again whatever was drawn before.
        keys = [
            (draw.random() ** (1 / weight), label)
            for weight, label in zip(self._weights, self._labels, strict=True)
            if label not in seen
        ]
        for _, label in sorted(keys, reverse=True):
            if not any(labels_overlap(label, one) for one in own):
                yield label

    def _from_pool(self, draw: random.Random, asked: Sequence[str]) -> list[str]:
        policy = self._policy
        enough = min(policy.from_pool + len(asked), len(policy.pool))
        candidates = draw.sample(policy.pool, enough) if policy.from_pool else []
        return [label for label in candidates if label not in asked][: policy.from_pool]
