"""Find entities in words: decode a student's probabilities with its thresholds.

`StudentNER` checks its arguments and splits texts into words; this module does the rest.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gliner_distill.decoding import decode_scores
from gliner_distill.entities import Entity
from gliner_distill.errors import InputError, StudentError
from gliner_distill.hub.cards import CARD_FILE
from gliner_distill.kernel.kernels import LoadedSearch
from gliner_distill.labels import by_clean_label, clean_label, spellings_by_label
from gliner_distill.processors import default_threads
from gliner_distill.runtime.bundle import Bundle, pack_bundle, unpack_bundle
from gliner_distill.runtime.caches import SizedCache
from gliner_distill.runtime.head_scoring import Array, LabelColumns, Mask, SearchRules
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.inputs import InferenceOptions, merge_label_sets, split_label_sets
from gliner_distill.runtime.labels import EncodedLabels, Prompts, read_label_set
from gliner_distill.runtime.memory import MemoryPlan
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.scorer import StudentScorer, WordVectorsKept
from gliner_distill.runtime.sharing.cards import tuned_card
from gliner_distill.runtime.thresholds import (
    MIN_SCORE,
    GoldPassage,
    fit_label_thresholds,
    fit_recall_thresholds,
    gather_candidates,
    labels_of,
    plan_tuning,
    prefer_certain,
)

_TOP_LABELS = 5
_LABELS_AT_ONCE = 512
_BYTES_PER_LABEL = 400  # the numbers by which a search compares labels


class EntityFinder:
    """A student that finds entities in words; several threads may share one.

    A forked process makes its own caches and locks when it first uses the finder, because a thread
    of the parent process may have held a lock during the fork, and does not exist there.
    A pickle or a copy holds the student's files and the settings, but no caches.

    Args:
        bundle: The student.
        num_threads: The number of threads that read texts; None for `default_threads`.
        plan: The division of the memory.

    Attributes:
        bundle: The student, with the thresholds that `tune` has set.

    Raises:
        StudentError: A weight computes numbers that are not finite.
        InputError: `num_threads` is below 1.
    """

    def __init__(
        self, bundle: Bundle, *, num_threads: int | None = None, plan: MemoryPlan | None = None
    ) -> None:
        self.bundle = bundle
        self._num_threads = num_threads
        self._plan = plan or MemoryPlan.of()
        self._engine = self._make_engine()

    def __getstate__(self) -> dict[str, Any]:
        files = pack_bundle(self.bundle) | {CARD_FILE: self.bundle.card.encode()}
        return {"files": files, "num_threads": self._num_threads, "plan": self._plan}

    def __setstate__(self, state: dict[str, Any]) -> None:
        files, num_threads, plan = state["files"], state["num_threads"], state["plan"]
        EntityFinder.__init__(self, unpack_bundle(files), num_threads=num_threads, plan=plan)

    @property
    def n_cached_bytes(self) -> int:
        """The bytes of all caches: words and labels with their vectors, and sets of labels."""
        n_pieces = self.bundle.vocabulary.n_cached_bytes
        return self.n_label_set_bytes + n_pieces + self._own_engine().scorer.n_cached_bytes

    @property
    def n_label_set_bytes(self) -> int:
        """The bytes of the cached sets of labels."""
        return self._own_engine().label_sets.n_bytes + self._own_engine().searches.n_bytes

    def encode(self, prompts: Prompts) -> EncodedLabels:
        """Return labels with their vectors, which are cached."""
        return self._columns(prompts)[0] if prompts else self._own_engine().scorer.encode(prompts)

    def logits(self, passages: Sequence[Sequence[str]], prompts: Prompts) -> list[Array]:
        """Return the logits of each passage, shape as in `Head.logits_shape`."""
        return self._own_engine().scorer.logits(passages, self._own_engine().scorer.encode(prompts))

    def find(
        self,
        passages: Sequence[Sequence[str]],
        asked: Prompts | list[Prompts],
        options: InferenceOptions,
    ) -> tuple[list[list[Entity]], list[list[dict[str, float]]]]:
        """Return the entities of each passage and, if wanted, the class probabilities of each.

        Args:
            passages: The words of each passage.
            asked: The labels for all passages, or for each passage its own.
            options: The options; `on_long` has no effect here.
        """
        if not isinstance(asked, list):
            return self._find(passages, asked, None, options)
        found: list[list[Entity]] = []
        probs: list[list[dict[str, float]]] = []
        # If texts share few labels, those of all texts together would be very many.
        for part in split_label_sets(asked, _LABELS_AT_ONCE):
            prompts, mask = merge_label_sets(asked[part])
            more, more_probs = self._find(passages[part], prompts, mask, options)
            found += more
            probs += more_probs
        return found, probs

    def _find(
        self,
        passages: Sequence[Sequence[str]],
        prompts: Prompts,
        mask: Mask | None,
        options: InferenceOptions,
    ) -> tuple[list[list[Entity]], list[list[dict[str, float]]]]:
        probs: list[list[dict[str, float]]] = [[] for _ in passages]
        if not prompts:
            return [[] for _ in passages], probs
        labels, columns, rules, search = self._search(prompts, options)
        score_map, thresholds = self.bundle.score_map, rules.thresholds
        searched: list[list[Entity] | None] = [None] * len(passages)
        if not options.return_class_probs:
            searched = self._own_engine().scorer.find(
                passages, columns.names, search, label_mask=mask, batch_size=options.batch_size
            )
            if None not in searched:
                return [entities for entities in searched if entities is not None], probs
        found = [entities or [] for entities in searched]
        # The other passages keep their numbers, and those that are done have no words.
        passages = [
            words if entities is None else ()
            for words, entities in zip(passages, searched, strict=True)
        ]
        kept = WordVectorsKept() if options.return_class_probs else None
        parts = self._own_engine().scorer.score(
            passages,
            columns,
            thresholds,
            label_mask=mask,
            batch_size=options.batch_size,
            kept=kept,
        )
        for scores in parts:
            new = decode_scores(
                scores,
                thresholds,
                columns.names,
                len(passages),
                flat_ner=options.flat_ner,
                multi_label=options.multi_label,
                kinds=labels.kinds,
                at_once=self._plan.n_spans,
            )
            for number, entities in enumerate(_report_scores(new, score_map)):
                found[number] += entities
                if kept is not None:
                    probs[number] += [
                        self._class_probs(kept, number, entity, labels, columns, mask)
                        for entity in entities
                    ]
        return found, probs

    def _class_probs(
        self,
        kept: WordVectorsKept,
        passage: int,
        entity: Entity,
        labels: EncodedLabels,
        columns: LabelColumns,
        mask: Mask | None,
    ) -> dict[str, float]:
        """Return the scores of the likeliest labels for an entity's span, best first."""
        words = range(entity.start_word, entity.end_word)
        states = np.stack([kept.by_word[passage, word] for word in words])
        probs = self._own_engine().scorer.label_probs(states, labels, columns.shifts)
        if self.bundle.score_map:
            probs = self.bundle.score_map.report(probs)
        asked = np.arange(len(probs)) if mask is None else np.flatnonzero(mask[passage])
        # A stable sort keeps the order of the labels among equal scores.
        best = asked[np.argsort(-probs[asked], kind="stable")[:_TOP_LABELS]]
        return {columns.names[label]: float(probs[label]) for label in best.tolist()}

    def tune(
        self,
        passages: Sequence[Sequence[str]],
        gold: Sequence[GoldPassage],
        labels: Sequence[str] | None,
        *,
        min_gain: float = 0.0,
        min_recall: float | None = None,
        certain: Sequence[Sequence[Entity]] | None = None,
    ) -> dict[str, float]:
        """Set the threshold of each label by its F1 or its recall; return the new thresholds.

        Args:
            passages: The words of each passage.
            gold: The annotation of each passage.
            labels: The labels to tune; None for those of the annotation.
            min_gain: The F1 that a label must gain before its threshold is changed.
            min_recall: The recall to reach; None for the best F1.
            certain: The entities of each passage that are found in any case, for `min_recall`.

        Raises:
            InputError: There are no labels or no annotated entities, or `min_recall` is out of
                range.
            StudentError: The student has a softmax head, whose labels share one threshold.
        """
        head = head_named(self.bundle.config.head)
        if not head.has_independent_labels:
            raise StudentError(
                f"thresholds per label need a boundary head; this student has a {head.name} head"
            )
        if min_recall is not None and not 0 < min_recall <= 1:
            raise InputError(f"min_recall is {min_recall!r}; expected a number above 0, at most 1")
        annotated = labels_of(gold)
        prompts = read_label_set(annotated if labels is None else labels)
        if not prompts or not annotated:
            raise InputError("there are no annotated entities to tune thresholds with")
        names = [label for label, _ in prompts]
        spellings = spellings_by_label(names)
        gold = [passage.respell(spellings) for passage in gold]
        current = self._thresholds_of(names)
        candidates = self._candidates(passages, prompts)
        if min_recall is None:
            fitted = fit_label_thresholds(candidates, gold, current, min_gain=min_gain)
        else:
            candidates = prefer_certain(candidates, certain or [()] * len(candidates))
            fitted = fit_recall_thresholds(candidates, gold, current, min_recall=min_recall)
        label_thresholds = {
            **by_clean_label(self.bundle.label_thresholds),
            **by_clean_label(fitted),
        }
        self.bundle = replace(
            self.bundle, label_thresholds=label_thresholds, card=tuned_card(self.bundle.card)
        )
        # The cached columns contain the old thresholds.
        self._own_engine().label_sets.clear()
        self._own_engine().searches.clear()
        return fitted

    def _candidates(
        self, passages: Sequence[Sequence[str]], prompts: Prompts
    ) -> list[list[Entity]]:
        """Return the entities of each label above a low score, regardless of its threshold."""
        candidates: list[list[Entity]] = [[] for _ in passages]
        for part in plan_tuning([len(words) for words in passages], len(prompts)):
            labels = self._own_engine().scorer.encode(prompts[part.labels])
            # Candidates need unshifted scores, so every label gets the neutral threshold 0.5.
            columns = self._own_engine().scorer.columns(labels, dict.fromkeys(labels.names, 0.5))
            minima = np.full(len(labels.names), MIN_SCORE, dtype=np.float32)
            chunk = passages[part.passages]
            for scores in self._own_engine().scorer.score(chunk, columns, minima):
                found = gather_candidates(scores, labels.names, len(chunk))
                for own, entities in zip(candidates[part.passages], found, strict=True):
                    own += entities
        return candidates

    def _make_engine(self) -> "_Engine":
        n_threads = default_threads() if self._num_threads is None else self._num_threads
        scorer = StudentScorer(self.bundle, num_threads=n_threads, plan=self._plan)
        n_bytes = self._plan.label_set_bytes // 2
        label_sets = SizedCache[Prompts, _Columns](n_bytes, _set_size)
        searches = SizedCache[_SearchKey, _Search](n_bytes, _search_size)
        return _Engine(os.getpid(), scorer, label_sets, searches)

    def _own_engine(self) -> "_Engine":
        """Return the engine of this process, which is made anew after a fork."""
        if self._engine.process_id != os.getpid():
            self.bundle = replace(self.bundle, vocabulary=self.bundle.vocabulary.copy())
            self._engine = self._make_engine()
        return self._engine

    def _search(self, prompts: Prompts, options: InferenceOptions) -> "_Search":
        """Return the labels, the rules and the search of a call, which are cached."""
        own = frozenset((options.thresholds or {}).items())
        key = prompts, options.threshold, own, options.flat_ner, options.multi_label
        engine = self._own_engine()
        found = engine.searches.get(key)
        if found is None:
            labels, columns = self._columns(prompts)
            # The entities are chosen by the student's own scores; only those found are mapped.
            asked, score_map = options.thresholds_for(columns.names), self.bundle.score_map
            thresholds = score_map.restore(asked) if score_map else asked
            flags = bool(options.flat_ner), bool(options.multi_label)  # the kernel takes no None
            rules = SearchRules(thresholds, labels.kinds, *flags, score_map)
            found = labels, columns, rules, engine.scorer.search(columns, rules)
            engine.searches.put(key, found)
        return found

    def _columns(self, prompts: Prompts) -> "_Columns":
        label_sets = self._own_engine().label_sets
        columns = label_sets.get(prompts)
        if columns is None:
            columns = self._compute_columns(prompts)
            label_sets.put(prompts, columns)
        return columns

    def _compute_columns(self, prompts: Prompts) -> "_Columns":
        labels = self._own_engine().scorer.encode(prompts)
        return labels, self._own_engine().scorer.columns(labels, self._thresholds_of(labels.names))

    def _thresholds_of(self, labels: Iterable[str]) -> dict[str, float]:
        """Return the student's own threshold of each label; its spelling makes no difference."""
        own, other = by_clean_label(self.bundle.label_thresholds), self.bundle.threshold
        return {label: own.get(clean_label(label), other) for label in labels}


