"""Writes a YOLOv5 network as ONNX, straight from the checkpoint and without PyTorch.

``writer`` walks the layers, ``layers`` and ``activations`` have one function per class,
``heads`` the two detection heads, ``convolution`` folds batch norms, ``canvas`` collects nodes,
``stream`` makes bytes.
"""

from builder.graph.stream import serialized
from builder.graph.writer import write_onnx

__all__ = ["serialized", "write_onnx"]
