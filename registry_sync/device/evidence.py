"""What the agent's health windows show, reduced to what a verdict needs. Pure, without numpy.

The updater stays small in memory, so the few sums here are plain Python. Neighbouring frames of a
conveyor show the same part, so ``frames / correlated`` is taken as the number of independent looks;
every comparison below divides by it before it speaks of significance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, variance
from typing import Any

from edge_agent.health import Window

# What consumers of detections see. Scores are left out on purpose: a better model may well be more
# sure of itself, and a collapse of scores shows as missing detections.
FEATURES = ("detections_per_frame", "box_area", "class")
COARSE_BINS = 4
BLOCKS = 8
# What a bin of `detections_per_frame` stands for (edge_agent.monitors.histogram.EDGES).
_BOXES = (0.0, 1.0, 2.0, 3.0, 4.5, 7.0, 10.5, 16.5, 35.0, 60.0)
Z = 4.0  # about 3 in 100,000 per look; a trial looks some hundred times
Z_SUSPECT = 1.5  # not enough to fail, too much to pass: more frames decide


@dataclass(frozen=True)
class Evidence:
    """Sums over windows of one release.

    Attributes:
        captured, dropped, errors, nonfinite: as in `Window`.
        inferred: frames that the quality gate passed and that were inferred.
        unfit: frames that the quality gate rejected, whether they were inferred (flag) or not.
        detections: boxes above the confidence on the frames in ``inferred``.
        latency_ms: median latency of each window that inferred anything, oldest first.
        rss_mb: resident memory of the agent, one value per window.
        counts: histogram counts per output feature.
        frames_each, boxes_each: inferred frames and detections per window, oldest first.
        provider_ok: whether the wanted provider was active in every window.
    """

    captured: int = 0
    inferred: int = 0
    unfit: int = 0
    dropped: int = 0
    errors: int = 0
    nonfinite: int = 0
    detections: int = 0
    latency_ms: tuple[float, ...] = ()
    rss_mb: tuple[float, ...] = ()
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    provider_ok: bool = True
    frames_each: tuple[int, ...] = ()
    boxes_each: tuple[int, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """What the journal keeps of the incumbent at the switch."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Evidence:
        """Read back what `to_document` gave."""
        values = dict(document)
        for name in ("latency_ms", "rss_mb", "frames_each", "boxes_each"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def summarize(windows: Iterable[Window], release: str) -> Evidence:
    """Add up the windows in which ``release`` ran; others are ignored."""
    mine = [window for window in windows if window.release == release]
    counts = {name: _sum([w.counts.get(name, []) for w in mine]) for name in FEATURES}
    judged = sum(map(_judged, mine))
    return Evidence(
        captured=sum(window.captured for window in mine),
        inferred=judged,
        unfit=sum(window.skipped + window.inferred for window in mine) - judged,
        dropped=sum(window.dropped for window in mine),
        errors=sum(window.errors for window in mine),
        nonfinite=sum(window.nonfinite for window in mine),
        detections=sum(map(_boxes, mine)),
        latency_ms=tuple(w.latency_p50_ms for w in mine if w.inferred and w.latency_p50_ms > 0),
        rss_mb=tuple(window.rss_mb for window in mine if window.rss_mb > 0),
        counts={name: row for name, row in counts.items() if row},
        provider_ok=all(window.provider_ok for window in mine),
        frames_each=tuple(map(_judged, mine)),
        boxes_each=tuple(map(_boxes, mine)),
    )


def _judged(window: Window) -> int:
    """Inferred frames that the gate passed: where it only flags, histograms leave the rest out."""
    row = window.counts.get("detections_per_frame")
    return window.inferred if row is None else min(sum(row), window.inferred)


def _boxes(window: Window) -> int:
    row = window.counts.get("class")
    return window.detections if row is None else sum(row)


def _sum(rows: Sequence[Sequence[int]]) -> list[int]:
    width = max(map(len, rows), default=0)
    return [sum(row[i] for row in rows if i < len(row)) for i in range(width)]


def middle(values: Sequence[float]) -> float:
    """The median, NaN of nothing."""
    return median(values) if values else math.nan


def correlation(evidence: Evidence, least: float) -> float:
    """How many neighbouring frames are worth one independent look.

    The variance of block means over that of single frames (batch means: Law and Kelton,
    *Simulation Modeling and Analysis*, ch. 9), from the detections of the incumbent's windows.

    Args:
        evidence: of the incumbent.
        least: the answer is never below; also the answer when there are too few windows.
    """
    pairs = [
        pair for pair in zip(evidence.frames_each, evidence.boxes_each, strict=True) if pair[0]
    ]
    row = evidence.counts.get("detections_per_frame", ())
    size = len(pairs) // BLOCKS
    if size < 2 or len(row) != len(_BOXES):
        return least
    blocks = [pairs[-size * (n + 1) : len(pairs) - size * n] for n in range(BLOCKS)]
    frames = [sum(pair[0] for pair in block) for block in blocks]
    means = [sum(pair[1] for pair in block) / n for block, n in zip(blocks, frames, strict=True)]
    mean = sum(n * value for n, value in zip(row, _BOXES, strict=True)) / max(sum(row), 1)
    single = sum(n * (value - mean) ** 2 for n, value in zip(row, _BOXES, strict=True)) / sum(row)
    if single <= 0:
        return least
    return max(least, variance(means) * sum(frames) / BLOCKS / single)


@dataclass(frozen=True)
class Rates:
    """Two rates compared: their ratio, and how many standard errors it is away from 1."""

    ratio: float
    z: float


def compare_rates(candidate: Evidence, incumbent: Evidence, correlated: float) -> Rates:
    """Detections per frame of the candidate over the incumbent's.

    Counts are divided by ``correlated`` to independent objects; half an object is added to each
    side. The standard error of the logarithm of a ratio of two Poisson counts a and b is
    sqrt(1/a + 1/b) (Rothman, Greenland, Lash, *Modern Epidemiology*, ch. 14). Boxes of one frame
    belong together, so never more than one per frame counts as evidence.
    """
    ours, theirs = candidate.detections / correlated + 0.5, incumbent.detections / correlated + 0.5
    ratio = (ours / max(candidate.inferred, 1)) / (theirs / max(incumbent.inferred, 1))
    squared_error = sum(
        1 / (min(side.detections, side.inferred) / correlated + 0.5)
        for side in (candidate, incumbent)
    )
    return Rates(ratio, abs(math.log(ratio)) / math.sqrt(squared_error))


def coarse(a: Sequence[int], b: Sequence[int]) -> tuple[list[float], list[float]]:
    """Merge neighbouring bins until each holds a fair share of both sides together."""
    pooled = [x / max(sum(a), 1) + y / max(sum(b), 1) for x, y in zip(a, b, strict=True)]
    share, merged_a, merged_b = 0.0, [0.0], [0.0]
    for x, y, pool in zip(a, b, pooled, strict=True):
        if share >= 2.0 / COARSE_BINS:
            merged_a.append(0.0)
            merged_b.append(0.0)
            share = 0.0
        merged_a[-1] += x
        merged_b[-1] += y
        share += pool
    return merged_a, merged_b


@dataclass(frozen=True)
class Shift:
    """A change of distribution: the index and the value that chance alone would not exceed."""

    psi: float
    noise: float


def shift(
    a: Sequence[int], b: Sequence[int], frames_a: int, frames_b: int, correlated: float
) -> Shift:
    """Population stability index between two histograms, over coarse bins.

    Under "nothing changed" PSI is about (1/n + 1/m) chi2(bins - 1) for n and m independent
    samples; ``noise`` is its quantile at `Z`.
    """
    n = max(min(frames_a, sum(a)) / correlated, 0.5)
    m = max(min(frames_b, sum(b)) / correlated, 0.5)
    first, second = coarse(a, b)
    bins = len(first)
    p = [(x / max(sum(a), 1) * n + 0.5) / (n + 0.5 * bins) for x in first]
    q = [(y / max(sum(b), 1) * m + 0.5) / (m + 0.5 * bins) for y in second]
    psi = sum((x - y) * math.log(x / y) for x, y in zip(p, q, strict=True))
    return Shift(psi, (1 / n + 1 / m) * _chi2_quantile(max(bins - 1, 1)))


def _chi2_quantile(degrees: int) -> float:
    """The chi-square quantile at `Z` (Wilson and Hilferty 1931)."""
    spread = 2.0 / (9.0 * degrees)
    return degrees * float(1.0 - spread + Z * math.sqrt(spread)) ** 3
