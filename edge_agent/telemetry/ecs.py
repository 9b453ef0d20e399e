"""Log records as one JSON object per line, with the names of the Elastic Common Schema (ECS 8).

``[log] format = "json"``: Filebeat, Vector, Fluent Bit and Loki take them without a parser.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

from edge_agent import __version__

ECS_VERSION = "8.11.0"


class EcsFormatter(logging.Formatter):
    """Makes the lines.

    Args:
        device: the device's id.
        boot: identity of this agent process.
    """

    def __init__(self, device: str, boot: str) -> None:
        super().__init__()
        self._fixed = {
            "ecs.version": ECS_VERSION,
            "service.name": "edge-agent",
            "service.version": __version__,
            "service.node.name": device,
            "labels": {"boot": boot},
        }

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        at = datetime.fromtimestamp(record.created, timezone.utc)
        document: dict[str, Any] = {
            "@timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "log.logger": record.name,
            "process.pid": record.process,
            "process.thread.name": record.threadName,
            **self._fixed,
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["error.type"] = record.exc_info[0].__name__
            document["error.message"] = str(record.exc_info[1])
            document["error.stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)
