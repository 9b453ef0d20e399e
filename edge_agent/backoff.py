"""Waiting longer after each failure, never all devices at the same moment."""

from __future__ import annotations

import random
import time
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


class Pace:
    """At most so many goes per hour: a first burst, then evenly (a token bucket).

    Args:
        per_hour: goes in an hour, in the long run.
        burst: goes that may follow each other.
        clock: monotonic seconds.
    """

    def __init__(
        self, per_hour: float, burst: int = 8, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._period_s = 3600.0 / per_hour
        self._burst = burst
        self._clock = clock
        self._full_at = clock()

    def wait_s(self) -> float:
        """Take one go; how long to wait before it, in seconds."""
        now = self._clock()
        self._full_at = max(self._full_at, now) + self._period_s
        return max(0.0, self._full_at - now - self._burst * self._period_s)
