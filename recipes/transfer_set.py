"""The transfer set of the open-label student: its text, and the labels that it is asked for.

The text comes from the sets in DATA/corpora whose licenses allow us to publish the weights, from
DATA/open, and from the training split of the sample. Twelve of the sets are held out completely,
and 300 passages of each of six more. A passage that shares eight words in a row with held-out text
is left out. Short passages of a set are joined up to a random length, so that the teacher reads its
list of labels less often.

In each passage, the teacher is asked for the passage's own labels; for some other labels of its
set, since these are the easiest to confuse; for some labels that the teacher's encoder places close
to one of these; and sometimes for a paraphrase of one.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.entities import Entity, Passage
from gliner_distill.files import replace_file, write_json
from gliner_distill.teacher.gliner import GLiNERTeacher

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
IN_DOMAIN = ("fewnerd_a", "snips", "btc", "wet_lab_protocols", "redocred", "bionlp13cg")
IN_DOMAIN_PASSAGES = 300
MAX_WORDS = 200
MAX_JOINED_WORDS = 80
N_LISTED, N_NEAR = 4, 4
NEAREST = 25
N_OWN, N_NEW, N_OTHERS, N_DRAWN = 3, 10, 3, 20
PARAPHRASED = 0.4
_GRAM = 8


def gather(
    data: Path,
    n_words: int,
    teacher: GLiNERTeacher,
    out: Path,
    seed: int,
    *,
    n_in_domain: int = IN_DOMAIN_PASSAGES,
    max_joined_words: int = MAX_JOINED_WORDS,
) -> Iterator[Passage]:
    """Yield the transfer set, shuffled, and write the passages held out from six of its sets.

    Writes the folder `in_domain` with the held-out passages in the form of `data/corpora`, and
    `sets.json` with the number of words from each set.

    Args:
        data: The folder with `corpora`, `permissive.json` and `open/train.json`.
        n_words: The approximate number of words. Each set contributes an equal share, or all of it.
        teacher: The GLiNER that decides which labels mean nearly the same.
        out: The folder to write to.
        seed: The random seed.
        n_in_domain: The number of passages to hold out from each of the six sets.
        max_joined_words: The length up to which short passages are joined.
    """
    rng = random.Random(seed)
    permissive = json.loads((data / "permissive.json").read_text(encoding="utf-8"))
    # Sorting makes the random choices below the same in every run.
    names = sorted(set(permissive) - set(HELD_OUT))
    sets = {name: read_set(data / "corpora", name) for name in names}
    held = [read_set(data / "corpora", name) for name in HELD_OUT]
    for name in IN_DOMAIN:
        chosen = set(rng.sample(range(len(sets[name])), n_in_domain))
        held.append([sets[name][row] for row in sorted(chosen)])
        sets[name] = [passage for row, passage in enumerate(sets[name]) if row not in chosen]
        write_set(out / "in_domain", name, held[-1], data / "corpora")
    # Held-out text must not reach the transfer set through another set that has it, too.
    seen = set(grams(passage.words for passages in held for passage in passages))
    open_texts = [
        passage for passage in open_passages(data) if seen.isdisjoint(grams([passage.words]))
    ]
    left = n_words - count_words(open_texts)
    transfer_set = list(open_texts)
    kept = {
        name: [passage for passage in passages if seen.isdisjoint(grams([passage.words]))]
        for name, passages in sets.items()
    }
    for name in sorted(kept):
        n_left_out = len(sets[name]) - len(kept[name])
        print(f"{name}: {n_left_out:,} of {len(sets[name]):,} passages left out")
    n_taken = {"open and sample": count_words(open_texts)}
    # Small sets come first, so that the others can fill in for the words they lack.
    for position, name in enumerate(sorted(kept, key=lambda name: count_words(kept[name]))):
        joined = list(join(kept[name], rng, max_joined_words))
        rng.shuffle(joined)
        listed = read_labels(data / "corpora", name)
        taken = take_words(joined, left // (len(kept) - position))
        n_taken[name] = count_words(taken)
        left -= n_taken[name]
        transfer_set += [with_listed(passage, listed, rng) for passage in taken]
    rng.shuffle(transfer_set)
    write_json(out / "sets.json", n_taken)
    near = nearest_labels(transfer_set, teacher)
    return (with_near(passage, near, rng) for passage in transfer_set)


def open_passages(data: Path) -> list[Passage]:
    """Return the passages that were written for this project, with open labels."""
    return [*CorpusFile(data / "open" / "train.json"), *CorpusFile(sample_path("train"))]


def read_set(folder: Path, name: str) -> list[Passage]:
    """Return the passages of a set, cut into parts of at most 200 words."""
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
    """Yield a hash of each eight words in a row, or of the whole text if it is shorter."""
    for words in texts:
        # Punctuation and case differ between copies of a text, so they are ignored.
        plain = [word.lower() for word in words if any(map(str.isalnum, word))]
        for start in range(max(1, len(plain) - _GRAM + 1)):
            yield hash(tuple(plain[start : start + _GRAM]))


def cut(passage: Passage) -> Iterator[Passage]:
    """Yield a passage in parts of at most 200 words, without the entities that cross a border."""
    for start in range(0, len(passage.words), MAX_WORDS):
        end = start + MAX_WORDS
        entities = (
            entity
            for entity in passage.entities
            if entity.start_word >= start and entity.end_word <= end
        )
        yield Passage(passage.words[start:end], tuple(shift(entities, -start)))


def join(
    passages: Iterable[Passage], rng: random.Random, max_joined_words: int = MAX_JOINED_WORDS
) -> Iterator[Passage]:
    """Yield neighboring passages joined until they reach a random length of at most 80 words."""
    words: tuple[str, ...] = ()
    entities: list[Entity] = []
    wanted = rng.randint(1, max_joined_words)
    for passage in passages:
        if words and len(words) + len(passage.words) > MAX_WORDS:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], rng.randint(1, max_joined_words)
        entities += shift(passage.entities, len(words))
        words += passage.words
        if len(words) >= wanted:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], rng.randint(1, max_joined_words)
    if words:
        yield Passage(words, tuple(entities))


def shift(entities: Iterable[Entity], n_words: int) -> Iterator[Entity]:
    """Yield entities moved by a number of words."""
    for entity in entities:
        start, end = entity.start_word + n_words, entity.end_word + n_words
        yield replace(entity, start_word=start, end_word=end)


def take_words(passages: Sequence[Passage], n_words: int) -> list[Passage]:
    """Return the first passages that together have about this number of words."""
    taken, total = [], 0
    for passage in passages:
        if total >= n_words:
            break
        taken.append(passage)
        total += len(passage.words)
    return taken


def count_words(passages: Iterable[Passage]) -> int:
    """Return the number of words in all passages."""
    return sum(len(passage.words) for passage in passages)


def with_listed(passage: Passage, listed: Sequence[str], rng: random.Random) -> Passage:
    """Return a passage that also lists some labels of its set."""
    return replace(passage, labels=tuple(rng.sample(listed, min(len(listed), N_LISTED))))


def with_near(passage: Passage, near: dict[str, list[str]], rng: random.Random) -> Passage:
    """Return a passage that also lists labels near to its own, and perhaps a paraphrase."""
    own = passage.own_labels
    if not own:
        return passage
    added = [rng.choice(near[label]) for label in rng.choices(own, k=N_NEAR)]
    if rng.random() < PARAPHRASED:
        added.append(paraphrase(rng.choice(own), rng))
    return replace(passage, labels=tuple(dict.fromkeys([*passage.labels, *added])))


def nearest_labels(
    passages: Iterable[Passage], teacher: GLiNERTeacher, *, n_nearest: int = NEAREST
) -> dict[str, list[str]]:
    """Return the nearest other labels of each label, by the encoder of the teacher.

    Args:
        passages: The passages whose labels to compare.
        teacher: The GLiNER whose encoder reads the labels.
        n_nearest: The number of labels to return for each label.
    """
    labels = sorted({label for passage in passages for label in passage.own_labels})
    tokenizer = teacher.model.data_processor.transformer_tokenizer
    encoder = teacher.model.model.token_rep_layer.bert_layer.model
    parts = []
    with torch.inference_mode():
        for first in range(0, len(labels), 256):
            batch = tokenizer(labels[first : first + 256], padding=True, return_tensors="pt")
            batch = batch.to(teacher.model.device)
            states = encoder(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            parts.append(((states * mask).sum(1) / mask.sum(1)).float().cpu().numpy())
    vectors = np.concatenate(parts)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = {}
    for label, vector in zip(labels, vectors, strict=True):
        order = np.argsort(-(vectors @ vector))[: n_nearest + 1]
        near[label] = [labels[row] for row in order if labels[row] != label][:n_nearest]
    return near


def paraphrase(label: str, rng: random.Random) -> str:
    """Return other words for a label.

    >>> sorted({paraphrase("city", random.Random(seed)) for seed in range(40)})
    ['cities', 'city name', 'mention of a city', 'name of a city', 'specific city', 'type of city']
    """
    forms = ["{}", "{} name", "name of a {}", "type of {}", "specific {}", "mention of a {}"]
    form = rng.choice(forms)
    return plural(label) if form == "{}" else form.format(label)


def plural(label: str) -> str:
    """Return the regular plural of a label."""
    if label.endswith(("s", "x", "ch", "sh")):
        return label if label.endswith("s") else label + "es"
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


def with_beside(
    passages: Sequence[Passage], open_texts: Iterable[Passage], seed: int
) -> Iterator[Passage]:
    """Yield passages with three of their labels and ten that they were not asked for before.

    Seven of the ten labels occur beside one of the passage's own labels in an open passage, and in
    at least two more open passages. Frequent labels are chosen less often than they occur. The
    other three come from other passages. In this way, labels that few sets have are asked about
    text of all sets.
    """
    rng = random.Random(seed)
    open_labels = [passage.own_labels for passage in open_texts]
    counts = Counter(chain.from_iterable(open_labels))
    frequent = [
        tuple(label for label in labels if counts[label] > 2) or labels for labels in open_labels
    ]
    weights = [[counts[label] ** -0.5 for label in labels] for labels in frequent]
    rows_with: dict[str, list[int]] = {}
    for row, labels in enumerate(open_labels):
        for label in labels:
            rows_with.setdefault(label, []).append(row)
    anywhere = range(len(frequent))
    for passage in passages:
        own = passage.own_labels
        rows = rng.choices(
            [row for label in own for row in rows_with.get(label, ())] or anywhere, k=N_DRAWN
        )
        beside = [rng.choices(frequent[row], weights[row])[0] for row in rows]
        others = [rng.choice(rng.choice(passages).own_labels or beside) for _ in range(N_OTHERS)]
        new = dict.fromkeys(label for label in [*others, *beside] if label not in own)
        asked = (*rng.sample(own, min(len(own), N_OWN)), *tuple(new)[:N_NEW])
        entities = tuple(entity for entity in passage.entities if entity.label in asked)
        yield Passage(passage.words, entities, asked)
