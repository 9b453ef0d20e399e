"""How many frames may be kept: per camera and reason, per minute, per day. No clock, no I/O."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from edge_agent.captures.reasons import DAY, MINUTE, SPACING

MINUTE_S = 60.0
DAY_S = 86_400.0


class Limits:
    """Exact counts over rolling windows; times are monotonic seconds, so clock jumps do not matter.

    Args:
        spacing_s: between two captures of one camera and reason: neighbours show the same thing.
        per_minute, per_day: most captures in any 60 seconds, in any 24 hours.
        reason_share: most of a day's captures that one reason may take, so that a lens that is
            dirty all day leaves room for the others; at least one.
    """

    def __init__(
        self, *, spacing_s: float, per_minute: int, per_day: int, reason_share: float
    ) -> None:
        self._spacing_s = spacing_s
        self._per_minute = per_minute
        self._per_day = per_day
        self._per_reason = max(1, int(per_day * reason_share))
        self._last: dict[tuple[str, str], float] = {}
        self._minute: deque[float] = deque()
        self._day: deque[tuple[float, str]] = deque()
        self._reasons: Counter[str] = Counter()

    def ask(self, camera: str, reason: str, now: float) -> str:
        """Whether a frame may be kept; "" counts it as kept, else one of the refusals."""
        if now - self._last.get((camera, reason), -self._spacing_s) < self._spacing_s:
            return SPACING
        self._forget(now)
        if len(self._minute) >= self._per_minute:
            return MINUTE
        if len(self._day) >= self._per_day or self._reasons[reason] >= self._per_reason:
            return DAY
        self._last[camera, reason] = now
        self._minute.append(now)
        self._day.append((now, reason))
        self._reasons[reason] += 1
        return ""

    def give_back(self, reason: str, at: float) -> None:
        """A frame was not kept after all: the day's budget is for those that were.

        The minute's is not given back, so that a disk that refuses is not tried all the time.
        """
        if (at, reason) in self._day:
            self._day.remove((at, reason))
            self._reasons[reason] -= 1

    def remember(self, earlier: Iterable[tuple[float, str]]) -> None:
        """Count what was kept before this process began, as (monotonic seconds, reason)."""
        entries = list(earlier)
        self._day = deque(sorted([*self._day, *entries]))
        self._reasons.update(reason for _, reason in entries)

    def _forget(self, now: float) -> None:
        while self._minute and now - self._minute[0] >= MINUTE_S:
            self._minute.popleft()
        while self._day and now - self._day[0][0] >= DAY_S:
            self._reasons[self._day.popleft()[1]] -= 1
