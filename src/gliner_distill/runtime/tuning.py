"""The methods of a student that fit its thresholds to annotated texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from gliner_distill.entities import Entity, word_texts
from gliner_distill.errors import InputError
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gold import match_words, read_gold
from gliner_distill.runtime.labels import read_label_set
from gliner_distill.runtime.thresholds import GoldPassage, labels_of


class ThresholdTuning:
    """The part of `StudentNER` that fits thresholds."""

    _finder: EntityFinder

    def tune_thresholds(
        self,
        texts: Sequence[str],
        entities: Sequence[Sequence[Mapping[str, Any]]],
        labels: Sequence[str] | None = None,
        *,
        min_recall: float | None = None,
    ) -> dict[str, float]:
        """Fit the threshold of each label to annotated texts, so that its F1 is best at 0.5.

        A label with fewer than five annotated entities gets the threshold that is best for all
        labels together. `save_pretrained` keeps the thresholds. Do not call this while other
        threads use the student.

        With `min_recall`, each label gets the highest threshold at which this share of its entities
        is found, alone or by its pattern. A warning is logged if a label cannot reach it.

        An entity that does not begin and end where words do counts as missed. A warning gives the
        number of such entities.

        Args:
            texts: Texts, preferably not those that the student was trained on.
            entities: The entities of each text, with `start`, `end` and `label` as `inference`
                returns them.
            labels: The labels to tune; None for those of the entities.
            min_recall: The recall to reach, above 0 and at most 1; None for the best F1.

        Returns:
            For each label, the student's own probability that is reported as 0.5 from now on.

        Raises:
            InputError: There are no entities, none of them begins and ends where words do, there
                is not one list of them per text, or `min_recall` is out of range.
            StudentError: The student has no `boundary` head.
        """
        gold = read_gold(texts, entities)
        words = [word_texts(text) for text in texts]
        asked = read_label_set(labels_of(gold) if labels is None else labels)
        certain = [match_words(text, asked) for text in texts] if min_recall else None
        return self._finder.tune(words, gold, labels, min_recall=min_recall, certain=certain)

    def tune_word_thresholds(
        self,
        passages: Sequence[Sequence[str]],
        entities: Sequence[Sequence[Entity]],
        labels: Sequence[str] | None = None,
        *,
        min_gain: float = 0.0,
    ) -> dict[str, float]:
        """Do the same as `tune_thresholds` with passages that are already split into words.

        Args:
            passages: The words of each passage.
            entities: The entities of each passage.
            labels: See `tune_thresholds`.
            min_gain: The F1 that a label must gain before its threshold is changed; with 0, which
                `tune_thresholds` uses, every label gets a new one.

        Raises:
            InputError: See `tune_thresholds`.
            StudentError: The student has no `boundary` head.
        """
        if len(passages) != len(entities):
            raise InputError(
                f"there are {len(passages)} passages, but {len(entities)} lists of entities; give "
                "one list per passage"
            )
        gold = [GoldPassage.from_entities(annotated) for annotated in entities]
        return self._finder.tune(passages, gold, labels, min_gain=min_gain)
