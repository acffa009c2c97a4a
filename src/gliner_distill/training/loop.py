"""The training loop: a student learns from soft and gold labels, with Accelerate.

All randomness derives from the seed and the number of the epoch, so a run that continues from a
checkpoint ends with the same weights as one that was never stopped. `training.run` describes the
run folder.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from gliner_distill.student.files import load_student
from gliner_distill.student.losses import feature_loss
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import TeacherFeatures, teacher_feature_width
from gliner_distill.training.anchor import RelationAnchor, anchor_loss, make_anchor
from gliner_distill.training.checkpoint import Checkpoint
from gliner_distill.training.data import (
    EvaluationSplit,
    Example,
    TrainingBatch,
    augment_example,
    collate_examples,
    make_example,
    order_batches,
)
from gliner_distill.training.reporter import Reporter
from gliner_distill.training.run import (
    BOARD_FOLDER,
    DEV,
    STUDENT_FOLDER,
    RunWriter,
    best_epoch,
    describe_run,
    lock_run,
    open_run,
)
from gliner_distill.training.schedule import make_optimizer, set_rates
from gliner_distill.training.settings import TrainingSettings

_NO_BF16 = (
    "precision is bf16, but torch cannot train this LSTM in bf16 on this processor; choose fp32"
)

_EVALUATION_BATCH_SIZE = 32

# Training lowers the loss; a rate that is far too high multiplies it by hundreds.
_MAX_LOSS_RISE = 10.0


def train_student(
    student: Student,
    vocabulary: Vocabulary,
    passages: Sequence[LabeledPassage],
    folder: Path,
    settings: TrainingSettings,
    *,
    splits: Sequence[EvaluationSplit] = (),
    teacher: GLiNERTeacher | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_relations: bool = False,
    resume: bool = False,
    progress: Progress = no_progress,
    stage: str = "training",
) -> Student:
    """Train a student and write its run folder.

    Args:
        student: The student to train; changed in place.
        vocabulary: Its subword pieces.
        passages: The passages to learn from.
        folder: The run folder; it is made if it does not exist.
        settings: The loss, the schedule and the seed.
        splits: Passages to measure the student on after each epoch.
        teacher: A GLiNER whose representations the vectors of the student should match; used only
            with a `feature_weight` above 0.
        metadata: Plain JSON values to keep with the student.
        keep_relations: Whether a student that compares labels should still compare them as it does
            now when training ends; see `anchor`. For students that were trained before.
        resume: Whether to continue from a checkpoint in the folder.
        progress: Called after each step with the words done and the words in all epochs.
        stage: The name of the stage in the reports to `progress`.

    Returns:
        The student, ready to predict.

    Raises:
        SettingsError: The settings need gold entities, a teacher or a dev split that is missing; or
            the `feature_width` of the student is not the teacher's.
        TeacherError: The teacher cannot represent a passage.
        StudentError: The folder holds a run and `resume` is false, or a run with other settings or
            data; or another process trains in it; or it cannot be written; or the loss is not a
            finite number any more, or far above that of the first step.
    """
    _check_data(passages, splits, settings)
    matched_teacher = _matched_teacher(student, settings, teacher)
    accelerator = Accelerator(cpu=settings.device == "cpu")
    run = describe_run(student, vocabulary, passages, splits, settings, matched_teacher)
    with lock_run(folder, is_main=accelerator.is_main_process):
        # All processes write the same files, so they take turns.
        with accelerator.main_process_first():
            checkpoint = open_run(folder, run, resume=resume)
        # The anchor needs the weights of the start, which a checkpoint then replaces.
        anchor = make_anchor(student, vocabulary, passages) if keep_relations else None
        model, optimizer = _prepare(accelerator, student, settings, checkpoint)
        trainer = _Trainer(
            student=student,
            vocabulary=vocabulary,
            examples=[make_example(labeled, vocabulary) for labeled in passages],
            settings=settings,
            matched_features=TeacherFeatures(matched_teacher)
            if matched_teacher is not None
            else None,
            anchor=anchor,
            accelerator=accelerator,
            model=model,
            optimizer=optimizer,
        )
        first_epoch = checkpoint.epoch if checkpoint is not None else 0
        reporter = Reporter(progress, stage, settings.epochs, trainer.n_words)
        reporter.resume(first_epoch)
        with SummaryWriter(str(folder / BOARD_FOLDER), purge_step=first_epoch + 1) as board:
            writer = RunWriter(
                folder=folder,
                run=run,
                student=student,
                vocabulary=vocabulary,
                metadata=metadata,
                keeps_best=settings.patience > 0,
                board=board,
            )
            for epoch, losses in trainer.epochs(first_epoch, folder, reporter):
                if accelerator.is_main_process:
                    rows = trainer.measure(splits, epoch, losses)
                    writer.add_epoch(epoch, rows, optimizer.optimizer)
        if settings.patience:
            best, _ = load_student(folder / STUDENT_FOLDER)
            # `strict` is off, because the projections of feature matching are not saved.
            student.load_state_dict(best.state_dict(), strict=False)
        elif accelerator.is_main_process:
            writer.save_student()
    return student.eval()


@dataclass(frozen=True, slots=True)
class _Trainer:
    """The objects that each epoch of a run needs."""

    student: Student
    vocabulary: Vocabulary
    examples: Sequence[Example]
    settings: TrainingSettings
    matched_features: TeacherFeatures | None
    anchor: RelationAnchor | None
    accelerator: Accelerator
    model: nn.Module
    optimizer: AcceleratedOptimizer

    @property
    def n_words(self) -> int:
        """The number of words in an epoch."""
        return sum(len(example.labeled.passage.words) for example in self.examples)

    def epochs(
        self, first_epoch: int, folder: Path, reporter: Reporter
    ) -> Iterator[tuple[int, list[float]]]:
        """Train until the last epoch, or until patience ends.

        Yields:
            The number of each epoch, counted from 1, and the losses of its steps.
        """
        first_loss: float | None = None
        for epoch in range(first_epoch, self.settings.epochs):
            # The best epoch is read from the metrics, so a resumed run stops at the same epoch.
            if 0 < self.settings.patience <= epoch - best_epoch(folder):
                return
            losses = reporter.report(self.steps(epoch), epoch)
            first_loss = losses[0] if first_loss is None else first_loss
            _check_course(first_loss, losses, epoch + 1, self.settings)
            yield epoch + 1, losses

    def steps(self, epoch: int) -> Iterator[tuple[float, int]]:
        """Train for an epoch; yield the loss and the number of words of each step."""
        # The prime keeps the seeds of different runs apart, unless a run has very many epochs.
        seed = self.settings.seed * 100_003 + epoch
        torch.manual_seed(seed)
        loader = self.accelerator.prepare(self._loader(epoch, seed))
        self.model.train()
        for step, batch in enumerate(loader, start=epoch * len(loader)):
            set_rates(
                self.optimizer, self.settings, step, n_steps=len(loader) * self.settings.epochs
            )
            loss = self._loss(self.model, batch)
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(
                self.model.parameters(), self.settings.max_gradient_norm
            )
            self.optimizer.step()
            self.optimizer.zero_grad()
            _check_loss(loss.item(), epoch + 1, self.settings)
            yield loss.item(), int(batch.inputs.n_words.sum())

    def measure(
        self, splits: Sequence[EvaluationSplit], epoch: int, train_losses: Sequence[float]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of `metrics.jsonl` for an epoch: the training loss, then each split."""
        # Dropout must be off while the student is measured.
        self.student.eval()
        yield {"epoch": epoch, "split": "training", "loss": float(np.mean(train_losses))}
        predictor = StudentPredictor(self.student, self.vocabulary)
        for split in splits:
            loss = float(np.mean(list(self._evaluation_losses(split))))
            evaluation = evaluate(
                predictor, split.passages, split.labels, teacher_entities=split.teacher_entities
            )
            yield {"epoch": epoch, "split": split.name, "loss": loss} | evaluation.as_json()

    @torch.inference_mode()
    def _evaluation_losses(self, split: EvaluationSplit) -> list[float]:
        device = self.student.pieces.weight.device
        losses = []
        for first in range(0, len(split.examples), _EVALUATION_BATCH_SIZE):
            part = split.examples[first : first + _EVALUATION_BATCH_SIZE]
            batch = collate_examples(part, self.vocabulary, self.student.head)
            losses.append(float(self._loss(self.student, batch.to(device))))
        return losses

    def _loader(self, epoch: int, seed: int) -> DataLoader[TrainingBatch]:
        lengths = [len(example.words.word_starts) for example in self.examples]
        generator = torch.Generator().manual_seed(seed)
        batches = order_batches(lengths, self.settings.batch_size, generator)

        def collate(rows_of_batches: list[list[int]]) -> TrainingBatch:
            # The loader wraps each row in a list of one.
            [rows] = rows_of_batches
            return self._collate([self._augmented(row, epoch) for row in rows])

        # One row of this loader is a whole batch, so Accelerate distributes whole batches to
        # processes.
        return DataLoader(batches, batch_size=1, collate_fn=collate)  # type: ignore[arg-type]

    def _augmented(self, row: int, epoch: int) -> Example:
        # Each row has its own random generator, so an example does not depend on the rows before
        # it.
        rng = random.Random(f"{self.settings.seed}/{epoch}/{row}")
        prob = self.settings.augmentation_prob
        return augment_example(self.examples[row], self.vocabulary, prob=prob, rng=rng)

    def _collate(self, examples: Sequence[Example]) -> TrainingBatch:
        batch = collate_examples(examples, self.vocabulary, self.student.head)
        labels = [example.labeled.labels for example in examples]
        if self.anchor is not None:
            batch = replace(batch, kinds=self.anchor.outputs(labels))
        if self.matched_features is None:
            return batch
        # The teacher reads the words of the passage, even if those of the example are augmented.
        words = [example.labeled.passage.words for example in examples]
        teacher_words, teacher_labels = self.matched_features.of_batch(words, labels)
        return replace(batch, teacher_words=teacher_words, teacher_labels=teacher_labels)

    def _loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor:
        settings = self.settings
        is_matched = batch.teacher_words is not None
        # Accelerate's own mixed precision would apply to all runs of a process.
        with torch.autocast(
            batch.inputs.piece_ids.device.type,
            torch.bfloat16,
            enabled=settings.precision == "bf16",
        ):
            try:
                answer = model(batch.inputs, with_features=is_matched)
            except RuntimeError as error:
                if settings.precision == "bf16" and "primitive" in str(error):
                    raise SettingsError(_NO_BF16) from error
                raise
        logits, *features = (
            # The loss is computed in single precision even if the model ran in bfloat16.
            part.float()
            for part in (answer if isinstance(answer, tuple) else (answer,))
        )
        loss = self.student.head.loss(
            logits,
            batch.targets,
            batch.inputs,
            alpha=settings.alpha,
            temperature=settings.temperature,
            positive_weight=settings.positive_weight,
        )
        if batch.kinds is not None:
            loss = loss + anchor_loss(self.student, batch.inputs, batch.kinds)
        if batch.teacher_words is None or batch.teacher_labels is None:
            return loss
        words, labels = features
        distance = feature_loss(words, batch.teacher_words)
        distance = distance + feature_loss(labels, batch.teacher_labels)
        return loss + settings.feature_weight * distance


