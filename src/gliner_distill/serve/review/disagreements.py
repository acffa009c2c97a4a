"""Passages on which a distilled student and its teacher disagree, for a person to judge.

The input is the folder of a distillation. The passages are those that the student was trained on,
so that dev and test stay unseen. The judged ones are written to `judged.json` in the folder, a
corpus in GLiNER's form that `distill --gold` reads.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from gliner_distill.corpus.reader import read_passages, write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import CorpusError, DistillError, StoreError
from gliner_distill.files import check_regular_file, reason_of
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.serve.problems import RequestError

if TYPE_CHECKING:
    from gliner_distill.store.store import SoftLabelStore

JUDGED_FILE: Final = "judged.json"
"""The file of judged passages in the folder of a distillation."""

REPORT_FILE: Final = "report.html"
"""The report in that folder."""

_MOST_PASSAGES = 5_000
_MOST_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class DisputedPassage:
    """A passage whose entities differ between student and teacher.

    Attributes:
        number: Its number among the passages that were read.
        words: Its words.
        entities: The entities of both, in their order, each with who found it: `both`, `student` or
            `teacher`.
    """

    number: int
    words: tuple[str, ...]
    entities: tuple[tuple[Entity, str], ...]

    @property
    def confidence(self) -> float:
        """The highest score of an entity that only one of the two has found."""
        return max(entity.score for entity, finder in self.entities if finder != "both")

    def describe(self) -> dict[str, Any]:
        """Return the passage as plain JSON, with offsets in characters of its text."""
        starts, place = [], 0
        for word in self.words:
            starts.append(place)
            place += len(word) + 1
        text = " ".join(self.words)
        rows = []
        for entity, finder in self.entities:
            last = entity.end_word - 1
            start, end = starts[entity.start_word], starts[last] + len(self.words[last])
            row = {"start": start, "end": end, "text": text[start:end], "label": entity.label}
            rows.append(row | {"score": entity.score, "found_by": finder})
        return {"id": self.number, "text": text, "entities": rows}


@final
class Review:
    """The disputed passages of a distillation and the judgments on them; threads may share it.

    Args:
        folder: The folder that `distill` wrote.
        student: Its student.

    Raises:
        DistillError: The folder holds no finished distillation, or its files cannot be read.
    """

    def __init__(self, folder: Path, student: StudentNER) -> None:
        self.judged_file = folder / JUDGED_FILE
        self.report = _read_report(folder / REPORT_FILE)
        self._lock = threading.Lock()
        self._judged = self._read_judged()
        known = {passage.words for passage in self._judged}
        disputed = find_disputed(_open_stores(folder), student)
        self._waiting = {each.number: each for each in disputed if each.words not in known}

    def next(self) -> dict[str, Any]:
        """Return the next passage, or None, and the numbers of waiting and of judged passages."""
        with self._lock:
            first = next(iter(self._waiting.values()), None)
            return {
                "passage": first.describe() if first else None,
                "left": len(self._waiting),
                "judged": len(self._judged),
                "file": self.judged_file.name,
            }

    def judge(self, number: int, verdicts: Sequence[bool]) -> None:
        """Keep a judged passage as gold; without verdicts, it is skipped.

        Args:
            number: The number of the passage.
            verdicts: For each of its entities, whether it is right.

        Raises:
            RequestError: No such passage waits, or the number of verdicts is wrong.
            CorpusError: The file of judged passages cannot be read or written.
        """
        with self._lock:
            disputed = self._waiting.get(number)
            if disputed is None:
                raise RequestError(404, f"id: no passage {number} waits to be judged", "id")
            if verdicts:
                n_expected = len(disputed.entities)
                if len(verdicts) != n_expected:
                    message = f"verdicts: {len(verdicts)} were given; expected {n_expected}"
                    raise RequestError(422, message, "verdicts")
                pairs = zip(disputed.entities, verdicts, strict=True)
                right = [entity for (entity, _), is_right in pairs if is_right]
                # Another server, or a person, may have changed the file in the meantime.
                kept = [each for each in self._read_judged() if each.words != disputed.words]
                judged = [*kept, Passage(disputed.words, tuple(right))]
                write_passages(self.judged_file, judged)
                self._judged = judged
            del self._waiting[number]

    def _read_judged(self) -> list[Passage]:
        try:
            check_regular_file(self.judged_file, max_bytes=_MOST_BYTES)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CorpusError(f"{self.judged_file}: cannot be read: {reason_of(error)}") from error
        return list(read_passages(self.judged_file))


def find_disputed(stores: Sequence["SoftLabelStore"], student: StudentNER) -> list[DisputedPassage]:
    """Return the disputed passages among the first ones of stores, the surest ones first."""
    passages = list(islice(_read_all(stores), _MOST_PASSAGES))
    answers = student.predict_words(
        [passage.words for passage in passages], [passage.labels for passage in passages]
    )
    disputed = []
    for number, (passage, found) in enumerate(zip(passages, answers, strict=True)):
        entities = compare(found, decode_entities(passage.probs, passage.labels))
        if any(finder != "both" for _, finder in entities):
            disputed.append(DisputedPassage(number, passage.words, entities))
    return sorted(disputed, key=lambda each: (-each.confidence, each.number))


def compare(
    student_entities: Sequence[Entity], teacher_entities: Sequence[Entity]
) -> tuple[tuple[Entity, str], ...]:
    """Return the entities of student and teacher, each with who found it.

    >>> compare([Entity(0, 1, "city", 0.9)], [Entity(0, 1, "city", 0.7)])
    ((Entity(start_word=0, end_word=1, label='city', score=0.9), 'both'),)
    """
    by_place: dict[tuple[int, int, str], tuple[Entity, str]] = {}
    for finder, entities in (("teacher", teacher_entities), ("student", student_entities)):
        for entity in entities:
            place = (entity.start_word, entity.end_word, entity.label)
            by_place[place] = (entity, "both" if place in by_place else finder)
    return tuple(by_place[place] for place in sorted(by_place))


def _read_report(path: Path) -> bytes:
    try:
        check_regular_file(path, max_bytes=_MOST_BYTES)
        return path.read_bytes()
    except OSError as error:
        raise DistillError(
            f"{path}: cannot be read ({reason_of(error)}); expected the folder of a finished "
            f"`distill` run"
        ) from error


def _read_all(stores: Sequence["SoftLabelStore"]) -> Iterator[LabeledPassage]:
    for store in stores:
        yield from store


def _open_stores(folder: Path) -> list["SoftLabelStore"]:
    from gliner_distill.store.store import SoftLabelStore

    # The teacher has read a text as a whole, or a part of it in rounds.
    patterns = ("text-*/labels-train", "text-*/round-*/labels")
    found = sorted(path for pattern in patterns for path in (folder / "work").glob(pattern))
    if not found:
        raise StoreError(
            f"{folder}: its folder `work` holds no labeled passages; expected the folder of a "
            f"finished `distill` run"
        )
    return [SoftLabelStore(store) for store in found]
