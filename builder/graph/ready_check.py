"""What may be in an ONNX file that comes from outside, and what it does on one picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.errors import CheckpointError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

OLDEST_OPSET, NEWEST_OPSET, NEWEST_IR = 11, 20, 10
_LOADING_S, _LEAST_PER_S = 10.0, 5e9
_SUPPRESSION = ("NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT", "TopK")
_CHANCE = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial",
           "Bernoulli")  # fmt: skip
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv")


def graph_faults(model: ModelProto) -> list[str]:
    """Everything in a model's structure that keeps it from being taken, in words."""
    import onnx

    faults = [*_envelope(model), *_nodes(model), *_tensors(model), *_ends(model)]
    if not faults:
        try:
            onnx.checker.check_model(model)
        except Exception as error:
            faults.append(f"is not valid ONNX ({' '.join(str(error).split())[:200]})")
    return faults


def picture_input(model: ModelProto) -> Any:
    """The one input that is not a weight."""
    return _inputs(model.graph)[0]


def patience_s(work: int) -> float:
    """How long a graph of so many multiplications may take to load and to run once.

    A yolov5x at 1280 x 1280 pixels (6.0e11) may take 130 s, and took 11 s on two cores.
    """
    return _LOADING_S + work / _LEAST_PER_S


def run_once(
    path: Path, model: ModelProto, *, timeout_s: float, most_bytes: int = 12 * 1024**3
) -> tuple[int, ...]:
    """Run a fixed-size model on a drawn picture; the shape of its output.

    It runs in a process of its own, for what `builder.graph.work` has allowed can still be a
    runtime's bug.

    Args:
        path: the file, for messages.
        model: the graph, all its sides fixed.
        timeout_s: see `patience_s`.
        most_bytes: of address space; a yolov5x6 at 1280 x 1280 pixels takes a quarter of it.

    Raises:
        CheckpointError: it cannot run, takes too long or too much, or gives what is not boxes in
            pixels with scores in 0..1.
    """
    command = [sys.executable, "-m", "builder.graph.ready_child", str(most_bytes)]
    paths = [str(Path(__file__).parent.parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in paths if one)}
    try:
        done = subprocess.run(
            command, input=model.SerializeToString(), capture_output=True, env=environment,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CheckpointError(
            f"{path}: gives no output within {timeout_s:.0f} s, which is ample for what is in it;"
            " ask who made it, or build on a machine that does less at the same time"
        ) from None
    answer = json.loads(done.stdout) if done.returncode == 0 else {}
    if "shape" in answer:
        return tuple(answer["shape"])
    if "fault" in answer:
        raise CheckpointError(f"{path}: {answer['fault']}")
    sides = [dim.dim_value for dim in picture_input(model).type.tensor_type.shape.dim[2:]]
    reason = answer.get("error", f"it ended with {done.returncode}, as without enough memory")
    raise CheckpointError(
        f"{path}: ONNX Runtime cannot run it on {sides[0]} x {sides[1]} pixels: {reason}"
    )


def _envelope(model: ModelProto) -> Iterator[str]:
    opsets = {one.domain or "ai.onnx": one.version for one in model.opset_import}
    version = opsets.pop("ai.onnx", 0)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        yield f"has opset {version}, {OLDEST_OPSET} to {NEWEST_OPSET} can be taken"
    if model.ir_version > NEWEST_IR:
        yield f"has IR version {model.ir_version}, at most {NEWEST_IR} runs in the field"
    if model.functions or model.training_info:
        yield "holds functions or training steps of its own"


def _nodes(model: ModelProto) -> Iterator[str]:
    from onnx import AttributeProto

    kinds = {node.op_type for node in model.graph.node}
    foreign = {n.domain for n in model.graph.node if n.domain not in ("", "ai.onnx")}
    if foreign:
        yield f"has operators of {', '.join(sorted(foreign))[:80]}, which devices do not have"
    if found := kinds.intersection(_SUPPRESSION):
        yield f"has {', '.join(sorted(found))} in the graph: suppression belongs outside of it"
    if found := kinds.intersection(_CHANCE):
        yield f"has {', '.join(sorted(found))}, which gives another answer each time"
    if found := kinds.intersection(_QUANTIZED):
        yield f"is quantized ({', '.join(sorted(found))}); the builder makes int8 from float32"
    inner = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    if any(one.type in inner for node in model.graph.node for one in node.attribute):
        yield "has branches or loops (If, Loop, Scan)"


def _tensors(model: ModelProto) -> Iterator[str]:
    from onnx import TensorProto

    tensors = list(_all_tensors(model.graph))
    if any(one.data_location == TensorProto.EXTERNAL or one.external_data for one in tensors):
        yield "keeps weights in other files; save it as one file"
    if any(one.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16) for one in tensors):
        yield "has half-precision weights; the builder makes fp16 from float32"
    if model.graph.sparse_initializer:
        yield "has sparse weights"


def _all_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _inputs(graph: GraphProto) -> list[Any]:
    weights = {one.name for one in graph.initializer}
    return [one for one in graph.input if one.name not in weights]


def _ends(model: ModelProto) -> Iterator[str]:
    from onnx import TensorProto

    inputs = _inputs(model.graph)
    if len(inputs) != 1:
        yield f"takes {len(inputs)} inputs instead of one picture"
    else:
        tensor = inputs[0].type.tensor_type
        sides = [dim.dim_value or dim.dim_param or "?" for dim in tensor.shape.dim]
        numbers = [side for side in sides if isinstance(side, int)]
        fits = len(sides) == 4 and sides[1] == 3 and sides[0] in (1, str(sides[0]))
        if not fits or tensor.elem_type != TensorProto.FLOAT or max(numbers, default=0) > 8192:
            yield f"takes {sides} instead of a float32 picture [1, 3, height, width]"
    if len(model.graph.output) != 1:
        yield f"gives {len(model.graph.output)} outputs instead of the one raw output"
