"""``python -m benchmarks.endurance``: are messages lost when devices and brokers are killed?

A device (`benchmarks.device`: the agent's outbox, sink and voice in a process) produces numbered
messages while it and mosquitto are killed with SIGKILL at random moments. A consumer with a lasting
session reads with `edge_agent.metrics.Reader`. Exit code 1 when a number is missing, comes twice
through the reader, or comes out of order.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.device import DEVICE
from edge_agent.metrics import Reader
from tests.brokers import Listener, Mosquitto

BROKER = (
    "allow_anonymous true",
    # mosquitto's default of 1000 silently drops what a slow consumer has not fetched.
    "max_queued_messages 0",
    # Saved every 50 changes: after each one, mosquitto would pass on 200 messages a second.
    "autosave_interval 50",
)
_STALLED_S = 60.0


@dataclass(frozen=True)
class Endured:
    """What came of it.

    Attributes:
        messages: produced.
        device_kills, broker_kills: with SIGKILL.
        lost: numbers that never arrived.
        twice: numbers that the reader let through a second time.
        out_of_order: numbers that arrived after a higher one.
        duplicates: that the reader removed.
        boots: lives of the device that were heard.
        gaps: sequence numbers that the reader misses.
        seconds: that it took.
    """

    messages: int
    device_kills: int
    broker_kills: int
    lost: int
    twice: int
    out_of_order: int
    duplicates: int
    boots: int
    gaps: int
    seconds: float

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, everything in order."""
        return not (self.lost or self.twice or self.out_of_order or self.gaps)


class Consumer:
    """What a program behind the broker does: a lasting session and the reader."""

    def __init__(self) -> None:
        self.reader = Reader()
        self.numbers: list[int] = []
        self.boots: dict[str, None] = {}
        self.arrived = threading.Condition()

    def hear(self, payload: bytes) -> None:
        """Take one message as it came."""
        document = self.reader.accept(DEVICE, payload)
        if document is None or "number" not in document:
            return
        with self.arrived:
            self.boots[document["boot"]] = None
            self.numbers.append(document["number"])
            self.arrived.notify_all()

    def wait(self, count: int, timeout_s: float) -> bool:
        """Until so many numbers came."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.numbers) >= count, timeout_s)

    def gaps(self) -> int:
        """Sequence numbers that are missing in any life of the device."""
        return sum(len(self.reader.gaps(DEVICE, boot)) for boot in self.boots)


class Hall:
    """The device and the broker, to be killed."""

    def __init__(self, folder: Path, total: int, batch: int) -> None:
        self._folder = folder
        self.broker = Mosquitto(folder, extra=BROKER)
        self._command = [sys.executable, "-m", "benchmarks.device", str(folder)]
        self._command += [self.broker.url, str(total), str(batch)]
        self._device: subprocess.Popen[bytes] | None = None

    def start_device(self) -> None:
        """A new life."""
        with (self._folder / "device.log").open("ab") as log:
            self._device = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill_device(self) -> None:
        """SIGKILL, and a new life."""
        assert self._device is not None
        self._device.kill()
        self._device.wait()
        self.start_device()

    def kill_broker(self) -> None:
        """SIGKILL, and a new life with what it had saved."""
        self.broker.kill()
        self.broker.start()

    def finished(self, timeout_s: float) -> bool:
        """Whether the device ended by itself, content."""
        assert self._device is not None
        return self._device.wait(timeout_s) == 0

    def close(self) -> None:
        """End both."""
        if self._device is not None and self._device.poll() is None:
            self._device.kill()
            self._device.wait()


def endure(
    folder: Path, *, messages: int, device_kills: int, broker_kills: int, seed: int, batch: int = 20
) -> Endured:
    """Produce, kill, count.

    Args:
        folder: for the outbox and the broker's memory.
        messages: to produce.
        device_kills: at random moments before the last messages arrive.
        broker_kills: the same.
        seed: of the moments.
        batch: messages per transaction.

    Raises:
        TimeoutError: nothing arrives any more.
    """
    rng = random.Random(seed)
    kinds = ["device"] * device_kills + ["broker"] * broker_kills
    rng.shuffle(kinds)
    moments = sorted(rng.randrange(messages // 100, messages * 97 // 100) for _ in kinds)
    consumer, hall = Consumer(), Hall(folder, messages, batch)
    began = time.monotonic()
    with hall.broker, Listener(hall.broker.url, on_payload=consumer.hear):
        try:
            hall.start_device()
            for moment, kind in zip(moments, kinds, strict=True):
                if not consumer.wait(moment, _STALLED_S):
                    raise TimeoutError(f"stuck at {len(consumer.numbers)} of {messages}")
                time.sleep(rng.uniform(0.0, 0.3))
                (hall.kill_device if kind == "device" else hall.kill_broker)()
            content = hall.finished(_STALLED_S + messages / 200)
            if not content:
                raise TimeoutError("the device ended with a fault; see device.log")
            consumer.wait(messages, 10.0)
        finally:
            hall.close()
    return _result(consumer, messages, device_kills, broker_kills, time.monotonic() - began)


def _result(
    consumer: Consumer, messages: int, device_kills: int, broker_kills: int, seconds: float
) -> Endured:
    numbers = consumer.numbers
    different = set(numbers)
    highest, late = 0, 0
    for number in numbers:
        late += number < highest
        highest = max(highest, number)
    return Endured(
        messages=messages,
        device_kills=device_kills,
        broker_kills=broker_kills,
        lost=messages - len(different),
        twice=len(numbers) - len(different),
        out_of_order=late,
        duplicates=consumer.reader.duplicates,
        boots=len(consumer.boots),
        gaps=consumer.gaps(),
        seconds=round(seconds, 1),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--device-kills", type=int, default=50)
    parser.add_argument("--broker-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="only the figures, as JSON")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        endured = endure(
            Path(folder),
            messages=chosen.messages,
            device_kills=chosen.device_kills,
            broker_kills=chosen.broker_kills,
            seed=chosen.seed,
        )
    if not chosen.json:
        print("kept every promise" if endured.good else "BROKEN PROMISE", file=sys.stderr)
    print(json.dumps(asdict(endured), indent=2))
    return 0 if endured.good else 1


if __name__ == "__main__":
    sys.exit(main())
