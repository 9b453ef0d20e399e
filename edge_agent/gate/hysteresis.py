"""An alarm that does not flap."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Hysteresis:
    """An alarm that needs several bad frames in a row to rise and several good ones to clear.

    Attributes:
        raise_after, clear_after: frames in a row.
        raised: the alarm.
        run: frames in a row that speak against ``raised``.
    """

    raise_after: int
    clear_after: int
    raised: bool = False
    run: int = 0

    def update(self, passed: bool) -> Hysteresis:
        """The state after one more frame. Pure; compare ``raised`` to see a change."""
        against = passed if self.raised else not passed
        if not against:
            return replace(self, run=0) if self.run else self
        run = self.run + 1
        if run >= (self.clear_after if self.raised else self.raise_after):
            return replace(self, raised=not self.raised, run=0)
        return replace(self, run=run)
