"""Is a folder of images what the camera sees: scores, twins, damage, and a list of what to keep.

``scan`` measures the files, ``policy`` and ``twins`` judge (pure), ``pictures`` draws, ``check`` is
the whole way. Nothing is ever deleted.
"""

from builder.dataset.check import Report, check_dataset
from builder.dataset.policy import Policy

__all__ = ["Policy", "Report", "check_dataset"]
