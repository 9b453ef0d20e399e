"""``/api/releases``: what the journal says of each model. Read in a server's thread, on request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_agent.slots import AuditRow, Ban, Journal, Slot

ROWS_MOST = 60


def document(path: Path | None, models: Sequence[str], now: float | None = None) -> dict[str, Any]:
    """Slot state, bans and the last `ROWS_MOST` audit rows of each model, newest first.

    Args:
        path: the journal; None, or a file that is not there, gives no model.
        models: names.
        now: wall-clock seconds, for the ages.

    Raises:
        StorageError: when the journal cannot be read.
    """
    if path is None or not path.exists():
        return {"v": 1, "models": []}
    moment = time.time() if now is None else now
    journal = Journal(path)
    try:
        return {"v": 1, "models": [_model(journal, name, moment) for name in models]}
    finally:
        journal.close()


def _model(journal: Journal, name: str, now: float) -> dict[str, Any]:
    slot = journal.slot(name)
    rows = journal.history(name)[-ROWS_MOST:]
    return {
        "name": name,
        "state": slot.state.value,
        "reason": slot.reason,
        "rollout": slot.rollout,
        "age_s": round(now - slot.since, 1) if slot.since else None,
        **_named(journal, slot),
        "bans": [_ban(journal, ban, now) for ban in reversed(journal.bans(name))],
        "history": [_row(row, now) for row in reversed(rows)],
    }


def _named(journal: Journal, slot: Slot) -> dict[str, Any]:
    """The slot's releases by digest and by version (0 for unknown)."""
    digests = {
        "committed": slot.committed, "previous": slot.previous, "candidate": slot.candidate
    }  # fmt: skip
    versions = {f"{role}_version": journal.version_of(one) for role, one in digests.items()}
    return {**digests, **versions}


def _ban(journal: Journal, ban: Ban, now: float) -> dict[str, Any]:
    return {
        "version": journal.version_of(ban.digest),
        "digest": ban.digest,
        "reason": ban.reason,
        "age_s": round(now - ban.at, 1),
    }


def _row(row: AuditRow, now: float) -> dict[str, Any]:
    return {
        "at": round(row.at, 3),
        "age_s": round(now - row.at, 1),
        "version": row.version,
        "digest": row.digest,
        "from": row.origin,
        "to": row.target,
        "reason": row.reason,
    }
