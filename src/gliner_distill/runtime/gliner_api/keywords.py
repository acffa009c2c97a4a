"""GLiNER's keywords that a student does not have as parameters of its own.

Keywords that choose how torch or onnxruntime loads a GLiNER have no effect. Keywords that ask for
something that a student cannot do are refused, unless their value asks for nothing, such as None,
False or an empty list. A keyword that GLiNER does not know either is an error.
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sized
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import numpy as np

from gliner_distill.errors import InputError, shorten

MODEL_NAMES: Final = ("model_id", "pretrained_model_name_or_path")
"""Names that versions of GLiNER have for the first argument of `from_pretrained`."""

LOADING_WITHOUT_EFFECT: Final = frozenset(
    {
        "load_onnx_model",
        "onnx_model_file",
        "load_tokenizer",
        "resize_token_embeddings",
        "strict",
        "compile_torch_model",
        "quantize",
        "dtype",
        "variant",
        "low_cpu_mem_usage",
        "runtime",
        "runtime_model_file",
        "max_length",
        "max_width",
        "post_fusion_schema",
        "_attn_implementation",
        "resume_download",
    }
)
"""Keywords of GLiNER's `from_pretrained` that mean nothing to a student."""

LOADING_REFUSED: Final = {
    "proxies": "set the environment variables HTTP_PROXY and HTTPS_PROXY instead",
    "model_dir": "give the folder as the first argument instead",
    "session_options": "set the number of threads with num_threads instead",
    "runtime_options": "set the number of threads with num_threads instead",
}
"""Keywords of GLiNER's `from_pretrained` that must be empty, with advice if they are not."""

CALL_WITHOUT_EFFECT: Final = frozenset({"adjacency_threshold", "relation_threshold"})
"""Keywords of GLiNER's predictions that only matter to a GLiNER that finds relations."""

_NO_RELATIONS = "a student finds no relations; leave it out, and ask a GLiNER for relations"
_NO_GENERATION = (
    "a student does not generate labels; leave it out, and give all labels to choose from"
)
_NO_VECTORS = "the entities of a student have no vectors; leave it out"
_NO_SESSIONS = "a student keeps no sessions; leave it out, and give the whole text"
_EMBEDDINGS = "give them to predict_with_embeds or batch_predict_with_embeds instead"

CALL_REFUSED: Final = {
    "packing_config": "a student batches texts by itself; leave it out",
    "input_spans": "a student chooses the spans itself; leave it out, and pick from its entities",
    "relations": _NO_RELATIONS,
    "relation_types": _NO_RELATIONS,
    "return_relations": _NO_RELATIONS,
    "return_vectors": _NO_VECTORS,
    "return_label_vectors": f"{_NO_VECTORS}; encode_labels returns the vectors of labels",
    "gen_constraints": _NO_GENERATION,
    "num_gen_sequences": _NO_GENERATION,
    "session_id": _NO_SESSIONS,
    "recompute": _NO_SESSIONS,
    "labels_embeds": _EMBEDDINGS,
    "labels_embeddings": _EMBEDDINGS,
}
"""Keywords of GLiNER's predictions that must be empty, with advice if they are not."""

PUBLISHING_WITHOUT_EFFECT: Final = frozenset({"config"})
"""Keywords of GLiNER's `push_to_hub` that mean nothing to a student."""

_ALL_FILES = "a student is published with all its files and no others; leave it out"

PUBLISHING_REFUSED: Final = {
    "allow_patterns": _ALL_FILES,
    "ignore_patterns": _ALL_FILES,
    "delete_patterns": _ALL_FILES,
    "model_card_kwargs": "edit README.md in the folder or on the hub; what you edit stays",
}
"""Keywords of GLiNER's `push_to_hub` that must be empty, with advice if they are not."""

_DEFAULTS = {"num_gen_sequences": 1}
_logger = logging.getLogger(__name__)


def check_loading_keywords(keywords: Mapping[str, Any], method: Callable[..., Any]) -> None:
    """Check the keywords of `from_pretrained` that are not parameters of a student.

    Args:
        keywords: The keywords with their values.
        method: The student's method, whose own parameters are suggested, too.

    Raises:
        InputError: A keyword cannot be honored.
        TypeError: GLiNER has no such keyword.
    """
    _check(keywords, method, LOADING_WITHOUT_EFFECT, LOADING_REFUSED)


