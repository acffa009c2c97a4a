"""Check that `words.onnx` is the graph that an export has, before onnxruntime reads it.

A graph of ONNX can read other files, repeat a computation forever or fill the memory. A student
needs one graph for each architecture and precision, so any other is refused, node by node. Only the
numbers of the weights may differ, and they must be finite. This module reads the few messages of
ONNX that occur in such a graph; the package onnx is not needed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import FP32, GRAPH_FILE, StudentConfig
from gliner_distill.runtime.weights import count_states

_OUTER: Final = {"embedded", "n_words", "labels", "words", "scores", ""}
"""The names that a graph has for its inputs and outputs, and for an input that is left out."""

# The fields of each message by number: those that may occur once, and those that may occur often.
# Among those that are missing are external data, functions, subgraphs and sparse weights.
_MODEL: Final = ({1, 2, 3, 7}, {8, 14})
_GRAPH: Final = ({2}, {1, 5, 11, 12, 13})
_NODE: Final = ({3, 4, 7}, {1, 2, 5})
_ATTRIBUTE: Final = ({1, 3, 4, 20}, {8})
_TENSOR: Final = ({2, 4, 5, 7, 8, 9, 14}, {1})
_FLOAT: Final = 1
_TENSOR_TYPES: Final = {_FLOAT, 2, 3, 7}
"""The types of weights: float, uint8, int8 and int64."""

_Fields = Mapping[int, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Node:
    """An operator, with the numbers or names of the values that it reads and writes."""

    operator: str
    inputs: tuple[str | int, ...]
    outputs: tuple[str | int, ...]
    attributes: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.operator} {dict(self.attributes)} from {self.inputs} to {self.outputs}"


def check_graph(content: bytes, config: StudentConfig, precision: str) -> None:
    """Check that a graph has the nodes of an export, and finite weights.

    Args:
        content: The content of `words.onnx`.
        config: The architecture of the student.
        precision: `fp32` or `int8`.

    Raises:
        StudentError: It has other nodes, other parts, or a weight that is not finite.
    """
    try:
        graph = _read_graph(content)
        nodes, shapes = _number_values(map(_read_node, graph[1]), _read_shapes(graph[5]))
    except (ValueError, IndexError) as error:
        raise StudentError(f"{GRAPH_FILE}: this is not the graph of a student: {error}") from error
    expected, expected_shapes = _number_values(
        _expected_nodes(config, precision), _expected_shapes(config, precision)
    )
    where = f"a student of this architecture in {precision}"
    for position, (node, wanted) in enumerate(zip(nodes, expected, strict=False)):
        if node != wanted:
            raise StudentError(
                f"{GRAPH_FILE}: node {position} is {node}; {where} has {wanted}; export the "
                "student again"
            )
    if len(nodes) != len(expected):
        raise StudentError(
            f"{GRAPH_FILE}: has {len(nodes)} nodes; {where} has {len(expected)}; export the "
            "student again"
        )
    if shapes != expected_shapes:
        raise StudentError(
            f"{GRAPH_FILE}: has weights of the shapes {sorted(shapes.values())}; {where} has "
            f"{sorted(expected_shapes.values())}; export the student again"
        )


def _expected_nodes(config: StudentConfig, precision: str) -> Iterator[_Node]:
    """Yield the nodes that `student.onnx_graph` writes, in 8 bits as onnxruntime changes them."""
    yield _Node("Transpose", ("embedded",), ("states 0",), {"perm": [1, 0, 2]})
    direction = b"bidirectional" if config.bidirectional else b"forward"
    for layer in range(config.n_layers):
        read, kept, bias = (f"{name} {layer}" for name in ("w", "r", "b"))
        inputs: tuple[str, ...] = (f"states {layer}", read, kept, bias, "n_words")
        operator = "LSTM"
        if precision != FP32:
            scales = (f"{weight} {part}" for weight in (read, kept) for part in ("scale", "zero"))
            inputs, operator = (*inputs, "", "", "", *scales), "com.microsoft.DynamicQuantizeLSTM"
        attributes = {"direction": direction, "hidden_size": config.hidden_width}
        yield _Node(operator, inputs, (f"directions {layer}",), attributes)
        apart = f"apart {layer}"
        yield _Node("Transpose", (f"directions {layer}",), (apart,), {"perm": [0, 2, 1, 3]})
        yield _Node("Reshape", (apart, f"shape {layer}"), (f"states {layer + 1}",), {})
    yield _Node("Transpose", (f"states {config.n_layers}",), ("states",), {"perm": [1, 0, 2]})
    yield _Node("Concat", ("states", "embedded"), ("seen",), {"axis": -1})
    if precision == FP32:
        yield _Node("MatMul", ("seen", "tower"), ("projected",), {})
    else:
        yield from _quantized_product()
    yield _Node("Add", ("projected", "tower bias"), ("words",), {})
    yield _Node("MatMul", ("words", "labels"), ("scores",), {})


def _quantized_product() -> Iterator[_Node]:
    yield _Node("DynamicQuantizeLinear", ("seen",), ("codes", "scale", "zero"), {})
    yield _Node("Mul", ("scale", "tower scale"), ("product scale",), {})
    inputs = ("codes", "tower", "zero", "tower zero")
    yield _Node("MatMulInteger", inputs, ("product codes",), {})
    yield _Node("Cast", ("product codes",), ("product",), {"to": _FLOAT})
    yield _Node("Mul", ("product", "product scale"), ("projected",), {})


def _expected_shapes(config: StudentConfig, precision: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights, by the names that `_expected_nodes` gives them."""
    units, n_states, width = config.hidden_width, count_states(config), config.embedding_width
    n_directions = n_states // units
    shapes: dict[str, tuple[int, ...]] = {
        "tower": (n_states + width, n_states),
        "tower bias": (n_states,),
    }
    if precision != FP32:
        shapes |= {"tower scale": (), "tower zero": ()}
    for layer in range(config.n_layers):
        n_inputs = n_states if layer else width
        shapes |= {f"b {layer}": (n_directions, 8 * units), f"shape {layer}": (3,)}
        for name, size in ((f"w {layer}", n_inputs), (f"r {layer}", units)):
            if precision == FP32:
                shapes[name] = (n_directions, 4 * units, size)
            else:
                shapes[name] = (n_directions, size, 4 * units)
                shapes |= {f"{name} scale": (n_directions,), f"{name} zero": (n_directions,)}
    return shapes


