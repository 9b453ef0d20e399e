"""Keeps what was reported in the last frames, so that a word about one of them finds it.

A camera's thread only leaves its detections here; another thread packs and writes them every few
seconds. A disk that hangs costs frames of this ring, never frames of a camera.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import StorageError
from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.feedback.store import Store
from edge_agent.telemetry.totals import feedback_totals

if TYPE_CHECKING:
    from edge_agent.detection.decode import Floats
    from edge_agent.loop.seen import Seen

FLUSH_S = 5.0
WAITING_MOST = 10_000
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Look:
    """A frame as the camera's thread leaves it; ``boxes`` is a copy of what was reported."""

    camera: str
    seq: int
    at: float
    model: str
    version: int
    classes: tuple[str, ...]
    boxes: Floats


class Recent:
    """The ring's writer; `listen` is a listener for every judge.

    Args:
        path: of the feedback file.
        most_bytes: of the ring.
        boot: of this agent process.
        flush_s: seconds between two writes.
    """

    def __init__(self, path: Path, most_bytes: int, boot: str, *, flush_s: float = FLUSH_S) -> None:
        self._path = path
        self._most = most_bytes
        self._boot = boot
        self._flush_s = flush_s
        self._waiting: deque[_Look] = deque()
        self._lost = 0
        self._complained = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="feedback", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Write what waits, within this time."""
        self._stop.set()
        self._thread.join(timeout_s)

    def listen(self, seen: Seen) -> None:
        """Take a judged frame; returns at once."""
        if seen.result is None:
            return
        if len(self._waiting) >= WAITING_MOST:
            self._lost += 1
            return
        manifest = seen.loaded.bundle.manifest
        self._waiting.append(
            _Look(
                seen.frame.camera,
                seen.frame.seq,
                seen.frame.captured_at,
                seen.loaded.model,
                manifest.version,
                manifest.classes,
                # The detector may use its array again for the next frame.
                seen.loaded.reported(seen.result.detections).copy(),
            )
        )

    def totals(self) -> dict[str, int | float]:
        """Counters for ``up/metrics/system``."""
        return feedback_totals(self._lost)

    def _work(self) -> None:
        store: Store | None = None
        while True:
            ended = self._stop.wait(self._flush_s)
            looks = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                store = store or Store(self._path)
                self._write(store, looks)
                self._complained = ""
            except StorageError as error:
                self._lost += len(looks)
                if str(error) != self._complained:
                    self._complained = str(error)
                    log.error("frames are not kept for feedback: %s", error)
            if ended:
                break
        if store is not None:
            store.close()

    def _write(self, store: Store, looks: Sequence[_Look]) -> None:
        def together(look: _Look) -> tuple[str, str, int]:
            return look.camera, look.model, look.version

        for _, group in groupby(sorted(looks, key=together), key=together):
            frames = [self._detected(look) for look in group]
            store.keep_recent(frames, most_bytes=self._most)

    def _detected(self, look: _Look) -> Detected:
        boxes = tuple(Box(look.classes[int(row[5])], *row[:5]) for row in look.boxes.tolist())
        key = FrameKey(look.camera, self._boot, look.seq)
        return Detected(key, look.at, look.model, look.version, look.classes, boxes)
