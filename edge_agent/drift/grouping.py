"""Which bins are counted together, and where each statistic finds its counts. Pure.

All features and all lengths of windows are tested at once, so their bins are brought into one
array, filled up with bins that are always empty: those change no statistic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.drift.contrast import LEAST_EXPECTED, Counts, Reals
from edge_agent.drift.layout import Feature, Layout
from edge_agent.drift.scan import SCALES

BLOCK = 100
"""Sampled frames of a block."""
Indices = npt.NDArray[np.intp]


def groups_of(expected: Reals, *, ordered: bool) -> Indices:
    """Which bins are counted together so that each group expects `LEAST_EXPECTED` samples.

    Neighbouring bins of an ordered feature are joined; rare classes are put together. Taken from
    the baseline alone: groups that followed the window would bias its test.

    Args:
        expected: (k,) samples that a window should have in each bin.
        ordered: whether neighbouring bins are alike.

    Returns:
        (k,) group numbers from 0, without gaps.
    """
    return _neighbours(expected) if ordered else _rare_together(expected)


def _neighbours(expected: Reals) -> Indices:
    groups = np.zeros(len(expected), np.intp)
    group, gathered = 0, 0.0
    for index, value in enumerate(expected.tolist()):
        groups[index] = group
        gathered += value
        if gathered >= LEAST_EXPECTED:
            group, gathered = group + 1, 0.0
    if group:  # what is left at the end belongs to the last full group
        groups[groups == group] = group - 1
    return groups


def _rare_together(expected: Reals) -> Indices:
    common = np.flatnonzero(expected >= LEAST_EXPECTED)
    groups = np.full(len(expected), len(common), np.intp)
    groups[common] = np.arange(len(common))
    rest = expected[groups == len(common)].sum()
    if len(common) and rest < LEAST_EXPECTED:
        rarest = common[expected[common].argmin()]
        groups[groups == len(common)] = groups[rarest]
    return groups


@dataclass(frozen=True, eq=False)
class Grouping:
    """Where the statistics find their counts, chosen from a baseline.

    Attributes:
        layout: of the counts.
        known: (features,) whether the baseline has any of it.
        freedom: (scales, features) groups less one.
    """

    layout: Layout
    known: npt.NDArray[np.bool_]
    freedom: npt.NDArray[np.int64]
    _order: Indices  # (scales, size) that brings each group's bins together
    _limits: Indices  # (2, scales, features, most groups) in the cumulative counts

    @classmethod
    def of(cls, layout: Layout, usual: Reals) -> Grouping:
        """By the counts per sampled frame, (size,), of a baseline."""
        parts = [
            [_groups(one, usual, scale) for one in layout.features] for scale in SCALES
        ]  # fmt: skip
        number = np.array([[groups.max() + 1 for groups in row] for row in parts])
        order = np.tile(np.arange(layout.size), (len(SCALES), 1))
        limits = np.zeros((2, *number.shape, int(number.max())), np.intp)
        for scale, row in enumerate(parts):
            for index, (feature, groups) in enumerate(zip(layout.features, row, strict=True)):
                start, several = feature.place.start, number[scale, index]
                order[scale, feature.place] = start + np.argsort(groups, kind="stable")
                ends = start + np.cumsum(np.bincount(groups))
                limits[1, scale, index, :several] = ends
                limits[0, scale, index, :several] = np.concatenate(([start], ends[:-1]))
        known = np.array([usual[one.place].sum() > 0 for one in layout.features])
        return cls(layout, known, number - 1, order, limits)

    def grouped(self, counts: Counts) -> Reals:
        """(..., scales, size) counts as (..., scales, features, most groups)."""
        scales = counts.shape[-2]
        row = np.arange(scales)[:, None]
        sums = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
        np.cumsum(counts[..., row, self._order[:scales]], -1, out=sums[..., 1:])
        begin, end = self._limits[:, :scales]
        row = row[..., None]
        together: Reals = sums[..., row, end] - sums[..., row, begin]
        return together


def _groups(feature: Feature, usual: Reals, scale: int) -> Indices:
    return groups_of(usual[feature.place] * (BLOCK * scale), ordered=feature.ordered)
