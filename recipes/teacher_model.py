"""The model of a teacher in training: its start, its input and loss, and the folder at its end."""

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from gliner_distill.entities import Passage
from gliner_distill.errors import TeacherError
from gliner_distill.files import reason_of, replace_file, write_json
from gliner_distill.teacher.loading import describe_size, load_gliner

SHAPE = {
    "span_mode": "markerV0",
    "max_width": 8,
    "max_len": 384,
    "max_types": 30,
    "hidden_size": 256,
    "dropout": 0.1,
    "subtoken_pooling": "first",
}
START_LOGIT = -4.0


def load_start(folder: Path, *, seed: int, device: str = "cpu") -> Any:
    """Return the GLiNER of a folder, or a new one around the encoder of a folder.

    Args:
        folder: The folder of a span GLiNER, or of an encoder.
        seed: The seed for the weights of the new layers.
        device: A torch device name such as `cpu` or `cuda:0`.

    Raises:
        TeacherError: The folder cannot be used.
    """
    if not folder.is_dir():
        raise TeacherError(
            f"{folder}: this folder does not exist; expected an encoder or a GLiNER with "
            "model.safetensors"
        )
    if (folder / "gliner_config.json").is_file():
        model = load_gliner(folder, device=device)
        if type(model).__name__ != "UniEncoderSpanGLiNER" or model.config.span_mode != "markerV0":
            raise TeacherError(
                f"{folder}: this is a {type(model).__name__} with the span mode "
                f"{model.config.span_mode}; expected a UniEncoderSpanGLiNER with markerV0"
            )
        return model.float()
    check_encoder(folder)
    return build_gliner(folder, seed).to(device)


