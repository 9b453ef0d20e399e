"""edge_agent.metrics: envelopes, topics, and the reader that removes duplicates."""

import json
import math

import pytest

from edge_agent.metrics import Reader, Stamper, event, numbers, topic


def test_topics_are_below_the_device():
    """The root is fixed."""
    assert topic("cell-3", "up/status") == "outpost/v1/cell-3/up/status"


def test_envelope_counts_from_one():
    """Each payload has version, time, boot, sequence and model version."""
    stamper = Stamper("b1")
    first = json.loads(stamper.stamp({"x": 1}, ts=12.3456, model_version=4))
    second = json.loads(stamper.stamp({}, ts=13, model_version=4))
    assert first == {"v": 1, "ts": 12.346, "boot": "b1", "seq": 1, "model_version": 4, "x": 1}
    assert second["seq"] == 2


def test_missing_is_absent():
    """None, NaN and infinity are left out; zero stays."""
    assert numbers({"a": None, "b": math.nan, "c": math.inf, "d": 0}) == {"d": 0}


def test_reader_removes_duplicates_and_reports_gaps():
    """(device, boot, seq) decides; another boot begins anew; garbage is counted."""
    reader, stamper = Reader(), Stamper("b1")
    payloads = [stamper.stamp({}, ts=1, model_version=0) for _ in range(4)]
    for payload in (payloads[0], payloads[3], payloads[3], payloads[1], b"{", b"[]", b'{"seq":1}'):
        reader.accept("d", payload)
    assert (reader.accepted, reader.duplicates, reader.malformed) == (3, 1, 3)
    assert reader.gaps("d", "b1") == [3]
    assert reader.accept("other", payloads[0]) is not None


@pytest.mark.parametrize(
    "payload",
    [
        b"[]", b"", b"\xff", b"null", b"[" * 100_000, b'[["boot", "b"], ["seq", 1]]',
        b'{"boot": "b"}', b'{"seq": 1}', b'{"boot": null, "seq": 1}', b'{"boot": 7, "seq": 1}',
        b'{"boot": "b", "seq": 1.5}', b'{"boot": "b", "seq": "1"}', b'{"boot": "b", "seq": true}',
        b'{"boot": "b", "seq": 0}', b'{"boot": "b", "seq": NaN}',
        b'{"boot": "b", "seq": 1' + b"0" * 300 + b"}",
    ],
)  # fmt: skip
def test_reader_takes_no_number_for_another(payload):
    """What no agent sends takes nobody's place: the real message 1 still comes."""
    reader = Reader()
    assert reader.accept("d", payload) is None and reader.malformed == 1
    assert reader.boots("d") == []
    assert reader.accept("d", b'{"boot": "b", "seq": 1}') is not None


def test_events_go_before_metrics():
    """An event outlives metrics when the outbox is full."""
    message = event("x.y", "warning", "Something.", value=3)
    assert message.priority > 0
    assert message.payload["value"] == 3
