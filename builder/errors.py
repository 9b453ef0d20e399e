"""What can go wrong in the builder, as a part of :mod:`edge_agent.errors`.

::

    OutpostError
    └── ModelError            exit code 5
        ├── CheckpointError   a .pt file that is not, or not only, a YOLOv5 detection model
        └── GraphError        a model that the graph writer cannot turn into ONNX
"""

from __future__ import annotations

from edge_agent.errors import ModelError


class CheckpointError(ModelError):
    """A checkpoint is damaged, hostile, or not a YOLOv5 detection model."""


class GraphError(ModelError):
    """A model has a part, or was asked for a size, that the graph writer does not know."""
