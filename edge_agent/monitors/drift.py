"""Output drift: is what the model says still distributed as on the validation images?

Windows are gathered into blocks. A block is full when it holds ``min_frames`` frames; then PSI per
feature is computed against the bundle's profile, one verdict is given, and the next block begins
empty. Between two verdicts the last one stands, so a short disturbance is at most one verdict.

A feature has drifted when its PSI is above ``psi_max`` *and* above what chance gives: under
"nothing changed" PSI is about ``(1/n + 1/m) * chi2(bins - 1)`` for n and m independent samples.
Neighbouring frames of a video show the same thing and the boxes of one frame belong together, so n
is the number of frames divided by ``correlated_frames``, however many boxes they held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.config import Drift
from edge_agent.monitors.histogram import OUTPUT_FEATURES, Histograms
from edge_agent.monitors.profile import Profile
from edge_agent.monitors.psi import psi

Z = 4.0  # standard normal quantile; about 3 in 100,000 per feature and block


@dataclass(frozen=True)
class DriftVerdict:
    """The verdict of the last full block.

    Attributes:
        psi: feature -> PSI against the profile, where both hold something.
        limits: feature -> PSI above which it has drifted.
        frames: frames in the block.
        drifted: features above their limit, largest first.
    """

    psi: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    drifted: tuple[str, ...] = ()


class DriftMonitor:
    """Gathers windows of one release and judges each full block.

    Args:
        profile: of the bundle; None gives no verdict ever.
        settings: the effect that matters, frames of a block, and how many of them are one look.
    """

    def __init__(self, profile: Profile | None, settings: Drift) -> None:
        self.verdict = DriftVerdict()
        self._profile = profile
        self._settings = settings
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
        if self._block.frames < self._settings.min_frames:
            return None
        self.verdict = judge(self._profile.histograms, self._block, self._settings)
        self._block = None
        return self.verdict


def judge(reference: Histograms, block: Histograms, settings: Drift) -> DriftVerdict:
    """PSI of each output feature that can be compared, and which of them drifted. Pure."""
    values: dict[str, float] = {}
    limits: dict[str, float] = {}
    for name in OUTPUT_FEATURES:
        value = psi(reference.counts[name], block.counts[name])
        if value is not None:
            looks = _looks(block, name) / settings.correlated_frames
            chance = noise(_looks(reference, name), looks, len(block.counts[name]))
            values[name], limits[name] = value, max(settings.psi_max, chance)
    drifted = sorted(
        (name for name in values if values[name] > limits[name]), key=lambda name: -values[name]
    )
    return DriftVerdict(values, limits, block.frames, tuple(drifted))


def _looks(histograms: Histograms, name: str) -> int:
    """Frames that said something of a feature; several boxes of one frame are one look."""
    return min(histograms.frames, int(histograms.counts[name].sum()))


def noise(reference: float, counted: float, bins: int) -> float:
    """PSI that chance exceeds with the probability of `Z`, for independent samples.

    The chi-square quantile is that of Wilson and Hilferty (PNAS 17, 1931).
    """
    freedom = max(bins - 1, 1)
    spread = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - spread + Z * math.sqrt(spread)) ** 3
    return (1.0 / reference + 1.0 / counted) * quantile
