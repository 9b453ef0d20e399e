"""The verdict over all features at one block: inside the budget, and large enough. Pure.

Each feature has a rate: how often per block it would begin to look so different by chance, over its
tests and all lengths of windows. Benjamini and Hochberg's procedure (J. R. Stat. Soc. B 57, 1995),
with weights (Genovese, Roeder and Wasserman, Biometrika 93, 2006), compares the rates of all
features with what one block may use of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_agent.drift.contrast import (
    Counts,
    Measured,
    Reals,
    largest_share,
    likelihood_ratio,
    trends,
)
from edge_agent.drift.grouping import BLOCK, Grouping
from edge_agent.drift.layout import Layout
from edge_agent.drift.scan import SCALES, price
from edge_agent.monitors.histogram import CLASS_FEATURE

LEAST_SAMPLES = BLOCK * SCALES[0]
LEAST_SHIFT = 0.1
"""Of a mean, in standard deviations; also the least relative change of a class's share."""
LEAST_W = 0.1
"""Cohen's w, "small" (Statistical Power Analysis for the Behavioral Sciences, 1988)."""
CUSUM = 0.1
"""Share of an ordered feature's budget that the cumulative sums use."""
SHIFT, SHARE = 0.75, 0.85
"""Shares of the test that knows what it looks for: a shift; one class against the rest."""
SHAPE = {True: 1.0 - SHIFT - CUSUM, False: 1.0 - SHARE}
"""Share of the test for any difference: of ordered features, and of the classes."""
_IMPORTANCE = {"detections_per_frame": 1.6, "score": 1.6, "box_area": 1.6, CLASS_FEATURE: 2.6}
_IMPORTANCE |= {"box_aspect": 0.8, "box_x": 0.5, "box_y": 0.5}
LEAST_IMPORTANCE = 0.45
"""Of statistics of the picture, which the input check watches, too, and of its embedding."""


def weights_of(layout: Layout, known: npt.NDArray[np.bool_]) -> Reals:
    """(features,) shares of the budget: mean 1 over the features that the baseline has, else 0."""
    raw = np.array([_IMPORTANCE.get(one.name, LEAST_IMPORTANCE) for one in layout.features])
    raw = np.where(known, raw, 0.0)
    weights: Reals = raw * (known.sum() / max(raw.sum(), 1e-300))
    return weights


class Sharpest(NamedTuple):
    """The sharpest look at each feature, each (..., features).

    Attributes:
        rate: per block, at which chance begins to look like this; at most 1.
        effect: in the unit of the test; 0 when nothing was large enough.
        scale: number of the window's length in `SCALES`.
        shape: whether it was the test for any difference.
    """

    rate: Reals
    effect: Reals
    scale: npt.NDArray[np.intp]
    shape: npt.NDArray[np.bool_]


def examine(grouping: Grouping, references: Counts, windows: Counts) -> Sharpest:
    """Look at all features through windows of all lengths, the shortest first.

    Args:
        grouping: chosen from the baseline.
        references: (..., scales, size) counts that each window is compared with.
        windows: (..., scales, size) counts; not all `SCALES` need be there.
    """
    pairs = (_aimed(grouping, references, windows), _any(grouping, references, windows))
    rate = np.concatenate([one for one, _ in pairs], -2)
    effect = np.concatenate([one for _, one in pairs], -2)
    best = rate.argmin(-2)[..., None, :]
    scales = windows.shape[-2]
    least, seen = (np.take_along_axis(one, best, -2)[..., 0, :] for one in (rate, effect))
    return Sharpest(least, seen, best[..., 0, :] % scales, best[..., 0, :] >= scales)


def _aimed(grouping: Grouping, references: Counts, windows: Counts) -> tuple[Reals, Reals]:
    """Rates and effects, (..., scales, features), of shifts and of single classes."""
    layout = grouping.layout
    found = trends(references, windows, layout.starts)
    place, at = layout.place_of_classes, layout.features.index(layout.classes_feature)
    share = largest_share(references[..., place], windows[..., place])
    for shifts, shares in zip(found, share, strict=True):
        shifts[..., at] = shares
    looks = np.full(len(layout.features), 1.0 / SHIFT)
    looks[at] = layout.classes / SHARE
    return _rates(found, 1, looks, LEAST_SHIFT)


