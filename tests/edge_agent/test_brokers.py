"""The tests' own MQTT client."""

from __future__ import annotations

import gc

from tests.brokers import Listener


def test_a_listener_hears_nothing_that_waited_for_another(shared_broker):
    """Sessions outlive their client at the broker, so no two clients may have one name.

    Names made of an object's address come again: the 2nd listener would hear what the broker kept
    for the 1st, and a test would take another agent's messages for those of its own.
    """
    for number in range(20):
        with Listener(shared_broker.url, f"brokers/{number}") as heard:
            heard._client.publish(f"brokers/{number}", b"own", qos=1)
            heard.wait(lambda messages: len(messages) >= 1)
            assert heard.topics() == [f"brokers/{number}"]
        with Listener(shared_broker.url, "brokers/other") as other:  # while nobody hears
            other._client.publish(f"brokers/{number}", b"late", qos=1).wait_for_publish(10)
        del heard, other
        gc.collect()
