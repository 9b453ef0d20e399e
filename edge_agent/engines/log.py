"""What TensorRT says of its own errors, kept for our one line."""

from __future__ import annotations

from collections import deque
from typing import Any

SHOWN = 3


def error_log(trt: Any) -> Any:
    """An ``ILogger`` of this module that keeps errors; `reason()` gives the last in one line."""
    base = trt.ILogger

    class Log(base):  # type: ignore[misc, valid-type]
        """Keeps errors; the rest is of no use to a person."""

        def __init__(self) -> None:
            base.__init__(self)
            self.errors: deque[str] = deque(maxlen=SHOWN)  # an agent runs for months

        def log(self, severity: Any, message: str) -> None:
            if severity in (base.ERROR, base.INTERNAL_ERROR):
                self.errors.append(" ".join(message.split())[:300])

        def reason(self) -> str:
            return "; ".join(self.errors) or "it gives no reason"

    return Log()