def _any(grouping: Grouping, references: Counts, windows: Counts) -> tuple[Reals, Reals]:
    """Rates and effects, (..., scales, features), of any difference."""
    freedom = grouping.freedom[: windows.shape[-2]]
    found = likelihood_ratio(grouping.grouped(references), grouping.grouped(windows), freedom)
    looks = np.array([1.0 / SHAPE[one.ordered] for one in grouping.layout.features])
    return _rates(found, np.maximum(1, freedom), looks, LEAST_W)


def _rates(
    found: Measured, freedom: int | npt.NDArray[np.int64], looks: Reals, least: float
) -> tuple[Reals, Reals]:
    """The price of each look; those at what is too small to matter say nothing."""
    large = np.abs(found.effect) >= least
    rate = price(np.where(large, found.x, 0.0), freedom, skew=found.skew) * looks
    return np.where(large, np.minimum(1.0, rate), 1.0), np.where(large, found.effect, 0.0)


@dataclass(frozen=True)
class Finding:
    """The sharpest look at one feature.

    Attributes:
        feature: name.
        rate: per block, at which chance begins to look like this; at most 1.
        test: shift, shape, share or slow.
        effect: in the unit of the test; 0 when nothing was significant and large enough.
        blocks: length of the window.
        weight: its share of the budget; 1 is an even one.
    """

    feature: str
    rate: float = 1.0
    test: str = ""
    effect: float = 0.0
    blocks: int = 0
    weight: float = 1.0


def findings_of(grouping: Grouping, looks: Sharpest) -> list[Finding]:
    """One look at each feature in words, from arrays without leading axes."""
    weights = weights_of(grouping.layout, grouping.known).tolist()
    made = []
    for index, feature in enumerate(grouping.layout.features):
        rate, effect = float(looks.rate[index]), float(looks.effect[index])
        if rate >= 1.0:
            made.append(Finding(feature.name, weight=weights[index]))
            continue
        aimed = "shift" if feature.ordered else "share"
        test = "shape" if looks.shape[index] else aimed
        blocks = SCALES[int(looks.scale[index])]
        made.append(Finding(feature.name, rate, test, effect, blocks, weights[index]))
    return made


def chance_of(rates: Reals, weights: Reals) -> Reals:
    """How often per block any feature begins to look as it does, by chance (...).

    Simes' combination (Biometrika 73, 1986), weighted: at most a level if and only if Benjamini and
    Hochberg's procedure at that level discovers something.

    Args:
        rates: (..., features).
        weights: (features,) of `weights_of`.
    """
    used = weights > 0
    if not used.any():
        return np.ones(rates.shape[:-1])
    ordered = np.sort(rates[..., used] / weights[used], -1)
    ranks = np.arange(1, int(used.sum()) + 1)
    chance: Reals = np.minimum(1.0, (ordered * (len(ranks) / ranks)).min(-1))
    return chance


def discoveries(findings: Sequence[Finding], budget: float) -> frozenset[str]:
    """The features whose rates are inside the budget, with false discoveries controlled."""
    ordered = sorted((one.rate / one.weight, one.feature) for one in findings if one.weight > 0)
    last = 0
    for rank, (rate, _) in enumerate(ordered, 1):
        if rate <= budget * rank / len(ordered):
            last = rank
    return frozenset(name for _, name in ordered[:last])


@dataclass(frozen=True)
class Verdict:
    """What one block said.

    Attributes:
        findings: one per feature.
        found: features that drifted, inside the budget.
        nearly: those inside ten times the budget, which an alarm waits for to be gone.
    """

    findings: tuple[Finding, ...]
    found: frozenset[str]
    nearly: frozenset[str]


CLEAR_AT = 10.0


def conclude(findings: Sequence[Finding], budget: float) -> Verdict:
    """The verdict for a budget of false alarms per block."""
    found = discoveries(findings, budget)
    return Verdict(tuple(findings), found, discoveries(findings, CLEAR_AT * budget))


@dataclass(frozen=True)
class Standing:
    """Whether an alarm is raised; one that is stays until as many blocks as make a window are calm.

    Attributes:
        raised: features of the alarm, empty without one.
        calm: blocks in a row without anything near.
    """

    raised: frozenset[str] = frozenset()
    calm: int = 0

    def after(self, verdict: Verdict) -> Standing:
        """The standing after one more verdict."""
        if not self.raised:
            return Standing(verdict.found)
        if verdict.nearly:
            return Standing(self.raised | verdict.found)
        calm = self.calm + 1
        return Standing() if calm >= SCALES[0] else Standing(self.raised, calm)
