"""Writes a YOLOv5 network as ONNX, straight from the checkpoint and without PyTorch.

``writer`` walks the layers, ``layers`` has the table of classes and a function for each, with
``activations``, ``sampling`` (what changes sizes) and ``attention``; ``heads`` the two detection
heads, ``convolution`` folds batch norms, ``joins`` puts maps together, ``canvas`` collects nodes,
``stream`` makes bytes.
"""

from builder.graph.stream import serialized
from builder.graph.writer import write_onnx

__all__ = ["serialized", "write_onnx"]
