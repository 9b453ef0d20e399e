"""How far every tensor between the layers goes on the calibration pictures.

ONNX Runtime's own calibrator runs the graph unoptimized and one picture after the other; this one
takes a third of its time: an optimized session, one picture per core (`builder.crew`). What comes
out is the same to the last bits: the mean over the pictures of each picture's least and greatest
value, so the one odd picture does not widen every range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from builder.crew import in_order
from edge_agent.detection.decode import Floats


def measure_ranges(
    model: Any, operators: Collection[str], tensors: Iterable[Floats]
) -> dict[str, tuple[Floats, Floats]]:
    """The range of every float tensor that goes into or comes out of the given operators.

    Args:
        model: an ``onnx.ModelProto`` with inferred shapes.
        operators: ONNX operator names.
        tensors: (1, 3, h, w) float32 each.

    Returns:
        Name -> mean least and mean greatest value, float32 scalars; empty without tensors.
    """
    import onnxruntime as ort

    names = _names(model.graph, operators)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session: Any = ort.InferenceSession(
        _observed(model, names).SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    feed = session.get_inputs()[0].name
    rows = list(in_order(lambda one: session.run(None, {feed: one}), tensors))
    if not rows:
        return {}
    means: Floats = np.asarray(rows, np.float32).reshape(len(rows), -1, 2).mean(axis=0)
    return {name: (least, most) for name, (least, most) in zip(names, means, strict=True)}


def _names(graph: Any, operators: Collection[str]) -> list[str]:
    """The graph's tensors, without weights and without what is not float32, in its order."""
    from onnx import TensorProto

    known = [*graph.input, *graph.value_info, *graph.output]
    floats = {one.name for one in known if one.type.tensor_type.elem_type == TensorProto.FLOAT} - {
        weight.name for weight in graph.initializer
    }
    touched = (
        name
        for node in graph.node
        if node.op_type in operators
        for name in (*node.input, *node.output)
        if name in floats
    )
    return list(dict.fromkeys(touched))


def _observed(model: Any, names: Iterable[str]) -> Any:
    """A copy that gives the least and the greatest value of each tensor, and nothing else."""
    import onnx

    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    graph = observed.graph
    del graph.output[:]
    for name in names:
        for reduce in ("ReduceMin", "ReduceMax"):
            output = f"{name}/{reduce}"
            graph.node.append(onnx.helper.make_node(reduce, [name], [output], keepdims=0))
            graph.output.append(
                onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [])
            )
    return observed
