"""Write docs/gliner_api.md: GLiNER's public names, and what each of them does in a student.

    python recipes/gliner_api.py docs/gliner_api.md

The names come from the installed `gliner`, and `StudentNER` tells which of them a student has. This
module holds only the explanations. A name without an explanation is an error.
"""

import inspect
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import gliner
import gliner.model
import jinja2

from gliner_distill.files import replace_file
from gliner_distill.runtime.gliner_api.keywords import (
    CALL_REFUSED,
    CALL_WITHOUT_EFFECT,
    LOADING_REFUSED,
    LOADING_WITHOUT_EFFECT,
    PUBLISHING_REFUSED,
    PUBLISHING_WITHOUT_EFFECT,
)
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.sections import WINDOW_WORDS

INHERITED: Final = ("to", "cpu", "cuda", "eval", "train", "half", "float", "push_to_hub")
"""Methods that callers use and that GLiNER has from torch and huggingface_hub."""

_DISTILL = "not here: a student is trained by [`distill`](distillation.md)"
_GRAPH = "not here: `gliner-distill export --format onnx` writes a student's LSTM"
_STEPS = "not here: a step of GLiNER's prediction; call `inference`"
_STREAMS = "not here: give `inference` a generator of texts"
_TORCH = "not here: a part of GLiNER's own network"
_RELATIONS = "not here: a student finds no relations"
_WEIGHTS = "not here: a student always has weights; `distill` makes one"
_PRECISION = "not here: `gliner-distill export` chooses the precision"
_LABELS = "not here: a student does not generate labels"

MEMBERS: Final = {
    "batch_predict_entities": "the same as `inference`; GLiNER also warns that this method is old",
    "batch_predict_with_embeds": "`labels_embeddings` is the result of `encode_labels`",
    "clear_session": _STREAMS,
    "clear_sessions": _STREAMS,
    "collate_batch": _STEPS,
    "compile": "does nothing",
    "compress_prompt_embeddings": "not here: the vectors of labels are cached anyway",
    "config_class": _TORCH,
    "configure_inference_packing": "does nothing; its argument must be None",
    "cpu": "returns the student",
    "create_async_streaming_engine": _STREAMS,
    "create_collator": _STEPS,
    "create_streaming_batch": _STREAMS,
    "create_training_args": _DISTILL,
    "cuda": "returns the student, and warns once that it runs on the CPU",
    "data_collator_class": _TORCH,
    "data_processor_class": _TORCH,
    "decode_batch": _STEPS,
    "decoder_class": _TORCH,
    "device": 'the string `"cpu"`, which also has the attribute `type`',
    "encode_labels": "returns `EncodedLabels`, whose `vectors` are a numpy array",
    "eval": "returns the student",
    "evaluate": "returns the same line of text and F1; without `entity_types` and `ner_labels`, it "
    "asks for all labels of `test_data`, where GLiNER draws some at random",
    "export_to_onnx": _GRAPH,
    "export_to_openvino": _GRAPH,
    "float": _PRECISION,
    "forward": _STEPS,
    "freeze_component": _DISTILL,
    "from_config": _WEIGHTS,
    "from_pretrained": "loads a student, by default the bundled one; a GLiNER is refused before "
    "its weights are downloaded",
    "generate_labels": _LABELS,
    "get_model_type": "not here: `repr(student)` describes a student",
    "half": _PRECISION,
    "inference": "as in GLiNER, for texts of any length; see [what differs](#what-differs)",
    "is_runtime_model": "not here: a student never runs in torch",
    "load_from_config": _WEIGHTS,
    "map_entities_to_text": _STEPS,
    "map_relations_to_text": _RELATIONS,
    "model_class": _TORCH,
    "model_map": "not here: there is only one class of students",
    "predict_entities": "the same answer as `inference` for one text",
    "predict_relations": _RELATIONS,
    "predict_with_embeds": "the same as `batch_predict_with_embeds` for one text",
    "prepare_base_input": _STEPS,
    "prepare_batch": _STEPS,
    "prepare_inputs": _STEPS,
    "prepare_state_dict": _TORCH,
    "push_to_hub": "uploads the files and the card of the student",
    "quantize": "does nothing; `gliner-distill export` chooses the precision",
    "resize_embeddings": _TORCH,
    "run_batch": _STEPS,
    "save_pretrained": "writes the files and the card of the student, with its tuned thresholds",
    "session_count": _STREAMS,
    "set_class_indices": _TORCH,
    "set_labels_trie": _LABELS,
    "to": "returns the student; a device other than the CPU gives one warning",
    "train": _DISTILL,
    "train_model": _DISTILL,
    "unfreeze_component": _DISTILL,
    "validate_special_token_config": _TORCH,
}
"""The members of GLiNER's classes, and what they do here."""

