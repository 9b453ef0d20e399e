"""The table of the transaction and what is decided from it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.slots import AuditRow, Slot, State
from registry_sync.device.transaction import (
    ALLOWED,
    ANSWERED,
    INSTALLING,
    REQUESTED,
    RESTING,
    Do,
    Facts,
    Request,
    backoff_s,
    decide,
    next_request,
)
from registry_sync.rollout import Rollout

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
DIGESTS = st.sampled_from(["", A, B, C])
SLOTS = st.builds(
    Slot,
    model=st.just("m"),
    state=st.sampled_from(State),
    committed=DIGESTS,
    previous=DIGESTS,
    candidate=DIGESTS,
    revision=st.integers(0, 3),
    attempts=st.integers(0, 50),
    since=st.floats(0, 2000),
    data=st.sampled_from([{}, {"blameless": True}]),
)
DOCUMENTS = st.builds(
    Rollout,
    group=st.just("g"),
    revision=st.integers(1, 4),
    rollout=st.just("r"),
    model=st.just("m"),
    release=st.just(1),
    digest=st.sampled_from([A, B, C]),
    state=st.sampled_from(["running", "paused", "aborted", "done"]),
)
FACTS = st.builds(
    Facts,
    linked=DIGESTS,
    document=st.none() | DOCUMENTS,
    included=st.booleans(),
    banned=st.sampled_from(["", "NaN"]),
    request=st.none() | st.builds(Request, digest=DIGESTS, reason=st.just("by hand")),
    agent_alive=st.booleans(),
)
LEADS_TO = {
    Do.RESOLVE: State.RESOLVED,
    Do.DOWNLOAD: State.DOWNLOADED,
    Do.VERIFY: State.VERIFIED,
    Do.PREPARE: State.PREPARED,
    Do.SWITCH: State.SWITCHING,
    Do.LINK: State.TRIAL,
    Do.CALL_OFF: State.IDLE,
    Do.ACKNOWLEDGE: State.COMMITTED,
    Do.ROLL_BACK: State.ROLLING_BACK,
    Do.LINK_BACK: State.ROLLED_BACK,
}


def document(digest: str = B, revision: int = 2, state: str = "running") -> Rollout:
    """A rollout document of model m."""
    return Rollout("g", revision, "r", "m", 1, digest, state=state)


@given(SLOTS, FACTS, st.floats(0, 1e6))
def test_every_decision_is_in_the_table(slot, facts, now):
    """Whatever is known, the next step leads to a state that the table allows."""
    action = decide(slot, facts, now)
    if action.do in LEADS_TO:
        assert LEADS_TO[action.do] in ALLOWED[slot.state], (slot, facts, action)


@given(SLOTS, FACTS, st.floats(0, 1e6))
def test_a_banned_release_is_never_begun(slot, facts, now):
    """No step towards a release that is banned here."""
    action = decide(slot, facts, now)
    if facts.banned and facts.document and action.do is Do.RESOLVE:
        raise AssertionError((slot, facts, action))
    current = facts.document is not None and facts.document.revision >= slot.revision
    forward = action.do in (Do.DOWNLOAD, Do.VERIFY, Do.PREPARE, Do.SWITCH)
    assert not (forward and current and facts.banned and facts.document.digest == slot.candidate)


@given(SLOTS, FACTS, st.floats(0, 1e6))
def test_intents_are_carried_through(slot, facts, now):
    """A switch or a way back that was begun is finished before anything else."""
    action = decide(slot, facts, now)
    if slot.state is State.ROLLING_BACK:
        assert action.do is Do.LINK_BACK
    if slot.state is State.SWITCHING and facts.request is None:
        assert action.do is Do.LINK


@given(SLOTS, FACTS, st.floats(0, 1e6))
def test_going_back_always_says_where(slot, facts, now):
    """A rollback names what is left, and goes to another release or to nothing."""
    action = decide(slot, facts, now)
    if action.do is Do.ROLL_BACK and facts.request is not None:
        assert action.target
        assert action.ban


def test_states_are_sorted():
    """Each state of the table has its place: at rest, installing, or after the switch."""
    after = {State.SWITCHING, State.TRIAL, State.ROLLING_BACK}
    assert RESTING | INSTALLING | after == set(State) == set(ALLOWED)


def test_back_off_grows_and_is_capped():
    """5, 10, 20 seconds, at most an hour."""
    assert [backoff_s(n) for n in (1, 2, 3, 1000)] == [5.0, 10.0, 20.0, 3600.0]


def test_a_failed_try_waits_for_its_back_off():
    """The same release is tried again later; another one at once; a clock set back does no harm."""
    slot = Slot("m", State.FAILED, candidate=B, attempts=3, revision=2, since=1000.0)
    facts = Facts("", document(), included=True)
    assert decide(slot, facts, 1010.0).do is Do.REST
    assert decide(slot, facts, 1020.0).do is Do.RESOLVE
    assert decide(slot, Facts("", document(C), included=True), 1010.0).do is Do.RESOLVE
    assert decide(slot, facts, 5.0).do is Do.RESOLVE


def test_superseded_and_called_off():
    """Before the switch a newer document replaces the candidate, or calls it off."""
    slot = Slot("m", State.DOWNLOADED, committed=A, candidate=B, revision=2)
    assert decide(slot, Facts(A, document(C, 3), included=True), 0).do is Do.RESOLVE
    assert decide(slot, Facts(A, document(A, 3), included=True), 0).do is Do.CALL_OFF
    assert decide(slot, Facts(A, document(B, 3, "aborted"), included=True), 0).do is Do.CALL_OFF
    assert decide(slot, Facts(A, document(B, 3, "paused"), included=True), 0).do is Do.REST
    assert decide(slot, Facts(A, document(B, 3), included=False), 0).do is Do.CALL_OFF


def test_a_trial_ends_without_blame_when_it_is_not_wanted():
    """On trial, a newer document that wants something else means back, without a ban."""
    slot = Slot("m", State.TRIAL, committed=A, candidate=B, revision=2)
    for newer in (document(C, 3), document(A, 3), document(B, 3, "aborted")):
        action = decide(slot, Facts(B, newer, included=True), 0)
        assert (action.do, action.ban, action.target) == (Do.ROLL_BACK, False, A)
    assert decide(slot, Facts(B, document(C, 2), included=True), 0).do is Do.WATCH
    assert decide(slot, Facts(B, document(B, 3, "paused"), included=True), 0).do is Do.WATCH


def test_no_switch_without_an_agent():
    """A proven release is not left for a trial that nobody would watch."""
    slot = Slot("m", State.PREPARED, committed=A, candidate=B, revision=2)
    facts = Facts(A, document(), included=True, agent_alive=False)
    assert decide(slot, facts, 0).do is Do.REST
    first = Slot("m", State.PREPARED, candidate=B, revision=2)
    assert decide(first, Facts("", document(), included=True, agent_alive=False), 0).do is Do.SWITCH


def row(target: str, digest: str = A) -> AuditRow:
    """An audit row; only its target and digest count here."""
    return AuditRow(1, 0.0, "m", digest, 1, "COMMITTED", target, "by hand", {})


def test_requests_are_answered_once():
    """The audit log is the queue: a request stands until a way back or an answer follows it."""
    assert next_request(None, [row(REQUESTED)]) == Request(A, "by hand")
    assert next_request(None, [row(REQUESTED), row("ROLLING_BACK")]) is None
    assert next_request(None, [row(REQUESTED), row(ANSWERED), row(REQUESTED, B)]).digest == B
    assert next_request(Request(A, "x"), []) == Request(A, "x")
    assert next_request(Request(A, "x"), [row(ANSWERED)]) is None


def noted(target: str, cause: str = "", digest: str = A) -> AuditRow:
    """What the agent's policy writes."""
    data = {"by": "agent", "cause": cause}
    return AuditRow(1, 0.0, "m", digest, 1, "COMMITTED", target, "w", data)


