"""float16: small, close, and float32 at both ends."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from builder.errors import GraphError
from builder.precision import to_float16
from builder.precision.places import find_places


def run(model, tensor):
    """The raw output."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {model.graph.input[0].name: tensor})[0]


def types(model):
    """Element types of the weights by name."""
    return {weight.name: weight.data_type for weight in model.graph.initializer}


def test_output_stays_close_and_float32(graph, tensors):
    """Scores to 1e-3, boxes to a few hundredths of a pixel."""
    half = to_float16(graph)
    onnx.checker.check_model(half, full_check=True)
    wanted, found = run(graph, tensors[0]), run(half, tensors[0])
    assert found.dtype == np.float32
    assert 0 < np.abs(wanted - found).max() < 0.05
    assert np.abs(wanted[:, 4:] - found[:, 4:]).max() < 1e-3


def test_features_are_half_decoding_is_not(graph):
    """Weights of every convolution are float16, constants of the decoding float32."""
    half = to_float16(graph)
    kinds = types(half)
    places = find_places(graph.graph)
    for index, node in enumerate(graph.graph.node):
        for name in set(node.input) & set(types(graph)):
            if types(graph)[name] != TensorProto.FLOAT:
                continue
            if index in places.decoding:
                assert kinds[name] == TensorProto.FLOAT
            else:
                assert kinds[f"{name}_float16"] == TensorProto.FLOAT16
                assert name not in kinds


def test_same_bytes_twice_and_the_original_untouched(graph):
    """Nothing random, nothing changed in place."""
    before = graph.SerializeToString(deterministic=True)
    first, second = (to_float16(graph).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert graph.SerializeToString(deterministic=True) == before


def tiny(weight, *, attribute=None):
    """One convolution and an addition, with this weight."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("Add", ["b", "b"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2, 2]) for name in ("x", "y")
    ]
    one = np.ones((1, 1, 1, 1), np.float32)
    weights = [numpy_helper.from_array(one * weight, "w"), numpy_helper.from_array(one, "v")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("weight", [1e6, np.nan, np.inf])
def test_weights_beyond_float16_stay(weight):
    """Their convolution stays float32; the next one does not."""
    kinds = types(to_float16(tiny(weight)))
    assert kinds == {"w": TensorProto.FLOAT, "v_float16": TensorProto.FLOAT16}


def test_branches_are_refused():
    """A graph inside a node is named."""
    model = tiny(1.0)
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node[1].attribute.append(helper.make_attribute("body", inner))
    model.graph.node[1].name = "strange"
    with pytest.raises(GraphError, match="strange: Conv has a graph inside"):
        to_float16(model)


def test_constant_nodes_count_as_weights():
    """A Constant feeds a convolution: it becomes float16 too."""
    model = tiny(1.0)
    weight = model.graph.initializer[0]
    node = helper.make_node("Constant", [], ["w"], value=weight)
    del model.graph.initializer[0]
    model.graph.node.insert(0, node)
    half = to_float16(model)
    assert types(half)["w_float16"] == TensorProto.FLOAT16
    tensor = np.full((1, 1, 2, 2), 0.5, np.float32)
    assert np.array_equal(run(half, tensor), run(model, tensor))


def test_resize_keeps_its_scales():
    """Scales are float32 by definition; the picture is not."""
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["a"]),
        helper.make_node("Resize", ["a", "", "scales"], ["b"], mode="nearest"),
        helper.make_node("Conv", ["b", "v"], ["c"]),
        helper.make_node("Add", ["c", "c"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "v"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    half = to_float16(model)
    assert types(half) == {"scales": TensorProto.FLOAT, "v_float16": TensorProto.FLOAT16}
    tensor = np.full((1, 1, 2, 2), 0.25, np.float32)
    assert np.array_equal(run(half, tensor), run(model, tensor))