def check_call_keywords(keywords: Mapping[str, Any], method: Callable[..., Any]) -> None:
    """Check the keywords of a prediction that are not parameters of a student.

    Args:
        keywords: The keywords with their values.
        method: The student's method, whose own parameters are suggested, too.

    Raises:
        InputError: A keyword asks for something that a student cannot do.
        TypeError: GLiNER has no such keyword.
    """
    _check(keywords, method, CALL_WITHOUT_EFFECT, CALL_REFUSED)


def check_passed_keywords(
    keywords: Mapping[str, Any], method: Callable[..., Any], *, name: str
) -> None:
    """Check the keywords of a method that passes them on, so that messages name this method.

    Args:
        keywords: The keywords with their values.
        method: The method that they are passed to, whose own parameters are allowed.
        name: The name of the method that was called.

    Raises:
        InputError: A keyword asks for something that a student cannot do.
        TypeError: GLiNER has no such keyword.
    """
    own = _own_keywords(method)
    others = {key: value for key, value in keywords.items() if key not in own}
    _check(others, method, CALL_WITHOUT_EFFECT, CALL_REFUSED, name=name)


def pop_model(model: Any, keywords: dict[str, Any]) -> Any:
    """Return the model to load, which callers of GLiNER may give under other names.

    Args:
        model: The first argument of `from_pretrained`.
        keywords: The other keywords; those that name the model are taken out.

    Raises:
        TypeError: The model is given twice.
    """
    for name in MODEL_NAMES:
        if name in keywords:
            if model is not None:
                raise TypeError(f"from_pretrained() got the model twice, the second time as {name}")
            model = keywords.pop(name)
    return model


def check_publishing_keywords(
    keywords: Mapping[str, Any], method: Callable[..., Any], *, name: str | None = None
) -> None:
    """Check the keywords of `push_to_hub`; parameters of the student's own method are allowed.

    Args:
        keywords: The keywords with their values.
        method: The student's method.
        name: The name of the method that was called, if it passes its keywords to `method`.

    Raises:
        InputError: A keyword asks for something that a student cannot do.
        TypeError: GLiNER has no such keyword.
    """
    own = _own_keywords(method)
    others = {name: value for name, value in keywords.items() if name not in own}
    _check(others, method, PUBLISHING_WITHOUT_EFFECT, PUBLISHING_REFUSED, name=name)


def refuse_keywords(keywords: Mapping[str, Any], method: Callable[..., Any]) -> None:
    """Raise a `TypeError`, with a suggestion, if a method got keywords that it does not have."""
    _check(keywords, method, frozenset(), {})


def warn_unless_cpu(device: object, where: str) -> None:
    """Log a warning, once in this process, if a device is not the CPU.

    Args:
        device: A name such as `cuda:0`, a device of torch, or None.
        where: The argument or the call, for the message.
    """
    if device is not None and str(device).partition(":")[0] != "cpu":
        warn_once(f"{where} has no effect: a student always runs on the CPU")


@cache
def warn_once(message: str) -> None:
    """Log a warning, unless this process has logged the same one before."""
    _logger.warning("%s", message)


def _check(
    keywords: Mapping[str, Any],
    method: Callable[..., Any],
    without_effect: frozenset[str],
    refused: Mapping[str, str],
    *,
    name: str | None = None,
) -> None:
    for keyword, value in keywords.items():
        if keyword in refused:
            if not _asks_for_nothing(keyword, value):
                raise InputError(f"{keyword} is {shorten(value)}; {refused[keyword]}")
        elif keyword not in without_effect:
            known = sorted(
                (_own_keywords(method) | without_effect | set(refused)) - {"self", "cls"}
            )
            close = get_close_matches(keyword, known, n=1)
            advice = f"did you mean {close[0]}?" if close else "neither a student nor GLiNER has it"
            called = name or method.__name__
            raise TypeError(f"{called}() got the unknown argument {keyword}; {advice}")


def _own_keywords(method: Callable[..., Any]) -> frozenset[str]:
    # The function of a method is kept, and not the method, which would keep its student.
    return _parameters(getattr(method, "__func__", method))


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(item.name for item in parameters if item.kind is not item.VAR_KEYWORD)


def _asks_for_nothing(name: str, value: object) -> bool:
    if isinstance(value, Sized):
        return len(value) == 0
    if value is None or (isinstance(value, bool | np.bool_) and not value):
        return True
    return name in _DEFAULTS and value == _DEFAULTS[name]
