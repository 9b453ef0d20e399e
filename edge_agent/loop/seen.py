"""What became of one frame, for those who look over the agent's shoulder: captures, the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.detection.detector import Result
from edge_agent.gate import Verdict
from edge_agent.loop.loaded import Loaded
from edge_agent.sources import Frame


@dataclass(frozen=True)
class Seen:
    """One frame after it was judged.

    Attributes:
        frame: the picture; not changed by anyone from here on.
        verdict: the gate's, None where there is no gate.
        result: the detector's, None when the gate kept the frame from it.
        loaded: the release that judged it; only valid while the listener is called.
    """

    frame: Frame
    verdict: Verdict | None
    result: Result | None
    loaded: Loaded


Listener = Callable[[Seen], None]
"""Called for each judged frame in the camera's way: returns at once and raises nothing."""
