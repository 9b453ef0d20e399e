"""Training/serving skew: does the camera show what the bundle's profile was made of?

Sampled frames are gathered; every ``profile_frames`` of them PSI per feature is computed against
the profile, one verdict is given, and the next begins empty. Of all cameras together the outputs
are judged, and an alarm may follow; of each camera outputs and pictures, which is only told.

The profile is a set of pictures and not a stream, so this asks for a large effect only: a feature
differs when its PSI is above ``psi_max`` *and* above what chance gives: under "nothing changed" PSI
is about ``(1/n + 1/m) * chi2(bins - 1)`` for n and m independent samples. Boxes of one frame belong
together, so n is the number of frames, however many boxes they held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.config import Drift
from edge_agent.monitors.histogram import OUTPUT_FEATURES, Histograms
from edge_agent.monitors.profile import Profile
from edge_agent.monitors.psi import psi

Z = 4.0  # standard normal quantile; about 3 in 100,000 per feature and verdict


@dataclass(frozen=True)
class SkewVerdict:
    """The last verdict.

    Attributes:
        psi: feature -> PSI against the profile, where both hold something.
        limits: feature -> PSI above which it differs.
        frames: sampled frames that were judged.
        differs: features above their limit, largest first.
    """

    psi: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    differs: tuple[str, ...] = ()


class SkewMonitor:
    """Gathers sampled frames of one release and judges so many together.

    Args:
        profile: of the bundle; None gives no verdict ever.
        settings: the effect that matters, and frames per verdict.
        features: that are compared.
    """

    def __init__(
        self,
        profile: Profile | None,
        settings: Drift,
        features: Sequence[str] = OUTPUT_FEATURES,
    ) -> None:
        self.verdict = SkewVerdict()
        self._profile = profile
        self._settings = settings
        self._features = features
        self._gathered: Histograms | None = None

    @property
    def frames(self) -> int:
        """Frames gathered for the next verdict."""
        return self._gathered.frames if self._gathered is not None else 0

    def update(self, counted: Histograms) -> SkewVerdict | None:
        """Add the counts of sampled frames; the new verdict when they are enough, else None."""
        if self._profile is None:
            return None
        if self._gathered is None:
            self._gathered = Histograms(counted.classes)
        self._gathered.merge(counted)
        if self._gathered.frames < self._settings.profile_frames:
            return None
        self.verdict = judge(
            self._profile.histograms, self._gathered, self._settings.psi_max, self._features
        )
        self._gathered = None
        return self.verdict


def judge(
    reference: Histograms,
    counted: Histograms,
    psi_max: float,
    features: Sequence[str] = OUTPUT_FEATURES,
) -> SkewVerdict:
    """PSI of each feature that can be compared, and which of them differ. Pure."""
    values: dict[str, float] = {}
    limits: dict[str, float] = {}
    for name in features:
        value = psi(reference.counts[name], counted.counts[name])
        if value is not None:
            bins = len(counted.counts[name])
            chance = noise(_looks(reference, name), _looks(counted, name), bins)
            values[name], limits[name] = value, max(psi_max, chance)
    differs = sorted(
        (name for name in values if values[name] > limits[name]), key=lambda name: -values[name]
    )
    return SkewVerdict(values, limits, counted.frames, tuple(differs))


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
