"""Numbers that a consumer can trust: live ones, late ones, hostile ones, and a full disk."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import StorageError
from edge_agent.metrics import Message, Reader, Stamper, event
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import WAITING_MOST, Telemetry


def payload(seq, boot="b"):
    return json.dumps({"boot": boot, "seq": seq}).encode()


def test_live_messages_count_downwards_and_leave_no_gap():
    """A lost status or detection is no lost metric."""
    durable, live = Stamper("b"), Stamper("b", step=-1)
    reader = Reader()
    stamped = [s.stamp({}, ts=0, model_version=0) for s in (durable, live, live, durable)]
    assert [json.loads(text)["seq"] for text in stamped] == [1, -1, -2, 2]
    for text in (stamped[0], stamped[2], stamped[2], stamped[3]):
        reader.accept("d", text)
    assert (reader.accepted, reader.duplicates, reader.gaps("d", "b")) == (3, 1, [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 40)))
def test_the_reader_agrees_with_a_set(arrivals):
    """Whatever the order and the repetitions: accepted once each, gaps are what is missing."""
    reader = Reader()
    accepted = [seq for seq in arrivals if reader.accept("d", payload(seq)) is not None]
    assert sorted(accepted) == sorted(set(arrivals))
    assert reader.duplicates == len(arrivals) - len(set(arrivals))
    assert reader.gaps("d", "b") == sorted(set(range(1, max(arrivals, default=0))) - set(arrivals))


def test_a_hostile_number_costs_neither_time_nor_memory():
    """A device that lies about its numbers gets a bounded answer."""
    reader = Reader()
    for seq in (10**18, -(10**18), 5):
        reader.accept("d", payload(seq))
    assert len(reader.gaps("d", "b")) == Reader.REMEMBERED
    for seq in range(1, 50_000, 2):
        reader.accept("d", payload(-seq, "live"))
    assert reader.accept("d", payload(-49_999, "live")) is None
    assert reader.accept("d", b'{"boot": "b", "seq": Infinity}') is None


def test_a_late_consumer_gives_up_on_what_it_never_saw():
    """One that joins at number 100,000 is not told of 100,000 gaps for ever."""
    reader = Reader()
    first = 100_000
    for seq in range(first, first + Reader.REMEMBERED + 2):
        assert reader.accept("d", payload(seq)) is not None
    assert reader.gaps("d", "b") == []
    assert reader.accept("d", payload(first)) is None


class Full(Outbox):
    """An outbox whose disk is full while `full` is set."""

    full = False

    def put(self, parcels, *, cursor=None, life=None):
        if self.full:
            raise StorageError("the disk is full")
        super().put(parcels, cursor=cursor, life=life)


@pytest.fixture
def outbox(tmp_path):
    box = Full(tmp_path / "outbox.sqlite", 1 << 20)
    yield box
    box.close()


def test_a_full_disk_is_counted_and_leaves_no_gap_in_the_numbers(outbox, caplog):
    """The loop goes on; the trouble is logged once; later numbers follow the last kept one."""
    telemetry = Telemetry(outbox, "b", clock=lambda: 5.0)
    telemetry.send([event("a", "info", "one")])
    outbox.full = True
    telemetry.send([event("a", "info", "two"), Message("up/metrics/system", {})])
    telemetry.send([event("a", "info", "three")])
    outbox.full = False
    telemetry.send([event("a", "info", "four")], model_version=3)
    kept = [json.loads(item.parcel.payload) for item in outbox.waiting(10)]
    assert [(item["text"], item["seq"]) for item in kept] == [("one", 1), ("four", 2)]
    assert kept[1].items() >= {"ts": 5.0, "boot": "b", "model_version": 3}.items()
    assert telemetry.lost == 3
    assert len([record for record in caplog.records if "telemetry is lost" in record.message]) == 1


def test_without_a_sink_durable_messages_wait(outbox):
    """Live ones are gone, nothing fails."""
    telemetry = Telemetry(outbox, "b")
    telemetry.send([Message("up/info", {}, retain=True, durable=False), event("a", "info", "one")])
    assert len(outbox) == 1 and telemetry.state == "none"
    telemetry.close(0.1)


def test_listeners_hear_each_message_once_and_in_order(tmp_path):
    """Durable and live ones, also when the disk refuses to keep them."""
    heard = []
    outbox = Outbox(tmp_path / "outbox.sqlite", 1_000_000)
    telemetry = Telemetry(outbox, "b", listeners=[lambda message, _: heard.append(message)])
    messages = [event("a", "info", "first"), Message("up/status", {}, durable=False)]
    telemetry.send(messages)
    outbox.close()
    telemetry.send([event("b", "info", "lost")])
    assert telemetry.lost == 1
    assert [message.payload.get("text") for message in heard] == ["first", None, "lost"]


class Away:
    """A disk that does not answer until `come`."""

    def __init__(self):
        self.errands = {}

    def do(self, name, errand):
        self.errands[name] = errand
        return True

    def settle(self, timeout_s):
        return not self.errands

    def come(self):
        for errand in self.errands.values():
            errand()
        self.errands = {}


def test_what_waits_for_the_disk_keeps_its_time_and_gets_its_number_late(outbox):
    """Numbers without a gap, in the order in which it was said; a commit does not overtake."""
    now, disk = [1.0], Away()
    telemetry = Telemetry(outbox, "b", clock=lambda: now[0], disk=disk)
    telemetry.send([event("a", "info", "one")], model_version=7)
    now[0] = 2.0
    telemetry.send([event("a", "info", "two")])
    assert len(outbox) == 0 and telemetry.waiting == 2
    now[0] = 3.0
    assert telemetry.commit([event("a", "info", "three")], cursor=("c", 5))
    disk.come()
    kept = [json.loads(item.parcel.payload) for item in outbox.waiting(10)]
    assert [(d["text"], d["seq"], d["ts"], d["model_version"]) for d in kept] == [
        ("one", 1, 1.0, 7),
        ("two", 2, 2.0, 0),
        ("three", 3, 3.0, 0),
    ]
    assert telemetry.waiting == 0 and outbox.cursor("c") == 5


def test_a_disk_that_is_away_for_long_costs_the_oldest_metrics_first(outbox, caplog):
    """As many wait as are allowed; what went is counted, and leaves no gap."""
    disk = Away()
    telemetry = Telemetry(outbox, "b", disk=disk)
    telemetry.send([event("a", "info", str(number)) for number in range(10)])
    for number in range(WAITING_MOST + 20):
        telemetry.send([Message("up/metrics/system", {"number": number})])
    assert telemetry.waiting == WAITING_MOST and telemetry.lost == 30
    telemetry.send([event("a", "info", str(number)) for number in range(WAITING_MOST)])
    disk.come()
    kept = [json.loads(item.parcel.payload) for item in outbox.waiting(2 * WAITING_MOST)]
    assert {item["kind"] for item in kept} == {"a"} and len(kept) == WAITING_MOST
    assert [item["seq"] for item in kept] == list(range(1, WAITING_MOST + 1))
    assert telemetry.lost == 30 + WAITING_MOST
    assert caplog.text.count("telemetry is lost: the disk does not answer") == 1


def test_a_message_that_is_no_json_takes_no_other_with_it(outbox):
    """A bug of ours: counted, and no number is spent on it."""
    telemetry = Telemetry(outbox, "b")
    bad = Message("up/metrics/system", {"value": float("nan")})
    telemetry.send([event("a", "info", "one"), bad, event("a", "info", "two")])
    kept = [json.loads(item.parcel.payload) for item in outbox.waiting(10)]
    assert [(d["text"], d["seq"]) for d in kept] == [("one", 1), ("two", 2)]
    assert telemetry.lost == 1
