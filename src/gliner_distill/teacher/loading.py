"""Load a GLiNER from a folder or the hub, check that it can teach, and compute its fingerprint.

All functions work on a model that `GLiNER.from_pretrained` returned; scoring is in `gliner`.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from gliner_distill.errors import (
    DistillError,
    MissingExtraError,
    TeacherError,
    is_out_of_memory,
    shorten,
)
from gliner_distill.files import reason_of
from gliner_distill.gate import (
    CONVERSION,
    GLINER_CONFIG,
    check_gliner,
    check_gliner_settings,
    no_foreign_code,
)
from gliner_distill.hub.downloads import download_model
from gliner_distill.hub.ids import looks_like_hub_id

_ARCHITECTURES = (
    "UniEncoderSpanGLiNER",
    "UniEncoderTokenGLiNER",
    "BiEncoderSpanGLiNER",
    "BiEncoderTokenGLiNER",
)

# A window has room for one word and one label at least. The scores of wider spans than the widest
# of these would not fit into memory.
_LARGEST_SETTINGS = {"max_len": 1_000_000, "max_types": 1_000_000, "max_width": 1_000}

_SETTINGS_THAT_SCORE = (
    "span_mode",
    "max_width",
    "max_len",
    "max_types",
    "subtoken_pooling",
    "embed_ent_token",
)


def load_gliner(source: str | Path, *, device: str = "cpu") -> Any:
    """Load a GLiNER from a local folder or from the hub.

    Args:
        source: A folder with `gliner_config.json` and `model.safetensors`, or a hub id.
        device: A torch device name such as `cpu` or `cuda:0`.

    Returns:
        The model, as `GLiNER.from_pretrained` returns it.

    Raises:
        MissingExtraError: The package gliner is not installed.
        TeacherError: The folder is missing, has no safetensors weights or only some of them, has
            settings that would run code (see `gate`), or does not load.
        HubError: The model cannot be downloaded from the hub.
    """
    spec = find_spec("gliner")
    if spec is None:
        raise MissingExtraError("gliner", "train")
    if spec.name != "gliner":
        raise TeacherError(
            f"{source}: a GLiNER cannot be loaded while {spec.name} takes the place of gliner; "
            "call gliner_distill.compat.uninstall() first"
        )
    folder = Path(source)
    if not folder.exists() and looks_like_hub_id(str(source)):
        folder = download_model(str(source), approve=partial(_approve, name=str(source)))
    check_gliner(folder, name=str(source))
    from gliner import GLiNER  # takes seconds, and a model that is refused should not wait for it

    try:
        with warnings.catch_warnings(), no_foreign_code():
            # Libraries warn about details of old checkpoints that users cannot change.
            warnings.simplefilter("ignore")
            model = GLiNER.from_pretrained(str(folder), local_files_only=True, map_location=device)
        missing = _missing_weights(model, folder / "model.safetensors")
    except Exception as error:  # transformers, safetensors and gliner raise errors of many classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError):
            reason += f" If files of an encoder are missing, save it again, online: {CONVERSION}"
        raise TeacherError(f"{source}: this GLiNER does not load: {reason}") from error
    if missing:
        raise TeacherError(
            f"{source}: model.safetensors lacks {len(missing)} of the weights that "
            f"gliner_config.json asks for, such as {missing[0]}; get a complete copy"
        )
    return model


def check_architecture(model: Any) -> None:
    """Make sure that a model scores words for labels that it is given.

    Raises:
        TeacherError: The architecture does something else.
    """
    name = type(model).__name__
    if name not in _ARCHITECTURES:
        raise TeacherError(
            f"{name} cannot teach: the teacher must be a GLiNER that scores the labels it is given "
            f"(uni-encoder or bi-encoder, span or token level)"
        )
    if getattr(model.config, "precomputed_prompts_mode", False):
        raise TeacherError(
            "this GLiNER cannot teach: its labels are fixed in its weights "
            "(precomputed_prompts_mode in gliner_config.json); use the model it was made from"
        )
    if model.config.span_mode == "token_level" and getattr(model.config, "represent_spans", False):
        raise TeacherError(
            "this GLiNER cannot teach: after the words, it also scores spans (represent_spans in "
            "gliner_config.json), and probabilities of words cannot express these scores; use "
            "another GLiNER"
        )


def check_settings(model: Any) -> None:
    """Make sure that the sizes in a model's settings are whole numbers in a sensible range.

    Raises:
        TeacherError: One of them has another type, or is too small or too large.
    """
    for name, largest in _LARGEST_SETTINGS.items():
        value = getattr(model.config, name)
        if type(value) is not int or not 1 <= value <= largest:
            raise TeacherError(
                f"this GLiNER cannot teach: {name} in {GLINER_CONFIG} is {shorten(value)}; "
                f"expected a whole number from 1 to {largest:,}"
            )


def fingerprint_model(model: Any) -> str:
    """Return a SHA-256 over a GLiNER's settings, tokenizer and weights, whatever its device is."""
    settings = {key: getattr(model.config, key) for key in _SETTINGS_THAT_SCORE}
    return fingerprint_parts(settings, model.data_processor.transformer_tokenizer, model.model)


