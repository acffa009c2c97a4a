"""The transfer set of the student of any label: which text, and which labels are asked of it.

Text: the sets in DATA/corpora whose licence lets weights ship, but for twelve that are held out
whole and 300 passages of each of six more; DATA/open; the sample's training part. A passage that
shares eight words in a row with held-out text is left out. Short passages of a set are joined, up
to a length drawn for each, so that the teacher reads its list of labels less often.

Labels of a passage: its own; some that its set knows beside them, since these are most easily mixed
up; some that mean nearly the same as one of these to the teacher; and a paraphrase of one.
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
from gliner_distill.files import replace_file
from gliner_distill.teacher.gliner import GLiNERTeacher

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
IN_DOMAIN = ("fewnerd_a", "snips", "btc", "wet_lab_protocols", "redocred", "bionlp13cg")
IN_DOMAIN_PASSAGES = 300
MAX_WORDS = 200
MAX_JOINED = 80
N_LISTED, N_NEAR = 4, 4
NEAREST = 25
N_OWN, N_NEW, N_OTHERS, N_DRAWN = 3, 10, 3, 20
PARAPHRASED = 0.4
_GRAM = 8


def gather(
    data: Path, n_words: int, teacher: GLiNERTeacher, out: Path, seed: int
) -> Iterator[Passage]:
    """Yield the transfer set, shuffled, and write what is held out of six of its sets.

    Writes `in_domain`, the held-out passages in the form of `data/corpora`, and `sets.json`, how
    many words each set gives.

    Args:
        data: Holds `corpora`, `permissive.json` and `open/train.json`.
        n_words: About so many in all, an equal share of each set as far as it reaches.
        teacher: Says which labels mean nearly the same.
        out: Where both go.
        seed: Of everything drawn.
    """
    draw = random.Random(seed)
    permissive = json.loads((data / "permissive.json").read_text(encoding="utf-8"))
    names = sorted(set(permissive) - set(HELD_OUT))
    sets = {name: read_set(data / "corpora", name) for name in names}
    held = [read_set(data / "corpora", name) for name in HELD_OUT]
    for name in IN_DOMAIN:
        chosen = set(draw.sample(range(len(sets[name])), IN_DOMAIN_PASSAGES))
        held.append([sets[name][row] for row in sorted(chosen)])
        sets[name] = [one for row, one in enumerate(sets[name]) if row not in chosen]
        write_set(out / "in_domain", name, held[-1], data / "corpora")
    seen = set(grams(passage.words for passages in held for passage in passages))
    ours = [one for one in open_passages(data) if seen.isdisjoint(grams([one.words]))]
    left = n_words - count_words(ours)
    chosen_passages = list(ours)
    kept = {
        name: [one for one in passages if seen.isdisjoint(grams([one.words]))]
        for name, passages in sets.items()
    }
    for name in sorted(kept):
        n_left_out = len(sets[name]) - len(kept[name])
        print(f"{name}: {n_left_out:,} of {len(sets[name]):,} passages left out")
    n_taken = {"open and sample": count_words(ours)}
    # Small sets first: what they lack of their share, others give.
    for position, name in enumerate(sorted(kept, key=lambda name: count_words(kept[name]))):
        joined = list(join(kept[name], draw))
        draw.shuffle(joined)
        listed = read_labels(data / "corpora", name)
        taken = take_words(joined, left // (len(kept) - position))
        n_taken[name] = count_words(taken)
        left -= n_taken[name]
        chosen_passages += [with_listed(passage, listed, draw) for passage in taken]
    draw.shuffle(chosen_passages)
    replace_file(out / "sets.json", (json.dumps(n_taken, indent=1) + "\n").encode())
    near = nearest_labels(chosen_passages, teacher)
    return (with_near(passage, near, draw) for passage in chosen_passages)


def open_passages(data: Path) -> list[Passage]:
    """Return the passages written for this project, whose labels are open."""
    return [*CorpusFile(data / "open" / "train.json"), *CorpusFile(sample_path("train"))]


def read_set(folder: Path, name: str) -> list[Passage]:
    """Return a set's passages in windows of at most 200 words."""
    corpus = CorpusFile(folder / f"{name}.jsonl", skip_bad=True)
    return [part for passage in corpus for part in cut(passage)]