ATTRIBUTES: Final = {
    "config": "`max_len`, `max_width`, `max_types`, `model_name`, `words_splitter_type` and "
    "`labels_encoder`; changes have no effect",
    "data_processor": "`words_splitter`, and a `transformer_tokenizer` whose tokens are words",
    "run": "the same as `inference`, whose name it was in older versions",
}
"""Attributes that instances and older versions have besides the members."""

KEYWORDS: Final = {
    "batch_size": "the largest number of texts that the student reads at once; it has no effect in "
    "`encode_labels`",
    "cache_dir": "as in GLiNER",
    "branch": "as in GLiNER",
    "commit_message": "as in GLiNER",
    "config": "has no effect; in `configure_inference_packing`, it must be empty",
    "create_pr": "as in GLiNER",
    "device": "a device other than the CPU gives one warning",
    "dtype": "has no effect",
    "entity_types": "as in GLiNER",
    "flat_ner": "as in GLiNER",
    "force_download": "as in GLiNER",
    "labels": "as in GLiNER; upper case, underscores and white space make no difference",
    "labels_embeddings": "the result of `encode_labels`",
    "local_files_only": "as in GLiNER",
    "map_location": "a device other than the CPU gives one warning",
    "model_id": "another name for the first argument, `model`",
    "multi_label": "as in GLiNER",
    "repo_id": "as in GLiNER",
    "push_to_hub": "as in GLiNER",
    "private": "as in GLiNER",
    "return_class_probs": "as in GLiNER",
    "revision": "as in GLiNER",
    "safe_serialization": "has no effect: only safetensors files are written",
    "save_directory": "as in GLiNER",
    "test_data": "as in GLiNER",
    "text": "as in GLiNER; a text that is None or NaN has no entities",
    "texts": "as in GLiNER; for an iterable without a length, a generator is returned",
    "threshold": "as in GLiNER; scores are shifted so that 0.5 is the best threshold",
    "token": "as in GLiNER",
}
"""The keywords that a student has, and what they do here."""

RENAMED: Final = ("model_id",)
"""The arguments that have another name here and are accepted under GLiNER's name, too."""

TABLES: Final[dict[str, tuple[Mapping[str, str], frozenset[str]]]] = {
    "from_pretrained": (LOADING_REFUSED, LOADING_WITHOUT_EFFECT),
    "push_to_hub": (PUBLISHING_REFUSED, PUBLISHING_WITHOUT_EFFECT),
    "save_pretrained": (PUBLISHING_REFUSED, PUBLISHING_WITHOUT_EFFECT),
}
"""The refused keywords of each method, and those without effect."""

PACKAGE: Final = {
    "AsyncStreamingEngine": _STREAMS,
    "GLiNER": "`gliner_distill.StudentNER`",
    "GLiNERConfig": "only in the [stand-in for the package](integrations/gliner_clients.md)",
    "InferencePackingConfig": "not here: a student batches texts by itself",
    "PackedBatch": _STEPS,
    "StreamingBatch": _STREAMS,
    "StreamingSpanConfig": _STREAMS,
    "pack_requests": _STEPS,
    "unpack_spans": _STEPS,
}
"""The names that `gliner` exports, and what takes their place here."""

