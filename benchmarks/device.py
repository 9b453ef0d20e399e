"""A device that only talks: the agent's outbox, sink and voice, killed at will by `endurance`.

``python -m benchmarks.device FOLDER URL TOTAL BATCH`` produces the numbers 1 … TOTAL, each in one
message, and ends when the broker has them all. How far it came is kept in one transaction with the
messages, so a process that follows a killed one goes on where that one was.
"""

from __future__ import annotations

import secrets
import sys
import time
from functools import partial
from pathlib import Path

from edge_agent.backoff import Backoff
from edge_agent.clerk import Clerk
from edge_agent.config import Mqtt
from edge_agent.metrics import METRICS_SYSTEM, Message, event
from edge_agent.sinks.mqtt import MqttSink
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

DEVICE = "cell-1"
CURSOR = "produced"
OUTBOX_BYTES = 64_000_000
_AHEAD = 4000  # messages that may wait before production pauses


def messages(first: int, last: int) -> list[Message]:
    """The numbers of a batch: metrics, and an event now and then."""
    return [
        event("endurance", "info", "one of many", number=number)
        if number % 10 == 0
        else Message(METRICS_SYSTEM, {"number": number, "latency_p50_ms": 12.5, "cpu_percent": 31})
        for number in range(first, last + 1)
    ]


def _produce(telemetry: Telemetry, first: int, last: int) -> None:
    """An errand, as the agent's journal is told: a refused batch is made again."""
    telemetry.commit(messages(first, last), cursor=(CURSOR, last))


def run(folder: Path, url: str, total: int, batch: int) -> None:
    """Produce what is still to produce, and deliver everything."""
    outbox = Outbox(folder / "outbox.sqlite", OUTBOX_BYTES)
    clerk = Clerk("data")
    telemetry = Telemetry(outbox, secrets.token_hex(4), disk=clerk)
    mqtt = Mqtt(url, None, None, None, "", None, 5)
    sink = MqttSink(mqtt, DEVICE, outbox, telemetry.stamp_live, Backoff(0.1, 1.0))
    telemetry.attach(sink)
    done = outbox.cursor(CURSOR)
    while done < total:
        if len(outbox) > _AHEAD:
            time.sleep(0.01)
            continue
        clerk.do("produce", partial(_produce, telemetry, done + 1, min(total, done + batch)))
        clerk.settle(60.0)
        done = outbox.cursor(CURSOR)
    while len(outbox):
        time.sleep(0.02)
    telemetry.close(2.0)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
