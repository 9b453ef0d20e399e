"""Why a frame is kept, and why one that was worth it is not: the names in files and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALERT = "alert"  # a rule asked for it
BASELINE = "baseline"  # a random moment
CHECK = "check"  # a failed input check
DISAGREEMENT = "disagreement"  # a shadow model says something else
RARE = "rare"  # a class that was hardly seen lately
UNCERTAIN = "uncertain"  # a score near the threshold
# The first reason that applies names the capture; the baseline must not lose any to the others.
REASONS = (ALERT, BASELINE, CHECK, DISAGREEMENT, RARE, UNCERTAIN)

SPACING = "spacing"  # the last one of this camera and reason was just now
MINUTE = "minute"  # the limit per minute
DAY = "day"  # the limit per day, or one reason's share of it
BUSY = "busy"  # frames before it wait to be written
STUCK = "stuck"  # the disk has not answered for a while
FULL = "full"  # no room on the disk
FAILED = "failed"  # the disk refused: read-only, not permitted, broken
ERROR = "error"  # something else went wrong with this frame
REFUSALS = (SPACING, MINUTE, DAY, BUSY, STUCK, FULL, FAILED, ERROR)

Evidence = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Why:
    """One reason to keep a frame.

    Attributes:
        reason: one of `REASONS`.
        text: one sentence.
        evidence: numbers and names behind it.
    """

    reason: str
    text: str
    evidence: Evidence = field(default_factory=dict)
