"""What a rule is, and the rules that hold without any configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.policy.expression import Condition, When, parse

SEVERITIES = ("info", "warning", "error")
CAPTURE, ROLLBACK, RETRAIN, STOP = "capture", "rollback", "retrain", "stop"
REFERENCE = "reference"
ACTIONS = (CAPTURE, REFERENCE, ROLLBACK, RETRAIN, STOP)
"""Beside the event, which every alert has."""

HOLD_OFF_S = 300.0
CLEAR_AFTER = 3


@dataclass(frozen=True)
class Rule:
    """When an alert is raised, when it is cleared, and what is done.

    Attributes:
        name: of the alert; letters, digits and dashes.
        when: raises it.
        severity: one of `SEVERITIES`.
        clear_when: clears it; None is the opposite of ``when``'s condition.
        clear_after: windows in a row that clear it.
        hold_off_s: after it was cleared, it is not raised again for so long.
        actions: of `ACTIONS`.
        reference: to which the input check is switched, with that action; "" without.
        reference_stays: whether it stays when the alert is cleared, until another rule switches.
    """

    name: str
    when: When
    severity: str = "warning"
    clear_when: Condition | None = None
    clear_after: int = CLEAR_AFTER
    hold_off_s: float = HOLD_OFF_S
    actions: tuple[str, ...] = ()
    reference: str = ""
    reference_stays: bool = False


def _rule(name: str, when: str, severity: str, *actions: str) -> Rule:
    return Rule(name, parse(when), severity, actions=actions)


DEFAULTS = (
    _rule("camera-lost", "camera_up < 1 for 30 s", "error"),
    _rule("picture-rejected", "rejected_share > 0.5 for 3 windows", "warning", CAPTURE),
    _rule("selftest-failed", "selftest_failed > 0", "error", ROLLBACK),
    _rule("output-nonfinite", "nonfinite > 0 for 2 windows", "error", CAPTURE, ROLLBACK),
    _rule("frames-failing", "errors > 0 for 3 windows", "error"),
    _rule("output-drift", "drift_suspected > 0", "warning", CAPTURE, RETRAIN),
    _rule("provider-fallback", "provider_ok < 1 for 3 windows", "warning"),
    _rule("disk-low", "disk_free_mb < 200 for 3 windows", "warning"),
)
"""docs/operate.md has them as a table."""
