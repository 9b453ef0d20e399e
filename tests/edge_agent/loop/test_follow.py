"""What is loaded when, decided from the journal, with loads that a test controls."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.atomic import replace_symlink
from edge_agent.errors import ModelError, StorageError
from edge_agent.layout import Layout
from edge_agent.loop.follow import POLL_S, Follower, Holder, Option, plan
from edge_agent.slots import MAX_STARTS, Journal, Slot, State
from tests.edge_agent.away import Away

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
digests = st.sampled_from(["", A, B, C])


def slot(state=State.COMMITTED, **values):
    return Slot("m", state, **values)


@pytest.mark.parametrize(
    ("row", "linked", "options"),
    [
        (slot(State.IDLE), "", []),
        (slot(committed=A), A, [Option(A)]),
        (slot(committed=A), "", [Option(A)]),
        (slot(committed=A, previous=B), A, [Option(A), Option(B)]),
        (slot(State.TRIAL, committed=A, candidate=B), B, [Option(B, True), Option(A)]),
        (slot(State.SWITCHING, committed=A, candidate=B), A, [Option(A)]),
        (slot(State.TRIAL, candidate=B), B, [Option(B, True)]),
        (slot(State.TRIAL, committed=A, candidate=B, starts=3), B, [Option(A)]),
        (slot(State.TRIAL, candidate=B, starts=3), B, []),
        (slot(State.TRIAL, committed=A, previous=B, candidate=B, starts=3), B, [Option(A)]),
        (slot(State.ROLLING_BACK, committed=A, candidate=B), B, [Option(B), Option(A)]),
    ],
)
def test_the_order_in_which_releases_are_tried(row, linked, options):
    """The linked one first, then what is proven; never what used up its starts."""
    assert list(plan(row, linked).options) == options


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(State)), digests, digests, digests, digests, st.integers(0, MAX_STARTS))
def test_a_plan_is_always_sound(state, committed, previous, candidate, linked, starts):
    """No empty digest, no repetition, and a reason exactly when something was given up."""
    wanted = plan(
        slot(state, committed=committed, previous=previous, candidate=candidate, starts=starts),
        linked,
    )
    names = [option.digest for option in wanted.options]
    assert all(names) and len(set(names)) == len(names)
    assert bool(wanted.reason) == bool(wanted.rejected)
    assert wanted.rejected not in names or not wanted.rejected
    assert [option.on_trial for option in wanted.options[1:]] == [False] * len(names[1:])


@dataclass(eq=False)
class Fake:
    """Stands where a `Loaded` stands: the follower only moves it."""

    digest: str
    version: int = 1
    users: int = 0


@dataclass
class Bench:
    """A device whose loads are done here, and a clock that a test moves."""

    root: Path
    now: float = 1000.0
    broken: dict[str, str] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.layout = Layout(self.root / "data", self.root / "run")
        self.layout.model("m").mkdir(parents=True)
        self.journal = Journal(self.layout.journal)
        self.gate.set()
        self.follower = self.again()

    def again(self):
        """A new process, as far as the follower knows."""
        self.follower = Follower("m", self.layout, self.journal, self.load, lambda: self.now)
        return self.follower

    def load(self, digest):
        self.loads.append(digest)
        self.gate.wait(10)
        if digest in self.broken:
            raise ModelError(self.broken[digest])
        return Fake(digest)

    def link(self, digest):
        replace_symlink(self.layout.current("m"), f"releases/{digest}")

    def settle(self, seconds=POLL_S):
        """Let time pass and poll until no load is under way; the changes told."""
        changes = []
        self.now += seconds
        for _ in range(1000):
            changes += self.follower.poll()
            if not self.follower.loading:
                return changes
            threading.Event().wait(0.001)
        raise AssertionError("still loading")

    @property
    def running(self):
        current = self.follower.holder.current
        return current.digest if current else ""


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_no_room_beside_the_release_in_use(bench):
    """Held: told once, looked at again, no start counted; loaded when there is room."""
    full = {B: "it needs about 65 MB"}
    bench.journal.transition(slot(State.SWITCHING, committed=A, candidate=B), reason="")
    bench.link(A)
    bench.follower = Follower(
        "m", bench.layout, bench.journal, bench.load, lambda: bench.now,
        room=lambda digest, beside: full.get(digest, ""),
    )  # fmt: skip
    bench.settle()
    bench.link(B)
    told = [change for _ in range(6) for change in bench.settle(5)]
    assert [(change.kind, change.digest) for change in told] == [("held", B)]
    assert "needs about 65 MB" in told[0].text and told[0].loaded is None
    assert (bench.running, bench.loads) == (A, [A])
    assert bench.journal.slot("m").starts == 0
    assert "needs about 65 MB" in bench.follower.error and bench.follower.failed == B
    full.clear()
    told = bench.settle(60)
    assert [change.kind for change in told] == ["swapped"] and bench.running == B
    bench.settle(1)
    assert bench.follower.error == ""


def test_the_first_release_needs_no_room_beside_another(bench):
    """With nothing running there is nothing to protect."""
    bench.link(A)
    bench.follower = Follower(
        "m", bench.layout, bench.journal, bench.load, lambda: bench.now,
        room=lambda digest, beside: "no",
    )  # fmt: skip
    bench.settle()
    assert bench.running == A


def test_first_release_then_the_next(bench):
    """Nothing, then A, then B; each loaded once and told once."""
    assert bench.settle() == [] and bench.running == ""
    bench.link(A)
    bench.journal.transition(slot(committed=A), reason="")
    assert [(c.kind, c.digest, c.before) for c in bench.settle()] == [("swapped", A, None)]
    bench.link(B)
    bench.journal.transition(slot(committed=B, previous=A), reason="")
    (change,) = bench.settle()
    assert (change.digest, change.before.digest) == (B, A)
    bench.settle(60)
    assert bench.loads == [A, B] and bench.follower.error == ""


def test_the_old_one_serves_while_the_new_one_loads(bench):
    """The holder changes only when the new one is warm."""
    bench.link(A)
    bench.settle()
    bench.gate.clear()
    bench.link(B)
    bench.now += POLL_S
    bench.follower.poll()
    assert bench.follower.loading and bench.running == A
    bench.now += 60
    assert bench.follower.poll() == [] and bench.running == A
    bench.gate.set()
    bench.settle(0)
    assert bench.running == B


def test_a_start_is_counted_before_the_load(bench):
    """While the candidate loads, the journal already knows."""
    bench.journal.transition(slot(State.SWITCHING, committed=A, candidate=B), reason="")
    bench.link(B)
    bench.gate.clear()
    bench.follower.poll()
    assert bench.follower.loading and bench.journal.slot("m").starts == 1
    bench.gate.set()
    bench.settle()
    bench.settle(100)
    assert bench.journal.slot("m").starts == 1


def test_three_failed_loads_leave_the_candidate(bench):
    """Retried with back-off, each counted; then the reason is told once and noted in the audit."""
    bench.link(A)
    bench.journal.transition(slot(committed=A), reason="")
    bench.settle()
    bench.broken[B] = "no memory"
    bench.journal.transition(slot(State.TRIAL, committed=A, candidate=B), reason="")
    bench.link(B)
    told = [change for _ in range(8) for change in bench.settle(5)]
    assert bench.loads == [A, B, B, B] and bench.running == A
    assert [change.kind for change in told] == ["failed"] * 4
    assert "no memory" in told[0].text and "3 starts" in told[3].text
    assert (bench.follower.failed, "3 starts" in bench.follower.error) == (B, True)
    notes = [row for row in bench.journal.history("m") if row.target == "AGENT_FELL_BACK"]
    assert [row.digest for row in notes] == [B]


def test_a_damaged_release_falls_back_and_is_tried_again(bench):
    """With nothing running the next best is loaded; when the damage is repaired it comes back."""
    bench.journal.transition(slot(committed=B, previous=A), reason="")
    bench.link(B)
    bench.broken[B] = "bit rot"
    bench.settle()
    bench.settle(0)
    assert bench.running == A and "bit rot" in bench.follower.error
    del bench.broken[B]
    bench.settle(10)
    bench.settle(0)
    assert (bench.running, bench.follower.error) == (B, "")


class FullDisk(Journal):
    """A journal that can be read and not written."""

    def count_start(self, model, digest):
        raise StorageError("journal: the disk is full")


def test_a_candidate_that_cannot_be_counted_is_not_started(bench):
    """A journal that refuses to be written: the proven release runs instead."""
    bench.journal.transition(slot(State.TRIAL, committed=A, candidate=B), reason="")
    bench.link(B)
    bench.journal = FullDisk(bench.layout.journal)
    bench.again()
    bench.settle()
    bench.settle(0)
    assert bench.loads == [A] and bench.running == A
    assert "disk is full" in bench.follower.error


def test_without_a_journal_the_link_decides(tmp_path):
    """A damaged journal must not blind the device."""
    bench = Bench(tmp_path)
    bench.journal = None
    bench.again()
    bench.link(A)
    bench.settle()
    assert bench.running == A


def test_a_release_in_use_is_not_handed_out():
    """Swapped out in the middle of a frame: collected after it, exactly once."""
    holder = Holder()
    old, new = Fake(A), Fake(B)
    holder.swap(old)
    inside = holder.take()
    holder.swap(new)
    assert inside is old and holder.collect() == []
    next_frame = holder.take()
    assert next_frame is new
    holder.give_back(next_frame)
    holder.give_back(inside)
    assert holder.collect() == [old] and holder.collect() == []


def test_a_poll_never_waits_for_the_disk(bench):
    """Nothing is read, counted or loaded while it is away; then one after the other."""
    disk = Away()
    bench.follower = Follower(
        "m", bench.layout, bench.journal, bench.load, lambda: bench.now, disk=disk
    )
    bench.journal.transition(slot(State.TRIAL, candidate=B), reason="")
    bench.link(B)
    for _ in range(5):
        bench.now += POLL_S
        assert bench.follower.poll() == [] and not bench.follower.loading
    assert list(disk.errands) == ["look m"]
    disk.come()
    assert bench.follower.poll() == [] and bench.follower.loading
    assert bench.loads == [] and bench.journal.slot("m").starts == 0
    bench.follower.poll()
    assert list(disk.errands) == ["start m"]
    disk.come()
    assert bench.journal.slot("m").starts == 1 and bench.loads == []
    bench.settle(0)
    assert (bench.loads, bench.running) == ([B], B)
