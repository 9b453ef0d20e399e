"""The ONNX graph while it is being drawn: nodes, weights, names, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from builder.errors import GraphError

if TYPE_CHECKING:
    from onnx import GraphProto

OPSET = 17
"""What ONNX Runtime and TensorRT 8.5 to 11 all read."""

ADVICE = (
    "train with the standard YOLOv5 layers, or build a model of the ultralytics package with"
    " --exporter ultralytics"
)
"""What to do about a network that cannot be drawn."""

MAX_SIDE = 8192
"""Pixels of the input and of every feature map."""

MAX_NUMBERS = 1 << 27
"""In one feature map. A yolov5x6 has a quarter of it at 1280 x 1280 pixels."""

MAX_WORK = 1 << 41
"""Multiplications per picture. That yolov5x6 has a fifth of it."""

WORK_PER_NUMBER = 64
"""What writing and reading a number costs, in multiplications: memory is that much slower."""

MAX_NODES = 20_000
MAX_NESTING = 16
MAX_WEIGHT_BYTES = 1024**3
"""yolov5x6, the largest, has 1,000 nodes and 560 MB of float32 weights."""

_LEAST_WEIGHT_BYTES = 64 * 1024**2


def weight_limit(file_bytes: int) -> int:
    """Bytes of float32 weights that a checkpoint of `file_bytes` can hold: four for each of them.

    Half precision is twice as many, packed by another tool twice that. A file that names one
    weight a thousand times is refused so; 64 MiB are allowed to every file.
    """
    return min(MAX_WEIGHT_BYTES, max(_LEAST_WEIGHT_BYTES, 4 * file_bytes))


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature map in the graph: (batch, channels, height, width)."""

    name: str
    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse what would exhaust the memory; `GraphError`."""
        if self.numbers > MAX_NUMBERS:
            raise GraphError(
                f"{self.name[:60]}: a feature map of {self.channels} x {self.height} x"
                f" {self.width} numbers (limit {MAX_NUMBERS}); build it for smaller pictures"
                " (--imgsz)"
            )

    @property
    def numbers(self) -> int:
        """How many numbers it holds per picture."""
        return self.channels * self.height * self.width

    def renamed(self, name: str) -> Feature:
        """Another feature map of the same size."""
        return Feature(name, self.channels, self.height, self.width)


class Canvas:
    """Collects the nodes and the weights of one graph, in the order in which they are drawn.

    Names come from the place in the network (``model.4.cv1``), so the same network makes the same
    bytes. The limits are there for checkpoints that are small on disk and endless in memory.

    Attributes:
        graph: what was drawn so far. It is filled in place: the weights of a large network are
            never copied from one message to another.
    """

    def __init__(self, graph: GraphProto, weight_limit: int = MAX_WEIGHT_BYTES) -> None:
        self.graph = graph
        self._weight_limit = weight_limit
        self._weight_bytes = 0
        self._work = 0
        self._parts = 0
        self._used: set[str] = set()

    def enter(self, place: str) -> None:
        """Note that the part at `place` is about to be drawn.

        Raises:
            GraphError: the network is nested deeper, or has more parts, than any YOLOv5.
        """
        self._parts += 1
        if place.count(".") > MAX_NESTING or self._parts > MAX_NODES:
            raise GraphError(
                f"{place[:60]}: the network has more than {MAX_NESTING} levels or {MAX_NODES} "
                "parts; this is not a YOLOv5 network"
            )

    def work(self, place: str, multiplications: int) -> None:
        """Count what running the part at `place` takes.

        Raises:
            GraphError: together it is more than any YOLOv5 takes.
        """
        self._work += multiplications
        if self._work > MAX_WORK:
            raise GraphError(
                f"{place}: the network takes more than {MAX_WORK} multiplications; build it for"
                " smaller pictures (--imgsz)"
            )

    def node(self, kind: str, place: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Draw an operator and return the name of its output.

        Args:
            kind: the ONNX operator.
            place: the part of the network that it belongs to.
            inputs: names of its inputs.
            attributes: as the operator's definition in opset 17 has them.
        """
        from onnx import helper

        name = self._unique(f"/{place.replace('.', '/')}/{kind}")
        output = f"{name}_output"
        node = helper.make_node(kind, inputs, [output], name=name, **attributes)
        self.graph.node.append(node)
        return output

    def split(self, place: str, source: str, sizes: str, *, axis: int, count: int) -> list[str]:
        """Draw a Split into `count` parts of the given `sizes` and return their names."""
        from onnx import helper

        name = self._unique(f"/{place.replace('.', '/')}/Split")
        outputs = [f"{name}_output_{index}" for index in range(count)]
        node = helper.make_node("Split", [source, sizes], outputs, name=name, axis=axis)
        self.graph.node.append(node)
        return outputs

    def weight(self, name: str, values: npt.ArrayLike, dtype: str = "<f4") -> str:
        """Add a constant and return its name.

        Args:
            name: dotted place and name, as PyTorch names parameters.
            values: any shape.
            dtype: float32 for weights, ``<i8`` for shapes.

        Raises:
            GraphError: the weights are too large altogether.
        """
        from onnx import TensorProto

        array = np.ascontiguousarray(values, dtype)
        self._weight_bytes += array.nbytes
        if self._weight_bytes > self._weight_limit:
            raise GraphError(
                f"{name}: the network has more than {self._weight_limit} bytes of weights; "
                "this file cannot hold so many"
            )
        tensor = self.graph.initializer.add()
        tensor.name = self._unique(name)
        tensor.data_type = TensorProto.INT64 if dtype == "<i8" else TensorProto.FLOAT
        tensor.dims.extend(array.shape)
        tensor.raw_data = array.tobytes()
        return str(tensor.name)

    def _unique(self, name: str) -> str:
        """Number repeated names: three poolings in one place, for example."""
        chosen, count = name, 1
        while chosen in self._used:
            chosen, count = f"{name}_{count}", count + 1
        self._used.add(chosen)
        return chosen
