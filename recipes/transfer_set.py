"""The texts that the bundled student learns from, and those that are kept apart to measure it.

The student learns from passages with open labels (DATA/open and the training split of the sample)
and from the sets in DATA/corpora whose licenses allow us to publish the weights. These are kept
apart:

- Twelve of the sets, and 300 passages of each of six more.
- Every 25th open passage; of those that were written for rare labels, every tenth one.
- The open passages with personal data that `kept_apart.personal_rows` names, and the sentences of
  `presidio_pii` from the templates that `kept_apart.presidio_rows` names.

A passage that shares eight words in a row with a text that is kept apart is left out.
"""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import kept_apart
from licenses import real_words
from written_passages import read_passages

from gliner_distill.corpus.reader import CorpusFile, sample_path, write_passages
from gliner_distill.entities import Entity, Passage, count_words
from gliner_distill.files import replace_file, write_json
from gliner_distill.labels import clean_label

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
IN_DOMAIN = ("fewnerd_a", "snips", "btc", "wet_lab_protocols", "redocred", "bionlp13cg")
IN_DOMAIN_PASSAGES = 300
PRESIDIO = "presidio_pii"
MAX_WORDS = 160
MAX_JOINED_WORDS = 80
KEPT_APART_EVERY = {"train": 25, "more": 25, "focus": 10, "real": 25}
"""One in this many passages of each open file is kept apart."""
GROUPS = {"train": "written", "more": "written", "focus": "rare", "real": "real"}
"""The group to which the kept-apart passages of each open file belong."""
_FIRST_KEPT_APART = 7
_SHARED_WORDS = 8


@dataclass(frozen=True, slots=True)
class Material:
    """The passages to learn from.

    Attributes:
        open: Passages with open labels, each annotated exhaustively for the labels that it uses.
        sets: The passages of each set.
        listed: The label list of each set; it is empty if the annotation is not exhaustive.
    """

    open: list[Passage]
    sets: dict[str, list[Passage]]
    listed: dict[str, list[str]]


def gather(data: Path, out: Path, seed: int, *, n_in_domain: int = IN_DOMAIN_PASSAGES) -> Material:
    """Return the passages to learn from, and write those that are kept apart.

    Writes `in_domain/NAME.jsonl` with the passages held out of six sets, in the form of
    DATA/corpora; `apart/GROUP.json` with the open passages that are kept apart, in groups; and
    `sets.json` with the number of words of each source.

    Args:
        data: The folder with `corpora`, `permissive.json` and `open`.
        out: The folder to write to.
        seed: The random seed.
        n_in_domain: The number of passages to hold out from each of the six sets.
    """
    corpora = data / "corpora"
    permissive = json.loads((data / "permissive.json").read_text(encoding="utf-8"))
    # Sorting makes the random choices below the same in every run.
    sets = {name: read_set(corpora, name) for name in sorted(set(permissive) - set(HELD_OUT))}
    held = [passage for name in HELD_OUT for passage in read_set(corpora, name)]
    held += hold_out(sets, corpora, out / "in_domain", random.Random(seed), n_in_domain)
    templates, sets[PRESIDIO] = split_presidio(data)
    apart, files = split_open(data)
    (out / "apart").mkdir(parents=True, exist_ok=True)
    for group, passages in apart.items():
        if passages:
            write_passages(out / "apart" / f"{group}.json", passages)
    held += [*templates, *(passage for passages in apart.values() for passage in passages)]
    # Text that is held out must not reach the student through another set that has it, too.
    seen = set(grams(passage.words for passage in held))
    kept = {name: list(unseen(passages, seen)) for name, passages in files.items()}
    material = Material(
        open=[part for passages in kept.values() for passage in passages for part in cut(passage)],
        sets={name: list(unseen(passages, seen)) for name, passages in sets.items()},
        listed={name: read_labels(corpora, name) for name in sets},
    )
    for name, passages in material.sets.items():
        n_left_out = len(sets[name]) - len(passages)
        print(f"{name}: {n_left_out:,} of {len(sets[name]):,} passages left out")
    write_json(out / "sets.json", count_sources(data, kept, material.sets))
    return material


def hold_out(
    sets: dict[str, list[Passage]], corpora: Path, folder: Path, rng: random.Random, n_passages: int
) -> list[Passage]:
    """Take random passages out of the sets that are held out in part, write and return them.

    Args:
        sets: The passages of each set, changed in place.
        corpora: The folder with the label lists of the sets.
        folder: The folder to write to.
        rng: The random generator.
        n_passages: The number of passages per set.
    """
    held: list[Passage] = []
    for name in IN_DOMAIN:
        chosen = set(rng.sample(range(len(sets[name])), n_passages))
        taken = [sets[name][row] for row in sorted(chosen)]
        sets[name] = [passage for row, passage in enumerate(sets[name]) if row not in chosen]
        write_set(folder, name, taken, corpora)
        held += taken
    return held


