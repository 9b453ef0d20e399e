"""Frames that an alert wants to be kept: asked for by the agent, met by the cameras' listeners."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.captures.reasons import ALERT

if TYPE_CHECKING:
    from edge_agent.captures.recorder import Recorder
    from edge_agent.loop.seen import Listener, Seen

FRAMES = 3


@dataclass
class _Wish:
    rule: str
    text: str
    left: int
    due: float


class Wishes:
    """Hands the next frames of a camera to the recorder, spaced as ``[capture] spacing_s`` says.

    Args:
        recorder: keeps them.
        spacing_s: seconds between two of one camera.
        clock: monotonic seconds.
    """

    def __init__(
        self, recorder: Recorder, spacing_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._recorder = recorder
        self._spacing_s = spacing_s
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted: dict[str, _Wish] = {}

    def ask(self, camera: str, rule: str, text: str) -> None:
        """Want the next `FRAMES` frames of a camera; a newer wish replaces an older one."""
        with self._lock:
            self._wanted[camera] = _Wish(rule, text, FRAMES, self._clock())

    def listener(self, camera: str) -> Listener:
        """What the camera's judge calls with each of its frames."""

        def listen(seen: Seen) -> None:
            if camera in self._wanted:
                self._meet(camera, seen)

        return listen

    def _meet(self, camera: str, seen: Seen) -> None:
        with self._lock:
            wish, now = self._wanted.get(camera), self._clock()
            if wish is None or now < wish.due:
                return
            wish.due, wish.left = now + self._spacing_s, wish.left - 1
            if not wish.left:
                del self._wanted[camera]
        self._recorder.offer(seen, ALERT, {"text": wish.text, "rule": wish.rule})