def test_the_agents_request_needs_a_cause_that_going_back_cures():
    """Engine and model; a damaged engine does not ban the release, a bad model does."""
    slot = Slot("m", State.COMMITTED, committed=A, previous=B)
    for cause, ban in (("engine", False), ("model", True)):
        request = next_request(None, [noted(REQUESTED, cause)])
        action = decide(slot, Facts(A, request=request), 0)
        assert (action.do, action.target, action.leaving) == (Do.ROLL_BACK, B, A)
        assert action.ban is ban
    for cause in ("camera", "scene", ""):
        request = next_request(None, [noted(REQUESTED, cause)])
        action = decide(slot, Facts(A, request=request), 0)
        assert action.do is Do.ANSWER and "does not cure" in action.reason


def test_the_agents_request_needs_a_release_before_and_no_trial():
    """The trial has its own judge."""
    request = next_request(None, [noted(REQUESTED, "engine")])
    alone = Slot("m", State.COMMITTED, committed=A)
    assert decide(alone, Facts(A, request=request), 0).do is Do.ANSWER
    trial = Slot("m", State.TRIAL, committed=B, candidate=A)
    action = decide(trial, Facts(A, request=request), 0)
    assert action.do is Do.ANSWER and "trial decides" in action.reason


def test_the_agent_withdraws_only_its_own_request():
    """When the alert is cleared before the updater came to it."""
    withdrawn = noted("ROLLBACK_WITHDRAWN")
    assert next_request(None, [noted(REQUESTED, "engine"), withdrawn]) is None
    assert next_request(None, [row(REQUESTED), withdrawn]) == Request(A, "by hand")
