"""The last frames that somebody saw on the page, so that an inspector can go back to them.

A picture that was encoded for a viewer is kept as it is: this costs no encoding of its own, shows
no more than the live picture did, and nothing at all happens while nobody looks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.page.answer import Answer
from edge_agent.page.watch import Look

FOUND_MOST = 16
EMPTY_MOST = 8
APART_S = 1.0
"""Between two frames that are kept: those in between show the same."""
GONE = "this frame is not kept any more; go back to the newest ones"


class _Kept(NamedTuple):
    """One frame: when it was judged (the watch's clock), what was reported, and its picture."""

    at: float
    detected: Detected
    size: tuple[int, int]
    marked: Sequence[Sequence[float]]
    picture: bytes


class Shown:
    """The frames of one camera, in bounded memory: so many with boxes, so many without.

    Args:
        boot: identity of this agent process.
        now: the watch's clock.
    """

    def __init__(self, boot: str, now: Callable[[], float]) -> None:
        self._boot = boot
        self._now = now
        self._lock = threading.Lock()
        self._found: deque[_Kept] = deque(maxlen=FOUND_MOST)
        self._empty: deque[_Kept] = deque(maxlen=EMPTY_MOST)

    def keep(self, look: Look, marked: Sequence[Sequence[float]], picture: bytes) -> None:
        """Take a frame that was shown, if the model judged it and the last one is old enough.

        Args:
            look: the frame.
            marked: its boxes as they were shown: corners as shares, score, class id.
            picture: the JPEG that was shown.
        """
        if look.result is None:
            return
        ring = self._found if marked else self._empty
        with self._lock:
            if ring and look.at - ring[-1].at < APART_S:
                return
            height, width = look.frame.image.shape[:2]
            ring.append(
                _Kept(look.at, self._detected(look, marked), (width, height), marked, picture)
            )

    def _detected(self, look: Look, marked: Sequence[Sequence[float]]) -> Detected:
        manifest = look.release.bundle.manifest
        height, width = look.frame.image.shape[:2]
        boxes = tuple(
            Box(
                manifest.classes[int(kind)], x0 * width, y0 * height, x1 * width, y1 * height, score
            )
            for x0, y0, x1, y1, score, kind in marked
        )
        key = FrameKey(look.frame.camera, self._boot, look.frame.seq)
        at, model = look.frame.captured_at, look.release.model
        return Detected(key, at, model, manifest.version, manifest.classes, boxes)

    def document(self) -> dict[str, Any]:
        """The frames for the page, newest first."""
        now = self._now()
        frames = sorted(self._all(), key=lambda one: -one.at)
        return {"v": 1, "frames": [_document(one, now) for one in frames]}

    def picture(self, seq: int) -> Answer:
        """The picture of a frame by its number."""
        for one in self._all():
            if one.detected.key.seq == seq:
                return Answer(HTTPStatus.OK, one.picture, "image/jpeg")
        return Answer.refusal(HTTPStatus.NOT_FOUND, GONE)

    def detected(self, key: FrameKey) -> Detected | None:
        """What was reported in a frame, as it was shown; None when it is not kept any more."""
        return next((one.detected for one in self._all() if one.detected.key == key), None)

    def _all(self) -> list[_Kept]:
        with self._lock:
            return [*self._found, *self._empty]


def _document(one: _Kept, now: float) -> dict[str, Any]:
    detected, (width, height) = one.detected, one.size
    return {
        "frame": str(detected.key),
        "seq": detected.key.seq,
        "age_s": round(now - one.at, 1),
        "width": width,
        "height": height,
        "model": detected.model,
        "version": detected.version,
        "classes": detected.classes,
        "boxes": one.marked,
    }
