"""The text that a teacher is trained and measured on, and the batches that it is drawn in.

The text comes from DATA/open (and the sample of the package), and from the sets of
DATA/permissive.json that have a list of labels. The twelve held-out sets are left out, and so is
every passage that shares eight words in a row with them, with the open passages that are kept apart
for the curve, or with a file that the user wants kept apart.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from open_passages import Draw
from teacher_labels import ask_listed, ask_open
from thesaurus import Thesaurus, read_thesaurus
from transfer_set import HELD_OUT, grams, join, read_labels, read_set, take_words

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.entities import Entity, Passage, count_words
from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of

OPEN_FILES = ("train", "more", "focus", "real")
OPEN_SHARE = 0.6
MAX_WORDS = 128
BATCH_WORDS = 640
MAX_SET_WORDS = 60_000
DEV_OPEN, DEV_PER_SET = 120, 10
_CHUNK = 64
_DEV_SEED = 0


@dataclass(frozen=True)
class Source:
    """The passages of one file or set.

    Attributes:
        name: The name, for the list of the data.
        passages: The passages.
        listed: The labels that every passage is complete for; None if the labels are open.
    """

    name: str
    passages: list[Passage]
    listed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DevSet:
    """Passages kept apart, as they are asked and must be answered.

    Attributes:
        name: The name of the set.
        passages: The passages: the labels are those asked, and the entities the right answer.
    """

    name: str
    passages: list[Passage]


@dataclass(frozen=True)
class TeacherData:
    """All that a teacher is trained and measured on.

    Attributes:
        sources: The text for training, open and listed.
        draw: The draws of labels, made from the open passages.
        dev: The passages kept apart: first the open ones, then each held-out set.
    """

    sources: list[Source]
    draw: Draw
    dev: list[DevSet]

    def ask(self, source: Source, passage: Passage, rng: random.Random) -> Passage:
        """Return a passage of a source with the labels that it is asked for this time."""
        if source.listed is None:
            return ask_open(passage, self.draw, rng)
        return ask_listed(passage, source.listed, self.draw, rng)


def read_data(data: Path, kept_apart: Sequence[Path] = ()) -> TeacherData:
    """Return the text for training and the passages of the curve.

    Args:
        data: The folder with `corpora`, `permissive.json` and `open`.
        kept_apart: Files of passages that must not be trained on.

    Raises:
        CorpusError: A file is missing or broken.
    """
    names = sorted(set(read_permissive(data / "permissive.json")) - set(HELD_OUT))
    files = {f"open/{name}.json": data / "open" / f"{name}.json" for name in OPEN_FILES}
    files["sample/train.json"] = sample_path("train")
    open_sources = [Source(name, list(CorpusFile(path))) for name, path in files.items()]
    # The recipe of the student asks a teacher for plain labels, so plurals are not taught.
    draw = Draw.from_passages(
        chain.from_iterable(source.passages for source in open_sources),
        Thesaurus(read_thesaurus(data)),
        has_forms=False,
    )
    dev_open = sample_open(open_sources, DEV_OPEN)
    held = {name: read_set(data / "corpora", name) for name in HELD_OUT}
    apart = [dev_open, *held.values(), *(list(CorpusFile(path)) for path in kept_apart)]
    seen = set(grams(passage.words for passages in apart for passage in passages))
    sources = [Source(source.name, leave_out(source.passages, seen)) for source in open_sources]
    for name in names:
        listed = tuple(read_labels(data / "corpora", name))
        if listed:
            passages = part_of(read_set(data / "corpora", name))
            sources.append(Source(name, leave_out(passages, seen), listed))
    rng = random.Random(_DEV_SEED)
    dev = [DevSet("open", [ask_open(each, draw, rng) for each in dev_open])]
    for name, passages in held.items():
        dev.append(DevSet(name, ask_all(spaced(passages), read_labels(data / "corpora", name))))
    return TeacherData([each for each in sources if each.passages], draw, dev)


def read_permissive(path: Path) -> list[str]:
    """Return the names of the sets whose licenses allow us to publish the weights.

    Raises:
        CorpusError: The file cannot be read, or is not a list of names.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path}: the list of sets cannot be read: {reason_of(error)}; expected a JSON list "
            "of names"
        ) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CorpusError(f"{path}: expected a JSON list of the names of sets")
    return names


