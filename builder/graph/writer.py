"""From a checkpoint to an ONNX model: walk the layers, draw each, finish with the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from builder.checkpoint import Absent, Checkpoint, Module
from builder.checkpoint.refusal import shorten
from builder.errors import GraphError
from builder.graph.canvas import ADVICE, MAX_SIDE, OPSET, Canvas, Feature, weight_limit
from builder.graph.heads import HEADS
from builder.graph.layers import draw
from builder.graph.metadata import metadata

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

IR_VERSION = 8
INPUT, OUTPUT = "images", "output0"
"""The names that ultralytics gives to the input and the output."""
EMBEDDING = "embedding"
"""Name of the second output, where it is asked for."""


def write_onnx(
    checkpoint: Checkpoint,
    *,
    height: int,
    width: int,
    batch: int | Literal["dynamic"] = 1,
    embedding: bool = False,
) -> ModelProto:
    """Draw the network of `checkpoint` as an ONNX model in float32, opset 17.

    The same checkpoint and sizes give the same model; :func:`builder.graph.serialized` makes the
    same bytes of it.

    Args:
        checkpoint: from :func:`builder.checkpoint.read_checkpoint`.
        height: of the input in pixels, a multiple of ``checkpoint.stride``.
        width: of the input in pixels, a multiple of ``checkpoint.stride``.
        batch: images per run, or ``"dynamic"``.
        embedding: whether the graph also gives the mean of the coarsest feature map that its head
            sees, over all cells.

    Returns:
        A model from ``images``, (batch, channels, height, width) float32, RGB in 0..1, to
        ``output0``, float32: (batch, 4 + classes, cells) for ``yolov5u`` and (batch, rows, 5 +
        classes) for ``yolov5-anchor``. With ``embedding`` its second output is that, (batch,
        channels) float32.

    Raises:
        GraphError: the network has a part that is not known here, contradicts itself, or cannot
            take this size; the message says what to do.
    """
    from onnx import ModelProto, helper

    check_size(checkpoint, height, width)
    if batch != "dynamic" and batch < 1:
        raise GraphError(f"batch {batch}: give the number of images per run, or dynamic")
    model = ModelProto(ir_version=IR_VERSION, producer_name="outpost")
    model.opset_import.add(domain="", version=OPSET)
    limit = weight_limit(checkpoint.path.stat().st_size)
    try:
        canvas = Canvas(model.graph, limit)
        shape, seen = _draw_network(canvas, checkpoint, height, width, embedding=embedding)
    except (GraphError, Absent) as error:
        raise GraphError(f"{checkpoint.path}: {error}") from error
    free = batch == "dynamic"
    first = "batch" if free else batch
    image = [first, checkpoint.channels, height, width]
    _describe(model.graph, image, [first, *shape])
    if seen is not None:
        _describe_embedding(model.graph, [first, seen.channels])
    number = 1 if batch == "dynamic" else batch
    helper.set_model_props(
        model, metadata(checkpoint, height=height, width=width, batch=number, dynamic=free)
    )
    return model


def _describe(graph: GraphProto, image: Sequence[int | str], rows: Sequence[int | str]) -> None:
    """Name the graph, its input and its output."""
    from onnx import TensorProto, helper

    graph.name = "yolov5"
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, image))
    graph.node[-1].output[0] = OUTPUT  # the head's last node makes the output
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, rows))


def _describe_embedding(graph: GraphProto, row: Sequence[int | str]) -> None:
    """Name the second output: the node was drawn before the head, whose node is the last one."""
    from onnx import TensorProto, helper

    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, row))


def check_size(checkpoint: Checkpoint, height: int, width: int) -> None:
    """Refuse a size that is no multiple of the stride, and name the nearest; `GraphError`."""
    stride = checkpoint.stride
    for name, value in (("height", height), ("width", width)):
        if not 0 < value <= MAX_SIDE or value % stride:
            nearest = min(max(round(value / stride), 1) * stride, MAX_SIDE // stride * stride)
            raise GraphError(
                f"{checkpoint.path}: {name} {value} is not a multiple of the model's stride "
                f"{stride} up to {MAX_SIDE}; use {nearest}"
            )


def _draw_network(
    canvas: Canvas, checkpoint: Checkpoint, height: int, width: int, *, embedding: bool
) -> tuple[tuple[int, int], Feature | None]:
    """Draw all layers; return the output's shape without the batch, and what was embedded."""
    image = Feature(INPUT, checkpoint.channels, height, width)
    *layers, head = checkpoint.layers
    done: list[Feature] = []
    for index, layer in enumerate(layers):
        inputs = [image] if index == 0 else _inputs(layer, done)
        done.append(draw(canvas, layer, f"model.{index}", inputs))
    draw_head = HEADS.get(checkpoint.head)
    if draw_head is None:
        raise GraphError(
            f"model.{len(layers)}: the graph writer does not know the head {head.kind}; {ADVICE}"
        )
    levels = _inputs(head, done)
    _check_levels(checkpoint, levels, height, width)
    coarsest = levels[-1] if embedding else None
    if coarsest is not None:
        canvas.node(
            "Flatten", EMBEDDING, [canvas.node("GlobalAveragePool", EMBEDDING, [coarsest.name])]
        )
        canvas.graph.node[-1].output[0] = EMBEDDING
    return draw_head(canvas, checkpoint, f"model.{len(layers)}", levels), coarsest


def _inputs(layer: Module, done: list[Feature]) -> list[Feature]:
    """Return the outputs that `layer` names in ``f``: negative counts back from itself."""
    names = layer.get("f")
    inputs = []
    for index in names if isinstance(names, (list, tuple)) else [names]:
        if not isinstance(index, int) or not -len(done) <= index < len(done):
            raise GraphError(f"{layer.kind} takes its input from layer {shorten(index)}")
        inputs.append(done[index])
    return inputs


def _check_levels(checkpoint: Checkpoint, levels: list[Feature], height: int, width: int) -> None:
    """Check that the strides that the head states are those of the layers before it."""
    wanted = [(height // stride, width // stride) for stride in checkpoint.strides]
    found = [(level.height, level.width) for level in levels]
    if wanted != found:
        raise GraphError(f"the head expects levels of {wanted} cells, but gets {found}")
