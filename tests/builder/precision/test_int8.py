"""int8: what is quantized, what is not, and the traps that TensorRT and CPUs lay."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from builder.precision import to_int8
from builder.precision.calibration import choose, typical
from builder.precision.places import find_places


@pytest.fixture(scope="module")
def quantized(graph, tensors):
    """Both flavours, once."""
    return {flavour: to_int8(graph, tensors, flavour) for flavour in ("int8", "int8-cpu")}


def makers(model):
    """Tensor name -> the node that makes it."""
    return {name: node for node in model.graph.node for name in node.output}


@pytest.mark.parametrize("flavour", ["int8", "int8-cpu"])
def test_head_is_float(graph, quantized, flavour):
    """Head and decoding have float weights, other convolutions int8 behind a DequantizeLinear."""
    model, places = quantized[flavour], find_places(graph.graph)
    left = {graph.graph.node[index].name for index in places.head | places.decoding}
    behind = makers(model)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert {node.name in left for node in convolutions} == {True, False}
    for node in convolutions:
        assert (behind.get(node.input[1]) is None) == (node.name in left)


@pytest.mark.parametrize("flavour", ["int8", "int8-cpu"])
def test_close_to_the_original(graph, quantized, tensors, flavour):
    """Runs in ONNX Runtime; scores within a twentieth."""
    model = quantized[flavour]
    onnx.checker.check_model(model, full_check=True)
    wanted, found = (
        ort.InferenceSession(one.SerializeToString()).run(None, {"images": tensors[0]})[0]
        for one in (graph, model)
    )
    assert 0 < np.abs(wanted[:, 4:] - found[:, 4:]).max() < 0.05


def test_no_int32_bias_for_tensorrt(quantized):
    """Its parser refuses a DequantizeLinear of INT32."""
    kinds = {weight.data_type for weight in quantized["int8"].graph.initializer}
    assert TensorProto.INT32 not in kinds
    assert TensorProto.INT8 in kinds


def test_weights_per_channel_activations_symmetric(quantized):
    """A scale per output channel; zero points are zero."""
    weights = {w.name: numpy_helper.to_array(w) for w in quantized["int8"].graph.initializer}
    scales = [
        weights[node.input[1]].shape
        for node in quantized["int8"].graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    ]
    assert scales and all(shape == (3,) for shape in scales)
    points = [v for name, v in weights.items() if name.endswith("_zero_point")]
    assert points and not any(point.any() for point in points)


def test_unsigned_with_narrow_weights_for_the_cpu(quantized):
    """Weights of 7 bits: without VNNI a sum of two products of 8 bits overflows 16."""
    model = quantized["int8-cpu"]
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    narrow = [
        weights[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and weights.get(node.input[0]) is not None
    ]
    narrow = [array for array in narrow if array.dtype == np.int8]
    assert narrow and max(int(np.abs(array.astype(int)).max()) for array in narrow) <= 64
    kinds = {w.data_type for w in model.graph.initializer}
    assert TensorProto.UINT8 in kinds


@pytest.mark.parametrize("flavour", ["int8", "int8-cpu"])
def test_same_bytes_twice(graph, quantized, tensors, flavour):
    """Calibration order, names and metadata are the same every time."""
    again = to_int8(graph, iter(tensors), flavour).SerializeToString(deterministic=True)
    assert again == quantized[flavour].SerializeToString(deterministic=True)


def test_metadata_survive_and_nothing_is_added(graph, quantized):
    """The file opens in ultralytics' tools like the float one."""
    model = quantized["int8"]
    assert list(model.metadata_props) == list(graph.metadata_props)
    assert [one.domain for one in model.opset_import] == [""]
    assert model.ir_version <= 10


def test_calibration_leaves_out_what_is_not_the_good_view():
    """One dirty picture among many goes, ordinary spread stays; without scores all stay."""
    names = [f"{index}" for index in range(30)]
    scores = {name: 0.9 + 0.001 * index for index, name in enumerate(names)}
    assert typical(names, scores) == names
    assert typical(names, scores | {"7": 0.2}) == [name for name in names if name != "7"]
    assert typical(names, {}) == names


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(3, 8, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (7, 3, [0, 2, 4]), (0, 4, [])],
)
def test_calibration_is_spread_evenly(count, most, expected):
    """Over all pictures, in their order."""
    assert choose([str(index) for index in range(count)], most) == [str(i) for i in expected]
