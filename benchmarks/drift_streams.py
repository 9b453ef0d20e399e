"""A camera whose frames resemble their neighbours, and changes of it: counts in the drift's bins.

Each feature is an AR(1) process of its own, mapped to its distribution through its normal quantiles
(a Gaussian copula). What is k frames apart is an AR(1) process of rho^k, so blocks of sampled
frames are drawn without the frames between them: exactly what would have come out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal, stats

from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.layout import BOX_FEATURES, Layout, edges_of
from edge_agent.monitors.histogram import CLASS_FEATURE

CLASSES = (0.4, 0.3, 0.2, 0.1)
BOXES = 1.8
SCORES = (6.0, 2.0)
AREA, SPREAD = 0.01, 0.6
_HIDDEN = 1e-9  # a correlation that nobody could see
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What becomes of the camera: nothing by default.

    Attributes:
        score_sigma: shift of the scores in their standard deviations.
        box_scale: factor of the boxes' area.
        share: class id and the factor of its share; the others keep their proportions.
    """

    score_sigma: float = 0.0
    box_scale: float = 1.0
    share: tuple[int, float] = (0, 1.0)

    @property
    def classes(self) -> Shares:
        """Shares of the classes."""
        shares, (index, factor) = np.array(CLASSES), self.share
        rest = (1 - shares[index] * factor) / (1 - shares[index])
        return np.where(np.arange(len(shares)) == index, shares * factor, shares * rest)


def distributions(change: Change) -> dict[str, Shares]:
    """Feature -> shares of its bins."""
    score = stats.beta(*SCORES)
    ordered = {
        "detections_per_frame": stats.poisson(BOXES),
        "score": score,
        "box_area": stats.lognorm(SPREAD, scale=AREA * change.box_scale),
        "box_aspect": stats.lognorm(0.5),
        "box_x": stats.beta(2, 2),
        "box_y": stats.beta(3, 2),
        "luminance": stats.norm(0.45, 0.08),
        "contrast": stats.norm(0.15, 0.03),
        "warmth": stats.norm(0.03, 0.02),
        "chroma": stats.beta(3, 30),
        "sharpness": stats.norm(2.6, 0.3),
        "ssim": stats.beta(40, 5),
    }
    below = {name: one.cdf(np.asarray(edges_of(name))) for name, one in ordered.items()}
    moved = np.asarray(edges_of("score")) - change.score_sigma * score.std()
    below |= {"score": score.cdf(moved), CLASS_FEATURE: np.cumsum(change.classes)[:-1]}
    return {name: np.diff(np.concatenate(([0.0], one, [1.0]))) for name, one in below.items()}


class Stream:
    """One camera.

    Args:
        layout: of the counts.
        rho: correlation of two neighbouring values that are drawn.
        rng: where chance comes from.
    """

    def __init__(self, layout: Layout, rho: float, rng: np.random.Generator) -> None:
        self._layout = layout
        self._rho = rho
        self._rng = rng
        self._last = {feature.name: rng.standard_normal() for feature in layout.features}

    def blocks(self, number: int, change: Change, size: int = BLOCK) -> npt.NDArray[np.int64]:
        """(number, layout.size) counts of the next blocks of ``size`` values each."""
        shares = distributions(change)
        counts = np.zeros((number, self._layout.size), np.int64)
        with_boxes: npt.NDArray[np.bool_] | None = None
        for feature in self._layout.features:
            bins = self._draw(feature.name, number * size, shares[feature.name])
            if feature.name == "detections_per_frame":
                with_boxes = bins > 0
            at = bins + np.repeat(np.arange(number) * len(shares[feature.name]), size)
            if feature.name in BOX_FEATURES:
                at = at[with_boxes]
            width = feature.place.stop - feature.place.start
            made = np.bincount(at, minlength=number * width)
            counts[:, feature.place] = made.reshape(number, width)
        return counts

    def _draw(self, name: str, number: int, shares: Shares) -> npt.NDArray[np.intp]:
        """Bins of the next values of a feature."""
        values = self._rng.standard_normal(number)
        if self._rho > _HIDDEN:
            values *= np.sqrt(1 - self._rho**2)
            before = np.array([self._rho * self._last[name]])
            values, _ = signal.lfilter([1.0], [1.0, -self._rho], values, zi=before)
        self._last[name] = float(values[-1])
        limits = stats.norm.ppf(np.cumsum(shares)[:-1])
        return np.searchsorted(limits, values)
