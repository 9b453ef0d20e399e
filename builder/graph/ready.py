"""An ONNX file in the place of a checkpoint: taken as it is, after a strict check.

It must be what the graph writer would have drawn: one float32 picture in, one raw head output of a
YOLOv5 (boxes in pixels, scores in 0..1, no non-maximum suppression). Nothing can be proven against
PyTorch then; the reference of the golden set is the graph itself.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from builder.checkpoint import Checkpoint, Module
from builder.checkpoint.describe import Head
from builder.checkpoint.names import checked_names
from builder.checkpoint.refusal import Refusal
from builder.errors import CheckpointError, GraphError
from builder.graph.external import MOST_BYTES, embed
from builder.graph.ready_check import graph_faults, patience_s, picture_input, run_once
from builder.graph.work import measure

if TYPE_CHECKING:
    from onnx import ModelProto

_MOST_TEXT = 1 << 18
_STRIDES = (4, 8, 16, 32, 64, 128)
ADVICE = (
    "export it as `yolo export format=onnx` or YOLOv5's export.py do, in float32 and without NMS,"
    " or give the checkpoint"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyGraph(Checkpoint):
    """A graph that was checked, with what its metadata say in the fields of a checkpoint.

    Attributes:
        proto: the model.
        height, width: of the input in pixels, fixed, or what the metadata say of a free one.
        fixed: whether height and width are part of the graph.
        notes: what a person should know.
    """

    proto: ModelProto
    height: int
    width: int
    fixed: bool
    notes: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width that the graph takes, pixels."""
        return self.height, self.width

    def graph(self, *, height: int, width: int, batch: int | Literal["dynamic"] = 1) -> ModelProto:
        """The graph for one size.

        Raises:
            GraphError: it is made for another size or number of images.
        """
        if self.fixed and (height, width) != self.sides:
            raise GraphError(
                f"{self.path}: the graph takes {self.height} x {self.width} pixels (height x"
                f" width), not {height} x {width}; leave --imgsz out, or export it again"
            )
        free = isinstance(_dims(self.proto)[0], str)
        if batch == "dynamic" and not free:
            raise GraphError(f"{self.path}: the graph takes one image a run; export it dynamic")
        model = type(self.proto)()
        model.CopyFrom(self.proto)
        sides = model.graph.input[0].type.tensor_type.shape.dim
        for dim, value in zip(sides, (batch, 3, height, width), strict=True):
            if isinstance(value, int):
                dim.dim_value = value
        del model.graph.value_info[:]  # shapes of another size or batch
        _try(self.path, model, height, width, len(self.names))
        return model


def read_ready(path: Path) -> ReadyGraph:
    """Read and check an ONNX file.

    Raises:
        CheckpointError: it is no ONNX file, or not the raw graph of a YOLOv5; every fault that its
            structure shows is named.
    """
    model, digest = _load(path)
    if faults := graph_faults(model):
        raise CheckpointError(f"{path}: {'; '.join(faults[:4])}; {ADVICE}")
    said = {entry.key: entry.value for entry in model.metadata_props}
    height, width, fixed = _sides(path, model, said)
    probe = type(model)()
    probe.CopyFrom(model)
    for dim, value in zip(picture_input(probe).type.tensor_type.shape.dim, (1, 3, height, width),
                          strict=True):  # fmt: skip
        dim.dim_value = value
    del probe.graph.value_info[:]
    names = _names(path, said.get("names", ""))
    head, classes = _try(path, probe, height, width, len(names) if names else None)
    stride = _literal(said.get("stride", ""))
    return ReadyGraph(
        path=path,
        sha256=digest,
        model=Module("onnx"),
        weights="graph",
        head=head,
        names=names or tuple(str(number) for number in range(classes)),
        strides=(stride if isinstance(stride, int) and 0 < stride <= 128 else 32,),
        channels=3,
        precision="float32",
        yaml={},
        args={},
        metrics={},
        date=said.get("date", "")[:200] or None,
        version=said.get("version", "")[:200] or None,
        licence=said.get("license", "")[:200] or None,
        git={},
        proto=model,
        height=height,
        width=width,
        fixed=fixed,
        notes=() if names else (f"{path}: has no class names; they are 0 to {classes - 1}",),
    )


