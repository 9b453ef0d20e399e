"""The life of alerts: raised, acknowledged, cleared. Pure.

A `Track` is one rule applied to one subject (a camera, a model, the device). It is updated once per
window with what the rule's condition says there: True, False, or None when readings are absent;
None is no evidence, neither for raising nor for clearing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from edge_agent.policy.rules import SEVERITIES, Rule

RAISED, ACKNOWLEDGED = "raised", "acknowledged"


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        number: counts up on this device; people name it by that.
        rule: its name.
        subject: camera or model, "" for the device.
        kind: of the subject: ``camera``, ``model`` or ``device``.
        severity: of the rule.
        raised_at: wall-clock seconds.
        cause: of `edge_agent.triage.CAUSES`, or "" while it is not known.
        text: one sentence.
        acknowledged_at: wall-clock seconds, 0 while nobody did.
        acknowledged_by: who, as they said.
        done: the actions that were taken.
        release: the digest that ran when it was raised.
    """

    number: int
    rule: str
    subject: str
    kind: str
    severity: str
    raised_at: float
    cause: str = ""
    text: str = ""
    acknowledged_at: float = 0.0
    acknowledged_by: str = ""
    done: tuple[str, ...] = ()
    release: str = ""

    @property
    def state(self) -> str:
        """``raised`` or ``acknowledged``."""
        return ACKNOWLEDGED if self.acknowledged_at else RAISED

    def acknowledge(self, by: str, at: float) -> Alert:
        """The alert after somebody took note; the first one stays."""
        if self.acknowledged_at:
            return self
        return replace(self, acknowledged_at=round(at, 3), acknowledged_by=by)


def worst_first(alerts: Iterable[Alert]) -> list[Alert]:
    """The worst first, then the oldest."""
    return sorted(alerts, key=lambda alert: (-SEVERITIES.index(alert.severity), alert.number))


@dataclass(frozen=True)
class Track:
    """Where one rule stands for one subject.

    Attributes:
        run: windows in a row in which the condition held.
        began: monotonic seconds of the first of them.
        calm: windows in a row that speak for clearing.
        cleared_at: wall-clock seconds at which the last alert was cleared, 0 for never.
        alert: the active one.
    """

    run: int = 0
    began: float = 0.0
    calm: int = 0
    cleared_at: float = 0.0
    alert: Alert | None = field(default=None)

    def look(self, rule: Rule, holds: bool | None, clear: bool | None, now: float) -> Track:
        """The track after one more window; nothing is raised or cleared by this.

        Args:
            rule: whose.
            holds: what ``rule.when`` says of this window.
            clear: what speaks for clearing.
            now: monotonic seconds.
        """
        if holds:
            run, began = self.run + 1, self.began if self.run else now
        else:
            run, began = (self.run, self.began) if holds is None else (0, 0.0)
        calm = self.calm if clear is None else self.calm + 1 if clear else 0
        return replace(self, run=run, began=began, calm=calm if self.alert else 0)

    def due(self, rule: Rule, now: float, wall: float) -> bool:
        """Whether an alert must be raised now."""
        if self.alert is not None or not self.run:
            return False
        held = self.run >= rule.when.windows and now - self.began >= rule.when.seconds
        # A clock that was set back must not turn a minute into years.
        waited = wall - self.cleared_at
        return held and not 0.0 <= waited < rule.hold_off_s

    def over(self, rule: Rule) -> bool:
        """Whether the active alert must be cleared now."""
        return self.alert is not None and self.calm >= rule.clear_after

    def cleared(self, wall: float) -> Track:
        """Without its alert."""
        return Track(cleared_at=wall)


def clears(rule: Rule, holds: bool | None, clear_when: bool | None) -> bool | None:
    """What speaks for clearing: ``clear_when`` where the rule has one, else the opposite."""
    if rule.clear_when is not None:
        return clear_when
    return None if holds is None else not holds
