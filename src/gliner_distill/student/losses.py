"""The targets per word, and the distillation loss of Hinton et al. (2015) for both heads.

The targets come from the start, end and inside probabilities of the teacher and from the gold
entities of a passage. For the softmax head they are distributions over the labels and "none" per
word; for the boundary head they are start, end and inside per word and label. A third loss measures
how far the vectors of a student point away from those of its teacher.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.runtime.heads import NONE


def teacher_word_logits(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Return the teacher's distribution over the labels and "none" for each word, as logits.

    A GLiNER gives each label its own probability `p_c` that the word lies inside an entity of that
    label. (For a span GLiNER, it is the best of all spans that cover the word. Starts and ends are
    not needed, since a word that starts or ends an entity also lies inside it.) A softmax over
    labels allows only one answer. We assume that the labels are independent, and condition on at
    most one of them being true:

        q_c = o_c / (1 + sum_j o_j),   q_none = 1 / (1 + sum_j o_j),   o_c = p_c / (1 - p_c).

    So `q = softmax([0, logit(p_1), ..., logit(p_n)])`: "none" has logit 0 and each label its own
    logit, the raw score of the teacher. A label is the likeliest answer exactly when its
    probability is the largest and above 1/2, which is how GLiNER decodes at threshold 0.5. Two
    labels at 0.9 share the word (0.47, 0.47, none 0.05); if no label is above 1/2, "none" wins.

    Args:
        probs: Shape `(words, labels, 3)`: start, end, inside probabilities.

    Returns:
        Shape `(words, 1 + labels)`, float32, "none" first. Probabilities are clipped to [1/512, 1 -
        1/512], the resolution of the store, so that logits lie within ±6.24.
    """
    inside = np.clip(probs[:, :, INSIDE], 1 / 512, 1 - 1 / 512)
    logits = np.log(inside) - np.log1p(-inside)
    return np.concatenate([np.zeros((len(probs), 1)), logits], axis=1).astype(np.float32)


def gold_distribution(
    entities: Sequence[Entity], labels: Sequence[str], n_words: int
) -> NDArray[np.float32]:
    """Return the gold distribution over the labels and "none" for each word.

    For a word inside entities of several labels, these labels are equally likely; a word outside
    all entities is "none". Entities of labels that are not asked are ignored.

    Returns:
        Shape `(words, 1 + labels)`, float32, rows sum to 1, "none" first.
    """
    index = {label: position for position, label in enumerate(labels, start=1)}
    target = np.zeros((n_words, 1 + len(labels)), dtype=np.float32)
    for entity in entities:
        if entity.label in index:
            target[entity.start_word : entity.end_word, index[entity.label]] = 1.0
    target[target.sum(axis=1) == 0, NONE] = 1.0
    target /= target.sum(axis=1, keepdims=True)
    return target


