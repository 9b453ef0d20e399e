"""What a person does on the device: look, go back, lift a ban.

A running updater is the only one that makes transitions, so going back is asked for in the journal;
when no updater runs, this process takes the lock and does it itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edge_agent.config import Config
from edge_agent.errors import OutpostError, UsageError
from edge_agent.slots import ON_TRIAL, AuditRow, Journal, Slot, State
from registry_sync.device.run import (
    AlreadyRunning,
    NoRepository,
    make_client,
    updater_lock,
)
from registry_sync.device.steps import World
from registry_sync.device.transaction import ANSWERED, REQUESTED, next_request
from registry_sync.device.updater import Updater

_ANSWER_WAIT_S = 20.0
_DONE = (State.ROLLED_BACK.value, State.FAILED.value)


def open_journal(config: Config) -> Journal:
    """The journal of this device.

    Raises:
        UsageError: when nothing ever ran here.
    """
    if not config.layout.journal.exists():
        raise UsageError(
            f"{config.layout.journal}: is not there yet; start `registry-sync run -c {config.path}`"
        )
    return Journal(config.layout.journal)


def status(config: Config, journal: Journal) -> dict[str, Any]:
    """Where every model stands, which releases are banned: one JSON-ready table."""
    models = [_model_status(config, journal, model.name) for model in config.models]
    banned = [
        {
            "model": ban.model,
            "version": journal.version_of(ban.digest),
            "digest": ban.digest,
            "reason": ban.reason,
            "at": ban.at,
        }
        for ban in journal.bans()
    ]
    return {"device": config.device.id, "models": models, "banned": banned}


def _model_status(config: Config, journal: Journal, name: str) -> dict[str, Any]:
    slot = journal.slot(name)
    linked = config.layout.linked(name)
    return {
        "model": name,
        "state": slot.state.value,
        "version": journal.version_of(linked),
        "digest": linked,
        "committed_version": journal.version_of(slot.committed),
        "previous_version": journal.version_of(slot.previous),
        "candidate_version": journal.version_of(slot.candidate),
        "rollout": slot.rollout,
        "revision": slot.revision,
        "reason": slot.reason,
        "since": slot.since,
        "starts": slot.starts,
        "attempts": slot.attempts,
    }


def history(journal: Journal, model: str | None = None) -> list[dict[str, Any]]:
    """Every transition and note, oldest first, JSON-ready."""
    return [
        {
            "seq": row.seq,
            "at": row.at,
            "model": row.model,
            "version": row.version,
            "digest": row.digest,
            "from": row.origin,
            "to": row.target,
            "reason": row.reason,
        }
        for row in journal.history(model)
    ]


def pick_model(config: Config, name: str | None) -> str:
    """The model that is meant: the named one, or the only one.

    Raises:
        UsageError: when the name is unknown, or needed and missing.
    """
    names = [model.name for model in config.models]
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        raise UsageError(f"--model should be one of {', '.join(names)}")
    return name


def roll_back(
    config: Config, journal: Journal, name: str, reason: str, say: Callable[[str], None]
) -> str:
    """Leave the release that runs, ban it here, and go back to the one before.

    Returns:
        What happened, in words.

    Raises:
        UsageError: when nothing runs, or there is nothing to go back to.
        OutpostError: when the updater did not answer in time.
    """
    slot = journal.slot(name)
    live = slot.candidate if slot.state in ON_TRIAL else slot.committed
    if not live:
        raise UsageError(f"{name}: nothing is installed, so there is nothing to leave")
    journal.note(name, live, REQUESTED, reason)
    asked = journal.history(name)[-1].seq
    try:
        with updater_lock(config.layout):
            _answer_alone(config, journal, slot, say)
    except AlreadyRunning:
        say("the running updater was asked to go back")
    return _wait_for_answer(journal, name, live, asked)


def _answer_alone(config: Config, journal: Journal, slot: Slot, say: Callable[[str], None]) -> None:
    source = make_client(config, journal) if config.repository else NoRepository()
    updater = Updater(World(config, journal, source, say), config.model(slot.model))
    updater.drive(None, next_request(None, journal.history(slot.model)))


def _wait_for_answer(journal: Journal, name: str, live: str, asked: int) -> str:
    """Wait until ``live`` was left; the end of an installation meanwhile is no answer."""
    deadline = time.monotonic() + _ANSWER_WAIT_S
    while time.monotonic() < deadline:
        answers = [
            row
            for row in journal.history(name, after=asked)
            if row.target == ANSWERED or (row.target in _DONE and row.digest == live)
        ]
        if answers:
            return _answer(journal, name, answers[0])
        time.sleep(0.05)
    raise OutpostError(
        f"{name}: the running updater has not gone back within {_ANSWER_WAIT_S:.0f} s;"
        " the request stands, see `registry-sync status`"
    )


def _answer(journal: Journal, name: str, row: AuditRow) -> str:
    if row.target == ANSWERED:
        raise UsageError(f"{name}: {row.reason}")
    version = journal.version_of(journal.slot(name).committed)
    return f"{name}: version {row.version} is banned here, version {version or 'none'} runs again"


def unban(journal: Journal, name: str, version: int) -> str:
    """Lift the ban of a version.

    Raises:
        UsageError: when that version is not banned, naming those that are.
    """
    banned = {journal.version_of(ban.digest): ban.digest for ban in journal.bans(name)}
    if version not in banned:
        known = ", ".join(map(str, sorted(banned))) or "none"
        raise UsageError(f"{name}: version {version} is not banned here (banned: {known})")
    journal.unban(name, banned[version])
    journal.note(name, banned[version], "UNBANNED", "lifted by an operator")
    return f"{name}: version {version} may be installed again"
