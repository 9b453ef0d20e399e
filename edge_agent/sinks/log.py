"""Telemetry as JSON lines, for a device without a broker and for trying things.

One line per message: ``{"topic": …, "retain": …, "payload": {…}}``. The file is bounded: at
`MAX_BYTES` it becomes ``<name>.1`` and a new one is begun. ``-`` writes to stdout.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path

from edge_agent.errors import storage_errors
from edge_agent.metrics import topic
from edge_agent.sinks.base import Live, SinkContext, StampLive
from edge_agent.telemetry.outbox import Outbox, Parcel

MAX_BYTES = 16 * 1024 * 1024
_BATCH = 100
_RETRY_S = 5.0
log = logging.getLogger(__name__)


class LogSink:
    """Appends to a file and deletes from the outbox what is written."""

    def __init__(self, path: Path | None, device: str, outbox: Outbox, stamp: StampLive) -> None:
        self.state = "starting"
        self._path = path
        self._device = device
        self._outbox = outbox
        self._stamp = stamp
        self._live: list[Live] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sink-log", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Something new lies in the outbox."""
        self._wake.set()

    def live(self, message: Live) -> None:
        """Write now, past the outbox."""
        with self._lock:
            self._live.append(message)
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Write what waits and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        self.state = "stopped"

    def _run(self) -> None:
        while True:
            self._wake.clear()
            stopping = self._stopping
            try:
                self._write_all()
                self.state = "connected"
            except Exception as error:  # the disk, a pipe's reader that went away, or a bug
                if not self.state.startswith("failed"):
                    log.warning("telemetry log: %s", error)
                self.state = f"failed: {error}"
            if stopping:
                return
            failed = self.state != "connected"
            self._wake.wait(_RETRY_S if failed else None)

    def _write_all(self) -> None:
        with self._lock:
            live, self._live = self._live, []
        self._append(
            [
                Parcel(item.suffix, self._stamp(item.payload, item.model_version), item.retain)
                for item in live
            ]
        )
        while batch := self._outbox.waiting(_BATCH):
            self._append([item.parcel for item in batch])
            self._outbox.done([item.id for item in batch])

    def _append(self, parcels: list[Parcel]) -> None:
        lines = "".join(self._line(parcel) for parcel in parcels)
        if not lines:
            return
        if self._path is None:
            sys.stdout.write(lines)
            sys.stdout.flush()
            return
        with storage_errors(self._path):
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)

    def _line(self, parcel: Parcel) -> str:
        document = {
            "topic": topic(self._device, parcel.suffix),
            "retain": parcel.retain,
            "payload": json.loads(parcel.payload),
        }
        return json.dumps(document, separators=(",", ":")) + "\n"


def make(argument: str, context: SinkContext) -> LogSink:
    """``log`` writes ``<data>/telemetry.jsonl``, ``log:FILE`` that file, ``log:-`` stdout."""
    device = context.config.device
    default = device.layout.data / "telemetry.jsonl"
    path = None if argument == "-" else Path(argument) if argument else default
    return LogSink(path, device.id, context.outbox, context.stamp)
