"""Waiting longer after each failure, never all devices at the same moment."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from ``first_s`` to ``most_s``, each shortened by up to a half at random.

    The jitter keeps a hall of devices from storming a broker or a camera server that comes back
    ("equal jitter", Brooker, AWS Architecture Blog, 2015).
    """

    def __init__(
        self, first_s: float, most_s: float, jitter: Callable[[], float] = random.random
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._failures = 0

    def next_s(self) -> float:
        """How long to wait after one more failure, in seconds."""
        # The exponent is capped so that years of failures do not overflow.
        whole = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return whole * (1.0 - 0.5 * self._jitter())

    def reset(self) -> None:
        """It worked: begin with the shortest delay next time."""
        self._failures = 0
