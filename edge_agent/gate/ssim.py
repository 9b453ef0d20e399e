"""SSIM against one reference, with the reference's half of the work done once.

Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13, with the constants
K1 = 0.01 and K2 = 0.03 of that paper and a uniform 7x7 window with the sample covariance, as
scikit-image's `structural_similarity` has by default. The mean leaves out a border of three pixels.

Sums over the window are whole numbers: grey levels are centred (-128..127), so that squares fit
16 bits and ``49 * sum(xy) - sum(x) * sum(y)`` fits 32. Variances are exact that way, where
differences of floating-point means lose their digits on flat pictures. The work goes strip by
strip through buffers that stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError

WINDOW = 7
_BORDER = WINDOW // 2
_COUNT = WINDOW**2
_C1 = np.float32((0.01 * 255.0) ** 2 * _COUNT**2)
_C2 = np.float32((0.03 * 255.0) ** 2 * _COUNT * (_COUNT - 1))
_CENTRE = 128
_STRIP_PIXELS = 1 << 16

Map = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int32]


class Reference:
    """A (h, w) grey uint8 picture to compare others with; buffers are reused, one per thread.

    Raises:
        SourceError: when the picture is smaller than the window.
    """

    def __init__(self, gray: Image) -> None:
        if gray.ndim != 2 or min(gray.shape) < WINDOW:
            raise SourceError(
                f"the SSIM reference should be grey and at least {WINDOW} x {WINDOW}, is"
                f" {' x '.join(map(str, gray.shape))}"
            )
        self.shape: tuple[int, ...] = gray.shape
        rows = self.shape[0] - 2 * _BORDER
        step = max(1, min(rows, _STRIP_PIXELS // self.shape[1]))
        self._buffers = _Buffers(step, self.shape[1])
        self._strips = [
            _Strip(gray, top, min(step, rows - top), self._buffers) for top in range(0, rows, step)
        ]

    def ssim(self, gray: Image) -> float:
        """Mean SSIM with another (h, w) grey uint8 picture of the same size, -1..1."""
        self._check(gray)
        total = sum(
            float(np.add.reduce(strip.compare(gray), axis=None, dtype=np.float64))
            for strip in self._strips
        )
        return total / ((self.shape[0] - 2 * _BORDER) * (self.shape[1] - 2 * _BORDER))

    def map(self, gray: Image) -> Map:
        """SSIM per pixel, (h - 6, w - 6) float32: of every window that lies in the picture."""
        self._check(gray)
        return np.concatenate([strip.compare(gray).copy() for strip in self._strips])

    def _check(self, gray: Image) -> None:
        if gray.shape != self.shape:
            raise SourceError(f"SSIM needs {self.shape}, the picture is {gray.shape}")


class _Buffers:
    """Room for one strip of ``rows`` windows in height, shared by all strips.

    Everything is as wide as the picture, the useless border columns included: whole rows are
    contiguous, and arithmetic on contiguous memory is four times as fast.
    """

    def __init__(self, rows: int, columns: int) -> None:
        outer, inner = (rows + 2 * _BORDER, columns), (rows, columns)
        self.centred = np.empty(outer, np.int16)
        self.product = np.empty(outer, np.int16)
        self.sum = np.empty(outer, np.int32)
        self.square_sum = np.empty(outer, np.int32)
        self.cross_sum = np.empty(outer, np.int32)
        self.whole = np.empty(inner, np.int32)
        self.level = np.empty(inner, np.float32)
        self.top = np.empty(inner, np.float32)
        self.bottom = np.empty(inner, np.float32)
        self.other = np.empty(inner, np.float32)

    def cut(self, rows: int) -> _Buffers:
        """Views of the same memory for a lower strip."""
        part = object.__new__(_Buffers)
        lost = self.level.shape[0] - rows
        for name, buffer in vars(self).items():
            setattr(part, name, buffer[: buffer.shape[0] - lost])
        return part


class _Strip:
    """Some rows of the reference with their sums, and the comparison of a picture with them."""

    def __init__(self, gray: Image, top: int, rows: int, buffers: _Buffers) -> None:
        self._rows = slice(top, top + rows + 2 * _BORDER)
        self._room = buffers.cut(rows)
        self._centred = np.subtract(gray[self._rows], _CENTRE, dtype=np.int16)
        sums, squares = (
            cv2.boxFilter(part, cv2.CV_32S, (WINDOW, WINDOW), normalize=False)[_BORDER:-_BORDER]
            for part in (self._centred, self._centred * self._centred)
        )
        self._variance = _COUNT * squares - sums * sums
        level = (sums + _COUNT * _CENTRE).astype(np.float32)
        self._twice_sum, self._twice_level = 2 * sums, 2 * level
        self._level_square = level * level + _C1

    def compare(self, gray: Image) -> Map:
        """SSIM of the windows in these rows; the next strip overwrites the result."""
        room = self._room
        self._add_up(gray[self._rows])
        sums, squares, crosses = (
            part[_BORDER:-_BORDER] for part in (room.sum, room.square_sum, room.cross_sum)
        )
        np.copyto(room.level, sums, casting="same_kind")
        room.level += _COUNT * _CENTRE
        crosses *= 2 * _COUNT
        crosses -= np.multiply(sums, self._twice_sum, out=room.whole)
        squares *= _COUNT
        squares -= np.multiply(sums, sums, out=room.whole)
        squares += self._variance
        return self._ratio(squares, crosses)[:, _BORDER:-_BORDER]

    def _add_up(self, gray: Image) -> None:
        """Sums over the window of the picture, of its squares and of its product with the other."""
        room = self._room
        size: Any = (WINDOW, WINDOW)
        np.subtract(gray, _CENTRE, out=room.centred, dtype=np.int16)
        cv2.boxFilter(room.centred, cv2.CV_32S, size, dst=room.sum, normalize=False)
        np.multiply(room.centred, room.centred, out=room.product)
        cv2.boxFilter(room.product, cv2.CV_32S, size, dst=room.square_sum, normalize=False)
        np.multiply(room.centred, self._centred, out=room.product)
        cv2.boxFilter(room.product, cv2.CV_32S, size, dst=room.cross_sum, normalize=False)

    def _ratio(self, variances: Whole, covariances: Whole) -> Map:
        """(2 mx my + C1) (2 cov + C2) / ((mx^2 + my^2 + C1) (var_x + var_y + C2)).

        Means come times 49, variances times 49 * 48; so do C1 and C2, and the factors cancel.
        """
        room = self._room
        np.multiply(room.level, self._twice_level, out=room.top)
        room.top += _C1
        np.copyto(room.other, covariances, casting="same_kind")
        room.other += _C2
        room.top *= room.other
        np.multiply(room.level, room.level, out=room.bottom)
        room.bottom += self._level_square
        np.copyto(room.other, variances, casting="same_kind")
        room.other += _C2
        room.bottom *= room.other
        room.top /= room.bottom
        return room.top
