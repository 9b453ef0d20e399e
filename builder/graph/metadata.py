"""The metadata that ultralytics writes into its ONNX files, so that its tools open ours too."""

from __future__ import annotations

from builder.checkpoint import Checkpoint

AUTHOR = "Outpost builder"


def metadata(
    checkpoint: Checkpoint, *, height: int, width: int, batch: int, dynamic: bool
) -> dict[str, str]:
    """Return the keys and texts for ``metadata_props``.

    The keys without a dot and the form of their values are those of ultralytics 8.4 (its loader
    reads ``imgsz``, ``names`` and ``args`` as Python literals); keys with a dot are our own.

    Args:
        checkpoint: what the graph was drawn from.
        height: of the input, pixels.
        width: of the input, pixels.
        batch: images per run, 1 when that is free.
        dynamic: the number of images per run is free.
    """
    entries: dict[str, object] = {
        "description": f"YOLOv5 detection model drawn from {checkpoint.path.name}",
        "author": AUTHOR,
        "date": checkpoint.date or "",
        "version": checkpoint.version or "",
        "license": checkpoint.licence or "",
        "stride": checkpoint.stride,
        "task": "detect",
        "head": checkpoint.layers[-1].class_name,
        "batch": batch,
        "imgsz": [height, width],
        "names": dict(enumerate(checkpoint.names)),
        "args": {"batch": batch, "dynamic": dynamic, "nms": False, "half": False},
        "channels": checkpoint.channels,
        "end2end": False,
        "outpost.head": checkpoint.head,
        "outpost.checkpoint_sha256": checkpoint.sha256,
    }
    return {key: str(value) for key, value in entries.items()}
