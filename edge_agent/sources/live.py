"""What all live sources have in common: they number their frames and write them where asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.errors import SourceError
from edge_agent.sources.base import Buffers, Frame
from edge_agent.sources.screen import Counter

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image


def new_picture(height: int, width: int) -> Image:
    """Memory of its own for each picture (see `Buffers`)."""
    return np.empty((height, width, 3), np.uint8)


class LiveSource:
    """A camera that gives frames until it is closed or lost; a kind overrides `picture`.

    Attributes:
        buffers: where pictures are written; a capture process puts them into shared memory.
        skipped: pictures that were not given, or not as they came, by outcome.
        finished: never; a live source is lost.
    """

    finished = False

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.buffers: Buffers = new_picture
        self.skipped = Counter()
        self.closed = threading.Event()
        self._seq = 0
        self._released = False

    def picture(self) -> tuple[Image, float] | None:
        """Wait a moment for the next picture and the wall-clock time at which it was taken.

        Returns:
            None when none came yet; it is called again.

        Raises:
            SourceError: the camera is lost.
        """
        raise NotImplementedError

    def let_go(self) -> None:
        """Give the camera back; called once, by the thread that read it."""

    def read(self) -> Frame | None:
        """Wait for the next frame (see `Source.read`)."""
        try:
            while not self.closed.is_set():
                taken = self.picture()
                if taken is not None:
                    self._seq += 1
                    return Frame(taken[0], taken[1], self._seq, self.camera)
        except SourceError:
            self.release()
            raise
        self.release()
        return None

    def close(self) -> None:
        """Ask `read` to end."""
        self.closed.set()

    def release(self) -> None:
        """Give the camera back, if that was not done; by the thread that read it."""
        if not self._released:
            self._released = True
            self.let_go()