TEMPLATE: Final = Path(__file__).with_name("gliner_api.md.jinja")

Explanation = TypeVar("Explanation")


def gliner_classes() -> list[type]:
    """Return `GLiNER` and the classes that its instances may have."""
    return [
        value
        for value in vars(gliner.model).values()
        if isinstance(value, type) and value.__module__ == gliner.model.__name__
    ]


def member_names() -> list[str]:
    """Return the public names that GLiNER's classes define, and those of `INHERITED`."""
    defined = {name for kind in gliner_classes() for name in vars(kind) if not name.startswith("_")}
    return sorted(defined | set(INHERITED))


def keywords_by_member() -> dict[str, list[str]]:
    """Return the keywords of each method that a student has, in all of GLiNER's classes."""
    found: dict[str, dict[str, None]] = {}
    for name in filter(partial(hasattr, StudentNER), member_names()):
        for kind in gliner_classes():
            parameters = _parameters(getattr(kind, name, None))
            found.setdefault(name, {}).update(dict.fromkeys(parameters))
    return {name: list(keywords) for name, keywords in found.items()}


def render() -> str:
    """Return the page.

    Raises:
        KeyError: A name has no explanation.
    """
    members = {name: explain_member(name) for name in member_names()} | ATTRIBUTES
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        version=gliner.__version__,
        window=WINDOW_WORDS,
        members=group_names(sorted(members.items())),
        keywords=group_names(
            [(name, (methods, text)) for name, methods, text in explain_keywords()]
        ),
        package=group_names([(name, PACKAGE[name]) for name in sorted(gliner.__all__)]),
    )


def explain_member(name: str) -> str:
    """Return what a member of GLiNER's classes does in a student.

    Raises:
        KeyError: It has no explanation, or the explanation contradicts `StudentNER`.
    """
    text = MEMBERS[name]
    if hasattr(StudentNER, name):
        if text.startswith("not here"):
            raise KeyError(f"StudentNER has {name}, but its explanation says that it does not")
        return text
    return text if text.startswith("not here") else "not here"


def explain_keyword(member: str, name: str) -> str:
    """Return what a keyword of a method does in a student.

    Raises:
        KeyError: It has no explanation.
    """
    refused, without_effect = TABLES.get(member, (CALL_REFUSED, CALL_WITHOUT_EFFECT))
    own = _parameters(getattr(StudentNER, member))
    # `labels_embeddings` is a parameter of some methods, and the others refuse it.
    is_own = name in own or name in RENAMED
    if name in refused and not (is_own and name in KEYWORDS):
        return f"must be None, False or empty: {refused[name]}"
    if is_own:
        return KEYWORDS[name]
    return "has no effect" if name in without_effect else "not here"


def group_names(rows: Sequence[tuple[str, Explanation]]) -> list[tuple[list[str], Explanation]]:
    """Return each explanation once, with all names that have it, in order of the first name."""
    found: list[tuple[list[str], Explanation]] = []
    for name, explanation in rows:
        own = next((names for names, other in found if other == explanation), None)
        if own is None:
            found.append(([name], explanation))
        else:
            own.append(name)
    return found


def explain_keywords() -> list[tuple[str, list[str], str]]:
    """Return each keyword, the methods that have it, and what it does there, by name."""
    methods: dict[tuple[str, str], list[str]] = {}
    for member, keywords in keywords_by_member().items():
        for name in keywords:
            methods.setdefault((name, explain_keyword(member, name)), []).append(member)
    return [(name, members, text) for (name, text), members in sorted(methods.items())]


def _parameters(function: object) -> list[str]:
    if not callable(function):
        return []
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("self", "cls") and parameter.kind not in several
    ]


if __name__ == "__main__":
    replace_file(Path(sys.argv[1]), render().encode("utf-8"))
