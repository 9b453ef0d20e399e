"""What is remembered for inspectors: ``[feedback]``."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.checked import Fields


@dataclass(frozen=True)
class Feedback:
    """``[feedback]``.

    Attributes:
        recent_mb: most that the last frames' detections take on disk (10^6 bytes); 0 keeps none,
            and a verdict then finds its frame among the captures only.
    """

    recent_mb: float


def parse_feedback(fields: Fields) -> Feedback:
    """Read ``[feedback]``; faults are noted in ``fields``."""
    feedback = Feedback(recent_mb=fields.number("recent_mb", 20.0, least=0.0, most=100_000.0))
    fields.close()
    return feedback
