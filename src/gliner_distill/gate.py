"""Decide from its files whether a GLiNER or GLiNER2 may be loaded, before a library reads them.

The packages gliner and gliner2 build encoders with `trust_remote_code=True`. Settings in JSON files
can then make transformers download and run Python code, or ask on standard input whether it may.
This module reads only the list of files and the JSON files, and refuses such settings in a model
and in the encoders that it names. `no_foreign_code` keeps the libraries from running code that is
found in another way, while they load a model. This module imports neither torch nor gliner.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from gliner_distill.errors import TeacherError, name_kind, shorten
from gliner_distill.files import check_regular_file, reason_of

GLINER_CONFIG: Final = "gliner_config.json"
"""The file by which the folder of a GLiNER is recognized."""

GLINER2_CONFIG: Final = "config.json"
"""The file by which the folder of a GLiNER2 is recognized, if it names the kind `extractor`."""

MAX_TEXT_BYTES: Final = 64_000_000
"""The largest file of settings or of a vocabulary that is read; that of Gemma has 34 MB."""

TEXT_SUFFIXES: Final = (".json", ".txt", ".model", ".jinja")
"""The suffixes of the files of a model that hold settings or a vocabulary."""

CONVERSION: Final = (
    "GLiNER.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)"
)
"""The call that writes a GLiNER again, with safetensors weights and all files of its encoders."""

CONVERSION_OF_GLINER2: Final = (
    "gliner2.AutoExtractor.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
)
"""The call that writes a GLiNER2 again, with safetensors weights."""

_WEIGHTS = "model.safetensors"
_GLINER2_KIND = "extractor"
_GLINER2_ENCODER = "encoder_config/config.json"
_ENCODER_FIELDS = ("model_name", "labels_encoder", "labels_decoder")
_CODE_FIELDS = ("auto_map", "custom_pipelines")
_CONFIGS = (GLINER_CONFIG, "config.json")
_TOKENIZER = "tokenizer.json"
# A library reserves memory for each number up to the largest one.
_MAX_PIECES = 2**24
# gliner has one encoder of its own, and transformers knows all others.
_GLINER_ENCODER = "rnn"
# Attributes of libraries are replaced by one thread at a time, so that each gets its value back.
_loading = threading.RLock()


@contextmanager
def no_foreign_code() -> Iterator[None]:
    """Keep transformers from the network and from Python code of models while the block runs.

    `check_gliner` sees only files on this machine. Some configurations make transformers fetch
    those of another model, such as that of a `backbone`, and these may ask for code.

    Raises:
        TeacherError: transformers wants to run such code; the message names the model and the file.
    """
    from huggingface_hub import constants
    from transformers import dynamic_module_utils

    def refuse(model: object, file: object, *_: object, **__: object) -> NoReturn:
        raise TeacherError(
            f"{shorten(str(model))} asks to run {shorten(str(file))}, Python code that comes with "
            "a model; such code is never run, so use a model without it"
        )

    with _loading, ExitStack() as stack:
        for owner, name, value in (
            (constants, "HF_HUB_OFFLINE", True),
            (dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 0),  # nothing is asked on standard input
            (dynamic_module_utils, "get_cached_module_file", refuse),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def check_gliner(folder: Path, *, name: str) -> None:
    """Make sure that a folder holds a GLiNER that can be loaded without running foreign code.

    Args:
        folder: The folder.
        name: What the user calls it, for messages.

    Raises:
        TeacherError: The folder, its configuration or its weights are missing, or see
            `check_gliner_settings`.
    """
    check_is_folder(folder, name=name)
    if not (folder / GLINER_CONFIG).exists():
        raise TeacherError(
            f"{name}: {GLINER_CONFIG} is missing; expected the folder of a GLiNER model"
        )
    _check_weights(folder, name=name, conversion=CONVERSION)
    check_gliner_settings(folder, name=name)


def check_is_folder(folder: Path, *, name: str) -> None:
    """Make sure that the folder of a model exists.

    Raises:
        TeacherError: It does not.
    """
    if not folder.is_dir():
        raise TeacherError(
            f"{name}: this folder does not exist, and the name is not a hub id (owner/name); "
            "expected a GLiNER model"
        )


def _check_weights(folder: Path, *, name: str, conversion: str) -> None:
    if not (folder / _WEIGHTS).exists():
        hint = "get a complete copy"
        if (folder / "pytorch_model.bin").exists():
            hint = (
                "pytorch_model.bin is a pickle, which may run code, so it is not read; if you "
                "trust it, convert it once: " + conversion
            )
        raise TeacherError(f"{name}: {_WEIGHTS} is missing; {hint}")
    _check_file(folder / _WEIGHTS, f"{name}: {_WEIGHTS}", max_bytes=sys.maxsize)


def check_gliner_settings(folder: Path, *, name: str) -> None:
    """Refuse a GLiNER whose JSON files, or those of an encoder that it names, would run code.

    The weights may be missing, so this can be called before they are downloaded.

    Args:
        folder: The folder of the GLiNER.
        name: What the user calls it, for messages.

    Raises:
        TeacherError: A file is not a regular file or too large, is not JSON, or has a setting that
            would run code that is not installed, or a tokenizer has a piece with a number that
            would take gigabytes.
    """
    # gliner reads the folder itself and the folders of tokenizers directly below it.
    config: Any = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        content = _check_text_file(path, folder, name=name)
        if path == folder / GLINER_CONFIG:
            config = content
    if not isinstance(config, dict):
        raise TeacherError(f"{name}: {GLINER_CONFIG} holds {name_kind(config)}; expected an object")
    for field in _ENCODER_FIELDS:
        _check_encoder(field, config.get(field), name=name)


def is_gliner2(folder: Path, *, name: str) -> bool:
    """Return whether the files of a folder are those of a GLiNER2.

    Raises:
        TeacherError: The configuration cannot be read.
    """
    config = _check_text_file(folder / GLINER2_CONFIG, folder, name=name)
    return isinstance(config, dict) and config.get("model_type") == _GLINER2_KIND


def check_gliner2(folder: Path, *, name: str) -> None:
    """Make sure that a folder holds a GLiNER2 that can be loaded without running foreign code.

    Raises:
        TeacherError: The folder, its configuration or its weights are missing, the settings ask for
            more parameters than the weights have bytes, or see `check_gliner2_settings`.
    """
    check_is_folder(folder, name=name)
    _check_weights(folder, name=name, conversion=CONVERSION_OF_GLINER2)
    check_gliner2_settings(folder, name=name)
    encoder = _check_text_file(folder / _GLINER2_ENCODER, folder, name=name, is_encoder=True)
    config = _check_text_file(folder / GLINER2_CONFIG, folder, name=name)
    n_bytes = (folder / _WEIGHTS).stat().st_size
    if _least_parameters(encoder, config) > n_bytes:
        raise TeacherError(
            f"{name}: {GLINER2_CONFIG} and {_GLINER2_ENCODER} ask for a much larger model than "
            f"{_WEIGHTS} holds ({n_bytes:,} bytes); get a complete copy"
        )


def check_gliner2_settings(folder: Path, *, name: str) -> None:
    """Refuse a GLiNER2 whose JSON files would run code; see `check_gliner_settings`.

    The weights may be missing, so this can be called before they are downloaded.

    Raises:
        TeacherError: The folder holds another kind of model, or no encoder; or see
            `check_gliner_settings`.
    """
    if not (folder / GLINER2_CONFIG).exists() or not is_gliner2(folder, name=name):
        raise TeacherError(
            f"{name}: {GLINER2_CONFIG} does not name the kind {_GLINER2_KIND!r}; expected the "
            "folder of a GLiNER2 model"
        )
    if not (folder / _GLINER2_ENCODER).exists():
        raise TeacherError(f"{name}: {_GLINER2_ENCODER} is missing; get a complete copy")
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        _check_text_file(path, folder, name=name, is_encoder=path.parent != folder)


def _least_parameters(encoder: Any, config: Any) -> int:
    """Return a number of parameters that a GLiNER2 of these settings exceeds.

    A library makes room for all of them before it compares them with the weights.
    """
    shape = encoder if isinstance(encoder, dict) else {}
    width = _count(shape, "hidden_size")
    layers = _count(shape, "num_hidden_layers") * (width + _count(shape, "intermediate_size"))
    heads = [config.get(name) or {} for name in ("span_head", "boundary_head")]
    widths = [
        _count(head, key)
        for head in heads
        if isinstance(head, dict)
        for key in head
        if key.endswith(("_dim", "_layers"))
    ]
    pieces = _count(shape, "vocab_size") + _count(shape, "max_position_embeddings")
    return width * (pieces + layers + max(widths, default=0))


def _count(settings: dict[str, Any], name: str) -> int:
    value = settings.get(name)
    return value if isinstance(value, int) else 0


def _check_encoder(field: str, encoder: Any, *, name: str) -> None:
    """Check the files of an encoder that a GLiNER names, if they are on this machine."""
    if encoder is None:
        return
    if not isinstance(encoder, str):
        raise TeacherError(
            f"{name}: {GLINER_CONFIG}: field {field!r} holds {name_kind(encoder)}; expected the "
            "name of an encoder"
        )
    folder = _find_encoder(encoder)
    if folder is not None:
        shown = f"{name}: {field} {shorten(encoder)}"
        for path in sorted(folder.glob("*")):
            _check_text_file(path, folder, name=shown, is_encoder=True)


def _find_encoder(name: str) -> Path | None:
    """Return the folder from which transformers would read an encoder on this machine."""
    try:
        if name and Path(name).is_dir():
            return Path(name)
    except OSError:  # too long for a path
        return None
    return _cached_model(name)


def _cached_model(name: str) -> Path | None:
    """Return the folder of a model in the cache of the hub; None if its settings are not there.

    Args:
        name: The model: owner/name, or the old form without an owner.
    """
    from huggingface_hub.errors import HFValidationError

    for file in ("config.json", "tokenizer_config.json"):
        try:
            from huggingface_hub import try_to_load_from_cache

            path = try_to_load_from_cache(name, file)
        except (HFValidationError, OSError, ValueError):  # not the name of a model
            return None
        if isinstance(path, str):
            return Path(path).parent
    return None


def _check_text_file(path: Path, folder: Path, *, name: str, is_encoder: bool = False) -> Any:
    """Check a file of settings or of a vocabulary, and return what it holds if it is JSON."""
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES or path.is_dir():
        return None
    shown = f"{name}: {path.relative_to(folder).as_posix()}"
    _check_file(path, shown, max_bytes=MAX_TEXT_BYTES)
    if suffix != ".json":
        return None
    content = _read_json(path, shown)
    for field, value in _walk(content):
        _check_code(shown, field, value)
        # gliner does not use the name of its own configuration, whatever it is.
        if path.name in _CONFIGS and (is_encoder or field.parent is not None):
            _check_model_type(shown, field, value)
        if path.name == _TOKENIZER:
            _check_piece(shown, field, value)
    return content


def _check_file(path: Path, shown: str, *, max_bytes: int) -> None:
    try:
        check_regular_file(path, max_bytes=max_bytes)
    except OSError as error:
        raise TeacherError(f"{shown}: cannot be used: {reason_of(error)}") from error


def _read_json(path: Path, shown: str) -> Any:
    try:
        return json.loads(path.read_bytes().decode())
    except OSError as error:
        raise TeacherError(f"{shown}: cannot be read: {reason_of(error)}") from error
    except RecursionError:
        raise TeacherError(f"{shown}: is nested too deeply to be checked") from None
    except ValueError as error:
        raise TeacherError(f"{shown}: is not JSON in UTF-8: {error}") from error


@dataclass(frozen=True, slots=True)
class _Field:
    """A key of an object in a JSON value, and the field that holds the object."""

    parent: "_Field | None"
    key: str

    def __str__(self) -> str:
        keys: list[str] = []
        field: _Field | None = self
        while field is not None:
            keys.append(field.key)
            field = field.parent
        return ".".join(reversed(keys))


def _walk(content: Any) -> Iterator[tuple[_Field, Any]]:
    """Yield each field of the objects in a JSON value, at any depth, with its value."""
    waiting: list[tuple[_Field | None, Any]] = [(None, content)]
    while waiting:
        parent, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((parent, item) for item in value if isinstance(item, dict | list))
        elif isinstance(value, dict):
            for key, inner in value.items():
                field = _Field(parent, key)
                yield field, inner
                if isinstance(inner, dict | list):
                    waiting.append((field, inner))


def _check_code(file: str, field: _Field, value: Any) -> None:
    # In the vocabulary of a tokenizer, a word of this spelling has a number.
    if field.key in _CODE_FIELDS and not isinstance(value, int):
        raise TeacherError(
            f"{file}: field {shorten(str(field))} asks to run Python code that comes with a model: "
            f"{shorten(value)}; such code is never run, so use a model without it"
        )
    if field.key == "backbone" and isinstance(value, str):
        raise TeacherError(
            f"{file}: field {shorten(str(field))} asks for the files of another model: "
            f"{shorten(value)}; these cannot be checked, so use a model without it"
        )
    if "_implementation" in field.key and "/" in str(value):
        raise TeacherError(
            f"{file}: field {shorten(str(field))} asks to download and run a kernel: "
            f"{shorten(value)}; such code is never run, so use a model without it"
        )


def _check_model_type(file: str, field: _Field, value: Any) -> None:
    is_name = field.key == "model_type" and isinstance(value, str)
    if is_name and value != _GLINER_ENCODER and not _is_known(value):
        raise TeacherError(
            f"{file}: field {shorten(str(field))} is {shorten(value)}, a kind of model that the "
            "installed version of transformers does not have; update transformers, or use another "
            "model"
        )


def _check_piece(file: str, field: _Field, value: Any) -> None:
    is_number = field.key == "id" or (field.parent is not None and field.parent.key == "vocab")
    if is_number and isinstance(value, int) and value > _MAX_PIECES:
        raise TeacherError(
            f"{file}: field {shorten(str(field))} is {shorten(value)}; expected a number of at "
            f"most {_MAX_PIECES:,}, since a library takes memory for each number up to that"
        )


def _is_known(model_type: str) -> bool:
    try:
        from transformers import CONFIG_MAPPING
    except ModuleNotFoundError:  # then nothing here can load a GLiNER, and loading says so
        return True
    return model_type in CONFIG_MAPPING
