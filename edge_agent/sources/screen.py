"""What may be wrong with a frame, each by a name, and the look that every frame passes.

Every outcome is counted; none ends the loop. `UNUSABLE` frames go no further, `NOTES` are about
frames that do, `DROPS` are good frames that there was no time or room for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_agent.sources.base import Frame

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

# Good frames that were let go.
OLDEST = "oldest"  # the queue was full: the one that waited longest
LATEST = "latest"  # the queue was full: the one that just came
NO_SLOT = "no_slot"  # every slot of the capture process was still in use
OVERWRITTEN = "overwritten"  # the program that owns the camera was faster than we read
POLICY_DROPS = (OLDEST, LATEST)  # they count as captured; the others never came to the agent
DROPS = (*POLICY_DROPS, NO_SLOT, OVERWRITTEN)

# Frames that cannot be used.
UNREADABLE = "unreadable"  # a file that is not a whole picture
DAMAGED = "damaged"  # the decoder had to guess: data were lost on the way
EMPTY = "empty"  # no pixels
TOO_SMALL = "too_small"  # a side under `LEAST_SIDE` pixels
NO_PICTURE = "no_picture"  # no array of pixels in a form that we know
SIZE_LIE = "size_lie"  # fewer bytes than its width and height need
UNUSABLE = (UNREADABLE, DAMAGED, EMPTY, TOO_SMALL, NO_PICTURE, SIZE_LIE)

# Frames that are used, and something is worth knowing about them.
GREY = "grey"  # one channel, made three
ALPHA = "alpha"  # a fourth channel, left away
DEPTH_16 = "depth_16"  # 16 bits, the upper 8 kept
RESIZED = "resized"  # another size than the frame before
CLOCK_JUMP = "clock_jump"  # the wall clock moved by more than `JUMP_S` between two frames
BAD_TIME = "bad_time"  # a time of capture that cannot be; replaced by ours
NOTES = (GREY, ALPHA, DEPTH_16, RESIZED, CLOCK_JUMP, BAD_TIME)

LEAST_SIDE = 8  # SSIM's window is 7 x 7; less shows nothing
JUMP_S = 1.0


class Counter(dict[str, int]):
    """Outcomes so far, by name."""

    def add(self, outcome: str) -> None:
        """Count one."""
        self[outcome] = self.get(outcome, 0) + 1


def to_bgr(image: object, count: Callable[[str], None]) -> Image | None:
    """A picture as (H, W, 3) BGR uint8.

    Args:
        image: (H, W, 3) BGR is returned as it is; (H, W), (H, W, 1) and (H, W, 4) BGRA are made
            so, uint16 too.
        count: hears of each outcome.

    Returns:
        None when it is no usable picture.
    """
    fault = _fault(image)
    if fault:
        count(fault)
        return None
    assert isinstance(image, np.ndarray)
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return image
    return _converted(image, count)


def _fault(image: object) -> str:
    """Why it is no usable picture; empty when it is one."""
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
        return NO_PICTURE
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        return NO_PICTURE
    if image.size == 0:
        return EMPTY
    return TOO_SMALL if min(image.shape[:2]) < LEAST_SIDE else ""


def _converted(image: npt.NDArray[Any], count: Callable[[str], None]) -> Image:
    import cv2

    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype == np.uint16:
        count(DEPTH_16)
        image = (image >> 8).astype(np.uint8)
    if channels == 1:
        count(GREY)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if channels == 4:
        count(ALPHA)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), np.uint8)
    return image


class Screen:
    """The look that every frame of a camera passes; it outlives the openings of the source.

    Args:
        wall: wall-clock seconds; may jump.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counter()
        self._wall = wall
        self._clock = clock
        self._size: tuple[int, ...] | None = None
        self._offset: float | None = None

    @property
    def unusable(self) -> int:
        """Frames that were kept back so far."""
        return sum(self.counts.get(outcome, 0) for outcome in UNUSABLE)

    def look(self, frame: Frame) -> Frame | None:
        """The frame, its picture made BGR; None when it cannot be used."""
        image = to_bgr(frame.image, self.counts.add)
        if image is None:
            return None
        size = image.shape[:2]
        if size != self._size:
            if self._size is not None:
                self.counts.add(RESIZED)
            self._size = size
        self._watch_the_clock()
        return frame if image is frame.image else replace(frame, image=image)

    def _watch_the_clock(self) -> None:
        """A jump breaks nothing, for durations are monotonic; it explains `captured_at`."""
        offset = self._wall() - self._clock()
        if self._offset is not None and abs(offset - self._offset) > JUMP_S:
            self.counts.add(CLOCK_JUMP)
        self._offset = offset
