"""edge_agent.slots: the journal remembers, the audit has no gap, and `choose` decides alone."""

import sqlite3
from dataclasses import replace

import pytest

from edge_agent.errors import StorageError
from edge_agent.slots import MAX_STARTS, Ban, Journal, Slot, State, choose

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def journal(tmp_path):
    """A journal in an empty folder."""
    journal = Journal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def switched(journal):
    """A slot on trial with NEW, OLD committed."""
    slot = Slot("m", State.SWITCHING, committed=OLD, candidate=NEW)
    slot = journal.transition(slot, reason="switch")
    return journal.transition(replace(slot, state=State.TRIAL), reason="trial")


def test_a_transition_is_read_back_by_another_process(journal):
    """What was written is what a second opener reads."""
    slot = switched(journal)
    assert Journal(journal.path).slot("m") == slot


def test_each_transition_has_one_audit_row(journal):
    """The audit log has no gap and names both states, the version and the reason."""
    journal.remember_release(NEW, "m", 7)
    switched(journal)
    rows = journal.history("m")
    assert [(r.seq, r.origin, r.target, r.version, r.reason) for r in rows] == [
        (1, "IDLE", "SWITCHING", 7, "switch"),
        (2, "SWITCHING", "TRIAL", 7, "trial"),
    ]
    assert [row.seq for row in journal.history(after=1)] == [2]


def test_starts_are_counted_only_on_trial_and_survive_transitions(journal):
    """The agent's count is kept by the updater's transitions and begins anew at a switch."""
    slot = switched(journal)
    assert journal.count_start("m", NEW) == 1
    assert journal.count_start("m", OLD) == 0
    slot = journal.transition(replace(slot, reason="again"), reason="again")
    assert slot.starts == 1
    slot = journal.transition(replace(slot, state=State.SWITCHING), reason="switch")
    assert slot.starts == 0


def test_choose_takes_the_link_then_falls_back_after_three_starts():
    """Three starts without a commit make the agent go back alone."""
    slot = Slot("m", State.TRIAL, committed=OLD, candidate=NEW)
    assert choose(slot, NEW).digest == NEW
    assert choose(slot, NEW).on_trial
    tired = choose(replace(slot, starts=MAX_STARTS), NEW)
    assert (tired.digest, tired.on_trial) == (OLD, False)
    assert "3 starts" in tired.reason


def test_choose_without_a_trial_follows_the_link():
    """A committed release is loaded however often it starts."""
    slot = Slot("m", State.COMMITTED, committed=OLD, starts=99)
    assert choose(slot, OLD) == choose(replace(slot, state=State.IDLE), OLD)
    assert choose(slot, "").digest == OLD
    assert choose(Slot("m"), "").digest == ""


def test_bans_and_unban(journal):
    """A ban stays until it is lifted."""
    journal.ban(Ban("m", NEW, "cpu", "NaN", 1.0))
    assert [ban.digest for ban in journal.bans("m")] == [NEW]
    assert journal.bans("other") == []
    assert journal.unban("m", NEW)
    assert not journal.unban("m", NEW)


def test_versions_seen_never_fall(journal):
    """The highest TUF version ever seen wins, whatever is remembered later."""
    journal.remember_seen({"timestamp": 5})
    journal.remember_seen({"timestamp": 3, "snapshot": 2})
    assert (journal.seen("timestamp"), journal.seen("snapshot"), journal.seen("root")) == (5, 2, 0)


def test_a_damaged_or_newer_journal_is_one_clear_error(tmp_path):
    """Garbage and a newer schema are refused by name."""
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError, match=r"journal\.sqlite"):
        Journal(path)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StorageError, match="newer Outpost"):
        Journal(newer)


def test_a_failed_transaction_leaves_nothing(journal):
    """An error in the middle of a transition changes neither state nor audit."""
    with pytest.raises(TypeError):
        journal.transition(Slot("m", State.TRIAL, data={"x": object()}), reason="boom")
    assert journal.slot("m") == Slot("m")
    assert journal.history() == []
