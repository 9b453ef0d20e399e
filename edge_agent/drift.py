"""Output drift: is what the model says still distributed as on the validation images?

Windows are gathered into blocks. A block is full when it holds ``min_frames`` frames; then PSI per
feature is computed against the bundle's profile, one verdict is given, and the next block begins
empty. Between two verdicts the last one stands, so a short disturbance is at most one verdict.

A feature is compared only when the block holds enough of it: under "nothing changed" PSI is about
``(1/n + 1/m) * chi2(bins - 1)`` (docs/concepts.md), and where the 95 % quantile of that noise is
above ``psi_max`` a verdict would be a coin toss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.histogram import OUTPUT_FEATURES, Histograms
from edge_agent.profile import Profile
from edge_agent.psi import psi

_Z95 = 1.6449  # standard normal quantile at 0.95


@dataclass(frozen=True)
class DriftVerdict:
    """The verdict of the last full block.

    Attributes:
        psi: feature -> PSI against the profile, where there was enough to compare.
        frames: frames in the block.
        drifted: features above ``psi_max``, largest first.
    """

    psi: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    drifted: tuple[str, ...] = ()


class DriftMonitor:
    """Gathers windows of one release and judges each full block.

    Args:
        profile: of the bundle; None gives no verdict ever.
        psi_max: PSI above which a feature has drifted.
        min_frames: frames of a block.
    """

    def __init__(self, profile: Profile | None, *, psi_max: float, min_frames: int) -> None:
        self.verdict = DriftVerdict()
        self._profile = profile
        self._psi_max = psi_max
        self._min_frames = min_frames
        self._block: Histograms | None = None

    @property
    def frames(self) -> int:
        """Frames gathered in the block that is not full yet."""
        return self._block.frames if self._block is not None else 0

    def update(self, window: Histograms) -> DriftVerdict | None:
        """Add one window's counts; the new verdict when they filled the block, else None."""
        if self._profile is None:
            return None
        if self._block is None:
            self._block = Histograms(window.classes)
        self._block.merge(window)
        if self._block.frames < self._min_frames:
            return None
        self.verdict = judge(self._profile.histograms, self._block, self._psi_max)
        self._block = None
        return self.verdict


def judge(reference: Histograms, block: Histograms, psi_max: float) -> DriftVerdict:
    """PSI of each output feature that can be compared, and which of them drifted. Pure."""
    values = {}
    for name in OUTPUT_FEATURES:
        expected, counts = reference.counts[name], block.counts[name]
        if noise(int(expected.sum()), int(counts.sum()), len(counts)) > psi_max:
            continue
        value = psi(expected, counts)
        if value is not None:
            values[name] = value
    drifted = sorted((name for name in values if values[name] > psi_max), key=lambda n: -values[n])
    return DriftVerdict(values, block.frames, tuple(drifted))


def noise(reference: int, counted: int, bins: int) -> float:
    """PSI that is exceeded in 5 % of comparisons although nothing changed; infinite without counts.

    The chi-square quantile is that of Wilson and Hilferty (PNAS 17, 1931).
    """
    if reference <= 0 or counted <= 0:
        return math.inf
    freedom = max(bins - 1, 1)
    spread = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - spread + _Z95 * math.sqrt(spread)) ** 3
    return (1.0 / reference + 1.0 / counted) * quantile
