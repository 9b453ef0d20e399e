"""Reads YOLOv5 checkpoints without PyTorch, and without running anything that is in them.

``archive`` opens the zip, ``machine`` reads its pickle against the list in ``allowed``, ``tensors``
turns storages into arrays, ``describe`` says what the model is, ``reader`` puts them together.
"""

from builder.checkpoint.describe import Checkpoint
from builder.checkpoint.reader import read_checkpoint
from builder.checkpoint.values import Absent, Array, Module

__all__ = ["Absent", "Array", "Checkpoint", "Module", "read_checkpoint"]