def split_open(data: Path) -> tuple[dict[str, list[Passage]], dict[str, list[Passage]]]:
    """Return the open passages that are kept apart, by group, and all others, by file."""
    personal = kept_apart.personal_rows(data)
    files = read_passages(data) | {"real": list(CorpusFile(data / "open" / "real.json"))}
    apart: dict[str, list[Passage]] = {"written": [], "rare": [], "real": [], "personal": []}
    others: dict[str, list[Passage]] = {"sample": list(CorpusFile(sample_path("train")))}
    for name, passages in files.items():
        others[name] = []
        for row, passage in enumerate(passages):
            if row in personal.get(f"{name}.json", ()):
                apart["personal"].append(passage)
            elif row % KEPT_APART_EVERY[name] == _FIRST_KEPT_APART:
                apart[GROUPS[name]].append(passage)
            else:
                others[name].append(passage)
    return apart, others


def split_presidio(data: Path) -> tuple[list[Passage], list[Passage]]:
    """Return the passages of `presidio_pii` whose templates are kept apart, and the others."""
    rows = kept_apart.presidio_rows(data)
    parts: tuple[list[Passage], list[Passage]] = ([], [])
    for row, passage in enumerate(CorpusFile(data / "corpora" / f"{PRESIDIO}.jsonl")):
        parts[row not in rows].extend(cut(passage))
    return parts


def unseen(passages: Iterable[Passage], seen: set[int]) -> Iterator[Passage]:
    """Yield the passages that share no eight words in a row with the texts in `seen`.

    Args:
        passages: The passages to choose from.
        seen: The result of `grams` for these texts.
    """
    return (passage for passage in passages if seen.isdisjoint(grams([passage.words])))


def count_sources(
    data: Path, files: Mapping[str, Sequence[Passage]], sets: Mapping[str, Sequence[Passage]]
) -> dict[str, int]:
    """Return the number of words to learn from by source, which is our own text or a set.

    The open passages of real text come from sets as well, so they count there.

    Args:
        data: The folder with `open/real.json`, whose rows name their set.
        files: The open passages of each file.
        sets: The passages of each set.
    """
    own = sum(count_words(passages) for name, passages in files.items() if name != "real")
    real = {passage.words for passage in files["real"]}
    rows = json.loads((data / "open" / "real.json").read_text(encoding="utf-8"))
    n_words = real_words(row for row in rows if tuple(row["tokenized_text"]) in real)
    n_words.update({name: count_words(passages) for name, passages in sets.items()})
    return {"open and sample": own} | dict(sorted(n_words.items()))


def read_set(folder: Path, name: str) -> list[Passage]:
    """Return the passages of a set, cut into parts of at most 160 words."""
    corpus = CorpusFile(folder / f"{name}.jsonl", skip_bad=True)
    return [part for passage in corpus for part in cut(passage)]


def read_labels(folder: Path, name: str) -> list[str]:
    """Return the label list of a set; it is empty if the annotation is not exhaustive."""
    listed = json.loads((folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    return list(dict.fromkeys(map(clean_label, listed)))


def write_set(folder: Path, name: str, passages: Sequence[Passage], source: Path) -> None:
    """Write passages as NAME.jsonl, and copy NAME.labels.json of the set."""
    rows = (
        {
            "tokenized_text": passage.words,
            "ner": [
                [entity.start_word, entity.end_word - 1, entity.label]
                for entity in passage.entities
            ],
        }
        for passage in passages
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    replace_file(folder / f"{name}.jsonl", text.encode())
    listed = f"{name}.labels.json"
    replace_file(folder / listed, (source / listed).read_bytes())


def grams(texts: Iterable[Sequence[str]]) -> Iterator[int]:
    """Yield a hash of each eight words in a row, or of the whole text if it is shorter.

    Punctuation and case, in which copies of a text differ, are ignored.
    """
    for words in texts:
        yield from map(hash, kept_apart.grams(words, _SHARED_WORDS))


def cut(passage: Passage) -> Iterator[Passage]:
    """Yield a passage in parts of at most 160 words, without the entities that cross a border."""
    for start in range(0, len(passage.words), MAX_WORDS):
        end = start + MAX_WORDS
        entities = (
            entity
            for entity in passage.entities
            if entity.start_word >= start and entity.end_word <= end
        )
        yield Passage(passage.words[start:end], tuple(shift(entities, -start)))


def join(passages: Iterable[Passage], rng: random.Random) -> Iterator[Passage]:
    """Yield neighboring passages joined until they reach a random length of at most 80 words."""
    words: tuple[str, ...] = ()
    entities: list[Entity] = []
    wanted = rng.randint(1, MAX_JOINED_WORDS)
    for passage in passages:
        if words and len(words) + len(passage.words) > MAX_WORDS:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], rng.randint(1, MAX_JOINED_WORDS)
        entities += shift(passage.entities, len(words))
        words += passage.words
        if len(words) >= wanted:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], rng.randint(1, MAX_JOINED_WORDS)
    if words:
        yield Passage(words, tuple(entities))


def shift(entities: Iterable[Entity], n_words: int) -> Iterator[Entity]:
    """Yield entities moved by a number of words."""
    for entity in entities:
        start, end = entity.start_word + n_words, entity.end_word + n_words
        yield replace(entity, start_word=start, end_word=end)


def take_words(passages: Iterable[Passage], n_words: int) -> Iterator[Passage]:
    """Yield the first passages that together have about this number of words."""
    total = 0
    for passage in passages:
        if total >= n_words:
            return
        yield passage
        total += len(passage.words)
