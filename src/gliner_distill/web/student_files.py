"""The files of a student for the JavaScript modules: its settings, its vocabulary, its weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from gliner_distill.entities import word_texts
from gliner_distill.errors import ExportError, shorten
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.config import INT8
from gliner_distill.web.weights import make_weights

SETTINGS_FILE: Final = "student.json"
VOCABULARY_FILE: Final = "vocabulary.txt"
WEIGHTS_FILE: Final = "weights.safetensors"

FORMAT_VERSION: Final = 1


def make_student_files(bundle: Bundle, *, name: str) -> dict[str, bytes]:
    """Return the content of the files of a student by name.

    Args:
        bundle: The student, in 8 bits; see `quantize_weights`.
        name: The student's name in the page.

    Raises:
        ExportError: The student is of a kind that the JavaScript modules do not support.
    """
    if bundle.precision != INT8:
        raise ExportError(f"the student computes in {bundle.precision}; expected {INT8}")
    tokenizer = json.loads(bundle.vocabulary.to_json())
    weights = make_weights(bundle)
    files = {
        VOCABULARY_FILE: "\n".join(_pieces(tokenizer)).encode(),
        WEIGHTS_FILE: weights.as_file(),
    }
    settings = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "n_parameters": bundle.n_parameters,
        "architecture": asdict(bundle.config),
        "vocabulary": _vocabulary_settings(tokenizer),
        **weights.settings,
        "threshold": bundle.threshold,
        "label_thresholds": dict(bundle.label_thresholds),
        "score_map": None if bundle.score_map is None else bundle.score_map.as_json(),
        "sha256": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    return {SETTINGS_FILE: (json.dumps(settings, indent=1) + "\n").encode(), **files}


def _vocabulary_settings(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what splits words into pieces, after checking that JavaScript can do it."""
    normalizer, splitter = tokenizer["normalizer"], tokenizer["pre_tokenizer"]
    flags = normalizer or {}
    lowers, strips = flags.get("lowercase"), flags.get("strip_accents")
    strips = lowers if strips is None else strips
    is_whole = flags.get("clean_text") and flags.get("handle_chinese_chars") and splitter
    if not is_whole or (strips and not lowers):
        raise ExportError(
            f"the tokenizer of the student normalizes words by {shorten(normalizer)}, which "
            "--format web does not support; expected BERT's, without accents only in lower case"
        )
    for token in tokenizer["added_tokens"]:
        # A word never holds a text of several words, so such a special piece is never found.
        if len(word_texts(token["content"])) == 1:
            raise ExportError(
                f"the tokenizer of the student has the special piece {shorten(token['content'])}, "
                "which words may hold; --format web needs special pieces such as [CLS]"
            )
    model = tokenizer["model"]
    return {
        "unknown": model["unk_token"],
        "prefix": model["continuing_subword_prefix"],
        "mostCharacters": model["max_input_chars_per_word"],
        "kind": "plain" if strips else "accented" if lowers else "cased",
    }


def _pieces(tokenizer: Mapping[str, Any]) -> list[str]:
    pieces = tokenizer["model"]["vocab"]
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    by_number = {number: piece for piece, number in (added | pieces).items()}
    if any("\n" in piece for piece in by_number.values()):
        raise ExportError("the vocabulary of the student has a piece with a line break")
    return [by_number[number] for number in range(len(by_number))]