def fingerprint_parts(settings: Mapping[str, Any], tokenizer: Any, module: torch.nn.Module) -> str:
    """Return a SHA-256 over all that decides a model's scores; the device has no effect.

    Args:
        settings: The settings that change the scores: plain JSON values.
        tokenizer: A fast tokenizer of transformers.
        module: The torch module.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    pieces = json.loads(tokenizer.backend_tokenizer.to_str())
    # Every call changes these two settings of the tokenizer, so they are not part of the
    # fingerprint.
    for volatile in ("truncation", "padding"):
        pieces.pop(volatile, None)
    digest.update(json.dumps(pieces, sort_keys=True).encode())
    # Sorting makes the hash independent of the order in which layers were created.
    for key, tensor in sorted(module.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def describe_size(module: torch.nn.Module) -> dict[str, int]:
    """Return the number of parameters, with and without embeddings, and the bytes of the weights.

    Embeddings are the tables of subword pieces.
    """
    sizes = {key: value.numel() for key, value in module.named_parameters()}
    embeddings = sum(n for key, n in sizes.items() if key.endswith("word_embeddings.weight"))
    weights = module.state_dict().values()
    return {
        "n_parameters": sum(sizes.values()),
        "n_parameters_without_embeddings": sum(sizes.values()) - embeddings,
        "size_bytes": sum(value.numel() * value.element_size() for value in weights),
    }


@contextmanager
def explaining(name: str, kind: str) -> Iterator[None]:
    """Turn the errors that libraries raise for a broken model into a TeacherError.

    Args:
        name: The teacher's name.
        kind: What the model is, such as `GLiNER`.
    """
    try:
        yield
    except Exception as error:  # torch, transformers and gliner raise errors of many classes
        if isinstance(error, DistillError) or is_out_of_memory(error):
            raise
        raise TeacherError(
            f"{name}: this {kind} cannot score text ({type(error).__name__}: {reason_of(error)}); "
            "its weights, settings and tokenizer do not fit each other, so get a complete copy"
        ) from error


def max_input_pieces(
    tokenizer: Any, model: torch.nn.Module, *, limit: int, is_label_encoder: bool = False
) -> int:
    """Return how many pieces an encoder reads at once.

    Args:
        tokenizer: The encoder's tokenizer, which may name a limit.
        model: The GLiNER's torch module, whose tables of positions may set one.
        limit: The limit of an encoder that sets none, such as DeBERTa with relative positions.
        is_label_encoder: Whether to describe the label encoder of a bi-encoder.

    Raises:
        TeacherError: The tokenizer names a limit that is not a number above 0.
    """
    named = tokenizer.model_max_length
    if not isinstance(named, int | float) or not named >= 1:
        raise TeacherError(
            f"this GLiNER cannot teach: model_max_length in tokenizer_config.json is "
            f"{shorten(named)}; expected a number of at least 1"
        )
    limits = [limit, named]
    limits += [
        parameter.shape[0]
        for key, parameter in model.named_parameters()
        if key.endswith("position_embeddings.weight")
        and ("labels_encoder" in key) == is_label_encoder
    ]
    return int(min(limits))


def _approve(folder: Path, *, name: str) -> None:
    """Refuse a model of the hub, before its weights are downloaded, if it cannot be loaded."""
    if not (folder / GLINER_CONFIG).exists():
        raise TeacherError(f"{name}: {GLINER_CONFIG} is missing; expected the hub id of a GLiNER")
    check_gliner_settings(folder, name=name)


def _missing_weights(model: Any, path: Path) -> list[str]:
    """Return the names of the weights that a file lacks; GLiNER leaves them random."""
    with safe_open(path, framework="pt") as stream:
        # A shared weight is stored once; the file's metadata has its other names.
        known = {*stream.keys(), *(stream.metadata() or {})}
    return [key for key, _ in model.model.named_parameters() if key not in known]
