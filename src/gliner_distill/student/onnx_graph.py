"""TODO-DOC."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gliner_distill.student.model import Student

Array = NDArray[np.float32]

_OPSET, _IR_VERSION = 17, 8


def build_graph(student: Student) -> onnx.ModelProto:
    """Return the graph of `words.onnx`, in single precision.

    The LSTM operators take the passages' lengths (`sequence_lens`), so padding never reaches their
    backward direction.
    """
    config = student.config
    state = _arrays(student)
    graph = _Graph()
    graph.add("Transpose", ["embedded"], ["states_0"], perm=[1, 0, 2])
    for layer in range(config.n_layers):
        weights = _lstm_weights(state, layer, bidirectional=config.bidirectional)
        names = [graph.constant(f"{name}_{layer}", value) for name, value in weights.items()]
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
    graph.add("Transpose", [f"states_{config.n_layers}"], ["states"], perm=[1, 0, 2])
    graph.add("Concat", ["states", "embedded"], ["seen"], axis=-1)
    scale = np.float32(student.word_tower.out_features**-0.5)
    tower = graph.constant("tower", scale * state["word_tower.weight"].T)
    offset = graph.constant("tower_bias", scale * state["word_tower.bias"])
    graph.add("MatMul", ["seen", tower], ["projected"])
    graph.add("Add", ["projected", offset], ["words"])
    graph.add("MatMul", ["words", "labels"], ["scores"])
    return graph.model(config.embedding_width, student.word_tower.out_features)


class _Graph:
    """Nodes and constants on their way to an ONNX model."""

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


def _lstm_weights(state: dict[str, Array], layer: int, *, bidirectional: bool) -> dict[str, Array]:
    """Return an LSTM layer's weights as ONNX has them: gates input, output, forget, cell."""
    directions = ("forward_lstm", "backward_lstm") if bidirectional else ("forward_lstm",)

    def gates(name: str) -> Array:
        of_directions = []
        for direction in directions:
            input_gate, forget, cell, output = np.split(state[f"{direction}.{layer}.{name}"], 4)
            of_directions.append(np.concatenate([input_gate, output, forget, cell]))
        return np.stack(of_directions)

    biases = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")], axis=1)
    return {"w": gates("weight_ih_l0"), "r": gates("weight_hh_l0"), "b": biases}


@torch.no_grad()
def _arrays(student: Student) -> dict[str, Array]:
    return {key: value.float().cpu().numpy() for key, value in student.state_dict().items()}
