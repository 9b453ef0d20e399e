"""The verdict over all features at one block: inside the budget, and large enough. Pure.

Each feature has a rate: how often per block it would begin to look so different by chance, over its
tests and all lengths of windows. Benjamini and Hochberg's procedure (J. R. Stat. Soc. B 57, 1995)
compares the rates of all features with what one block may use of the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_agent.drift.baseline import Baseline
from edge_agent.drift.contrast import (
    Counts,
    Measured,
    Reals,
    grouped,
    groups_of,
    largest_share,
    likelihood_ratio,
    trend,
)
from edge_agent.drift.layout import Feature
from edge_agent.drift.scan import SCALES, price

BLOCK = 100
LEAST_SAMPLES = BLOCK * SCALES[0]
LEAST_SHIFT = 0.1
"""Of a mean, in standard deviations; also the least relative change of a class's share."""
LEAST_W = 0.1
"""Cohen's w, "small" (Statistical Power Analysis for the Behavioral Sciences, 1988)."""
CUSUM = 0.1
"""Share of an ordered feature's budget that the cumulative sums use."""
Groups = Mapping[tuple[str, int], npt.NDArray[np.intp]]


class Test(NamedTuple):
    """One way to look at a feature: its share of the budget and the least effect that matters."""

    name: str
    weight: float
    least: float
    measure: Callable[[Counts, Counts], Measured]


SHIFT = Test("shift", 0.65, LEAST_SHIFT, trend)
SHARE = Test("share", 0.7, LEAST_SHIFT, largest_share)
SHAPE = Test("shape", 0.25, LEAST_W, likelihood_ratio)
SHAPE_OF_CLASSES = SHAPE._replace(weight=0.3)


def tests_of(feature: Feature) -> tuple[Test, Test]:
    """How a feature is looked at; with the cumulative sums the weights add up to 1."""
    return (SHIFT, SHAPE) if feature.ordered else (SHARE, SHAPE_OF_CLASSES)


@dataclass(frozen=True)
class Finding:
    """The sharpest look at one feature.

    Attributes:
        feature: name.
        rate: per block, at which chance begins to look like this; at most 1.
        test: shift, shape, share or slow.
        effect: in the unit of the test; 0 when nothing was significant and large enough.
        blocks: length of the window.
    """

    feature: str
    rate: float = 1.0
    test: str = ""
    effect: float = 0.0
    blocks: int = 0


def choose_groups(baseline: Baseline) -> dict[tuple[str, int], npt.NDArray[np.intp]]:
    """(feature, length of window) -> which bins are counted together, by the baseline alone."""
    usual = baseline.usual() / max(1, baseline.samples)
    return {
        (feature.name, scale): groups_of(
            usual[feature.place] * (BLOCK * scale), ordered=feature.ordered
        )
        for feature in baseline.layout.features
        for scale in SCALES
    }


def look(
    feature: Feature, test: Test, groups: npt.NDArray[np.intp], reference: Reals, window: Counts
) -> tuple[Measured, int]:
    """One test of one feature over whole vectors of counts (..., size), and its freedom."""
    first, second = reference[..., feature.place], window[..., feature.place]
    if test.measure is not likelihood_ratio:
        return test.measure(first, second), 1
    first, second = grouped(first, groups), grouped(second, groups)
    return test.measure(first, second), max(1, first.shape[-1] - 1)


def looks(feature: Feature, test: Test) -> float:
    """By what the price of one look is multiplied: classes, and the test's share of the budget."""
    bins = feature.place.stop - feature.place.start
    return (1.0 if feature.ordered or test.name == SHAPE.name else bins) / test.weight


def examine(
    feature: Feature, groups: Groups, references: Mapping[int, Reals], windows: Mapping[int, Counts]
) -> Finding:
    """The sharpest look at a feature through windows of every length that is there.

    Args:
        feature: which.
        groups: of `choose_groups`.
        references: length -> (size,) counts that its window is compared with.
        windows: length -> (size,) counts.
    """
    best = Finding(feature.name)
    for scale, window in windows.items():
        for test in tests_of(feature):
            found, freedom = look(
                feature, test, groups[feature.name, scale], references[scale], window
            )
            x, skew, effect = (float(value) for value in found)
            if abs(effect) < test.least:
                continue
            rate = price(x, freedom, skew=skew) * looks(feature, test)
            if rate < best.rate:
                best = Finding(feature.name, rate, test.name, effect, scale)
    return best


def discoveries(findings: Sequence[Finding], budget: float) -> frozenset[str]:
    """The features whose rates are inside the budget, with false discoveries controlled."""
    ordered = sorted(findings, key=lambda one: one.rate)
    last = 0
    for rank, one in enumerate(ordered, 1):
        if one.rate <= budget * rank / len(ordered):
            last = rank
    return frozenset(one.feature for one in ordered[:last])


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
