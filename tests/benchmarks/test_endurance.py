"""Nothing is lost when devices and brokers are killed; a long outage stays bounded."""

from __future__ import annotations

import json

import pytest

from benchmarks.device import messages
from benchmarks.endurance import endure
from benchmarks.outage import DAY, outage
from edge_agent.metrics import METRICS_SYSTEM
from tests.brokers import MOSQUITTO, free_port
from tests.voices import Voice

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.mark.slow
def test_kills_of_device_and_broker_lose_nothing(tmp_path):
    """The proof of `python -m benchmarks.endurance`, small."""
    endured = endure(tmp_path, messages=3000, device_kills=4, broker_kills=2, seed=3)
    assert endured.good, endured
    assert endured.boots >= 2 and endured.duplicates > 0


def test_a_batch_holds_metrics_and_events():
    """Both kinds of priority take part."""
    kinds = [message.suffix for message in messages(1, 20)]
    assert kinds.count("up/events") == 2 and kinds.count(METRICS_SYSTEM) == 18


@pytest.mark.slow
def test_a_long_time_without_a_broker(tmp_path):
    """`python -m benchmarks.outage`, an hour and a half of it: disk bounded, memory flat, order."""
    came = outage(tmp_path, DAY // 16)
    assert came.good, came


def test_an_outage_that_is_longer_than_the_disk_keeps_the_newest(tmp_path):
    """Bounded: the file stops growing, the oldest metrics are gone and counted, events are not."""
    one = Voice(tmp_path / "device", f"mqtt://127.0.0.1:{free_port()}", max_bytes=200_000)
    sizes = []
    for number in range(1, 1501, 10):
        one.telemetry.send(messages(number, number + 9))
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "device").iterdir()))
    kept = [json.loads(item.parcel.payload) for item in one.outbox.waiting(10_000)]
    events = [document["number"] for document in kept if document.get("kind") == "endurance"]
    assert events == list(range(10, 1501, 10))
    assert kept[-1]["number"] == 1500 and one.outbox.dropped == 1500 - len(kept) > 0
    assert max(sizes) < 200_000 * 1.5 + 5_000_000 and one.outbox.size_bytes <= 200_000
    one.close()
