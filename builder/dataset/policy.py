"""Which scores are too low: rules over numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_agent.errors import UsageError

Kind = Literal["below-mean", "k-sigma", "quantile"]
KINDS: tuple[Kind, ...] = ("below-mean", "k-sigma", "quantile")
_ROUNDING = 1e-9  # equal scores must not fall below their own mean


@dataclass(frozen=True)
class Spread:
    """How scores are distributed.

    Attributes:
        count: of scores.
        mean, deviation: the deviation is that of the scores themselves (divided by their count).
        least, q05, median, q95, most: the distribution's ends and quantiles.
    """

    count: int
    mean: float
    deviation: float
    least: float
    q05: float
    median: float
    q95: float
    most: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> Spread:
        """Measure at least one score."""
        values = np.asarray(scores, np.float64)
        least, low, middle, high, most = (
            float(v) for v in np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
        )
        mean = math.fsum(scores) / len(scores)
        return cls(len(scores), mean, float(values.std()), least, low, middle, high, most)


@dataclass(frozen=True)
class Policy:
    """What to leave out.

    Attributes:
        kind: ``below-mean`` leaves out what is less like the reference than the average image (the
            published recipe; about half of a healthy set), ``k-sigma`` what is more than ``k``
            deviations below the mean, ``quantile`` the lowest ``share``.
        k: deviations, above 0.
        share: of the images, above 0 and below 1.

    Raises:
        UsageError: when a number is out of range.
    """

    kind: Kind = "below-mean"
    k: float = 3.0
    share: float = 0.05

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and self.k > 0):
            raise UsageError(f"--k {self.k:g}: give a number of deviations above 0, like 3")
        if not 0 < self.share < 1:
            raise UsageError(f"--share {self.share:g}: give a share between 0 and 1, like 0.05")

    def threshold(self, scores: Sequence[float]) -> float:
        """The least score that is kept."""
        spread = Spread.of(scores)
        match self.kind:
            case "below-mean":
                return spread.mean
            case "k-sigma":
                return spread.mean - self.k * spread.deviation
            case "quantile":
                return float(np.quantile(np.asarray(scores, np.float64), self.share))

    def describe(self) -> str:
        """The rule in words."""
        match self.kind:
            case "below-mean":
                return "below the mean"
            case "k-sigma":
                return f"more than {self.k:g} deviations below the mean"
            case "quantile":
                return f"the lowest {100 * self.share:g} %"


def keeps(score: float, threshold: float) -> bool:
    """Whether a score passes a threshold."""
    return score >= threshold - _ROUNDING
