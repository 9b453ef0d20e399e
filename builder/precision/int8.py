"""int8 as Q/DQ pairs, written by ONNX Runtime's quantizer under this house's rules.

``int8`` is for TensorRT: symmetric signed activations, only convolutions, biases in float (an INT32
bias is what its parser refuses). ``int8-cpu`` is for the CPU provider: unsigned activations,
weights of 7 bits (8 overflow a 16-bit sum where a processor has no VNNI) and everything between the
convolutions quantized too, so that no float runs from one to the next.
Weights have a scale per channel in both. The head stays in float: one scale over pixels and
probabilities would be the end of the probabilities.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from builder.errors import GraphError
from builder.precision.calibration import Reader
from builder.precision.places import find_places
from edge_agent.detection.decode import Floats
from edge_agent.errors import OutpostError

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
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    recipe = RECIPES[flavour]
    prepared = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    _name_nodes(prepared.graph)
    places = find_places(prepared.graph)
    left_out = [prepared.graph.node[index].name for index in sorted(places.head | places.decoding)]
    add_pre_process_metadata(prepared)  # the quantizer asks for inferred shapes by this mark
    with tempfile.TemporaryDirectory(prefix="outpost-int8-") as folder:
        output = Path(folder, "int8.onnx")
        try:
            quantize_static(
                prepared,
                output,
                Reader(model.graph.input[0].name, tensors),
                op_types_to_quantize=list(recipe.operators),
                nodes_to_exclude=left_out,
                per_channel=True,
                reduce_range=recipe.reduce_range,
                activation_type=QuantType.QUInt8 if recipe.unsigned else QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options=_options(recipe),
            )
        except OutpostError:
            raise
        except Exception as error:  # the quantizer has no base class for what it refuses
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise GraphError(f"ONNX Runtime cannot quantize this graph: {reason}") from error
        quantized = onnx.load(output)
    _tidy(quantized, model)
    if recipe.float_bias:  # an INT32 bias depends on the scale as it was
        _round_scales(quantized.graph)
    return quantized


def _options(recipe: _Recipe) -> dict[str, bool]:
    return {
        "ActivationSymmetric": not recipe.unsigned,
        "WeightSymmetric": True,
        "QuantizeBias": not recipe.float_bias,
        # The mean of each picture's extremes: the one odd picture does not widen every range.
        "CalibMovingAverage": True,
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
