"""A thread that reads a source into a bounded queue, so that a slow model never stalls a camera."""

from __future__ import annotations

import threading
from collections import deque

from edge_agent.errors import OutpostError, SourceError
from edge_agent.sources.base import POLICIES, Frame, Source
from edge_agent.sources.screen import LATEST, OLDEST, Screen


class Capture:
    """Frames of one source, read ahead by a thread.

    What happens when the queue is full: ``wait`` holds the source back, ``drop-oldest`` lets the
    frame go that waited longest, ``drop-latest`` the one that just came.

    Args:
        source: read from the thread; closed by `close`.
        policy: one of `POLICIES`.
        size: frames that may wait.
        screen: looks at each frame; those it keeps back are counted there.

    Attributes:
        captured: frames that the source gave.
        drops: frames that the policy let go, by reason.
    """

    def __init__(
        self,
        source: Source,
        *,
        policy: str = "drop-oldest",
        size: int = 2,
        screen: Screen | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise SourceError(f'policy "{policy}" is not one of {", ".join(POLICIES)}')
        self.source = source
        self.policy = policy
        self.captured = 0
        self.drops: dict[str, int] = {}
        self._screen = screen or Screen()
        self._size = size
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._error: OutpostError | None = None
        self._ended = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)

    def start(self) -> Capture:
        """Begin reading; returns itself."""
        self._thread.start()
        return self

    @property
    def dropped(self) -> int:
        """Frames that the policy let go."""
        return sum(self.drops.values())

    @property
    def finished(self) -> bool:
        """Whether the source ended and every frame was handed over."""
        with self._changed:
            return self._ended and not self._frames and self._error is None

    def get(self, timeout_s: float) -> Frame | None:
        """The next frame; None when none came in time or the source ended (see `finished`).

        Raises:
            SourceError: once, after the frames before it, when the source was lost.
        """
        with self._changed:
            self._changed.wait_for(self._something, timeout_s)
            if self._frames:
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def stop(self) -> None:
        """Take no more frames and wake who waits in `get`; returns at once, `close` follows."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Stop reading and close the source; False when the thread hangs inside a driver."""
        self.stop()
        self.source.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _something(self) -> bool:
        return bool(self._frames) or self._ended or self._closing

    def _work(self) -> None:
        try:
            while self._take():
                pass
        except OutpostError as error:
            self._error = error
        except Exception as error:  # a driver may raise anything; the loop must learn of it
            self._error = SourceError(f"{type(error).__name__} while reading a frame: {error}")
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self) -> bool:
        """Bring one frame; False at the end. No frame is held on to while the next is awaited."""
        frame = self.source.read()
        if frame is None:
            return False
        looked = self._screen.look(frame)
        with self._changed:
            self.captured += 1
            if looked is not None:
                self._put(looked)
            return not self._closing

    def _put(self, frame: Frame) -> None:
        if self.policy == "wait":
            self._changed.wait_for(lambda: len(self._frames) < self._size or self._closing)
        elif len(self._frames) >= self._size:
            if self.policy == "drop-latest":
                self._drop(LATEST)
                return
            self._frames.popleft()
            self._drop(OLDEST)
        self._frames.append(frame)
        self._changed.notify_all()

    def _drop(self, reason: str) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1
