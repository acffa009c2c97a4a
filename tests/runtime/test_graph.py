"""The graph of a student is the only one that is accepted."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import FP32, GRAPH_FILE, INT8
from gliner_distill.runtime.graph import check_graph
from gliner_distill.student.bundling import make_bundle, quantize_graph


@pytest.fixture(scope="module", params=[FP32, INT8])
def bundle(request, build_student, small_vocabulary):
    made = make_bundle(build_student(n_layers=2), small_vocabulary)
    return made if request.param == FP32 else quantize_graph(made)


@pytest.fixture
def model(bundle):
    return onnx.load_from_string(bundle.graph)


def weight_of(model, name):
    [weight] = [item for item in model.graph.initializer if item.name == name]
    return weight


def node_of(model, operator):
    return next(node for node in model.graph.node if node.op_type.endswith(operator))


def refuse(bundle, content, fact):
    with pytest.raises(StudentError, match=rf"{GRAPH_FILE}.*{fact}"):
        check_graph(content, bundle.config, bundle.precision)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{}, {"n_layers": 3}, {"bidirectional": False}], ids=str)
def test_check_graph_accepts_what_an_export_writes(shape, build_student, small_vocabulary):
    made = make_bundle(build_student(**shape), small_vocabulary)
    check_graph(made.graph, made.config, FP32)
    in_8_bits = quantize_graph(made)
    check_graph(in_8_bits.graph, in_8_bits.config, INT8)
    refuse(in_8_bits, made.graph, "LSTM")


@pytest.mark.parametrize("shape", [{"n_layers": 1}, {"n_layers": 3}, {"bidirectional": False}])
def test_check_graph_refuses_the_graph_of_another_architecture(
    shape, bundle, build_student, small_vocabulary
):
    other = make_bundle(build_student(**{"n_layers": 2} | shape), small_vocabulary)
    refuse(bundle, other.graph, "node")


def test_check_graph_refuses_external_data(bundle, model):
    weight = weight_of(model, "tower_bias")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret.txt")
    refuse(bundle, model.SerializeToString(), "field 13")
    del weight.external_data[:]
    refuse(bundle, model.SerializeToString(), "tower_bias.* another file")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_graph_refuses_weights_that_are_not_finite(bundle, model, value):
    weight = weight_of(model, "tower_bias")
    values = numpy_helper.to_array(weight).copy()
    values[3] = value
    weight.CopyFrom(numpy_helper.from_array(values, "tower_bias"))
    refuse(bundle, model.SerializeToString(), "tower_bias.* finite")
    weight.ClearField("raw_data")
    weight.float_data.extend(values.tolist())
    refuse(bundle, model.SerializeToString(), "tower_bias.* finite")


def test_check_graph_refuses_weights_of_other_types(bundle, model):
    weight = weight_of(model, "tower_bias")
    values = numpy_helper.to_array(weight).astype(np.float64)
    weight.CopyFrom(numpy_helper.from_array(values, "tower_bias"))
    refuse(bundle, model.SerializeToString(), "tower_bias.* type 11")


@pytest.mark.parametrize("shape", [(100, 1, 16), (1, 16), (16, 1), (8,), ()])
def test_check_graph_refuses_weights_of_other_shapes(bundle, model, shape):
    values = np.zeros(shape, np.float32)
    weight_of(model, "tower_bias").CopyFrom(numpy_helper.from_array(values, "tower_bias"))
    refuse(bundle, model.SerializeToString(), "shapes")


def test_check_graph_refuses_weights_that_no_node_reads(bundle, model):
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "more"))
    refuse(bundle, model.SerializeToString(), "shapes")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "more"))
    refuse(bundle, model.SerializeToString(), "more.* twice")


class TestNodes:
    def test_check_graph_refuses_a_loop(self, bundle, model):
        body = helper.make_graph([], "body", [], [])
        loop = helper.make_node("Loop", ["forever"], ["nothing"], body=body)
        model.graph.node.append(loop)
        refuse(bundle, model.SerializeToString(), "field 6")

    @pytest.mark.parametrize("place", [0, 3, -1])
    def test_check_graph_refuses_one_more_node(self, bundle, model, place):
        nodes = list(model.graph.node)
        nodes.insert(place % (len(nodes) + 1), helper.make_node("Identity", ["words"], ["more"]))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        refuse(bundle, model.SerializeToString(), "node")

    def test_check_graph_refuses_one_node_less(self, bundle, model):
        del model.graph.node[-1]
        refuse(bundle, model.SerializeToString(), "nodes")

    def test_check_graph_refuses_another_attribute(self, bundle, model):
        node_of(model, "LSTM").attribute.append(helper.make_attribute("input_forget", 1))
        refuse(bundle, model.SerializeToString(), "input_forget")

    def test_check_graph_refuses_another_value_of_an_attribute(self, bundle, model):
        [axis] = node_of(model, "Concat").attribute
        axis.i = 0
        refuse(bundle, model.SerializeToString(), "Concat")

    def test_check_graph_refuses_an_operator_of_another_domain(self, bundle, model):
        node_of(model, "Concat").domain = "somewhere.else"
        refuse(bundle, model.SerializeToString(), r"somewhere\.else\.Concat")

    def test_check_graph_refuses_other_inputs(self, bundle, model):
        node_of(model, "Concat").input[1] = "states"
        refuse(bundle, model.SerializeToString(), "Concat")

    def test_check_graph_ignores_the_names_inside(self, bundle, model):
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = ["joined" if name == "seen" else name for name in names]
        check_graph(model.SerializeToString(), bundle.config, bundle.precision)

    def test_check_graph_refuses_sparse_weights_and_functions(self, bundle, model):
        model.functions.add(name="f", domain="mine")
        refuse(bundle, model.SerializeToString(), "field 25")
        del model.functions[:]
        model.graph.sparse_initializer.add()
        refuse(bundle, model.SerializeToString(), "field 15")


class TestBytes:
    def test_check_graph_refuses_two_graphs_in_one_file(self, bundle):
        # The format merges two messages that follow each other.
        refuse(bundle, bundle.graph * 2, "field")

    @pytest.mark.parametrize("content", [b"", b"\xff" * 20, b":\xff", b"no graph", b"\x00"])
    def test_check_graph_refuses_bytes_of_another_form(self, bundle, content):
        refuse(bundle, content, "")

    def test_check_graph_raises_only_student_errors_for_changed_bytes(self, bundle):
        draws = np.random.default_rng(0)
        n_refused = 0
        for _ in range(150):
            changed = bytearray(bundle.graph)
            changed[int(draws.integers(len(changed)))] = int(draws.integers(256))
            content = bytes(changed)[: int(draws.integers(len(changed) // 2, 2 * len(changed)))]
            try:
                check_graph(content, bundle.config, bundle.precision)
            except StudentError as error:
                assert GRAPH_FILE in str(error)  # noqa: PT017
                n_refused += 1
        assert n_refused > 30
