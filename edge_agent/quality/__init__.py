"""Full-reference picture quality: the metrics of the literature by name, docs/quality.md."""

from edge_agent.quality.table import METRICS, Metric, find

__all__ = ["METRICS", "Metric", "find"]
