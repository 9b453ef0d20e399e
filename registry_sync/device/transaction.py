"""The rules of the device transaction: which transitions exist and what to do next. Pure.

::

    IDLE -> RESOLVED -> DOWNLOADED -> VERIFIED -> PREPARED -> SWITCHING -> TRIAL -> COMMITTED
    (SHADOW lies between PREPARED and SWITCHING where a rollout asks for it)
    before the switch: -> FAILED (back-off, or banned by the self-test), -> IDLE (called off)
    after the switch:  -> ROLLING_BACK -> ROLLED_BACK, or FAILED when there was nothing before

`decide` looks at the journal's slot and at what is known, and names the next step. The one that
takes steps is registry_sync/device/updater.py; each step is safe to repeat, so a crash at any point
is answered by deciding again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edge_agent.slots import ON_TRIAL, ROLLBACK_REQUESTED, ROLLBACK_WITHDRAWN, AuditRow, Slot, State
from edge_agent.triage import MODEL, RELEASE_CAUSES
from registry_sync.rollout import Rollout, takes_part

S = State
RESTING = frozenset({S.IDLE, S.COMMITTED, S.FAILED, S.ROLLED_BACK, S.HELD})
INSTALLING = frozenset({S.RESOLVED, S.DOWNLOADED, S.VERIFIED, S.PREPARED, S.SHADOW})

_ANYWHERE = {S.FAILED, S.ROLLING_BACK}
_CALLED_OFF = {S.IDLE, S.RESOLVED} | _ANYWHERE
ALLOWED: Mapping[State, frozenset[State]] = {
    S.IDLE: frozenset({S.RESOLVED, S.COMMITTED} | _ANYWHERE),
    S.RESOLVED: frozenset({S.DOWNLOADED} | _CALLED_OFF),
    S.DOWNLOADED: frozenset({S.VERIFIED} | _CALLED_OFF),
    S.VERIFIED: frozenset({S.PREPARED} | _CALLED_OFF),
    S.PREPARED: frozenset({S.SHADOW, S.SWITCHING} | _CALLED_OFF),
    S.SHADOW: frozenset({S.SWITCHING} | _CALLED_OFF),
    S.SWITCHING: frozenset({S.TRIAL} | _ANYWHERE),
    S.TRIAL: frozenset({S.COMMITTED} | _ANYWHERE),
    S.COMMITTED: frozenset({S.COMMITTED, S.RESOLVED} | _ANYWHERE),
    S.FAILED: frozenset({S.COMMITTED, S.RESOLVED} | _ANYWHERE),
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.FAILED}),
    S.ROLLED_BACK: frozenset({S.COMMITTED, S.RESOLVED} | _ANYWHERE),
    S.HELD: frozenset({S.COMMITTED, S.RESOLVED} | _ANYWHERE),
}

REQUESTED = ROLLBACK_REQUESTED
ANSWERED = "REQUEST_ANSWERED"
BACKOFF_FIRST_S = 5.0
BACKOFF_MOST_S = 3600.0


class Do(str, Enum):
    """The steps of the updater."""

    REST = "rest"
    RESOLVE = "resolve"
    DOWNLOAD = "download"
    VERIFY = "verify"
    PREPARE = "prepare"
    SWITCH = "switch"
    LINK = "link"
    WATCH = "watch"
    COMMIT = "commit"
    CALL_OFF = "call off"
    ACKNOWLEDGE = "acknowledge"
    REPAIR = "repair"
    ROLL_BACK = "roll back"
    LINK_BACK = "link back"
    ANSWER = "answer"


@dataclass(frozen=True)
class Request:
    """What somebody on the device asked for: leave ``digest`` and go back.

    Attributes:
        cause: what the agent's triage blames; "" when a person asks.
        by_agent: whether the agent asks.
    """

    digest: str
    reason: str
    cause: str = ""
    by_agent: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known besides the slot.

    Attributes:
        linked: digest that ``current`` points at, or "".
        document: the newest rollout document; None while unknown (offline since the start).
        included: whether this device takes part in it.
        banned: why the document's release is banned here, or "".
        request: an operator's unanswered request, or None.
        agent_alive: whether the agent's health file is fresh.
    """

    linked: str
    document: Rollout | None = None
    included: bool = False
    banned: str = ""
    request: Request | None = None
    agent_alive: bool = True


@dataclass(frozen=True)
class Action:
    """The next step and why.

    Attributes:
        ban: whether the release that is left may not come back by itself.
        target: where a rollback goes; "" for nothing.
    """

    do: Do
    reason: str = ""
    ban: bool = False
    target: str = ""
    leaving: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def facts_for(
    device: str, tags: Mapping[str, Any], document: Rollout | None, *, linked: str, banned: str,
    request: Request | None, agent_alive: bool,
) -> Facts:  # fmt: skip
    """Collect what `decide` needs; says whether this device takes part."""
    included = document is not None and takes_part(device, tags, document)
    return Facts(linked, document, included, banned, request, agent_alive)


def allowed(origin: State, target: State) -> bool:
    """Whether the table has this transition."""
    return target in ALLOWED[origin]


def backoff_s(attempts: int) -> float:
    """Seconds to wait after so many failed tries: 5, 10, 20, … at most an hour."""
    return float(min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(max(attempts, 1) - 1, 30)))


