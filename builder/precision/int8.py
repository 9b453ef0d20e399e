"""int8 as Q/DQ pairs, written by ONNX Runtime's quantizer under this house's rules.

``int8`` is for TensorRT: symmetric signed activations, only convolutions, biases in float (an INT32
bias is what its parser refuses). ``int8-cpu`` is for the CPU provider: unsigned activations,
weights of 7 bits (8 overflow a 16-bit sum where a processor has no VNNI) and everything between the
convolutions quantized too, so that no float runs from one to the next.
Weights have a scale per channel in both. The head stays in float: one scale over pixels and
probabilities would be the end of the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from builder.errors import GraphError
from builder.precision.places import find_places
from builder.precision.ranges import measure_ranges
from edge_agent.detection.decode import Floats

Flavour = Literal["int8", "int8-cpu"]
_SCALE_BITS = 12


@dataclass(frozen=True)
class _Recipe:
    operators: tuple[str, ...]
    unsigned: bool
    float_bias: bool
    reduce_range: bool


RECIPES: dict[Flavour, _Recipe] = {
    "int8": _Recipe(("Conv",), unsigned=False, float_bias=True, reduce_range=False),
    "int8-cpu": _Recipe(
        ("Conv", "Mul", "Sigmoid", "Concat", "Add", "MaxPool", "Resize"),
        unsigned=True,
        float_bias=False,
        reduce_range=True,
    ),
}


def to_int8(model: Any, tensors: Iterable[Floats], flavour: Flavour = "int8") -> Any:
    """Quantize an ``onnx.ModelProto``; the same model and tensors give the same bytes.

    Args:
        model: float32.
        tensors: what calibrates, (1, 3, h, w) float32 each, preprocessed as on a device.
        flavour: for which provider.

    Raises:
        GraphError: the quantizer refuses the graph.
    """
    import onnx

    recipe = RECIPES[flavour]
    prepared = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    _name_nodes(prepared.graph)
    places = find_places(prepared.graph)
    left_out = [prepared.graph.node[index].name for index in sorted(places.head | places.decoding)]
    ranges = measure_ranges(prepared, recipe.operators, tensors)
    try:
        quantized = _quantize(prepared, recipe, left_out, ranges)
    except Exception as error:  # the quantizer has no base class for what it refuses
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise GraphError(f"ONNX Runtime cannot quantize this graph: {reason}") from error
    _tidy(quantized, model)
    if recipe.float_bias:  # an INT32 bias depends on the scale as it was
        _round_scales(quantized.graph)
    return quantized


def _quantize(
    model: Any, recipe: _Recipe, left_out: list[str], ranges: dict[str, tuple[Floats, Floats]]
) -> Any:
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=recipe.reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if recipe.unsigned else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=left_out,
        op_types_to_quantize=list(recipe.operators),
        extra_options=_options(recipe),
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def _options(recipe: _Recipe) -> dict[str, bool]:
    return {
        "ActivationSymmetric": not recipe.unsigned,
        "WeightSymmetric": True,
        "QuantizeBias": not recipe.float_bias,
    }


def _name_nodes(graph: Any) -> None:
    """Give a name to each node without one: the quantizer leaves nodes out by name."""
    for index, node in enumerate(graph.node):
        node.name = node.name or f"/{index}/{node.op_type}"


def _tidy(quantized: Any, model: Any) -> None:
    """Take back what the quantizer says of itself."""
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    quantized.graph.ClearField("value_info")
    quantized.producer_name, quantized.producer_version = model.producer_name, ""
    kept = [one for one in quantized.opset_import if not one.domain]
    del quantized.opset_import[:]
    quantized.opset_import.extend(kept)


def _round_scales(graph: Any) -> None:
    """Cut the activations' scales to 12 bits: processors differ in the last bit of a range."""
    from onnx import numpy_helper

    names = {node.input[1] for node in graph.node if node.op_type == "QuantizeLinear"}
    for weight in graph.initializer:
        if weight.name in names and not weight.dims:
            mantissa, exponent = np.frexp(numpy_helper.to_array(weight))
            rounded = np.ldexp(np.ceil(mantissa * 2**_SCALE_BITS) / 2**_SCALE_BITS, exponent)
            array = np.asarray(rounded, np.float32)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
