"""The gate: a picture against the reference, a verdict in words, an alarm that does not flap."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_agent.detection.preprocess import Image, check_image
from edge_agent.gate.ssim import Reference
from edge_agent.gate.statistics import Statistics, measure, reduce
from edge_agent.monitors.histogram import quantile
from edge_agent.monitors.profile import Profile

# The threshold lies this many (median - low quantile) spreads below the low quantile.
LOW_QUANTILE = 0.01
MARGIN_SPREADS = 1.0
LEAST_MARGIN = 0.02
LEAST_COUNTED = 20


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one picture.

    Attributes:
        passed: whether the model should see it.
        ssim: against the reference; None without one.
        statistics: of the reduced grey picture.
        text: one sentence.
    """

    passed: bool
    ssim: float | None
    statistics: Statistics
    text: str


class Gate:
    """Compares reduced grey pictures with the reference by SSIM. One instance per thread.

    Args:
        reference: (H, W, 3) BGR uint8 picture of the good view, or None: then all pictures pass.
        width: in pixels, to which reference and frames are reduced (INTER_AREA).
        ssim_min: least SSIM that passes; None passes all and still measures.
        reason: why ``ssim_min`` is None, for the verdict's text.
    """

    def __init__(
        self,
        reference: Image | None,
        *,
        width: int = 160,
        ssim_min: float | None = None,
        reason: str = "no threshold is known",
    ) -> None:
        self.width = width
        self.ssim_min = ssim_min
        self.reason = "there is no reference picture" if reference is None else reason
        self._reference = None if reference is None else Reference(reduce(reference, width))

    def check(self, image: Image) -> Verdict:
        """Judge one (H, W, 3) BGR uint8 picture.

        Raises:
            SourceError: when it is not one.
        """
        gray = reduce(check_image(image), self.width)
        statistics = measure(gray)
        if self._reference is None:
            return Verdict(True, None, statistics, f"not checked: {self.reason}")
        ssim = self._reference.ssim(_fit(gray, self._reference.shape))
        if self.ssim_min is None:
            return Verdict(True, ssim, statistics, f"SSIM {ssim:.2f}, not judged: {self.reason}")
        if ssim >= self.ssim_min:
            return Verdict(True, ssim, statistics, f"SSIM {ssim:.2f}")
        return Verdict(False, ssim, statistics, explain(ssim, self.ssim_min))


def explain(ssim: float, least: float) -> str:
    """What a rejected picture means for the person beside the machine."""
    return (
        f"SSIM {ssim:.2f} is below {least:.2f}: the picture differs from the reference; clean the"
        " lens, look for something in front of the camera and check that it was not moved"
    )


def _fit(gray: Image, shape: tuple[int, ...]) -> Image:
    if gray.shape == shape:
        return gray
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def threshold_from_profile(profile: Profile | None) -> float | None:
    """The least SSIM that passes, from how similar the validation images were to the reference.

    ``q01 - max(0.02, q50 - q01)``: one spread below the first percentile. On a line where the good
    pictures resemble each other the threshold is tight, where they vary it is wide, and a clean
    picture as far out as twice the lower spread still passes.

    Returns:
        None when there is no profile or it counted fewer than 20 SSIM values.
    """
    if profile is None:
        return None
    counts = profile.histograms.counts["ssim"]
    if counts.sum() < LEAST_COUNTED:
        return None
    low, middle = (quantile(counts, "ssim", q) for q in (LOW_QUANTILE, 0.5))
    margin = max(LEAST_MARGIN, MARGIN_SPREADS * (middle - low))
    return math.floor(max(low - margin, 0.0) * 1e4) / 1e4


@dataclass(frozen=True)
class Hysteresis:
    """An alarm that needs several bad frames in a row to rise and several good ones to clear.

    Attributes:
        raise_after, clear_after: frames in a row.
        raised: the alarm.
        run: frames in a row that speak against ``raised``.
    """

    raise_after: int
    clear_after: int
    raised: bool = False
    run: int = 0

    def update(self, passed: bool) -> Hysteresis:
        """The state after one more frame. Pure; compare ``raised`` to see a change."""
        against = passed if self.raised else not passed
        run = self.run + 1 if against else 0
        if run >= (self.clear_after if self.raised else self.raise_after):
            return replace(self, raised=not self.raised, run=0)
        return replace(self, run=run)
