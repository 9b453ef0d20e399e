"""Methods that a checkpoint stores: they are never looked up, but they tell what the model is.

PyTorch stores a module's attributes, and a method among them is stored as ``getattr(class, name)``.
Honest files have two: heads for other tasks keep ``Detect.forward``, and networks whose batch norms
were folded keep ``forward_fuse``. Neither can be deployed; everything else is refused as an attack.
"""

from __future__ import annotations

from typing import Any

from builder.checkpoint.allowed import find, not_listed
from builder.checkpoint.machine import Known
from builder.checkpoint.refusal import Refusal
from builder.checkpoint.values import Module

TASKS = {
    "Segment": "a segmentation model",
    "SegmentationModel": "a segmentation model",
    "Classify": "a classification model",
    "ClassificationModel": "a classification model",
    "Pose": "a pose model",
    "PoseModel": "a pose model",
    "OBB": "a model for rotated boxes",
    "OBBModel": "a model for rotated boxes",
}
"""What the classes of networks and heads for other tasks are."""


def other_task(kind: str) -> Refusal | None:
    """The refusal of a model with a part of the class `kind`, dotted; None for detection."""
    task = TASKS.get(kind.rpartition(".")[2])
    return Refusal(f"is {task} ({kind})", "Outpost ships detection models only") if task else None


class Finder:
    """Finds globals as :func:`find` does, and gives a reason where one of them is ``getattr``."""

    def __init__(self) -> None:
        self._refusal: Refusal | None = None

    def find(self, module: str, name: str) -> object:
        """Return what stands in for the global; raises Refusal where nothing does."""
        if f"{module.replace('__builtin__', 'builtins')}.{name}" == "builtins.getattr":
            return Known("builtins.getattr", call=self._method)
        found = find(module, name)
        if self._refusal is None and isinstance(found, Known) and found.new is not None:
            self._refusal = other_task(found.name)
        return found

    def _method(self, arguments: tuple[Any, ...]) -> object:
        """Refuse ``getattr(owner, name)`` with its reason."""
        owner, name = arguments
        part = isinstance(owner, Module) or (isinstance(owner, Known) and owner.new is not None)
        if not part or name not in ("forward", "forward_fuse"):
            raise not_listed("builtins.getattr")
        if self._refusal is not None:
            raise self._refusal
        if name == "forward_fuse":
            raise Refusal(
                "is fused: it was saved after its batch norms were folded for inference",
                "give the checkpoint as training wrote it, or export this one as ONNX",
            )
        raise not_listed("builtins.getattr")