def check_encoder(folder: Path) -> None:
    """Refuse the folder of an encoder whose weights are a pickle, or that brings code.

    Raises:
        TeacherError: A file is missing, or the configuration names code.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise TeacherError(
                f"{folder}: {name} is missing; expected the folder of an encoder as transformers "
                "saves it (save_pretrained)"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TeacherError(f"{folder}: config.json cannot be read: {reason_of(error)}") from error
    if "auto_map" in config:
        raise TeacherError(
            f"{folder}: config.json asks for Python code of its own (auto_map), which is not run; "
            "use an encoder that transformers knows"
        )


def build_gliner(folder: Path, seed: int) -> Any:
    """Return a GLiNER with the encoder of a folder and new layers after it.

    Raises:
        TeacherError: The encoder does not load.
    """
    from gliner import GLiNERConfig
    from gliner.model import UniEncoderSpanGLiNER

    torch.manual_seed(seed)
    config = GLiNERConfig(model_name=str(folder), name="gliner", **SHAPE)
    try:
        with warnings.catch_warnings():
            # The encoder's head, which is not used, is missed or left over.
            warnings.simplefilter("ignore")
            model = UniEncoderSpanGLiNER.load_from_config(config, local_files_only=True)
    except Exception as error:  # transformers, tokenizers and safetensors raise many classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TeacherError(f"{folder}: this encoder does not load: {reason}") from error
    start_low(model)
    # The path of a folder on this machine says nothing to others.
    model.config.model_name = model.config.encoder_config._name_or_path = folder.name
    return model.float()


def start_low(model: Any) -> None:
    """Let a new GLiNER begin with low scores, since nearly all spans have none of the labels.

    A score is the product of the vectors of a span and of a label. Their last layers get opposite
    biases; otherwise, the training spends its first steps on lowering all scores.
    """
    level = (-START_LOGIT / model.config.hidden_size) ** 0.5
    with torch.no_grad():
        last_layer(model.model.span_rep_layer).bias.fill_(-level)
        last_layer(model.model.prompt_rep_layer).bias.fill_(level)


def last_layer(module: torch.nn.Module) -> torch.nn.Linear:
    """Return the last linear layer of a module."""
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)][-1]


def span_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    label_mask: torch.Tensor,
    span_mask: torch.Tensor,
    *,
    positive_weight: float = 1.0,
) -> torch.Tensor:
    """Return the sum of the binary cross-entropies of all spans and labels.

    GLiNER's own loss is the same without the weight, but takes the logarithm of a rounded
    probability. Without a weight, F1 is best far below 0.5: of several true labels of the same
    words, which one is taught cannot be known.

    Args:
        logits: Shape `(batch, words, widths, labels)`.
        targets: Shape `(batch, words * widths, labels)`, 1 where a span has a label.
        label_mask: Shape `(batch, labels)`; 0 where a passage is asked for fewer labels.
        span_mask: Shape `(batch, words * widths)`; 0 for spans beyond the end of a passage.
        positive_weight: The weight of a span that has a label, beside 1 for one that has not.
    """
    losses = F.binary_cross_entropy_with_logits(
        logits.flatten(1, 2),
        targets.to(logits),
        reduction="none",
        pos_weight=torch.tensor(positive_weight, device=logits.device),
    )
    return (losses * label_mask[:, None] * span_mask[..., None]).sum()


def as_item(passage: Passage) -> dict[str, Any]:
    """Return a passage in the training format of GLiNER, with the labels that are asked."""
    return {
        "tokenized_text": list(passage.words),
        "ner": [(each.start_word, each.end_word - 1, each.label) for each in passage.entities],
        "ner_labels": list(passage.labels),
        "ner_negatives": [],
    }


def weights_of(folder: Path) -> Path:
    """Return the file of the weights of an encoder or GLiNER."""
    return folder / "model.safetensors"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_teacher(model: Any, folder: Path, metrics: dict[str, Any]) -> None:
    """Write a GLiNER in half precision with its metrics and its card; the folder appears at once.

    Raises:
        TeacherError: The folder cannot be written.
    """
    temporary = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        model.half().save_pretrained(str(temporary), safe_serialization=True)
        facts = metrics | describe_size(model.model)
        facts["weights sha256"] = file_sha256(weights_of(temporary))
        write_json(temporary / "metrics.json", facts)
        replace_file(temporary / "README.md", card(facts).encode())
        temporary.rename(folder)
    except OSError as error:
        raise TeacherError(f"{folder}: cannot be written: {reason_of(error)}") from error


def card(facts: dict[str, Any]) -> str:
    """Return the text of a teacher's README."""
    last = facts["curve"][-1]
    sources = "".join(f"| {name} | {words:,} |\n" for name, words in facts["data"].items())
    points = "".join(
        f"| {point['step']:,} | {point['words']:,} | {show(point['loss per word'], 1, 3)} | "
        f"{show_pair(point, 'open')} | {show_pair(point, 'held out')} |\n"
        for point in facts["curve"]
    )
    return f"""# A span GLiNER of {facts["n_parameters"] / 1e6:.1f}M parameters

Made by `recipes/teacher.py`. Load it with `GLiNER.from_pretrained(FOLDER, local_files_only=True)`.

- Weights: `model.safetensors`, half precision, SHA-256 `{facts["weights sha256"]}`
- Trained from: `{facts["encoder"]["name"]}`, SHA-256 of its weights `{facts["encoder"]["sha256"]}`
- Seed {facts["seed"]}, {facts["steps"]:,} steps of at most {facts["batch words"]} words,
  {facts["words"]:,} words in all, {facts["minutes"]} minutes
- Exact-match span F1 at 0.5: {show(last["f1"]["open"], 100, 1)} on open passages kept apart, and
  {show(last["f1"]["held out"], 100, 1)} as the mean of a few passages of each held-out set

Where a broad and a specific label are asked together, only the specific one was taught.

## Curve

F1 is given at 0.5 and at the best threshold.

| steps | words | loss per word | F1, open | F1, held out |
|---:|---:|---:|---:|---:|
{points}
## Data

The words of each source that could be drawn; three out of five passages come from the files.

| source | words |
|---|---:|
{sources}"""


def show(value: float | None, factor: float, digits: int) -> str:
    """Return a number as text; a missing one is a dash."""
    return "–" if value is None else f"{factor * value:.{digits}f}"


def show_pair(point: dict[str, Any], name: str) -> str:
    """Return an F1 at 0.5 and at the best threshold as text."""
    return f"{100 * point['f1'][name]:.1f} / {100 * point['best f1'][name]:.1f}"
