"""Make the texts of `without_data.py`: a set's own, out of domain, written, random, searched.

Every text is cut into passages and labeled by the teacher, which is asked for the labels of the
set. What is drawn from a pool is labeled once and kept in a store; the rest is labeled when it is
made. The same seed gives the same text.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from adversarial_words import Draft, WordSearch, candidate_words

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage, split_words
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.labels import clean_label
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.subwords import VECTOR_WIDTH, principal_components

OUT_OF_DOMAIN: Final = "fewnerd_a"

TASK, WIKIPEDIA, WRITTEN = "task data", "Wikipedia", "language model"
ASKED: Final = "language model, for the domain"
RANDOM, PERTURBED, ADVERSARIAL = "random words", "perturbed", "adversarial"
CHOSEN: Final = ", chosen"
MORE: Final = ", 15 times the words"
MOST: Final = ", 100 times the words"
TEXTS: Final = (
    *(TASK, WIKIPEDIA, WRITTEN, WIKIPEDIA + CHOSEN, WRITTEN + CHOSEN),
    *(ASKED, RANDOM, PERTURBED, ADVERSARIAL, WIKIPEDIA + MORE, WRITTEN + MORE, WRITTEN + MOST),
)
ASKED_FOLDER: Final = Path(__file__).with_name("domain_passages")
"""The passages that a language model wrote for a domain, NAME.txt for the set NAME."""

N_TIMES: Final = {MORE: 15, MOST: 100}
"""The words of larger texts, as multiples of the usual number."""

N_PIECES: Final = 5_000
MAX_WORDS: Final = 40
"""Longer passages are cut into windows of this many words."""
REPLACED: Final = 0.3
"""The share of the words that are replaced in perturbed passages."""
N_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Setting:
    """The files of the study, and its sizes.

    Attributes:
        corpora: The folder of the sets.
        teacher: The folder of the teacher.
        written: The file of passages that a language model wrote.
        stores: The folder for the teacher's answers.
        n_words: The number of words that a student learns from.
        n_pool: The number of words that the teacher labels, from which those are drawn.
        n_test: The number of test passages.
        epochs: The passes over the words.
        steps: The steps in an epoch, about.
        search_steps: The steps of the search for words.
    """

    corpora: str
    teacher: str
    written: str
    stores: str
    n_words: int = 4_000
    n_pool: int = 12_000
    n_test: int = 300
    epochs: int = 10
    steps: int = 32
    search_steps: int = 3


@dataclass(frozen=True, slots=True)
class Domain:
    """A set: its labels, its passages, and the pieces of its students.

    The pieces come from the out-of-domain text, the written text and the labels, not from the set.
    """

    labels: tuple[str, ...]
    train: list[Passage]
    test: list[LabeledPassage]
    vocabulary: Vocabulary
    vectors: SubwordVectors


class TextMaker:
    """Makes the labeled texts of a set and a seed.

    Args:
        setting: The files and sizes.
        set_name: The set.
        seed: The seed.
        train: A function that returns a student of some passages; words are searched against it.

    Attributes:
        notes: Numbers about how the last text was made.
    """

    def __init__(
        self,
        setting: Setting,
        set_name: str,
        seed: int,
        train: Callable[[Sequence[LabeledPassage]], Student],
    ) -> None:
        self._setting = setting
        self._set_name = set_name
        self._seed = seed
        self._train = train
        self._domain = read_domain(setting, set_name)
        self.notes: dict[str, Any] = {}

    def make(self, text: str) -> list[LabeledPassage]:
        """Return the text of a condition, with the teacher's soft labels and without gold."""
        n_words = self._setting.n_words
        if text.endswith((MORE, MOST)):
            # The same words for all seeds: the teacher should read so many only once.
            return list(read_pool(self._setting, self._set_name, text))
        if text.endswith(CHOSEN):
            # Each seed chooses from another part of the pool, so that the choice varies, too.
            pool = self._draw(text.removesuffix(CHOSEN), 3 * self._setting.n_pool // 4)
            return take_words(sorted(pool, key=_density, reverse=True), n_words)
        if text == RANDOM:
            return self._label(random_passages(self._draw(WIKIPEDIA, n_words), self._seed))
        if text in (PERTURBED, ADVERSARIAL):
            drawn = self._draw(WIKIPEDIA, n_words)
            plain = take_words(drawn, n_words // 2)
            words = candidate_words(_tokenizer(self._setting.teacher))
            drafts = [perturb(item.words, words, self._seed) for item in drawn[len(plain) :]]
            if text == ADVERSARIAL:
                return self._search(plain, drafts)
            return plain + self._label([draft.words for draft in drafts])
        return self._draw(text, n_words)

    def _draw(self, text: str, n_words: int) -> list[LabeledPassage]:
        pool = list(read_pool(self._setting, self._set_name, text))
        random.Random(self._seed).shuffle(pool)
        return take_words(pool, n_words)

    def _label(self, texts: Sequence[tuple[str, ...]]) -> list[LabeledPassage]:
        return label_words(self._setting.teacher, texts, self._domain.labels)

    def _search(
        self, plain: Sequence[LabeledPassage], drafts: Sequence[Draft]
    ) -> list[LabeledPassage]:
        """Return plain text and text whose words were searched, in rounds."""
        passages = list(plain)
        divergences = []
        for part in range(N_ROUNDS):
            student = self._train(passages)
            search = WordSearch(
                open_teacher(self._setting.teacher).model,
                student,
                self._domain.vocabulary,
                self._domain.labels,
            )
            texts, before, after = search.search(
                drafts[part::N_ROUNDS], n_steps=self._setting.search_steps
            )
            divergences.append([round(before, 5), round(after, 5)])
            passages += self._label(texts)
        self.notes = {"divergences": divergences}
        return passages


def take_words(passages: Sequence[LabeledPassage], n_words: int) -> list[LabeledPassage]:
    """Return the first passages that together have at least so many words, or all passages."""
    taken, total = [], 0
    for item in passages:
        if total >= n_words:
            break
        taken.append(item)
        total += len(item.words)
    return taken


def _density(item: LabeledPassage) -> float:
    return len(decode_entities(item.probs, item.labels)) / len(item.words)


def random_passages(passages: Sequence[LabeledPassage], seed: int) -> list[tuple[str, ...]]:
    """Return passages of the same lengths, whose words are drawn by their frequency."""
    counts = Counter(word for item in passages for word in item.words)
    draw = random.Random(seed)
    words, weights = list(counts), list(counts.values())
    return [tuple(draw.choices(words, weights, k=len(item.words))) for item in passages]


def perturb(words: Sequence[str], candidates: Sequence[str], seed: int) -> Draft:
    """Return a passage in which some of the words of letters are replaced by random candidates."""
    draw = random.Random(f"{seed} {' '.join(words)}")
    letters = [place for place, word in enumerate(words) if re.fullmatch("[A-Za-z]+", word)]
    n_places = min(len(letters), max(1, round(REPLACED * len(words))))
    places = tuple(sorted(draw.sample(letters, n_places)))
    replaced = [draw.choice(candidates) if at in places else word for at, word in enumerate(words)]
    return Draft(tuple(replaced), places)


@cache
def open_teacher(folder: str) -> GLiNERTeacher:
    """Return the teacher; each process loads it once."""
    return GLiNERTeacher.from_pretrained(folder)


def _tokenizer(teacher: str) -> Any:
    return open_teacher(teacher).model.data_processor.transformer_tokenizer


@cache
def read_domain(setting: Setting, name: str) -> Domain:
    """Return a set; its test passages are the same for every seed."""
    folder = Path(setting.corpora)
    raw = json.loads((folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    labels = tuple(dict.fromkeys(map(clean_label, raw)))
    items = [item for item in CorpusFile(folder / f"{name}.jsonl", skip_bad=True) if item.words]
    random.Random(0).shuffle(items)
    test, rest = items[: setting.n_test], items[setting.n_test :]
    seen = {item.words for item in test}
    scored = label_words(setting.teacher, [item.words for item in test], labels)
    test_items = [
        replace(item, passage=replace(passage, entities=asked_entities(passage, labels)))
        for item, passage in zip(scored, test, strict=True)
    ]
    train = [item for item in rest if item.words not in seen]
    return Domain(labels, train, test_items, *_pieces(setting, labels))


def asked_entities(passage: Passage, labels: Sequence[str]) -> tuple[Entity, ...]:
    """Return the gold entities of the labels that are asked."""
    return tuple(entity for entity in passage.entities if entity.label in labels)


def _pieces(setting: Setting, labels: Sequence[str]) -> tuple[Vocabulary, SubwordVectors]:
    teacher = open_teacher(setting.teacher)
    words = [
        word for text in (WIKIPEDIA, WRITTEN) for item in read_texts(setting, text) for word in item
    ]
    words += [word for label in labels for word in label.split()] * 100
    vocabulary = teacher.prune_vocabulary(words, max_pieces=N_PIECES)
    # The encoder reads a piece as text, so that a piece within a word has no mark.
    states = teacher.encode_texts([piece.removeprefix("##") for piece in vocabulary.pieces()])
    vectors = principal_components(states, VECTOR_WIDTH)
    return vocabulary, SubwordVectors(vocabulary, vectors)


@cache
def read_texts(setting: Setting, text: str, *, is_whole: bool = False) -> list[tuple[str, ...]]:
    """Return the out-of-domain or the written text, or a random part of it, in windows."""
    file = {WIKIPEDIA: f"{setting.corpora}/{OUT_OF_DOMAIN}.jsonl", WRITTEN: setting.written}[text]
    items = read_words(Path(file))
    random.Random(0).shuffle(items)
    chosen = items if is_whole else items[: setting.n_pool // 4]
    return [window for words in chosen for window in windows(words)]


def read_words(path: Path) -> list[tuple[str, ...]]:
    """Return the words of each passage of a file in GLiNER's form, a list or one on a line."""
    content = path.read_text(encoding="utf-8")
    # Texts may hold other line breaks than this one, so `splitlines` would cut them.
    lines = [line for line in content.split("\n") if line]
    records = json.loads(content) if content[:1] == "[" else map(json.loads, lines)
    return [tuple(record["tokenized_text"]) for record in records]


def read_asked(set_name: str) -> list[tuple[str, ...]]:
    """Return the words of the passages that a language model wrote for the domain of a set."""
    content = (ASKED_FOLDER / f"{set_name}.txt").read_text(encoding="utf-8")
    return [tuple(word.text for word in split_words(line)) for line in content.split("\n")]


def windows(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return a passage in windows of at most 40 words, all of about the same length."""
    n_windows = -(-len(words) // MAX_WORDS)
    bounds = [round(at * len(words) / n_windows) for at in range(n_windows + 1)] if words else [0]
    return [words[a:b] for a, b in pairwise(bounds)]


@cache
def read_pool(setting: Setting, set_name: str, text: str) -> tuple[LabeledPassage, ...]:
    """Return text with the teacher's answers, which are kept in a store."""
    domain = read_domain(setting, set_name)
    if text == TASK:
        texts = [window for item in domain.train for window in windows(item.words)]
    elif text == ASKED:
        texts = [window for words in read_asked(set_name) for window in windows(words)]
    else:
        source = text.removesuffix(MORE).removesuffix(MOST)
        texts = list(read_texts(setting, source, is_whole=text.endswith(MOST)))
        # The windows of a passage should not be neighbors, because the pool is a part of them.
        random.Random(1).shuffle(texts)
    # Nothing is chosen from these two texts, so a smaller pool is enough.
    n_words = setting.n_pool // 2 if text in (TASK, ASKED) else setting.n_pool
    for suffix, n_times in N_TIMES.items():
        n_words = n_times * setting.n_words if text.endswith(suffix) else n_words
    chosen, total = [], 0
    for words in texts:
        if total < n_words and words:
            chosen.append(Passage(words))
            total += len(words)
    if text.endswith((MORE, MOST)) and total < n_words:
        raise SystemExit(f"{text}: there are {total} words; expected {n_words}")
    store = label_corpus(
        chosen,
        open_teacher(setting.teacher),
        Path(setting.stores) / set_name / text.replace(",", "").replace(" ", "_"),
        policy=LabelPolicy(fixed=domain.labels),
        keep_subword_vectors=False,
    )
    return tuple(store)


def label_words(
    teacher: str, texts: Sequence[tuple[str, ...]], labels: tuple[str, ...]
) -> list[LabeledPassage]:
    """Return texts with the teacher's answers."""
    answers = open_teacher(teacher).score_passages(texts, [labels] * len(texts))
    return [
        LabeledPassage(Passage(tuple(words)), labels, probs.astype(np.float32))
        for words, probs in zip(texts, answers, strict=True)
    ]
