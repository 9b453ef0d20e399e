"""The journal told to the fleet: each row once, the state when it changes."""

from __future__ import annotations

import json

import pytest

from edge_agent.errors import StorageError
from edge_agent.metrics import REPORTED
from edge_agent.slots import Journal, Slot, State
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.reported import Reporter, active
from edge_agent.telemetry.voice import Telemetry

A, B = "a" * 64, "b" * 64


class Ear:
    """A sink that keeps what is live and never empties the outbox."""

    state = "connected"

    def __init__(self):
        self.heard = []

    def start(self):
        pass

    def wake(self):
        pass

    def live(self, message):
        self.heard.append(message)

    def close(self, timeout_s):
        pass


class Bench:
    def __init__(self, folder):
        self.journal = Journal(folder / "journal.sqlite")
        self.outbox = Outbox(folder / "outbox.sqlite", 1 << 20)
        self.ear = Ear()
        self.restart()

    def restart(self):
        self.telemetry = Telemetry(self.outbox, "b1")
        self.telemetry.attach(self.ear)
        self.reporter = Reporter(["m"], self.journal, self.outbox)

    def poll(self, error=""):
        self.reporter.poll(self.telemetry, {"m": error})

    def events(self):
        return [json.loads(w.parcel.payload) for w in self.outbox.waiting(100)]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_each_row_is_one_event_over_restarts(bench):
    """The cursor lives in the outbox, so neither a second poll nor a restart repeats a row."""
    bench.journal.remember_release(B, "m", 7)
    bench.journal.transition(Slot("m", State.RESOLVED, candidate=B), reason="found")
    bench.poll()
    bench.poll()
    bench.restart()
    bench.journal.transition(Slot("m", State.FAILED, candidate=B), reason="bad golden set")
    bench.poll()
    first, second = bench.events()
    assert (first["from"], first["to"], first["reason"]) == ("IDLE", "RESOLVED", "found")
    assert (first["model_version"], first["version"], first["release"]) == (7, 7, B)
    assert (second["severity"], second["audit_seq"]) == ("error", 2)
    assert second["text"] == "m 7: RESOLVED -> FAILED: bad golden set"


def test_a_row_that_could_not_be_kept_is_told_later(bench):
    """A full disk: the cursor does not move, and nothing is lost."""

    class Full(Outbox):
        full = True

        def put(self, parcels, *, cursor=None, life=None):
            if self.full:
                raise StorageError("full")
            super().put(parcels, cursor=cursor, life=life)

    bench.outbox = Full(bench.outbox.path, 1 << 20)
    bench.restart()
    bench.journal.transition(Slot("m", State.RESOLVED), reason="1")
    bench.journal.transition(Slot("m", State.IDLE), reason="2")
    bench.poll()
    assert bench.events() == [] and bench.telemetry.lost == 1
    bench.outbox.full = False
    bench.poll()
    assert [(e["reason"], e["seq"]) for e in bench.events()] == [("1", 1), ("2", 2)]


def test_the_state_is_retained_and_told_when_it_changes(bench):
    """One message at first, one per change, also when the agent's own error changes."""
    bench.poll()
    bench.poll()
    bench.journal.remember_release(A, "m", 1)
    bench.journal.transition(Slot("m", State.COMMITTED, committed=A, revision=4), reason="ok")
    bench.poll()
    bench.poll(error="model/fp32.onnx is missing")
    states = [message.payload["models"]["m"] for message in bench.ear.heard]
    assert {message.suffix for message in bench.ear.heard} == {REPORTED}
    assert all(message.retain for message in bench.ear.heard)
    assert [(s["state"], s["active_version"], s["revision"]) for s in states] == [
        ("IDLE", 0, 0),
        ("COMMITTED", 1, 4),
        ("COMMITTED", 1, 4),
    ]
    assert states[2]["error"] == "model/fp32.onnx is missing"


@pytest.mark.parametrize(
    ("state", "wanted"),
    [(State.TRIAL, B), (State.SWITCHING, B), (State.COMMITTED, A), (State.PREPARED, A)],
)
def test_active_is_what_should_run_now(state, wanted):
    """The candidate only from the switch on."""
    assert active(Slot("m", state, committed=A, candidate=B)) == wanted
