"""What the journal says, told to the fleet: each audit row once as an event, the state retained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_agent.metrics import REPORTED, Message, event
from edge_agent.slots import AuditRow, Journal, Slot, State
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

CURSOR = "audit"
_SEVERITY = {
    State.ROLLING_BACK.value: "warning",
    State.ROLLED_BACK.value: "warning",
    State.FAILED.value: "error",
}


class Reporter:
    """Forwards the journal; used from the thread that goes to the disk.

    The cursor of the audit log is kept in the outbox, in one transaction with the event made from
    a row, so each row is told exactly once whatever is killed when.

    Attributes:
        on_trial: whether any model was on trial at the last look.
    """

    def __init__(self, models: Iterable[str], journal: Journal, outbox: Outbox) -> None:
        self._models = tuple(models)
        self._journal = journal
        self._outbox = outbox
        self._last: Mapping[str, Any] | None = None
        self.on_trial = False

    def poll(self, telemetry: Telemetry, errors: Mapping[str, str]) -> None:
        """Tell what is new.

        Args:
            telemetry: where to.
            errors: model -> what the agent itself has to complain about, or "".

        Raises:
            StorageError: when the journal cannot be read.
        """
        for row in self._journal.history(after=self._outbox.cursor(CURSOR)):
            kept = telemetry.commit(
                [transition_event(row)], model_version=row.version, cursor=(CURSOR, row.seq)
            )
            if not kept:
                return
        trial = (State.SWITCHING, State.TRIAL)
        self.on_trial = any(self._journal.slot(name).state in trial for name in self._models)
        payload = self._payload(errors)
        if payload != self._last:
            self._last = payload
            telemetry.send([Message(REPORTED, payload, retain=True, durable=False)])

    def _payload(self, errors: Mapping[str, str]) -> dict[str, Any]:
        return {
            "models": {
                name: reported_state(
                    slot := self._journal.slot(name),
                    active_version=self._journal.version_of(active(slot)),
                    previous_version=self._journal.version_of(slot.previous),
                    error=errors.get(name, ""),
                )
                for name in self._models
            }
        }


def active(slot: Slot) -> str:
    """The digest that the updater means to run now: the one on trial, else the committed one."""
    on_trial = slot.state in (State.SWITCHING, State.TRIAL)
    return slot.candidate if on_trial else slot.committed


def reported_state(
    slot: Slot, *, active_version: int, previous_version: int, error: str
) -> dict[str, Any]:
    """One model in ``up/reported``. Pure."""
    return {
        "rollout": slot.rollout,
        "revision": slot.revision,
        "state": slot.state.value,
        "reason": slot.reason,
        "since": round(slot.since, 3),
        "active": active(slot),
        "active_version": active_version,
        "candidate": slot.candidate,
        "previous": slot.previous,
        "previous_version": previous_version,
        "error": error,
    }


def transition_event(row: AuditRow) -> Message:
    """The event of one audit row. Pure."""
    name = f"{row.model} {row.version}" if row.version else row.model
    because = f": {row.reason}" if row.reason else ""
    return event(
        "transition",
        _SEVERITY.get(row.target, "info"),
        f"{name}: {row.origin} -> {row.target}{because}",
        model=row.model,
        release=row.digest,
        version=row.version,
        **{"from": row.origin, "to": row.target},
        reason=row.reason,
        at=round(row.at, 3),
        audit_seq=row.seq,
    )
