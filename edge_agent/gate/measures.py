"""What is measured of a frame, and how a measured value becomes a score.

A score says how far a value is from the usual one, as a share of what is allowed: 0 is usual, 1 is
at the limit. Limits are learnt from good frames (`learn_range`), so a score means the same for
every measure and every camera.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Kind:
    """One measure.

    Attributes:
        check: the check that it belongs to.
        log: whether it is compared by ratios: limits and spreads are then of its base-2 logarithm.
        low, high: the least distance of the limit on that side, None where only the other side is
            a fault. What is nearer is not worth a person's walk to the camera.
        rare: whether the furthest value that was seen counts, instead of the usual spread.
    """

    check: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    rare: bool = False


KINDS: dict[str, Kind] = {
    # mean SSIM of the still part against the reference, after alignment
    "ssim": Kind("ssim", low=0.03),
    # energy of the gradients of the still part over the square of its level, noise taken off
    "detail": Kind("blur", log=True, low=0.7),
    # mean grey level of the still part
    "level": Kind("exposure", log=True, low=0.2, high=0.2),
    # share of the still part that is black or white
    "clipped": Kind("exposure", high=0.02),
    # change from frame to frame where nothing moves and nothing has edges: the sensor's noise;
    # the least of the last frames, and their median
    "noise": Kind("noise", log=True, high=1.0),
    # (a codec that has little to encode swallows some noise; a frozen picture has none)
    "change": Kind("freeze", log=True, low=3.0),
    # frames in a row that repeat the one before to the last bit
    "repeats": Kind("freeze", high=8.0, rare=True),
    # share of the still part in the largest connected region that is not the reference any more
    "lost": Kind("occlusion", high=0.02),
    # how far the picture has moved, as a share of its width
    "moved": Kind("displacement", high=0.005),
}

SPREADS = 3.0
TAIL = 0.05
_LEAST = 1e-6
_STILL_LEVELS = 0.05


class Range(NamedTuple):
    """What a measure usually is, and the limits beyond which its check fails (None: no limit)."""

    usual: float
    low: float | None = None
    high: float | None = None


class Scorer:
    """Scores of one measure by one range."""

    __slots__ = ("_high", "_log", "_low", "_usual", "name")

    def __init__(self, name: str, limits: Range) -> None:
        self.name = name
        self._log = KINDS[name].log
        self._usual = _scaled(limits.usual, self._log)
        self._low, self._high = (
            None if limit is None else max(abs(_scaled(limit, self._log) - self._usual), _LEAST)
            for limit in (limits.low, limits.high)
        )

    def score(self, value: float) -> float:
        """0 at the usual value and on a side without a limit, 1 at a limit."""
        away = _scaled(value, self._log) - self._usual
        allowed = self._low if away < 0 else self._high
        return abs(away) / allowed if allowed is not None else 0.0


def learn_range(name: str, values: Iterable[float] | npt.NDArray[np.float64]) -> Range:
    """The limits of a measure, from its values on good frames.

    On each side that can be a fault the limit lies three times as far from the median as the 5 %
    quantile does (about five standard deviations where values are normal), and at least as far as
    its kind says. A few bad frames among the good ones hardly move these quantiles.
    """
    kind = KINDS[name]
    scaled = np.array([_scaled(value, kind.log) for value in values])
    usual = float(np.median(scaled))
    tails = (0.0, 1.0) if kind.rare else (TAIL, 1.0 - TAIL)
    factor = 2.0 if kind.rare else SPREADS
    bottom, top = (abs(float(np.quantile(scaled, tail)) - usual) * factor for tail in tails)
    low = None if kind.low is None else _back(usual - max(bottom, kind.low), kind.log)
    high = None if kind.high is None else _back(usual + max(top, kind.high), kind.log)
    if name == "change" and low is not None and low < _STILL_LEVELS:
        low = None  # a camera whose frames repeat by themselves: only `repeats` can tell
    return Range(_back(usual, kind.log), low, high)


def _scaled(value: float, log: bool) -> float:
    return math.log2(max(value, _LEAST)) if log else value


def _back(value: float, log: bool) -> float:
    return float(f"{2.0**value if log else value:.6g}")
