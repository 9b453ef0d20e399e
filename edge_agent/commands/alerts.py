"""`edge-agent alerts`: what stands, and who took note of it."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable

from edge_agent.config import Config
from edge_agent.console import table
from edge_agent.errors import UsageError
from edge_agent.policy.alerts import Alert, worst_first
from edge_agent.policy.desk import shown
from edge_agent.policy.memory import Memory

_HEADERS = ("ALERT", "RAISED", "SEVERITY", "STATE", "CAUSE", "RULE", "WHAT")
Echo = Callable[[str], None]


def show(config: Config, *, as_json: bool, echo: Echo) -> None:
    """Print the active alerts, as the agent last wrote them.

    Args:
        config: of the device.
        as_json: a JSON list instead of a table.
        echo: prints.

    Raises:
        StorageError: they cannot be read.
    """
    alerts = worst_first(Memory(config.layout.alerts).read().alerts)
    if as_json:
        echo(json.dumps([shown(alert) for alert in alerts], indent=2))
        return
    if not alerts:
        echo("no alert is active")
        return
    echo(table(_HEADERS, [_row(alert) for alert in alerts]))


def acknowledge(config: Config, number: int, by: str, *, echo: Echo) -> None:
    """Leave a note for the agent that somebody knows of an alert.

    Raises:
        UsageError: no active alert has this number.
        StorageError: the note cannot be written.
    """
    memory = Memory(config.layout.alerts)
    alerts = {alert.number: alert for alert in memory.read().alerts}
    if number not in alerts:
        active = ", ".join(map(str, sorted(alerts))) or "none"
        raise UsageError(f"alert {number} is not active (active: {active})")
    alert = alerts[number]
    if alert.acknowledged_at:
        echo(f"alert {number} was acknowledged already" + _by(alert.acknowledged_by))
        return
    by = by or _login()
    memory.leave_note(number, by, time.time())
    echo(f"alert {number} ({alert.rule}) is acknowledged{_by(by)}; the agent tells it on")


def _row(alert: Alert) -> tuple[object, ...]:
    raised = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(alert.raised_at))
    state = alert.state + _by(alert.acknowledged_by)
    return (
        alert.number, raised, alert.severity, state, alert.cause or None, alert.rule, alert.text,
    )  # fmt: skip


def _by(name: str) -> str:
    return f" by {name}" if name else ""


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