def _try(
    path: Path, model: ModelProto, height: int, width: int, classes: int | None
) -> tuple[Head, int]:
    """The head of a graph whose sides are set, and its classes: by its shapes, then by running it.

    Raises:
        CheckpointError: it is no raw output of a YOLOv5, or takes more than one.
    """
    demand = measure(path, model)
    _check_head(path, demand.output, height, width, classes)
    shape = run_once(path, model, timeout_s=patience_s(demand.work))
    return _check_head(path, shape, height, width, classes)


def _load(path: Path) -> tuple[ModelProto, str]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import ModelProto

    try:
        if path.stat().st_size > MOST_BYTES:
            raise CheckpointError(f"{path}: has more than {MOST_BYTES} bytes; {ADVICE}")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}; {ADVICE}") from None
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise CheckpointError(f"{path}: is not an ONNX file, or cut off; {ADVICE}") from None
    return model, hashlib.sha256(data + embed(path, model)).hexdigest()


def _dims(model: ModelProto) -> list[int | str]:
    """The input's sides: a number, or a text where it is free."""
    dims = picture_input(model).type.tensor_type.shape.dim
    return [dim.dim_value or dim.dim_param or "?" for dim in dims]


def _sides(path: Path, model: ModelProto, said: dict[str, str]) -> tuple[int, int, bool]:
    """Height, width, and whether the graph fixes them."""
    height, width = _dims(model)[2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width, True
    size = _literal(said.get("imgsz", ""))
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(_is_side(v) for v in size):
        return int(size[0]), int(size[1]), False
    raise CheckpointError(f"{path}: its input has no fixed size and no imgsz in its metadata; "
                          + ADVICE)  # fmt: skip


def _is_side(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= 8192


def _literal(text: str) -> object:
    """A Python literal, as these exporters write them; None for anything else."""
    try:
        return ast.literal_eval(text) if len(text) <= _MOST_TEXT else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _names(path: Path, text: str) -> tuple[str, ...]:
    value = _literal(text)
    if isinstance(value, dict) and set(value) == set(range(len(value))):
        value = [value[index] for index in range(len(value))]
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        try:
            return checked_names(value)
        except Refusal as refusal:
            raise CheckpointError(f"{path}: {refusal}") from refusal
    return ()


def _check_head(
    path: Path, shape: tuple[int, ...], height: int, width: int, classes: int | None
) -> tuple[Head, int]:
    """Which head gives an output of this shape, and its number of classes.

    Raises:
        CheckpointError: none does.
    """
    counts = _counts(height, width)
    found: list[tuple[Head, int]] = []
    if len(shape) == 3:
        if shape[2] in counts[1] and shape[1] > 4:
            found.append(("yolov5u", shape[1] - 4))
        if any(shape[1] in rows for rows in counts.values()) and shape[2] > 5:
            found.append(("yolov5-anchor", shape[2] - 5))
    fitting = [one for one in found if classes in (None, one[1])]
    if len(fitting) == 2:  # a very small picture: there are more rows than values per row
        fitting = fitting[:1] if shape[2] > shape[1] else fitting[1:]
    if not fitting:
        named = f" of {classes} classes" if classes is not None else ""
        raise CheckpointError(
            f"{path}: its output {shape} is not the raw output{named} for {height} x {width}"
            f" pixels; {ADVICE}"
        )
    return fitting[0]


def _counts(height: int, width: int) -> dict[int, set[int]]:
    """Rows of an output, by anchors per cell, for every run of neighbouring strides."""
    cells = [(height // s) * (width // s) for s in _STRIDES]
    runs = {
        sum(cells[first:last]) for first in range(len(cells)) for last in range(first + 1, 7)
    }  # fmt: skip
    return {anchors: {anchors * run for run in runs if run} for anchors in range(1, 10)}
