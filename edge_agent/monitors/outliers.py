"""Frames like none of the pictures that the bundle was validated on. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edge_agent.monitors.histogram import EDGES, INPUT_FEATURES, Histograms

LEAST_COUNTED = 20
"""Of a few pictures it is not known what they might have been."""


class Usual:
    """The values that the profile's pictures had, with one bin more on each side.

    Args:
        reference: counts of the profile; features of which it knows little are left out.
    """

    def __init__(self, reference: Histograms) -> None:
        self.ranges = {
            name: _range(name, reference)
            for name in INPUT_FEATURES
            if reference.counts[name].sum() >= LEAST_COUNTED
        }

    def outlier(self, values: Mapping[str, float]) -> bool | None:
        """Whether any value lies outside; None where none of them is known. NaN lies inside."""
        known = False
        for name, value in values.items():
            if name in self.ranges:
                known = True
                low, high = self.ranges[name]
                if value < low or value >= high:
                    return True
        return False if known else None


def _range(name: str, reference: Histograms) -> tuple[float, float]:
    """From the bin below the first that was filled to the one above the last."""
    filled = np.flatnonzero(reference.counts[name])
    edges = (-math.inf, -math.inf, *EDGES[name], math.inf, math.inf)
    return edges[filled[0]], edges[filled[-1] + 3]
