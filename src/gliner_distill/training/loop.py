"""Training a student on soft and gold labels: one visible loop over Accelerate.

In: labeled passages and `TrainingSettings`. Out: a run folder with `student/` (weights, shape,
tokenizer), `metrics.jsonl` (a row an epoch and split), `config.json`, `environment.json`,
`tensorboard/` and `checkpoint.safetensors`. Everything random is drawn from (seed, epoch), so a run
that goes on from a checkpoint ends with the same weights as one that was never stopped.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.batch import Batch
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import teacher_feature_width, teacher_features
from gliner_distill.training.checkpoint import Checkpoint, write_checkpoint
from gliner_distill.training.data import (
    EvaluationSplit,
    Example,
    augment_example,
    collate_examples,
    make_example,
    order_batches,
)
from gliner_distill.training.losses import boundary_loss, distillation_loss, feature_loss
from gliner_distill.training.run import (
    CHECKPOINT_FILE,
    DEV,
    STUDENT_FOLDER,
    _describe_run,
    _log_epoch,
    _open_run,
    best_epoch,
)
from gliner_distill.training.settings import TrainingSettings


def train_student(
    student: Student,
    vocabulary: Vocabulary,
    train: Sequence[LabeledPassage],
    folder: Path,
    settings: TrainingSettings,
    *,
    splits: Sequence[EvaluationSplit] = (),
    teacher: GLiNERTeacher | None = None,
    metadata: Mapping[str, object] | None = None,
    resume: bool = False,
    progress: Progress = no_progress,
    stage: str = "training",
) -> Student:
    """Train a student and write its run folder.

    Args:
        student: As it starts; changed in place.
        vocabulary: Its pieces.
        train: The passages to learn from.
        folder: The run folder; made where it does not exist.
        settings: Everything that can be chosen.
        splits: Measured after each epoch.
        teacher: Whose representations the student's vectors are drawn to; for a `feature_weight`
            above 0 alone.
        metadata: Plain JSON values to keep with the student.
        resume: Go on from the folder's checkpoint, if there is one.
        progress: Told after each step how many of the words of all epochs are done.
        stage: The stage that `progress` is told.

    Raises:
        SettingsError: The settings ask for gold entities, for a teacher or for a dev split, and
            there is none; or the student's `feature_width` is not the teacher's.
        TeacherError: The teacher cannot represent a passage.
        StudentError: The folder holds a run already and `resume` is false, or a run of other
            settings or data; or it cannot be written; or the loss is no longer a number.
    """
    _check_data(train, splits, settings)
    matched = _matched_teacher(student, settings, teacher)
    accelerator = Accelerator(cpu=settings.device == "cpu")
    examples = [make_example(item, vocabulary) for item in train]
    run = _describe_run(student, vocabulary, train, splits, settings, matched)
    checkpoint = _open_run(folder, run, resume=resume)
    model, optimizer = _prepare(accelerator, student, settings, checkpoint)
    first_epoch = checkpoint.epoch if checkpoint is not None else 0
    epoch_words = sum(len(item.passage.words) for item in train)
    n_words = settings.epochs * epoch_words
    if 0 < first_epoch < settings.epochs:
        note = f"epoch {first_epoch}/{settings.epochs}"
        progress(stage, first_epoch * epoch_words, n_words, note)
    save = partial(
        save_student, folder / STUDENT_FOLDER, student, vocabulary, metadata=metadata or {}
    )
    with SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch + 1) as board:
        for epoch in range(first_epoch, settings.epochs):
            if 0 < settings.patience <= epoch - best_epoch(folder):
                break
            torch.manual_seed(settings.seed * 100_003 + epoch)
            head = student.config.head
            batches = _epoch_loader(examples, vocabulary, settings, epoch, head, matched)
            loader = accelerator.prepare(batches)
            losses = []
            n_done = epoch * epoch_words
            for loss, step_words in _train_epoch(
                accelerator, model, optimizer, loader, settings, epoch=epoch
            ):
                losses.append(loss)
                n_done += step_words
                note = f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.3f}"
                progress(stage, n_done, n_words, note)
            if accelerator.is_main_process:
                rows = _measure(student, vocabulary, splits, settings, epoch + 1, losses)
                _log_epoch(folder, rows, board)
                if settings.patience and best_epoch(folder) == epoch + 1:
                    save()
                reached = Checkpoint.capture(student, optimizer.optimizer, epoch=epoch + 1, run=run)
                write_checkpoint(folder / CHECKPOINT_FILE, reached)
    if settings.patience:
        best, _ = load_student(folder / STUDENT_FOLDER)
        student.load_state_dict(best.state_dict(), strict=False)  # projections stay behind
    elif accelerator.is_main_process:
        save()
    return student.eval()


def _train_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: AcceleratedOptimizer,
    loader: DataLoader[Batch],
    settings: TrainingSettings,
    *,
    epoch: int,
) -> Iterator[tuple[float, int]]:
    """Take a step on each batch, and yield its loss and number of words."""
    model.train()
    for step, batch in enumerate(loader, start=epoch * len(loader)):
        _set_rates(optimizer, settings, step, n_steps=len(loader) * settings.epochs)
        loss = _loss(model, batch, settings)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        _check_loss(loss.item(), epoch + 1, settings)
        yield loss.item(), int(batch["n_words"].sum())


def learning_rate_factor(step: int, *, n_steps: int, warm_up: float = 0.1) -> float:
    """Return the share of the full learning rate at a step: up from 0 and down to 0, straight.

    >>> [round(learning_rate_factor(step, n_steps=100), 2) for step in (0, 4, 9, 54, 99)]
    [0.1, 0.5, 1.0, 0.51, 0.01]
    """
    n_warm_up = max(1, round(warm_up * n_steps))
    if step < n_warm_up:
        return (step + 1) / n_warm_up
    return (n_steps - step) / max(1, n_steps - n_warm_up)


def _epoch_loader(
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    settings: TrainingSettings,
    epoch: int,
    head: str,
    teacher: GLiNERTeacher | None,
) -> DataLoader[Batch]:
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    lengths = [len(example.words.word_starts) for example in examples]
    batches = order_batches(lengths, settings.batch_size, generator)

    def collate(rows_of_batches: list[list[int]]) -> Batch:
        [rows] = rows_of_batches
        chosen = [
            augment_example(
                examples[row],
                vocabulary,
                share=settings.augmentation_prob,
                draw=random.Random(f"{settings.seed}/{epoch}/{row}"),
            )
            for row in rows
        ]
        batch = collate_examples(chosen, vocabulary, head=head)
        if teacher is not None:
            # Altered or not, an example has its passage's own words.
            words = [example.item.passage.words for example in chosen]
            labels = [example.item.labels for example in chosen]
            features = teacher_features(teacher, words, labels)
            batch["teacher_words"], batch["teacher_labels"] = features
        return batch

    # A batch is one row of this loader, so that Accelerate deals whole batches to processes.
    return DataLoader(batches, batch_size=1, collate_fn=collate)  # type: ignore[arg-type]


def _loss(model: nn.Module, batch: Batch, settings: TrainingSettings) -> Tensor:
    is_matched = "teacher_words" in batch
    # Not Accelerate's mixed precision, which holds for all runs of a process.
    with torch.autocast(
        batch["piece_ids"].device.type, torch.bfloat16, enabled=settings.precision == "bf16"
    ):
        answer = model(batch, with_features=True) if is_matched else (model(batch),)
    logits, *features = (part.float() for part in answer)
    loss = _label_loss(logits, batch, settings)
    if is_matched:
        words, labels = features
        off = feature_loss(words, batch["teacher_words"])
        off = off + feature_loss(labels, batch["teacher_labels"])
        loss = loss + settings.feature_weight * off
    return loss


def _label_loss(logits: Tensor, batch: Batch, settings: TrainingSettings) -> Tensor:
    mask = batch["word_mask"]
    if "teacher_probs" in batch:
        pairs = mask[:, :, None] & batch["label_mask"][:, None, :]
        gold = batch["gold"][pairs]
        return boundary_loss(
            logits[pairs],
            batch["teacher_probs"][pairs],
            # A hard student takes what gold does not name for absent, as GLiNER's training does.
            gold if settings.alpha > 0 else gold.nan_to_num(0.0),
            alpha=settings.alpha,
            temperature=settings.temperature,
            positive_weight=settings.positive_weight,
        )
    return distillation_loss(
        logits[mask],
        batch["teacher_logits"][mask],
        batch["gold"][mask],
        alpha=settings.alpha,
        temperature=settings.temperature,
    )


def _measure(
    student: Student,
    vocabulary: Vocabulary,
    splits: Sequence[EvaluationSplit],
    settings: TrainingSettings,
    epoch: int,
    train_losses: Sequence[float],
) -> Iterator[dict[str, Any]]:
    student.eval()
    yield {
        "epoch": epoch,
        "split": "training",
        "loss": float(np.mean(train_losses)),
    }
    predictor = StudentPredictor(student, vocabulary)
    device, head = student.pieces.weight.device, student.config.head
    for split in splits:
        parts = _parts(split.examples, 32)
        with torch.inference_mode():
            batches = (collate_examples(part, vocabulary, head=head) for part in parts)
            losses = [float(_loss(student, _to(batch, device), settings)) for batch in batches]
        evaluation = evaluate(
            predictor, split.passages, split.labels, teacher_entities=split.teacher_entities
        )
        row = {"epoch": epoch, "split": split.name, "loss": float(np.mean(losses))}
        yield row | evaluation.as_json()


def _prepare(
    accelerator: Accelerator,
    student: Student,
    settings: TrainingSettings,
    checkpoint: Checkpoint | None,
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """Return the student and its optimizer on their device, where the checkpoint left them."""
    optimizer = torch.optim.AdamW(
        _parameter_groups(student, settings), weight_decay=settings.weight_decay, fused=True
    )
    model, prepared = accelerator.prepare(student, optimizer)
    if checkpoint is not None:  # once the weights are on their device, so that the moments follow
        checkpoint.restore(student, prepared.optimizer)
    return model, prepared


def _parameter_groups(student: Student, settings: TrainingSettings) -> list[dict[str, Any]]:
    pieces = list(student.pieces.parameters())
    of_pieces = {id(parameter) for parameter in pieces}
    others = [parameter for parameter in student.parameters() if id(parameter) not in of_pieces]
    groups = zip((pieces, others), _full_rates(settings), strict=True)
    return [{"params": parameters, "lr": rate} for parameters, rate in groups]


def _full_rates(settings: TrainingSettings) -> tuple[float, float]:
    """Return the learning rates of the pieces and of all else, without the schedule."""
    return settings.learning_rate * settings.embedding_lr_factor, settings.learning_rate


def _set_rates(
    optimizer: AcceleratedOptimizer, settings: TrainingSettings, step: int, *, n_steps: int
) -> None:
    share = learning_rate_factor(step, n_steps=n_steps)
    for group, rate in zip(optimizer.param_groups, _full_rates(settings), strict=True):
        group["lr"] = rate * share


def _check_data(
    train: Sequence[LabeledPassage],
    splits: Sequence[EvaluationSplit],
    settings: TrainingSettings,
) -> None:
    if not train:
        raise SettingsError("there is no passage to train on")
    if settings.alpha < 1 and not any(item.passage.entities for item in train):
        raise SettingsError(
            f"alpha {settings.alpha} mixes gold labels in, but the store has no gold entity; "
            f"use --alpha 1"
        )
    if settings.patience and DEV not in [split.name for split in splits]:
        raise SettingsError("patience goes by agreement on dev; there is no split of that name")


def _matched_teacher(
    student: Student, settings: TrainingSettings, teacher: GLiNERTeacher | None
) -> GLiNERTeacher | None:
    """Return the teacher if its representations are to be matched, having checked that they can."""
    if not settings.feature_weight:
        return None
    if teacher is None:
        raise SettingsError(
            f"feature_weight {settings.feature_weight} draws the student's vectors to a teacher's, "
            f"but no teacher is given"
        )
    width = teacher_feature_width(teacher)
    if student.config.feature_width != width:
        raise SettingsError(
            f"feature_width must be that of the teacher's representations, {width}; "
            f"got {student.config.feature_width}"
        )
    return teacher


def _check_loss(loss: float, epoch: int, settings: TrainingSettings) -> None:
    if not math.isfinite(loss):
        raise StudentError(
            f"the loss became {loss} in epoch {epoch}; "
            f"try a lower --learning-rate than {settings.learning_rate}"
        )


def _parts(items: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _to(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}