def read_labels(folder: Path, name: str) -> list[str]:
    """Return a set's label list, which is empty where its annotation is not exhaustive."""
    listed = json.loads((folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    return list(dict.fromkeys(map(clean_label, listed)))


def write_set(folder: Path, name: str, passages: Sequence[Passage], source: Path) -> None:
    """Write passages as NAME.jsonl with the set's NAME.labels.json."""
    rows = (
        {
            "tokenized_text": passage.words,
            "ner": [[one.start_word, one.end_word - 1, one.label] for one in passage.entities],
        }
        for passage in passages
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    replace_file(folder / f"{name}.jsonl", text.encode())
    listed = f"{name}.labels.json"
    replace_file(folder / listed, (source / listed).read_bytes())


def grams(texts: Iterable[Sequence[str]]) -> Iterator[int]:
    """Yield a number for each eight words in a row, or for a whole text that is shorter."""
    for words in texts:
        plain = [word.lower() for word in words if any(map(str.isalnum, word))]
        for start in range(max(1, len(plain) - _GRAM + 1)):
            yield hash(tuple(plain[start : start + _GRAM]))


def cut(passage: Passage) -> Iterator[Passage]:
    """Yield a passage in parts of at most 200 words; entities across a border are left out."""
    for start in range(0, len(passage.words), MAX_WORDS):
        end = start + MAX_WORDS
        entities = (
            one for one in passage.entities if one.start_word >= start and one.end_word <= end
        )
        yield Passage(passage.words[start:end], tuple(shift(entities, -start)))


def join(passages: Iterable[Passage], draw: random.Random) -> Iterator[Passage]:
    """Yield neighbours joined until a length drawn from 1 to 80 words is reached."""
    words: tuple[str, ...] = ()
    entities: list[Entity] = []
    wanted = draw.randint(1, MAX_JOINED)
    for passage in passages:
        if words and len(words) + len(passage.words) > MAX_WORDS:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], draw.randint(1, MAX_JOINED)
        entities += shift(passage.entities, len(words))
        words += passage.words
        if len(words) >= wanted:
            yield Passage(words, tuple(entities))
            words, entities, wanted = (), [], draw.randint(1, MAX_JOINED)
    if words:
        yield Passage(words, tuple(entities))


def shift(entities: Iterable[Entity], n_words: int) -> Iterator[Entity]:
    """Yield entities so many words further on."""
    for one in entities:
        start, end = one.start_word + n_words, one.end_word + n_words
        yield replace(one, start_word=start, end_word=end)


def take_words(passages: Sequence[Passage], n_words: int) -> list[Passage]:
    """Return the first passages that have about so many words together."""
    taken, total = [], 0
    for passage in passages:
        if total >= n_words:
            break
        taken.append(passage)
        total += len(passage.words)
    return taken


def count_words(passages: Iterable[Passage]) -> int:
    """Return the words of passages together."""
    return sum(len(passage.words) for passage in passages)


def with_listed(passage: Passage, listed: Sequence[str], draw: random.Random) -> Passage:
    """Return a passage that lists some of its set's labels."""
    return replace(passage, labels=tuple(draw.sample(listed, min(len(listed), N_LISTED))))


def with_near(passage: Passage, near: dict[str, list[str]], draw: random.Random) -> Passage:
    """Return a passage that lists labels near to its own, too, and perhaps a paraphrase."""
    own = passage.own_labels
    if not own:
        return passage
    added = [draw.choice(near[label]) for label in draw.choices(own, k=N_NEAR)]
    if draw.random() < PARAPHRASED:
        added.append(paraphrase(draw.choice(own), draw))
    return replace(passage, labels=tuple(dict.fromkeys([*passage.labels, *added])))


def nearest_labels(passages: Iterable[Passage], teacher: GLiNERTeacher) -> dict[str, list[str]]:
    """Return, for each label, the 25 others that the teacher's encoder puts nearest to it."""
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
        order = np.argsort(-(vectors @ vector))[: NEAREST + 1]
        near[label] = [labels[row] for row in order if labels[row] != label][:NEAREST]
    return near


def paraphrase(label: str, draw: random.Random) -> str:
    """Return other words for a label.

    >>> sorted({paraphrase("city", random.Random(seed)) for seed in range(40)})
    ['cities', 'city name', 'mention of a city', 'name of a city', 'specific city', 'type of city']
    """
    forms = ["{}", "{} name", "name of a {}", "type of {}", "specific {}", "mention of a {}"]
    form = draw.choice(forms)
    return plural(label) if form == "{}" else form.format(label)


def plural(label: str) -> str:
    """Return a label's regular plural."""
    if label.endswith(("s", "x", "ch", "sh")):
        return label if label.endswith("s") else label + "es"
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


def with_beside(
    passages: Sequence[Passage], ours: Iterable[Passage], seed: int
) -> Iterator[Passage]:
    """Yield passages with three of their labels and ten that they were not asked for.

    Seven of the ten stand beside one of its own in an open passage, and in two more open passages,
    the frequent ones less often than they do there; three are those of other passages' sets. So
    types that few sets know are asked of all text.
    """
    draw = random.Random(seed)
    open_labels = [one.own_labels for one in ours]
    counts = Counter(chain.from_iterable(open_labels))
    frequent = [
        tuple(label for label in labels if counts[label] > 2) or labels for labels in open_labels
    ]
    weights = [[counts[label] ** -0.5 for label in labels] for labels in frequent]
    having: dict[str, list[int]] = {}
    for row, labels in enumerate(open_labels):
        for label in labels:
            having.setdefault(label, []).append(row)
    anywhere = range(len(frequent))
    for passage in passages:
        own = passage.own_labels
        rows = draw.choices(
            [row for label in own for row in having.get(label, ())] or anywhere, k=N_DRAWN
        )
        found = [draw.choices(frequent[row], weights[row])[0] for row in rows]
        others = [draw.choice(draw.choice(passages).own_labels or found) for _ in range(N_OTHERS)]
        new = dict.fromkeys(one for one in [*others, *found] if one not in own)
        asked = (*draw.sample(own, min(len(own), N_OWN)), *tuple(new)[:N_NEW])
        entities = tuple(one for one in passage.entities if one.label in asked)
        yield Passage(passage.words, entities, asked)
