"""Where a picture is not the reference any more: SSIM by cells, and the largest lost region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.preprocess import Image
from edge_agent.gate.measures import SPREADS, TAIL
from edge_agent.gate.ssim import WINDOW

Floats = npt.NDArray[np.float32]

CELL_PX = 8
LEAST_MARGIN = 0.15
LOCAL = 0.6
_BORDER = WINDOW // 2
_LEAST_WINDOWS = 0.25
_LEAST_SEEN = 0.25


class Lost(NamedTuple):
    """The largest lost region: its share of the still part, and where its middle is (0..1)."""

    share: float = 0.0
    x: float = 0.5
    y: float = 0.5


class Cells:
    """The still part of the reference in cells of `CELL_PX` reduced pixels; keeps a buffer.

    Args:
        mask: (h, w) uint8, not 0 where the reference stands still.
    """

    def __init__(self, mask: Image) -> None:
        self._mask = mask
        self.weights = _windows(mask)
        self._all = float(self.weights.sum())
        # Whole cells only: the room beyond the map's right and bottom stays 0.
        self.shape: tuple[int, ...] = tuple(-(-side // CELL_PX) for side in self.weights.shape)
        self._room = np.zeros([CELL_PX * side for side in self.shape], np.float32)
        self._inner = self._room[: self.weights.shape[0], : self.weights.shape[1]]
        self._covered = self._mean(np.ones_like(self.weights))
        self.used = self._covered >= _LEAST_WINDOWS
        self._divisor = np.where(self.used, self._covered, 1.0).astype(np.float32)

    def ssim(self, ssim_map: Floats) -> float:
        """The mean over the windows that lie in the still part."""
        return float(np.einsum("ij,ij", ssim_map, self.weights)) / self._all

    def each(self, ssim_map: Floats) -> Floats:
        """The mean of each cell, (rows, columns); 1 where next to nothing stands still."""
        means = self._mean(ssim_map) / self._divisor
        return np.asarray(np.where(self.used, means, 1.0), np.float32)

    def seen(self, inside: Image) -> Cells:
        """The same without what a moved camera does not see: (h, w) uint8, 0 outside its view.

        Where next to nothing is left it is this itself: then the camera looks somewhere else.
        """
        kept = np.asarray(cv2.bitwise_and(self._mask, inside), np.uint8)
        enough = cv2.countNonZero(kept) > _LEAST_SEEN * cv2.countNonZero(self._mask)
        return Cells(kept) if enough else self

    def largest(self, lost: npt.NDArray[np.bool_]) -> Lost:
        """The largest connected region of (rows, columns) cells that are lost."""
        if not lost.any():
            return Lost()
        _, labels = cv2.connectedComponents(lost.astype(np.uint8), connectivity=4)
        still = self._covered * self.used
        areas = np.bincount(labels.ravel(), still.ravel())[1:]
        best = int(areas.argmax())
        ys, xs = np.nonzero(labels == best + 1)
        rows, columns = self.shape
        share = float(areas[best]) / float(still.sum())
        return Lost(share, float(xs.mean() + 0.5) / columns, float(ys.mean() + 0.5) / rows)

    def _mean(self, plane: Floats) -> Floats:
        """The mean of each cell of what stands still in a map, 0 for the rest."""
        np.multiply(plane, self.weights, out=self._inner)
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(self._room, size, interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True)
class CellLimits:
    """What each cell's SSIM usually is and below what it is lost, both (rows, columns) float32."""

    usual: Floats
    low: Floats

    def lost(self, cells: Floats, used: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The cells that differ from the reference while others do not.

        A blurred or badly lit picture differs everywhere: that is no occlusion. So a cell must be
        below its own limit, and also well below what the best quarter of the picture keeps.

        Args:
            cells: (rows, columns) SSIM of a frame.
            used: which cells count.
        """
        low = (cells < self.low) & used
        if not low.any():
            return low
        kept = cells / self.usual
        counted = kept[used]
        place = counted.size * 3 // 4
        best = float(np.partition(counted, place)[place])
        return np.asarray(low & (kept < LOCAL * best), np.bool_)


def learn_cells(cells: npt.NDArray[np.float32]) -> CellLimits:
    """Limits per cell from (n, rows, columns) of good frames, as `measures.learn_range` does."""
    usual = np.median(cells, axis=0)
    margin = np.maximum(SPREADS * (usual - np.quantile(cells, TAIL, axis=0)), LEAST_MARGIN)
    usual = np.maximum(usual, 0.05)
    return CellLimits(usual.astype(np.float32), (usual - margin).astype(np.float32))


def _windows(mask: Image) -> Floats:
    """(h - 6, w - 6) weights: 1 for each window that lies wholly in the still part."""
    size = np.ones((WINDOW, WINDOW), np.uint8)
    whole = cv2.erode(mask, size, borderType=cv2.BORDER_CONSTANT, borderValue=255) > 0
    inner = whole[_BORDER:-_BORDER, _BORDER:-_BORDER]
    if not inner.any():
        inner = np.ones_like(inner)
    return np.ascontiguousarray(inner, np.float32)
