"""Is a frame what was agreed on: a picture, of the usual size, at the usual rate?"""

from __future__ import annotations

import math
from collections import deque

from edge_agent.detection.preprocess import check_image
from edge_agent.errors import SourceError

RATE_FRAMES = 32


def unusable(image: object) -> str:
    """Why no check and no model can look at it; "" when they can."""
    try:
        check_image(image)
    except SourceError as error:
        return str(error)
    return ""


def other_size(size: tuple[int, int], usual: tuple[int, int]) -> str:
    """What is wrong with a picture's width and height; "" when they are the usual ones."""
    if size == usual:
        return ""
    return (
        f"frames are {size[0]} x {size[1]}, the camera was calibrated at {usual[0]} x {usual[1]};"
        " set its resolution back, or calibrate it anew"
    )


class Rate:
    """Frames per second at the source, over the last `RATE_FRAMES` frames that came.

    Frames that were dropped on the way do not count as missing: their numbers were counted.

    Args:
        usual: frames per second.
    """

    def __init__(self, usual: float) -> None:
        self.usual = usual
        self._seen: deque[tuple[int, float]] = deque(maxlen=RATE_FRAMES)

    def fps(self, seq: int, at: float) -> float | None:
        """Take the next frame's number and time in seconds; None while there are too few.

        A number or a clock that goes back, or a long pause (a source that was opened again, a
        clock that was set) begins anew.
        """
        if self._seen:
            before, then = self._seen[-1]
            if seq <= before or not 0.0 < at - then < RATE_FRAMES / self.usual:
                self._seen.clear()
        self._seen.append((seq, at))
        if len(self._seen) < RATE_FRAMES:
            return None
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began)

    def score(self, fps: float) -> float:
        """0 at the usual rate, 1 at half or twice of it."""
        return abs(math.log2(max(fps, 1e-6) / self.usual))

    def text(self, fps: float) -> str:
        """One sentence for a rate that is not the usual one."""
        return (
            f"{fps:.1f} frames per second come, usually {self.usual:.1f};"
            " look at the camera's exposure time, its bus and its network"
        )