_Columns = tuple[EncodedLabels, LabelColumns]
_Search = tuple[EncodedLabels, LabelColumns, SearchRules, LoadedSearch | None]
_SearchKey = tuple[Prompts, float, frozenset[tuple[str, float]], bool, bool]


def _search_size(key: _SearchKey, search: _Search) -> int:
    return _set_size(key[0], search[:2]) + _BYTES_PER_LABEL * len(key[0])


@dataclass(frozen=True, slots=True)
class _Engine:
    """The parts of a finder that have locks, which another thread may hold during a fork."""

    process_id: int
    scorer: StudentScorer
    label_sets: SizedCache[Prompts, _Columns]
    searches: SizedCache[_SearchKey, _Search]


def _set_size(prompts: Prompts, columns: _Columns) -> int:
    labels, padded = columns
    arrays = [labels.vectors, padded.vectors, padded.edges, padded.shifts]
    if labels.kinds is not None:
        arrays += [labels.kinds.narrow, labels.kinds.broad, labels.kinds.breadth]
    # Tuples and strings are counted once, although the same ones stand in several places.
    texts = sum(sys.getsizeof(pair) + sum(map(sys.getsizeof, pair)) for pair in prompts)
    return texts + sum(array.nbytes for array in arrays)


def _report_scores(found: list[list[Entity]], score_map: ScoreMap | None) -> list[list[Entity]]:
    """Return the entities of each passage with the scores that are reported."""
    if score_map is None:
        return found
    own = np.array([entity.score for entities in found for entity in entities])
    reported = iter(score_map.report(own).tolist())
    return [[replace(entity, score=next(reported)) for entity in entities] for entities in found]
