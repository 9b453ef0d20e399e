"""What the agent keeps per model, and where cameras leave their messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_agent.health import KEEP, ModelHealth, Window
from edge_agent.loop.camera import CameraWorker, FrameCounts
from edge_agent.loop.follow import Releases
from edge_agent.loop.loaded import Loaded
from edge_agent.metrics import Message


@dataclass
class ModelRuntime:
    """One model: where its release comes from, its cameras, its last windows."""

    name: str
    releases: Releases
    cameras: list[CameraWorker]
    windows: deque[Window] = field(default_factory=lambda: deque(maxlen=KEEP))
    seq: int = 0
    told: FrameCounts = field(default_factory=FrameCounts)
    drifted: bool = False
    nonfinite: bool = False
    dropped_before_load: int | None = None

    @property
    def frames(self) -> FrameCounts:
        """Frames of all its cameras since the start."""
        return sum((camera.counts for camera in self.cameras), FrameCounts())

    @property
    def current(self) -> Loaded | None:
        """The release that serves."""
        return self.releases.holder.current

    def frames_of_window(self) -> FrameCounts:
        """Captured and dropped since this was asked the last time."""
        now, before = self.frames, self.told
        self.told = now
        return FrameCounts(
            captured=now.captured - before.captured, dropped=now.dropped - before.dropped
        )


class Inbox:
    """Messages from the cameras' threads; putting never blocks, the oldest go when it is full."""

    def __init__(self, most: int = 1000) -> None:
        self._messages: deque[tuple[Message, int]] = deque(maxlen=most)

    def put(self, message: Message, model_version: int) -> None:
        """Take a message and the model version that it is about."""
        self._messages.append((message, model_version))

    def take(self) -> list[tuple[Message, int]]:
        """All messages so far."""
        taken = []
        while self._messages:
            taken.append(self._messages.popleft())
        return taken


def model_health(runtime: ModelRuntime, *, stopped: bool) -> ModelHealth:
    """What the health file says of one model; the last words of an agent say that it stopped."""
    loaded, error = runtime.current, runtime.releases.error
    idle = "failed" if error else "waiting"
    alive = "running" if loaded else idle
    return ModelHealth(
        model=runtime.name,
        release=loaded.digest if loaded else "",
        version=loaded.version if loaded else 0,
        state="stopped" if stopped else alive,
        error=error,
        provider=loaded.detector.provider if loaded else "",
        windows=tuple(runtime.windows),
        failed=runtime.releases.failed,
        fallback_reason=loaded.detector.fallback_reason if loaded else "",
    )
