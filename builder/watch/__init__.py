"""From a moved alias to a release, without hands.

``rules`` decide (pure), ``memory`` survives restarts, ``ports`` names what is outside, ``watcher``
moves things, ``hook`` hears the registry's webhooks, ``real`` wires MLflow, builder and repository.
"""

from builder.watch.rules import Memory, Seen, decide
from builder.watch.watcher import Watcher

__all__ = ["Memory", "Seen", "Watcher", "decide"]