def decide(slot: Slot, facts: Facts, now: float) -> Action:
    """The next step for one model.

    Args:
        slot: the journal's row.
        facts: what else is known.
        now: wall-clock seconds, for the back-off only.
    """
    if slot.state is S.ROLLING_BACK:
        return Action(Do.LINK_BACK, slot.reason)
    if facts.request is not None:
        return _on_request(slot, facts.request)
    if slot.state is S.SWITCHING:
        return Action(Do.LINK, "the switch was decided")
    if slot.state is S.TRIAL:
        return _on_trial(slot, facts)
    if facts.linked != slot.committed:
        return Action(Do.REPAIR, f"`current` points at {facts.linked[:12] or 'nothing'}")
    if slot.state in INSTALLING:
        return _installing(slot, facts)
    return _resting(slot, facts, now)


def _on_request(slot: Slot, request: Request) -> Action:
    live = slot.candidate if slot.state in ON_TRIAL else slot.committed
    if request.by_agent and (why := _unheard(slot, request)):
        return Action(Do.ANSWER, why)
    if request.digest != live:
        return Action(Do.ANSWER, "the release that was to be left does not run any more")
    target = slot.committed if live == slot.candidate else slot.previous
    if not target:
        return Action(Do.ANSWER, "there is no release to go back to")
    # A damaged engine says nothing against the release: a new revision may bring it again.
    ban = not request.by_agent or request.cause == MODEL
    return Action(Do.ROLL_BACK, request.reason, ban=ban, target=target, leaving=live)


def _unheard(slot: Slot, request: Request) -> str:
    """Why the agent's request is not followed; "" when it is."""
    if request.cause not in RELEASE_CAUSES:
        return f"going back does not cure {request.cause or 'a cause that is not known'}"
    if slot.state in ON_TRIAL:
        return "it is on trial, and the trial decides"
    return ""


def _on_trial(slot: Slot, facts: Facts) -> Action:
    document = facts.document
    if document is None or document.revision <= slot.revision:
        return Action(Do.WATCH)
    if document.state == "aborted" or document.digest != slot.candidate:
        # Nothing was found against the candidate, so it is not banned.
        return Action(
            Do.ROLL_BACK,
            f"rollout {document.rollout} (revision {document.revision}) "
            + ("was aborted" if document.state == "aborted" else "asks for another release"),
            target=slot.committed,
            leaving=slot.candidate,
        )
    return Action(Do.WATCH)


_INSTALL = {
    S.RESOLVED: Do.DOWNLOAD,
    S.DOWNLOADED: Do.VERIFY,
    S.VERIFIED: Do.PREPARE,
    S.PREPARED: Do.SWITCH,
    S.SHADOW: Do.SWITCH,
}


def _installing(slot: Slot, facts: Facts) -> Action:
    document = facts.document
    if document is not None and document.revision >= slot.revision:
        if document.state == "aborted" or not facts.included:
            return Action(Do.CALL_OFF, f"rollout {document.rollout} does not ask for it any more")
        if document.digest != slot.candidate:
            if document.digest == slot.committed or facts.banned:
                return Action(Do.CALL_OFF, f"rollout {document.rollout} asks for another release")
            return Action(Do.RESOLVE, f"superseded by {_names(document)}")
        if facts.banned:
            return Action(Do.CALL_OFF, f"banned here: {facts.banned}")
        if document.state == "paused":
            return Action(Do.REST, f"rollout {document.rollout} is paused")
    if slot.state is S.PREPARED and slot.committed and not facts.agent_alive:
        # A trial without an agent proves nothing and would leave the old release for it.
        return Action(Do.REST, "waiting for the agent: its health file is missing or old")
    return Action(_INSTALL[slot.state])


def _resting(slot: Slot, facts: Facts, now: float) -> Action:
    document = facts.document
    if document is None:
        return Action(Do.REST, "no rollout is known yet")
    if document.state == "aborted" or not facts.included:
        return Action(Do.REST, "no rollout asks for anything else here")
    if document.digest == slot.committed:
        if document.revision > slot.revision:
            return Action(Do.ACKNOWLEDGE, f"{_names(document)} is what runs already")
        return Action(Do.REST, "up to date")
    if document.state == "paused":
        return Action(Do.REST, f"rollout {document.rollout} is paused")
    if facts.banned:
        return Action(Do.REST, f"{_names(document)} is banned here: {facts.banned}")
    same = slot.candidate == document.digest
    if same and slot.data.get("blameless") and document.revision <= slot.revision:
        return Action(Do.REST, "went back without blame; a new revision tries it again")
    # A clock that was set back must not turn a minute into years.
    waited = now - slot.since if now >= slot.since else BACKOFF_MOST_S
    if same and slot.state is S.FAILED and waited < backoff_s(slot.attempts):
        return Action(Do.REST, f"trying again in {backoff_s(slot.attempts) - waited:.0f} s")
    return Action(Do.RESOLVE, _names(document))


def _names(document: Rollout) -> str:
    return (
        f"{document.model} {document.release}"
        f" (rollout {document.rollout}, revision {document.revision})"
    )


def next_request(pending: Request | None, rows: Iterable[AuditRow]) -> Request | None:
    """The request that nobody has answered yet.

    The audit log is the queue: a request is a row, and so is its answer.

    Args:
        pending: what was unanswered before these rows.
        rows: the audit rows since then.
    """
    for row in rows:
        if row.target == REQUESTED:
            data = row.data
            by_agent, cause = data.get("by") == "agent", str(data.get("cause", ""))
            pending = Request(row.digest, row.reason, cause, by_agent)
        elif row.target == ROLLBACK_WITHDRAWN:
            pending = None if pending is not None and pending.by_agent else pending
        elif row.target in (ANSWERED, S.ROLLING_BACK.value):
            pending = None
    return pending
