"""float16: typed tensors in the graph, float32 at both ends.

Everything from the picture to the last convolutions is float16. Decoding stays in float32: boxes
are pixels, and above 512 float16 knows only every half of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.errors import GraphError
from builder.precision.places import find_places

LARGEST = float(np.finfo(np.float16).max)
_SINGLE = {
    "Cast",
    "ConstantOfShape",
    "Range",
    "QuantizeLinear",
    "DequantizeLinear",
    "Shape",
}
"""Operators that say their type themselves, or make no use of a narrower one."""

_NARROW_INPUTS = {"Resize": (0,), "Upsample": (0,)}
"""Inputs that become float16 where not all of them do: scales are float32 by definition."""


def to_float16(model: Any) -> Any:
    """A copy of an ``onnx.ModelProto`` whose features and weights are float16.

    The same model gives the same bytes. Nodes whose weights are beyond float16 stay as they are.

    Raises:
        GraphError: the graph has branches or loops.
    """
    from onnx import ModelProto, shape_inference

    inferred = shape_inference.infer_shapes(model, strict_mode=True)
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.ClearField("value_info")
    _Narrowing(copy.graph, _floats(inferred.graph)).run()
    return copy


def _floats(graph: Any) -> set[str]:
    """Names of all float32 tensors."""
    from onnx import TensorProto

    values = [*graph.input, *graph.value_info, *graph.output]
    found = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {w.name for w in graph.initializer if w.data_type == TensorProto.FLOAT}


class _Narrowing:
    """One graph while its nodes change their type, first to last."""

    def __init__(self, graph: Any, floats: set[str]) -> None:
        self.graph = graph
        self.floats = floats
        _constants_to_weights(graph)
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.narrow: set[str] = set()
        self.nodes: list[Any] = []
        self.cast: dict[tuple[str, bool], str] = {}

    def run(self) -> None:
        """Rewrite every node; then drop the weights that nothing names any more."""
        keep = find_places(self.graph).decoding
        outputs = {output.name for output in self.graph.output}
        for index, node in enumerate(list(self.graph.node)):
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise GraphError(f"{node.name}: {node.op_type} has a graph inside: no float16")
            single = index in keep or node.op_type in _SINGLE or outputs & set(node.output)
            self._rewrite(node, narrow=not single and not self._too_large(node))
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        kept = [weight for weight in self.graph.initializer if weight.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def _rewrite(self, node: Any, *, narrow: bool) -> None:
        positions = _NARROW_INPUTS.get(node.op_type, range(len(node.input)))
        for position, name in enumerate(node.input):
            if name in self.floats:
                node.input[position] = self._typed(name, narrow and position in positions)
        if narrow:
            self.narrow.update(name for name in node.output if name in self.floats)
        self.nodes.append(node)

    def _typed(self, name: str, narrow: bool) -> str:
        """The tensor in the wanted type: itself, a converted weight or a cast."""
        if (name in self.narrow) == narrow:
            return name
        if (name, narrow) not in self.cast:
            self.cast[name, narrow] = self._convert(name, narrow)
        return self.cast[name, narrow]

    def _convert(self, name: str, narrow: bool) -> str:
        from onnx import TensorProto, helper, numpy_helper

        new = f"{name}_{'float16' if narrow else 'float32'}"
        if name in self.weights:
            values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
            self.graph.initializer.append(numpy_helper.from_array(values, new))
            return new
        kind = TensorProto.FLOAT16 if narrow else TensorProto.FLOAT
        self.nodes.append(helper.make_node("Cast", [name], [new], name=f"/{new}/Cast", to=kind))
        return new

    def _too_large(self, node: Any) -> bool:
        """Whether a weight is beyond float16, or is not a number at all."""
        from onnx import numpy_helper

        arrays = [
            numpy_helper.to_array(self.weights[name])
            for name in node.input
            if name in self.weights and name in self.floats
        ]
        return any(array.size and not np.abs(array).max() <= LARGEST for array in arrays)


def _constants_to_weights(graph: Any) -> None:
    """Turn Constant nodes that hold a tensor into weights, so that there is one kind of both."""
    nodes = []
    for node in graph.node:
        values = [a.t for a in node.attribute if a.name == "value" and a.HasField("t")]
        if node.op_type == "Constant" and values:
            weight = graph.initializer.add()
            weight.CopyFrom(values[0])
            weight.name = node.output[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