def soft_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Return `T² · KL(teacher_T || student_T)` for each word (Hinton et al. 2015, section 2).

    Args:
        student_logits: Shape `(words, classes)`; masked classes hold `-inf`.
        teacher_logits: Shape `(words, classes)`; masked classes hold `-inf`.
        temperature: T, above 0.

    Returns:
        Shape `(words,)`.
    """
    student_log_probs = F.log_softmax(student_logits / temperature, dim=-1)
    teacher_log_probs = F.log_softmax(teacher_logits / temperature, dim=-1)
    # At masked classes, -inf minus -inf is NaN.
    difference = (teacher_log_probs - student_log_probs).nan_to_num(0.0)
    return temperature**2 * (teacher_log_probs.exp() * difference).sum(-1)


def hard_loss(student_logits: Tensor, gold: Tensor) -> Tensor:
    """Return the cross-entropy of each word against the gold distribution.

    Args:
        student_logits: Shape `(words, classes)`; masked classes hold `-inf`.
        gold: Shape `(words, classes)`, rows sum to 1.

    Returns:
        Shape `(words,)`.
    """
    log_probs = F.log_softmax(student_logits, dim=-1)
    return -torch.where(gold > 0, gold * log_probs, 0.0).sum(-1)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    gold: Tensor,
    *,
    alpha: float,
    temperature: float,
) -> Tensor:
    """Return `alpha · T² · KL(teacher_T || student_T) + (1 - alpha) · CE(gold)`, mean over words.

    Args:
        student_logits: Shape `(words, classes)`, "none" first; masked classes hold `-inf`.
        teacher_logits: Shape `(words, classes)`.
        gold: Shape `(words, classes)`, rows sum to 1.
        alpha: The weight of the soft part, in [0, 1]; 0 trains on the gold labels alone.
        temperature: T, above 0.
    """
    loss = student_logits.new_zeros(())
    if alpha > 0:
        soft = soft_loss(student_logits, teacher_logits, temperature=temperature)
        loss = loss + alpha * soft.mean()
    if alpha < 1:
        loss = loss + (1 - alpha) * hard_loss(student_logits, gold).mean()
    return loss


def gold_boundaries(
    entities: Sequence[Entity], labels: Sequence[str], n_words: int
) -> NDArray[np.float32]:
    """Return start, end and inside by the gold annotation, or NaN where it does not say.

    If a label has an entity in the passage, the annotation decides every word for this label. It
    does not say anything about other labels: with open labels, the annotator noted what was found,
    but not which labels were looked for.

    Returns:
        Shape `(words, labels, 3)`, float32: 1, 0, or NaN where the annotation does not say.
    """
    target = np.full((n_words, len(labels), 3), np.nan, dtype=np.float32)
    index = {label: position for position, label in enumerate(labels)}
    known = [entity for entity in entities if entity.label in index]
    for entity in known:
        target[:, index[entity.label]] = 0.0
    for entity in known:
        label = index[entity.label]
        target[entity.start_word, label, START] = 1.0
        target[entity.end_word - 1, label, END] = 1.0
        target[entity.start_word : entity.end_word, label, INSIDE] = 1.0
    return target


def boundary_loss(
    student_logits: Tensor,
    teacher_probs: Tensor,
    gold: Tensor,
    *,
    alpha: float,
    temperature: float,
    positive_weight: float,
) -> Tensor:
    r"""Return `alpha · T² · BCE(student_T, teacher_T) + (1 - alpha) · BCE(student, gold)`.

    Each probability is a sigmoid, a separate yes or no, so the distance is binary cross-entropy and
    not the KL divergence of a softmax; the temperature divides the logits of both. Where the gold
    annotation is NaN, the teacher has the whole weight. A target `t` has weight `1 + (w - 1) t`,
    because nearly all targets are near 0. The result is the mean over (word, label) pairs and their
    three probabilities.

    Args:
        student_logits: Shape `(pairs, 3)`.
        teacher_probs: Shape `(pairs, 3)`, in (0, 1).
        gold: Shape `(pairs, 3)`, 1, 0 or NaN (see `gold_boundaries`).
        alpha: The weight of the teacher where there is gold, in [0, 1].
        temperature: T, above 0.
        positive_weight: w, above 0.
    """
    soft_targets = torch.sigmoid(torch.logit(teacher_probs) / temperature)
    soft = temperature**2 * _weighted_cross_entropy(
        student_logits / temperature, soft_targets, positive_weight
    )
    is_known = ~gold.isnan()
    hard = _weighted_cross_entropy(student_logits, gold.nan_to_num(0.0), positive_weight)
    return torch.where(is_known, alpha * soft + (1 - alpha) * hard, soft).mean()


def feature_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean over rows of `1 - cos(student, teacher)`, or 0 without rows to match.

    This is a hint in the sense of FitNets (Romero et al. 2015): it pulls the vectors of the
    student, projected to the teacher's width, toward those of the teacher. It uses their cosine, as
    DistilBERT does (Sanh et al. 2019), so that only directions count.

    Args:
        student_features: Shape `(..., width)`.
        teacher_features: Shape `(..., width)`; a row that contains NaN is not matched.
    """
    is_known = ~teacher_features.isnan().any(-1)
    cosines = F.cosine_similarity(student_features[is_known], teacher_features[is_known], dim=-1)
    return (1 - cosines).sum() / is_known.sum().clamp(min=1)


def _weighted_cross_entropy(logits: Tensor, targets: Tensor, positive_weight: float) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return loss * (1 + (positive_weight - 1) * targets)