def sample_open(sources: Sequence[Source], n_passages: int) -> list[Passage]:
    """Return the open passages that are kept apart, the same ones for every seed."""
    passages = [passage for source in sources for passage in source.passages if passage.entities]
    # A tenth at most, so that a small collection is still trained on.
    n_kept = min(n_passages, max(1, len(passages) // 10))
    return random.Random(_DEV_SEED).sample(passages, n_kept)


def part_of(passages: Sequence[Passage], *, max_words: int = MAX_SET_WORDS) -> list[Passage]:
    """Return neighboring passages of a set, more than a run of two hours draws from one set."""
    start = random.Random(_DEV_SEED).randrange(len(passages))
    return list(take_words([*passages[start:], *passages[:start]], max_words))


def leave_out(passages: Sequence[Passage], seen: set[int]) -> list[Passage]:
    """Return the passages that share no eight words with the text that is kept apart."""
    return [passage for passage in passages if seen.isdisjoint(grams([passage.words]))]


def spaced(passages: Sequence[Passage]) -> list[Passage]:
    """Return a few evenly spaced passages of a held-out set."""
    rows = np.linspace(0, len(passages) - 1, min(DEV_PER_SET, len(passages))).round().astype(int)
    return [passages[row] for row in rows]


def ask_all(passages: Sequence[Passage], listed: Sequence[str]) -> list[Passage]:
    """Return passages that are asked for all labels of a list."""
    return [
        Passage(
            passage.words,
            tuple(entity for entity in passage.entities if entity.label in listed),
            tuple(listed),
        )
        for passage in passages
    ]


Drawn = tuple[Source, Passage]
"""A passage and the source that it was drawn from."""


def plan_batches(sources: Sequence[Source], n_batches: int, seed: int) -> list[list[Drawn]]:
    """Return the batches of a whole run: passages of similar length, about 640 words in each.

    Every passage of a source is drawn once before one is drawn again.
    """
    rng = random.Random(f"{seed}/batches")
    draws = draw_passages(sources, rng)
    batches: list[list[Drawn]] = []
    while len(batches) < n_batches:
        chunk = sorted((next(draws) for _ in range(_CHUNK)), key=lambda draw: len(draw[1].words))
        new = list(group(chunk, max_words=BATCH_WORDS))
        rng.shuffle(new)
        batches += new
    return batches[:n_batches]


def draw_passages(sources: Sequence[Source], rng: random.Random) -> Iterator[Drawn]:
    """Yield passages without end, three out of five from the files with open labels."""
    decks = [deal(source, rng) for source in sources]
    n_words = [count_words(source.passages) for source in sources]
    # A large set is drawn more often than a small one, but not by as much as it is larger.
    sizes = [
        words if source.listed is None else words**0.5
        for source, words in zip(sources, n_words, strict=True)
    ]
    is_open = [source.listed is None for source in sources]
    totals = {
        kind: sum(size for size, each in zip(sizes, is_open, strict=True) if each == kind)
        for kind in (True, False)
    }
    shares = {True: OPEN_SHARE, False: 1 - OPEN_SHARE}
    weights = [
        shares[kind] * size / totals[kind] for size, kind in zip(sizes, is_open, strict=True)
    ]
    rows = range(len(sources))
    while True:
        row = rng.choices(rows, weights)[0]
        yield sources[row], next(decks[row])


def deal(source: Source, rng: random.Random) -> Iterator[Passage]:
    """Yield the passages of a source in random order, again and again.

    Short neighbors of a set are joined, so that the labels are read less often per word; with open
    labels, a label that one of two passages uses may be true in the other.
    """
    while True:
        passages = source.passages if source.listed is None else list(join(source.passages, rng))
        for passage in rng.sample(passages, len(passages)):
            yield crop(passage, rng)


def crop(passage: Passage, rng: random.Random, *, max_words: int = MAX_WORDS) -> Passage:
    """Return a part of a passage that the teacher can read at once, at a random place."""
    if len(passage.words) <= max_words:
        return passage
    start = rng.randint(0, len(passage.words) - max_words)
    entities = (
        Entity(entity.start_word - start, entity.end_word - start, entity.label)
        for entity in passage.entities
        if entity.start_word >= start and entity.end_word <= start + max_words
    )
    return Passage(passage.words[start : start + max_words], tuple(entities))


def group(draws: Sequence[Drawn], *, max_words: int) -> Iterator[list[Drawn]]:
    """Yield neighboring passages that together have at most some words, padding included."""
    batch: list[Drawn] = []
    for draw in draws:
        # The draws are sorted, so the last one is the longest.
        if batch and len(draw[1].words) * (len(batch) + 1) > max_words:
            yield batch
            batch = []
        batch.append(draw)
    if batch:
        yield batch
