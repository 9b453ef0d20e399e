"""How many independent looks the looks at one line are worth. Pure.

Frames of a camera that follow each other show the same part in the same light, so verdicts about
them agree more often than chance would have it, and an interval that counts each of them is too
short.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

ASSUMED_S = 6.0
"""Integrated autocorrelation time of a camera that nobody calibrated."""


def effective_count(
    looks: Iterable[tuple[str, float]], independent_s: Mapping[str, float]
) -> float:
    """Independent looks that would know a share as well as these: ``n^2 / sum(rho_ij)``.

    That is Kish's effective sample size (Survey Sampling, 1965, chapter 8) for looks whose
    correlation is known: ``exp(-2 * dt / tau)`` at a distance of dt seconds, an AR(1) process whose
    integrated autocorrelation time is tau. Cameras are independent of each other; looks at one
    frame count as one, which is the careful side.

    Args:
        looks: camera and wall-clock seconds of each.
        independent_s: camera -> tau in seconds; `ASSUMED_S` where it is not known.

    Returns:
        Between 1 and the number of looks; 0 without any.
    """
    by_camera: dict[str, list[float]] = defaultdict(list)
    for camera, at in looks:
        by_camera[camera].append(at)
    count = sum(map(len, by_camera.values()))
    together = sum(
        _correlations(sorted(times), independent_s.get(camera, ASSUMED_S))
        for camera, times in by_camera.items()
    )
    return count * count / together if count else 0.0


def _correlations(times: list[float], tau_s: float) -> float:
    """The sum over all ordered pairs, each look with itself included; one pass."""
    total, before, last = 0.0, 0.0, times[0]
    for at in times:
        # ``before`` is the sum over the looks before this one, brought forward by one step.
        before *= math.exp(-2.0 * (at - last) / tau_s)
        total += 1.0 + 2.0 * before
        before, last = before + 1.0, at
    return total
