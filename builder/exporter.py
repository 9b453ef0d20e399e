"""Other detectors of the ultralytics package as ONNX, by that package's own exporter.

For networks whose layers the graph writer does not know. The checkpoint has passed the same
restricted reader, and the graph goes through the same proof.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from builder.checkpoint import Checkpoint
from builder.errors import GraphError
from builder.graph.metadata import metadata
from builder.graph.writer import check_size
from builder.worker import MISSING, run_worker, torch_available
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto

ADVICE = "--exporter ultralytics takes only what that package can export itself"


def exportable(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the head that its exported graph has.

    Raises:
        UsageError: the ``reference`` extra is not installed, or the checkpoint is a classic one.
    """
    if not torch_available():
        raise UsageError(f"--exporter ultralytics: {MISSING}")
    if checkpoint.path.suffix.lower() == ".onnx":
        raise UsageError(f"{checkpoint.path}: is exported already; build it without --exporter")
    if checkpoint.head == "yolov5-anchor":
        raise UsageError(
            f"{checkpoint.path}: ultralytics cannot load classic YOLOv5 checkpoints; build it"
            " without --exporter"
        )
    return replace(checkpoint, head="yolov5u")


def export_onnx(
    checkpoint: Checkpoint, *, height: int, width: int, batch: int | Literal["dynamic"] = 1
) -> ModelProto:
    """Export a detector whose raw output is that of YOLOv5u: (batch, 4 + classes, boxes).

    Heads without non-maximum suppression are exported with their one-to-many branch, whose scores
    the monitors can watch.

    Args:
        checkpoint: from `exportable`.
        height: of the input, pixels.
        width: of the input, pixels.
        batch: images per run, 1 or ``dynamic``.

    Raises:
        ModelError: the exporter failed, with its last line.
        GraphError: the output is of another form.
    """
    import onnx

    check_size(checkpoint, height, width)
    with tempfile.TemporaryDirectory(prefix="outpost-export-") as folder:
        made = Path(folder, "model.onnx")
        run_worker(
            "export", checkpoint.path, made, str(height), str(width), str(batch),
            folder=Path(folder), result=made, advice=ADVICE,
        )  # fmt: skip
        model = onnx.load(made)
    _tidy(model, checkpoint, height=height, width=width, dynamic=batch == "dynamic")
    _check_output(model, checkpoint)
    return model


def _tidy(
    model: ModelProto, checkpoint: Checkpoint, *, height: int, width: int, dynamic: bool
) -> None:
    """Our metadata in place of the exporter's, which holds the time of the export."""
    from onnx import helper

    entries = metadata(checkpoint, height=height, width=width, batch=1, dynamic=dynamic)
    helper.set_model_props(model, entries | {"outpost.exporter": "ultralytics"})
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")


def _check_output(model: ModelProto, checkpoint: Checkpoint) -> None:
    outputs = [
        [dim.dim_value or dim.dim_param for dim in one.type.tensor_type.shape.dim]
        for one in model.graph.output
    ]
    channels = 4 + len(checkpoint.names)
    # With a free batch the exporter names the channels instead of counting them; what the graph
    # gives is held against the classes once more when it is loaded, and by the proof.
    counted = len(outputs) == 1 and len(outputs[0]) == 3 and isinstance(outputs[0][1], int)
    if len(outputs) != 1 or len(outputs[0]) != 3 or (counted and outputs[0][1] != channels):
        raise GraphError(
            f"{checkpoint.path}: its outputs have the shapes {outputs}, not one of"
            f" (1, {channels}, boxes): 4 box values and {channels - 4} scores before"
            " non-maximum suppression; Outpost cannot decode this head"
        )
