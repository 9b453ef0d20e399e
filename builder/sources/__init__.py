"""Where models come from: `resolve` turns ``models:/…`` or a ``.pt`` file into a `ModelVersion`.

``reference`` reads ``models:/…``, ``registry`` asks MLflow, ``candidates`` chooses the checkpoint.
"""

from builder.sources.resolve import resolve
from builder.sources.version import ModelVersion

__all__ = ["ModelVersion", "resolve"]
