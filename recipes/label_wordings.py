"""Teach a trained student to read a label in other words as it reads the label itself.

Only the label tower learns: the vectors of a label in other words should be those that the trained
student has for the plain label. The other words are a synonym, the first description, the plural,
or words around the label ("find all X here"). The ten wordings and the second descriptions of
`benchmarks/robustness.py` are not among them. No text is needed, so the stage takes minutes.
"""

import copy
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from open_passages import plural
from thesaurus import Thesaurus
from torch import Tensor

from gliner_distill.entities import Passage
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.model import Student

STEPS, BATCH_SIZE, LEARNING_RATE, WARM_UP = 6_000, 256, 2e-3, 100
PLAIN, DESCRIBED, RENAMED = 0.2, 0.2, 0.1
"""The shares of plain labels, descriptions and synonyms; all others have words around the label."""
BEFORE_ONLY, AFTER_ONLY = 0.45, 0.25
PLURAL = 0.15
BEFORE = (
    *("the", "one", "some", "each", "all", "any", "every", "this", "that", "these", "no"),
    *("my", "your", "our", "its", "their", "several", "many", "two", "only", "another", "both"),
    *("find", "find the", "find all", "list the", "list every", "list all", "show the", "show me"),
    *("give the", "give me each", "get the", "get every", "identify the", "identify each"),
    *("locate the", "retrieve the", "return the", "return all", "spot the", "detect any"),
    *("mark the", "mark each", "tag the", "highlight the", "note the", "report the", "copy the"),
    *("look for the", "search for a", "tell me the", "pick out the", "collect all", "select the"),
    *("name of", "name of a", "name of the", "names of", "the name of", "full name of the"),
    *("kind of", "type of", "words for", "words that name a", "text about a", "references to"),
    *("reference to a", "occurrences of a", "instances of", "an example of a", "examples of"),
    *("where is the", "which", "what", "what is the", "whatever", "who or what is the"),
    *("is there a", "given", "stated", "specific", "particular", "certain", "possible"),
    *("precise", "correct", "relevant", "actual", "real", "respective", "corresponding", "current"),
    *("full", "complete", "original", "first", "single", "same", "main", "important", "likely"),
    *("the precise", "the correct", "the relevant", "the actual", "the respective", "the true"),
    *("the given", "the full", "the first", "the following", "the above", "the only", "the same"),
    *("capture the", "pull out the", "read off the", "fetch the", "parse the", "recognize the"),
)
AFTER = (
    *("here", "if any", "as written", "named here", "(name)", "name", "names", "or similar"),
    *("of any sort", "value", "values", "field", "that is named", "which appears", "please", "?"),
    *("(optional)", "(one or more)", "item", "instance", "term", "expression", "word", "phrase"),
    *("string", "occurrence", "reference", "label", "type", "category", "in this passage"),
    *("in the document", "in the sentence", "in it", "from the input", "found here", "given below"),
    *("of interest", "involved", "concerned", "described", "discussed", "referred to"),
    *("that occurs", "(singular)", "(plural)", "(any)", "(as text)", "information", "data"),
    *("detail", "details", "identifier", "element", "object", "thing", "span", "being discussed"),
    *("if present", "when known", "(if known)", "(if stated)", "is named", "is intended"),
    *("is referred to", "is described", "under discussion", "at issue", "tag", "class", "slot"),
    *("citation", "notice", "statement", "naming", "wording", "as such", "in full", "to be found"),
)


def align_wordings(
    student: Student,
    vocabulary: Vocabulary,
    labels: Sequence[str],
    weights: Sequence[float],
    thesaurus: Thesaurus,
    *,
    seed: int,
    steps: int = STEPS,
) -> Student:
    """Return a student whose label tower reads other words for a label as the label itself.

    Args:
        student: The trained student; it stays as it is.
        vocabulary: Its subword pieces.
        labels: The labels to learn from.
        weights: How often each is drawn, relative to the others.
        thesaurus: Synonyms and descriptions of labels.
        seed: The random seed.
        steps: The number of batches.
    """
    rng = random.Random(seed)
    learner = copy.deepcopy(student).eval()
    parameters = _label_parameters(learner)
    with torch.no_grad():
        targets = torch.cat(
            [
                encode(student, vocabulary, labels[first : first + BATCH_SIZE])
                for first in range(0, len(labels), BATCH_SIZE)
            ]
        )
    spread = targets.std(0) + 1e-3
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)
    )
    totals = list(accumulate(weights))
    for _ in range(steps):
        rows = rng.choices(range(len(labels)), cum_weights=totals, k=BATCH_SIZE)
        texts = [reword(labels[row], thesaurus, rng) for row in rows]
        distance = (encode(learner, vocabulary, texts) - targets[rows]) / spread
        loss = F.smooth_l1_loss(distance, torch.zeros_like(distance))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    return learner


def count_labels(
    passages: Iterable[Passage], thesaurus: Thesaurus
) -> tuple[list[str], list[float]]:
    """Return the labels of passages and of the thesaurus, and how often to draw each."""
    counts = Counter(label for passage in passages for label in passage.own_labels)
    for label, entry in thesaurus.entries.items():
        counts.update((label, *entry.synonyms))
    labels = sorted(counts)
    return labels, [counts[label] ** 0.5 for label in labels]


def reword(label: str, thesaurus: Thesaurus, rng: random.Random) -> str:
    """Return a label in other words, or as it is."""
    entry, choice = thesaurus.find(label), rng.random()
    if choice < PLAIN:
        return label
    if choice < PLAIN + DESCRIBED and entry and entry.trained_description:
        return entry.trained_description
    if choice < PLAIN + DESCRIBED + RENAMED and entry:
        return rng.choice(entry.trained_synonyms) if entry.trained_synonyms else label
    return surround(plural(label) if rng.random() < PLURAL else label, rng)


def surround(label: str, rng: random.Random) -> str:
    """Return a label with words before it, after it, or both."""
    choice = rng.random()
    words = [label]
    if choice >= AFTER_ONLY:
        words.insert(0, rng.choice(BEFORE))
    if choice < AFTER_ONLY or choice >= AFTER_ONLY + BEFORE_ONLY:
        words.append(rng.choice(AFTER))
    return " ".join(words)


def encode(student: Student, vocabulary: Vocabulary, labels: Sequence[str]) -> Tensor:
    """Return the vectors of labels, shape `(labels, vectors * width)`, without dropout."""
    pieces = [vocabulary.encode_label(label) for label in labels]
    lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
    # The pieces stay as they are, because the word tower reads them as well.
    vectors = student.pieces.weight.detach()[
        torch.tensor([piece for ids in pieces for piece in ids])
    ]
    starts = torch.from_numpy(np.cumsum(lengths) - lengths)
    return student.label_vectors(student.read_labels(vectors, starts)).flatten(1)


def _label_parameters(student: Student) -> list[torch.nn.Parameter]:
    """Return the parameters of the label tower, and switch off the gradients of all others."""
    chosen = []
    for name, parameter in student.named_parameters():
        is_chosen = name.startswith(("label_tower.", "label_forward_lstm.", "label_backward_lstm."))
        parameter.requires_grad_(is_chosen)
        if is_chosen:
            chosen.append(parameter)
    return chosen
