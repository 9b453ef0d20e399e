"""SSIM against one reference, with the reference's half of the work done once.

Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004, equation 13, with the constants
K1 = 0.01 and K2 = 0.03 of that paper and a uniform 7x7 window with the sample covariance, as
scikit-image's `structural_similarity` has by default. The mean leaves out a border of three pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.errors import SourceError
from edge_agent.preprocess import Image

WINDOW = 7
_BORDER = WINDOW // 2
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2
_SAMPLE = WINDOW**2 / (WINDOW**2 - 1.0)

Map = npt.NDArray[np.float32]


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
        # Centred levels: variance is then a difference of small numbers and float32 is enough.
        self._offset = float(np.round(gray.mean()))
        self._pixels = gray.astype(np.float32) - np.float32(self._offset)
        self._mean = _blur(self._pixels)
        self._variance = _SAMPLE * (_blur(self._pixels**2) - self._mean**2)
        self._level = self._mean + np.float32(self._offset)

    def ssim(self, gray: Image) -> float:
        """Mean SSIM with another (h, w) grey uint8 picture of the same size, -1..1."""
        inner = self.map(gray)[_BORDER:-_BORDER, _BORDER:-_BORDER]
        return float(cv2.mean(inner)[0])

    def map(self, gray: Image) -> Map:
        """SSIM per pixel, (h, w) float32; windows that leave the picture are mirrored."""
        if gray.shape != self.shape:
            raise SourceError(f"SSIM needs {self.shape}, the picture is {gray.shape}")
        pixels = gray.astype(np.float32) - np.float32(self._offset)
        mean = _blur(pixels)
        variance = _SAMPLE * (_blur(pixels**2) - mean**2)
        covariance = _SAMPLE * (_blur(pixels * self._pixels) - mean * self._mean)
        level = mean + np.float32(self._offset)
        top = (2 * level * self._level + _C1) * (2 * covariance + _C2)
        bottom = (level**2 + self._level**2 + _C1) * (variance + self._variance + _C2)
        return np.asarray(top / bottom, np.float32)


def _blur(values: Map) -> Map:
    return np.asarray(cv2.boxFilter(values, -1, (WINDOW, WINDOW)), np.float32)
