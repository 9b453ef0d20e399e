"""The bookkeeping of what is on its way, without a connection."""

from __future__ import annotations

import pytest

from edge_agent.sinks.delivery import Delivery, Limits, Refusal
from edge_agent.telemetry.outbox import Outbox, Parcel

DENIED = Refusal(0x87, "not authorized")


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def box(tmp_path):
    outbox = Outbox(tmp_path / "outbox.sqlite", 1 << 20)
    yield outbox
    outbox.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def delivery(box, clock):
    return Delivery(box, Limits(), clock)


def fill(box, *names, suffix="up/events"):
    box.put([Parcel(suffix, name.encode()) for name in names])


def send(delivery):
    """Send what is next; the mid is the id in the outbox."""
    items = delivery.next()
    for item in items:
        delivery.sent(item, item.id)
    return [item.parcel.payload.decode() for item in items]


def test_at_most_twenty_are_on_their_way(box, delivery):
    """More go out only when some were answered; order is kept."""
    fill(box, *(str(n) for n in range(30)))
    assert send(delivery) == [str(n) for n in range(20)] and send(delivery) == []
    for mid in (1, 2, 3):
        delivery.answered(mid)
    assert send(delivery) == ["20", "21", "22"]
    delivery.answered(99)  # not ours
    assert send(delivery) == []


def test_the_brokers_own_wish_is_kept(box, delivery):
    """A receive maximum below ours wins; one above does not."""
    fill(box, *"abcdef")
    delivery.begin(window=2)
    assert send(delivery) == ["a", "b"]
    delivery.begin(window=500)
    assert len(send(delivery)) == 6


def test_deleted_only_some_time_after_the_answer(box, delivery, clock):
    """A broker that dies in between gets it again."""
    fill(box, "a", "b")
    send(delivery)
    delivery.answered(1)
    clock.now += 2.9
    delivery.settle()
    assert len(box) == 2
    delivery.begin()  # the connection broke
    assert send(delivery) == ["a", "b"]
    delivery.answered(1)
    delivery.answered(2)
    clock.now += 3.1
    delivery.settle()
    assert len(box) == 0
    assert send(delivery) == [] and delivery.idle


def test_a_denied_message_is_tried_again_in_its_place(box, delivery, clock):
    """The ACL was wrong for a moment: the pause ends, the oldest goes first, nothing twice."""
    fill(box, "a", "b", "c")
    send(delivery)
    delivery.answered(2, DENIED)
    delivery.answered(1)
    delivery.answered(3)
    fill(box, "d")
    delivery.wake()
    assert send(delivery) == [] and delivery.trouble == "denied: not authorized: up/events"
    clock.now += 1.1
    assert send(delivery) == ["b", "d"]
    delivery.answered(2)
    assert delivery.trouble == "" and box.aside == 0


def test_a_topic_that_stays_denied_is_left_aside(box, delivery, clock):
    """Three tries with pauses for the first one, one try for each later one; others pass."""
    fill(box, "bad", suffix="up/bad")
    fill(box, "good")
    for tries in range(3):
        assert send(delivery) == (["bad", "good"] if tries == 0 else ["bad"])
        delivery.answered(1, DENIED)
        clock.now += 20
    delivery.answered(2)
    fill(box, "worse", suffix="up/bad")
    fill(box, "better")
    delivery.wake()
    assert send(delivery) == ["worse", "better"]
    delivery.answered(3, DENIED)
    delivery.answered(4)
    assert (box.aside, delivery.trouble) == (2, "denied: not authorized: up/bad")
    fill(box, "last", suffix="up/bad")
    delivery.wake()
    assert send(delivery) == ["last"]
    delivery.answered(5)
    assert delivery.trouble == "" and send(delivery) == ["bad", "worse"]


def test_a_full_broker_is_waited_for(box, delivery, clock):
    """Quota exceeded says nothing about a message: it is never set aside."""
    fill(box, "a")
    for _ in range(10):
        assert send(delivery) == ["a"]
        delivery.answered(1, Refusal(0x97, "quota exceeded"))
        assert delivery.trouble == "busy: quota exceeded"
        clock.now += 20
    assert box.aside == 0


def test_a_message_on_which_the_broker_hangs_up_is_found(box, delivery):
    """The oldest unanswered one is suspected and sent alone; an innocent one is cleared."""
    fill(box, *"abcd")
    assert send(delivery) == ["a", "b", "c", "d"]
    delivery.answered(1)
    delivery.hung_up()
    delivery.begin()
    assert send(delivery) == ["a"] and send(delivery) == []
    delivery.answered(1)
    assert send(delivery) == ["b"] and send(delivery) == []
    delivery.answered(2)
    assert send(delivery) == ["c", "d"]
    delivery.hung_up()
    for _ in range(3):
        delivery.begin()
        assert send(delivery) == ["a", "b"]
        delivery.answered(1)
        delivery.answered(2)
        assert send(delivery) == ["c"]
        delivery.hung_up()
    delivery.begin()
    assert send(delivery) == ["a", "b", "d"]
    assert box.aside == 1 and delivery.trouble.startswith("hung-up: up/events of 1 bytes")


def test_too_large_by_the_brokers_own_word(box, delivery):
    """It is not even sent; and a refusal with that code sets aside at once."""
    fill(box, "tiny", "x" * 50, "small")
    delivery.begin(largest=10)
    assert send(delivery) == ["tiny", "small"]
    delivery.answered(3, Refusal(0x95, "packet too large"))
    assert (box.aside, box.counts()["oversize"]) == (2, 2)
