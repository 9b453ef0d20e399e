"""``python -m benchmarks.outage``: a day without a broker, at one window per ten seconds.

The agent's outbox, sink and voice keep 8,640 windows of three messages while nobody listens; then
mosquitto starts. Exit code 1 when one is missing or out of order, or disk or memory were not flat.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.endurance import BROKER
from edge_agent.metrics import METRICS_INPUT, METRICS_OUTPUT, METRICS_SYSTEM, Message, Reader
from tests.brokers import Listener, Mosquitto
from tests.voices import DEVICE, Voice

DAY = 8640
MEMORY_MB = 8.0  # what may be added after the first tenth


@dataclass(frozen=True)
class Outage:
    """What came of it.

    Attributes:
        windows: produced while nobody listened; three messages each.
        lost: messages that never arrived.
        out_of_order: messages that arrived after a later one.
        waiting_mb: what waited in the end, as the outbox counts it.
        disk_mb: files of the outbox then.
        disk_most_mb: the largest that they were.
        memory_more_mb: the process's growth after the first tenth of the windows.
        drained_s: from the broker's start to an empty outbox.
    """

    windows: int
    lost: int
    out_of_order: int
    waiting_mb: float
    disk_mb: float
    disk_most_mb: float
    memory_more_mb: float
    drained_s: float

    @property
    def good(self) -> bool:
        """Nothing lost, in order, disk and memory bounded."""
        bounded = self.disk_most_mb < 1.5 * self.waiting_mb + 8
        return not (self.lost or self.out_of_order) and bounded and self.memory_more_mb < MEMORY_MB


def messages(number: int) -> list[Message]:
    """What a device with one camera says per window."""
    padding = {f"psi_{feature}": 0.12345 for feature in range(12)}
    return [
        Message(suffix, {"number": number, **padding})
        for suffix in (METRICS_INPUT, METRICS_OUTPUT, METRICS_SYSTEM)
    ]


def outage(folder: Path, windows: int) -> Outage:
    """Produce without a broker, start it, count what arrives.

    Raises:
        AssertionError: the outbox was not empty in ten minutes.
    """
    reader, numbers = Reader(), []

    def hear(payload: bytes) -> None:
        document = reader.accept(DEVICE, payload)
        if document is not None and "number" in document:
            numbers.append(document["number"])

    # The consumer subscribes before the outage, so that the broker keeps its session.
    with (
        Mosquitto(folder, extra=BROKER) as broker,
        Listener(broker.url, pattern="outpost/v1/+/up/metrics/#", on_payload=hear),
    ):
        broker.stop()
        one = Voice(folder / "device", broker.url, max_bytes=64_000_000)
        memory, disk = _produce(one, folder / "device", windows)
        waiting_mb = one.outbox.size_bytes / 1e6
        broker.start()
        began = time.monotonic()
        one.drained(600.0)
        drained_s = time.monotonic() - began
        one.close()
    return Outage(
        windows=windows,
        lost=3 * windows - len(numbers),
        out_of_order=sum(a > b for a, b in pairwise(numbers)),
        waiting_mb=round(waiting_mb, 2),
        disk_mb=round(disk[-1], 2),
        disk_most_mb=round(max(disk), 2),
        memory_more_mb=round(max(memory[2:]) - memory[1], 2),
        drained_s=round(drained_s, 1),
    )


def _produce(one: Voice, folder: Path, windows: int) -> tuple[list[float], list[float]]:
    """Say it all; memory and disk in MB, ten times on the way and at the end."""
    memory, disk = [], []
    for number in range(windows):
        one.telemetry.send(messages(number))
        if number % (windows // 10) == 0 or number == windows - 1:
            memory.append(psutil.Process().memory_info().rss / 1e6)
            disk.append(_size_mb(folder))
    return memory, disk


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=DAY)
    with tempfile.TemporaryDirectory() as folder:
        came = outage(Path(folder), parser.parse_args(arguments).windows)
    print(json.dumps(asdict(came), indent=2))
    return 0 if came.good else 1


if __name__ == "__main__":
    sys.exit(main())