def _prepare(
    accelerator: Accelerator,
    student: Student,
    settings: TrainingSettings,
    checkpoint: Checkpoint | None,
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """Return the student and its optimizer on their device, in the state of the checkpoint."""
    model, prepared = accelerator.prepare(student, make_optimizer(student, settings))
    # This comes after the weights are on their device, so that the moments go there, too.
    if checkpoint is not None:
        checkpoint.restore(student, prepared.optimizer)
    return model, prepared


def _check_data(
    passages: Sequence[LabeledPassage],
    splits: Sequence[EvaluationSplit],
    settings: TrainingSettings,
) -> None:
    if not passages:
        raise SettingsError("there are no passages to train on; label some first")
    if settings.alpha < 1 and not any(labeled.passage.entities for labeled in passages):
        raise SettingsError(
            f"alpha is {settings.alpha}, so gold labels have a weight, but no passage has a gold "
            "entity; use --alpha 1"
        )
    if settings.patience and DEV not in [split.name for split in splits]:
        raise SettingsError(
            f"patience is {settings.patience}, so training stops by the agreement on a split named "
            f"{DEV!r}, which is missing; pass such a split, or set patience to 0"
        )


def _matched_teacher(
    student: Student, settings: TrainingSettings, teacher: GLiNERTeacher | None
) -> GLiNERTeacher | None:
    """Return the teacher if its representations are to be matched, after checking the widths."""
    if not settings.feature_weight:
        return None
    if teacher is None:
        raise SettingsError(
            f"feature_weight is {settings.feature_weight}, which needs the representations of a "
            "teacher; pass the teacher, or set feature_weight to 0"
        )
    width = teacher_feature_width(teacher)
    if student.config.feature_width != width:
        raise SettingsError(
            f"feature_width is {student.config.feature_width}; expected {width}, the width of the "
            "teacher's representations"
        )
    return teacher


def _check_loss(loss: float, epoch: int, settings: TrainingSettings) -> None:
    if not math.isfinite(loss):
        raise StudentError(
            f"the loss became {loss} in epoch {epoch}; try a lower --learning-rate than "
            f"{settings.learning_rate}"
        )


def _check_course(
    first_loss: float, losses: Sequence[float], epoch: int, settings: TrainingSettings
) -> None:
    """Refuse an epoch whose mean loss is far above the loss of the first step."""
    mean = float(np.mean(losses))
    # The first batch of a trained student may have a loss near 0, so 1 is the least.
    if mean > _MAX_LOSS_RISE * max(first_loss, 1.0):
        raise StudentError(
            f"the loss rose from {first_loss:.3g} in the first step to {mean:.3g} on average in "
            f"epoch {epoch}, so training diverges; try a lower --learning-rate than "
            f"{settings.learning_rate}"
        )
