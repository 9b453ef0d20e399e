"""How much a stranger's graph asks for, found out before anything of it runs.

A file of a few hundred bytes can ask for days of multiplications, and ONNX Runtime begins with them
while it loads the file. So its shapes are followed from the picture to the output, and what they
add up to is held against what YOLOv5 networks take. A tensor whose size depends on what the picture
shows is refused: a detector's raw output needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import CheckpointError
from builder.graph.canvas import MAX_NUMBERS, MAX_WORK, WORK_PER_NUMBER
from builder.graph.ready_check import picture_input
from builder.graph.shapes import Known, Unfit, attribute, follow, given

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MAX_LIVE = 1 << 29
"""Numbers that are held at one time. A yolov5x holds a fifth of it at 1280 x 1280 pixels."""

MAX_NODES = 8000
"""A yolov5x6 has 608; exports of newer families with free sides up to three thousand."""

MAX_WORK_PER_PIXEL = 1 << 20
"""Multiplications. A yolov5x6 takes 3.7e5, the most of all."""

MAX_FIXED_WORK = 1 << 32
"""Multiplications that do not depend on the picture: grids and strides of a head take 1e8."""

_UNBOUNDED = frozenset((
    "ConvInteger", "DFT", "DeformConv", "Det", "Einsum", "GRU", "LRN", "LSTM", "LpPool",
    "MatMulInteger", "MaxRoiPool", "QLinearMatMul", "RNN", "RoiAlign", "STFT",
))  # fmt: skip
"""What takes more than one pass over its numbers, and is in no YOLOv5."""

_ADVICE = "ask who made it, or export it for smaller pictures"


@dataclass(frozen=True)
class Demand:
    """What one picture takes: multiplications (what passes over memory cost is in them), and the
    sides of the output that it gives.
    """

    work: int
    output: tuple[int, ...]


@dataclass
class _Sum:
    """What the nodes so far add up to."""

    limit: int
    work: int = 0
    fixed: int = 0
    held: int = 0

    def add(self, work: int, numbers: int, *, fixed: bool) -> None:
        """One node more.

        Raises:
            Unfit: together it is too much.
        """
        self.work += work
        self.fixed += work if fixed else 0
        self.held += numbers
        for what, value, limit in (
            ("multiplications are needed for one picture", self.work, self.limit),
            ("multiplications are needed before any picture", self.fixed, MAX_FIXED_WORK),
            ("numbers are held at one time", self.held, MAX_LIVE),
        ):
            if value > limit:
                raise Unfit(
                    f"up to here {value:.1e} {what} (limit {limit:.1e}), more than any YOLOv5"
                    f" takes; {_ADVICE}"
                )


def measure(path: Path, model: ModelProto) -> Demand:
    """Follow a graph without running it.

    Args:
        path: the file, for messages.
        model: a graph in which `builder.graph.ready_check.graph_faults` found nothing; sides of its
            input that are free count as 1.

    Raises:
        CheckpointError: it takes more than any YOLOv5, or nobody can know how much.
    """
    nodes = model.graph.node
    if len(nodes) > MAX_NODES:
        raise CheckpointError(f"{path}: has {len(nodes)} nodes (limit {MAX_NODES}); {_ADVICE}")
    known = given(model)
    last = {name: index for index, node in enumerate(nodes) for name in node.input}
    total = _Sum(min(MAX_WORK, MAX_WORK_PER_PIXEL * _pixels(model, known)))
    living: dict[str, int] = {}
    for index, node in enumerate(nodes):
        try:
            sizes = _sizes(model, node, known)
            total.add(
                _work(node, known, sizes), sum(sizes.values()), fixed=set(sizes) <= known.fixed
            )
        except Unfit as fault:
            raise CheckpointError(f"{path}: node {_label(node)}: {fault}") from None
        living |= sizes
        done = (name for name in (*node.input, *node.output) if last.get(name, index) == index)
        total.held -= sum(living.pop(name, 0) for name in done)
    output = model.graph.output[0].name
    if output not in known.types:
        raise CheckpointError(f"{path}: no node makes its output {output[:60]!r}; export it again")
    return Demand(total.work, known.shape(output))


def _pixels(model: ModelProto, known: Known) -> int:
    return prod(known.shape(picture_input(model).name)[2:])


def _label(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or ', '.join(node.output)}"[:80]


def _sizes(model: ModelProto, node: NodeProto, known: Known) -> dict[str, int]:
    if node.op_type in _UNBOUNDED:
        raise Unfit("no YOLOv5 has this operator, and how long it takes cannot be told")
    sizes = follow(model, node, known)
    for name, size in sizes.items():
        if size > MAX_NUMBERS:
            raise Unfit(
                f"{name[:60]} has {size:.1e} numbers (limit {MAX_NUMBERS:.1e}), more than any"
                f" feature map of a YOLOv5; {_ADVICE}"
            )
    return sizes


def _work(node: NodeProto, known: Known, sizes: dict[str, int]) -> int:
    """One pass over the outputs, and the multiplications of what takes more than that."""
    work = WORK_PER_NUMBER * sum(sizes.values())
    out = sizes.get(node.output[0], 0)
    match node.op_type:
        case "Conv":
            return work + out * prod(known.shape(node.input[1])[1:])
        case "ConvTranspose":
            return work + known.numbers(node.input[0]) * prod(known.shape(node.input[1])[1:])
        case "MatMul":
            return work + out * known.shape(node.input[0])[-1]
        case "Gemm":
            inner = 0 if attribute(node, "transA", 0) else 1
            return work + out * known.shape(node.input[0])[inner]
        case "AveragePool" | "MaxPool":
            kernel: Sequence[int] = attribute(node, "kernel_shape", ())
            return work + out * prod(kernel)
        case _:
            return work
