"""Make the models that speed.py needs: `speed_models.py TEACHER FOLDER NAME ...`.

`teacher-onnx` and `teacher-openvino` are the teacher as its own `export_to_onnx` and
`export_to_openvino` write it. `small` is a GLiNER with the architecture of
urchade/gliner_small-v2.1 and random weights, on which speed does not depend, and `small-onnx` and
`small-openvino` are its exports. `gliner2-small` is a boundary model of gliner2 with the encoder of
fastino/gliner2.5-small (DeBERTa-v3-xsmall) and random weights. The random models use the teacher's
tokenizer, because those of the published models are not available offline. Their last layers are
biased so that they find nothing, so they save the time for decoding.

The script writes FOLDER/NAME and prints a JSON object with, for each name, null or the reason why
the model could not be made. It runs in a process of its own, so that speed.py stays small.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed_workers import one_line

from gliner_distill.gate import check_gliner

# The configuration of microsoft/deberta-v3-small, and the head of gliner_small-v2.1.
SMALL_ENCODER: dict[str, Any] = {
    "model_type": "deberta-v2",
    "hidden_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 128004,
    "max_position_embeddings": 512,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
SMALL_HEAD: dict[str, Any] = {
    "span_mode": "markerV0",
    "max_width": 12,
    "hidden_size": 512,
    "max_len": 384,
    "num_rnn_layers": 1,
    "max_types": 25,
}
# The configuration of microsoft/deberta-v3-xsmall.
XSMALL_ENCODER: dict[str, Any] = SMALL_ENCODER | {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "vocab_size": 128100,
}
# This makes a boundary model sure that no label has an entity.
NULL_BIAS = 30.0
# This lowers the logit of every span by the square of the number times the width of the head.
SPAN_BIAS = 0.2


def main() -> None:
    teacher, folder, *names = sys.argv[1:]
    warnings.simplefilter("ignore")
    print(json.dumps(make_models(Path(teacher), Path(folder), names)))


def make_models(teacher: Path, folder: Path, names: Sequence[str]) -> dict[str, str | None]:
    """Return, for each model, the reason why it could not be made, or None."""
    reasons: dict[str, str | None] = {}
    for name in names:
        try:
            make_model(name, teacher, folder)
            reasons[name] = None
        except Exception as error:  # a package may be missing; the other models may still work
            reasons[name] = one_line(error)
    return reasons


def make_model(name: str, teacher: Path, folder: Path) -> None:
    check_gliner(teacher, name=str(teacher))
    if name == "gliner2-small":
        build_gliner2(teacher, XSMALL_ENCODER).save_pretrained(str(folder / name))
        return
    from gliner import GLiNER

    if name == "small":
        small = build_small(teacher, SMALL_ENCODER, SMALL_HEAD)
        small.save_pretrained(str(folder / name), safe_serialization=True)
        return
    source = teacher if name.startswith("teacher-") else folder / "small"
    model = GLiNER.from_pretrained(str(source), local_files_only=True)
    export = model.export_to_onnx if name.endswith("-onnx") else model.export_to_openvino
    export(str(folder / name))


def build_small(teacher: Path, encoder: dict[str, Any], head: dict[str, Any]) -> Any:
    """Return a random GLiNER of an architecture, with the teacher's tokenizer; it finds nothing."""
    import torch
    from gliner.config import UniEncoderSpanConfig
    from gliner.model import UniEncoderSpanGLiNER
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(teacher), local_files_only=True)
    # With both set, the table keeps its size when the model is loaded with another tokenizer.
    places = {
        "class_token_index": tokenizer.convert_tokens_to_ids("<<ENT>>"),
        "vocab_size": encoder["vocab_size"],
    }
    config = UniEncoderSpanConfig(model_name="small", encoder_config=encoder, **places, **head)
    torch.manual_seed(0)
    model = UniEncoderSpanGLiNER(config, tokenizer=tokenizer, backbone_from_pretrained=False)
    with torch.no_grad():
        model.model.span_rep_layer.span_rep_layer.out_project[-1].bias += SPAN_BIAS
        model.model.prompt_rep_layer[-1].bias -= SPAN_BIAS
    return model.eval()


def build_gliner2(teacher: Path, encoder: dict[str, Any]) -> Any:
    """Return a random boundary model of gliner2 with the teacher's tokenizer; it finds nothing."""
    import torch
    from gliner2.configuration import ExtractorConfig
    from gliner2.models.boundary.model import BoundaryExtractorModel
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(teacher), local_files_only=True)
    options = {key: value for key, value in encoder.items() if key != "model_type"}
    torch.manual_seed(0)
    model = BoundaryExtractorModel(
        ExtractorConfig(model_name="small", architecture="boundary"),
        encoder_config=AutoConfig.for_model(encoder["model_type"], **options),
        tokenizer=tokenizer,
    )
    with torch.no_grad():
        model.boundary_head.null_projection.bias += NULL_BIAS
    return model.eval()


if __name__ == "__main__":
    main()
