"""The LSTM and the word tower of a student as an ONNX graph, for other runtimes.

The graph takes the embedded words of a batch and the label vectors. It is built node by node from
the weights, because torch's exporter cannot produce an LSTM operator that takes the lengths of the
passages. `StudentNER` does not read it; the package onnxruntime compares it with torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.batch import make_batch
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import MAX_BATCH_WORDS
from gliner_distill.windows import batches_by_length

Array = NDArray[np.float32]

_OPSET, _IR_VERSION = 17, 8


def build_graph(config: StudentConfig, weights: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the graph of `words.onnx` in single precision.

    Its inputs are `embedded` `(batch, words, width)`, `n_words` `(batch,)` int32 and `labels`
    `(states, columns)`. Its outputs are `words` `(batch, words, states)`, the word vectors divided
    by the square root of their width, and `scores` `(batch, words, columns)`, their product with
    `labels`.

    The LSTM operators take the lengths of the passages (`sequence_lens`), so that padding never
    reaches their backward direction.

    Args:
        config: The architecture of the student.
        weights: All weights by name, as `Student.state_dict` names them, float32.
    """
    graph = _Graph()
    graph.add("Transpose", ["embedded"], ["states_0"], perm=[1, 0, 2])
    for layer in range(config.n_layers):
        _add_lstm(graph, config, weights, layer)
    graph.add("Transpose", [f"states_{config.n_layers}"], ["states"], perm=[1, 0, 2])
    graph.add("Concat", ["states", "embedded"], ["seen"], axis=-1)
    # The scale of the dot product with the labels is built into the word tower.
    n_states = len(weights["word_tower.bias"])
    scale = np.float32(n_states**-0.5)
    tower = graph.constant("tower", scale * weights["word_tower.weight"].T)
    offset = graph.constant("tower_bias", scale * weights["word_tower.bias"])
    graph.add("MatMul", ["seen", tower], ["projected"])
    graph.add("Add", ["projected", offset], ["words"])
    graph.add("MatMul", ["words", "labels"], ["scores"])
    return graph.model(config.embedding_width, n_states)


@torch.inference_mode()
def max_graph_difference(
    graph: bytes,
    student: Student,
    vocabulary: Vocabulary,
    passages: Sequence[Sequence[str]],
    labels: Sequence[str],
) -> float:
    """Return the largest difference of `scores` between onnxruntime and torch.

    Args:
        graph: The content of `words.onnx`.
        student: The student, on the CPU; it is switched to evaluation.
        vocabulary: Its subword pieces.
        passages: The words of each passage, at least one word each.
        labels: The labels, each once.
    """
    student.eval()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    difference = 0.0
    for rows in batches_by_length(
        range(len(passages)), lambda row: len(passages[row]), max_padded=MAX_BATCH_WORDS
    ):
        encoded = [vocabulary.encode_words(passages[row]) for row in rows]
        batch = make_batch(encoded, [labels] * len(rows), vocabulary)
        pooled, pieces = student.look_up(batch)
        embedded = student.pad_words(pooled + student.shapes(batch.word_shapes), batch.word_mask)
        vectors = student.label_vectors(student.read_labels(pieces, batch.label_starts))
        columns = vectors.flatten(0, 1).T
        feeds = {
            "embedded": embedded.numpy(),
            "n_words": batch.n_words.numpy().astype(np.int32),
            "labels": columns.contiguous().numpy(),
        }
        (scores,) = session.run(["scores"], feeds)
        exact = student.encode_words(pooled, batch) @ columns * len(columns) ** -0.5
        apart = np.abs(scores - exact.numpy())[batch.word_mask.numpy()]
        difference = max(difference, float(apart.max(initial=0.0)))
    return difference


class _Graph:
    """The nodes and constants of an ONNX model that is being built."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, inputs, outputs, **attributes))

    def model(self, width: int, n_states: int) -> onnx.ModelProto:
        single = TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info("embedded", single, ["batch", "words", width]),
            helper.make_tensor_value_info("n_words", TensorProto.INT32, ["batch"]),
            helper.make_tensor_value_info("labels", single, [n_states, "columns"]),
        ]
        outputs = [
            helper.make_tensor_value_info("words", single, ["batch", "words", n_states]),
            helper.make_tensor_value_info("scores", single, ["batch", "words", "columns"]),
        ]
        graph = helper.make_graph(self._nodes, "words", inputs, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        return model


def _add_lstm(
    graph: _Graph, config: StudentConfig, weights: Mapping[str, Array], layer: int
) -> None:
    """Add a layer that turns `states_LAYER` into `states_LAYER+1`, both `(words, batch, width)`."""
    converted = _lstm_weights(weights, layer, bidirectional=config.bidirectional)
    names = [graph.constant(f"{name}_{layer}", value) for name, value in converted.items()]
    graph.add(
        "LSTM",
        [f"states_{layer}", *names, "n_words"],
        [f"directions_{layer}"],
        hidden_size=config.hidden_width,
        direction="bidirectional" if config.bidirectional else "forward",
    )
    # (words, directions, batch, hidden) to (words, batch, directions * hidden)
    graph.add("Transpose", [f"directions_{layer}"], [f"apart_{layer}"], perm=[0, 2, 1, 3])
    shape = graph.constant(f"joined_shape_{layer}", np.array([0, 0, -1], dtype=np.int64))
    graph.add("Reshape", [f"apart_{layer}", shape], [f"states_{layer + 1}"])


def _lstm_weights(
    weights: Mapping[str, Array], layer: int, *, bidirectional: bool
) -> dict[str, Array]:
    """Return the weights of an LSTM layer in the layout of ONNX.

    ONNX orders the gates input, output, forget, cell; torch orders them input, forget, cell,
    output. ONNX stores both bias vectors of torch in one array.
    """
    directions = ("forward_lstm", "backward_lstm") if bidirectional else ("forward_lstm",)

    def reorder_gates(name: str) -> Array:
        reordered = []
        for direction in directions:
            values = weights[f"{direction}.{layer}.{name}"]
            input_gate, forget, cell, output = np.split(values, 4)
            reordered.append(np.concatenate([input_gate, output, forget, cell]))
        return np.stack(reordered)

    biases = np.concatenate([reorder_gates("bias_ih_l0"), reorder_gates("bias_hh_l0")], axis=1)
    return {"w": reorder_gates("weight_ih_l0"), "r": reorder_gates("weight_hh_l0"), "b": biases}