def _number_values(
    nodes: Iterable[_Node], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[list[_Node], dict[str | int, tuple[int, ...]]]:
    """Return nodes and shapes with numbers for the names inside a graph, which do not matter.

    A weight that no node reads keeps its name.
    """
    numbers: dict[str | int, int] = {}

    def number(name: str | int) -> str | int:
        return name if name in _OUTER else numbers.setdefault(name, len(numbers))

    numbered = [
        _Node(
            node.operator,
            tuple(map(number, node.inputs)),
            tuple(map(number, node.outputs)),
            node.attributes,
        )
        for node in nodes
    ]
    return numbered, {numbers.get(name, name): shape for name, shape in shapes.items()}


def _read_graph(content: bytes) -> _Fields:
    graphs = _read_fields(memoryview(content), *_MODEL)[7]
    return _read_fields(graphs[0], *_GRAPH)


def _read_shapes(tensors: Iterable[memoryview]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of weights by name, after checking their types and numbers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in tensors:
        fields = _read_fields(tensor, *_TENSOR)
        [name] = _texts(fields[8])
        if name in shapes:
            raise ValueError(f"weight {name!r} occurs twice")
        _check_tensor(name, fields)
        shapes[name] = tuple(fields[1])
    return shapes


def _read_node(message: memoryview) -> _Node:
    fields = _read_fields(message, *_NODE)
    attributes = {}
    for attribute in fields[5]:
        parts = _read_fields(attribute, *_ATTRIBUTE)
        [name] = _texts(parts[1])
        attributes[name] = _read_attribute(parts)
    inputs, outputs = (tuple(_texts(fields[number])) for number in (1, 2))
    return _Node(".".join(_texts([*fields[7], *fields[4]])), inputs, outputs, attributes)


def _read_attribute(fields: _Fields) -> object:
    numbers = [value - 2**64 if value >= 2**63 else value for value in (*fields[3], *fields[8])]
    if fields[4]:
        return bytes(fields[4][0])
    return numbers if fields[8] else numbers[0]


def _check_tensor(name: str, fields: _Fields) -> None:
    [kind] = fields[2] or [0]
    if kind not in _TENSOR_TYPES:
        raise ValueError(f"weight {name!r} is of the type {kind}")
    if any(fields[14]):
        raise ValueError(f"weight {name!r} lies in another file")
    if kind == _FLOAT:
        for values in (*fields[4], *fields[9]):
            if not np.isfinite(np.frombuffer(values, "<f4")).all():
                raise ValueError(f"weight {name!r} holds a number that is not finite")


def _texts(values: Iterable[memoryview]) -> list[str]:
    return [bytes(value).decode() for value in values]


def _read_fields(message: memoryview, once: set[int], often: set[int]) -> _Fields:
    """Return the values of the fields of a message by number, with an empty list for each other.

    Raises:
        ValueError: The message is broken, has another field, or has one of `once` more often.
        IndexError: The message is cut off.
    """
    fields: dict[int, list[Any]] = {number: [] for number in once | often}
    place = 0
    while place < len(message):
        key, place = _read_number(message, place)
        number, form = key >> 3, key & 7
        value, place = _read_value(message, place, form)
        if number not in fields or (number in once and fields[number]):
            raise ValueError(f"it has the field {number} where no student has it")
        fields[number].append(value)
    return fields


def _read_value(message: memoryview, place: int, form: int) -> tuple[Any, int]:
    if form == 0:
        return _read_number(message, place)
    if form != 2:  # neither a number nor a run of bytes
        raise ValueError(f"it has a value of the form {form}")
    length, place = _read_number(message, place)
    if length > len(message) - place:
        raise ValueError("it is cut off")
    return message[place : place + length], place + length


def _read_number(message: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number in it is too long")
