"""Where the camera points now, against the reference: phase correlation, then least squares.

A camera that shakes by a fraction of a reduced pixel is measured by one step of registration: the
picture is regressed on the reference, its gradients and a constant, so a changed light does not
pass for a movement (Lucas and Kanade, IJCAI 1981; with the reference's half done once, Baker and
Matthews, IJCV 56(3), 2004). Larger movements are first found by phase correlation (Kuglin and
Hines, IEEE Conference on Cybernetics and Society, 1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.detection.preprocess import Image

Floats = npt.NDArray[np.float32]

_FINE_PX, _WIDE_PX = 1.0, 3.0
_FINE_STEPS, _WIDE_STEPS = 4, 6
_NOISE_LEVELS = 2.0
_MOST_ERROR_PX = 0.1
_LEAST_GAIN = 0.05
_MOST_SHARE = 0.25


@dataclass(frozen=True)
class Pose:
    """A small movement of the picture, in pixels of the reduced picture and radians.

    Attributes:
        dx, dy: the picture moved right and down by so much.
        turn: anticlockwise about the middle as seen on the screen, if positive.
        zoom: 0.01 when everything is 1 % larger.
    """

    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0

    def __add__(self, other: Pose) -> Pose:
        """Both movements, one after the other; exact enough while they are small."""
        return Pose(
            self.dx + other.dx, self.dy + other.dy, self.turn + other.turn, self.zoom + other.zoom
        )

    def moved(self, shape: tuple[int, ...]) -> float:
        """Root mean square of how far the picture's points moved, in reduced pixels."""
        about_middle = (shape[0] ** 2 + shape[1] ** 2) / 12.0
        return math.sqrt(self.dx**2 + self.dy**2 + (self.turn**2 + self.zoom**2) * about_middle)


class Aligner:
    """Measures a picture's `Pose` against one reference, and takes it back.

    Args:
        reference: (h, w) grey uint8.
        mask: (h, w) uint8, not 0 where the reference stands still.
    """

    def __init__(self, reference: Image, mask: Image) -> None:
        self.shape: tuple[int, ...] = reference.shape
        height, width = self.shape
        self._middle = ((width - 1) / 2.0, (height - 1) / 2.0)
        self._fine, self.error_px = _solver(reference, mask, _FINE_PX, self._middle)
        self._wide, _ = _solver(reference, mask, _WIDE_PX, self._middle)
        self._window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        self._weights = _soft(mask)
        self._sharp = self._flat(reference)

    @property
    def usable(self) -> bool:
        """Whether enough of the reference stands still, and has edges, to measure a movement."""
        return self.error_px <= _MOST_ERROR_PX

    def step(self, gray: Image) -> Pose:
        """The movement by one step of least squares; good below about a reduced pixel."""
        return _solve(self._fine, gray, _FINE_PX)

    def refine(self, gray: Image, pose: Pose) -> Pose:
        """A better pose from one that is about a pixel off, by several steps."""
        for _ in range(_FINE_STEPS):
            pose = pose + self.step(self.undo(gray, pose))
        return pose

    def search(self, gray: Image) -> list[Pose]:
        """Where the picture may have gone, up to a quarter of its width; the right one, if any.

        From where it should be and from where phase correlation sees it, with and without a wide
        step first: that finds turns, and the other way finds fine repeating patterns.
        """
        coarse = self._coarse(gray)
        starts = [coarse, self._widely(gray, coarse), self._widely(gray, Pose())]
        most = _MOST_SHARE * self.shape[1]
        found = [self.refine(gray, start) for start in starts if start.moved(self.shape) < most]
        return [pose for pose in found if pose.moved(self.shape) < most]

    def inside(self, pose: Pose) -> Image:
        """(h, w) uint8: 255 where the camera, there, still sees what the reference shows."""
        seen = np.full(self.shape, 255, np.uint8)
        return self._warp(seen, pose, cv2.BORDER_CONSTANT)

    def _coarse(self, gray: Image) -> Pose:
        (dx, dy), _ = cv2.phaseCorrelate(self._sharp, self._flat(gray), self._window)
        return Pose(dx, dy)

    def _widely(self, gray: Image, pose: Pose) -> Pose:
        most = _MOST_SHARE * self.shape[1]
        for _ in range(_WIDE_STEPS):
            if pose.moved(self.shape) > most:
                break
            pose = pose + _solve(self._wide, self.undo(gray, pose), _WIDE_PX)
        return pose

    def undo(self, gray: Image, pose: Pose) -> Image:
        """The picture as it would be without the movement; edges repeat beyond its borders."""
        return self._warp(gray, pose, cv2.BORDER_REPLICATE)

    def _warp(self, gray: Image, pose: Pose, border: int) -> Image:
        x, y = self._middle
        grow = 1.0 + pose.zoom
        matrix = np.array(
            [
                [grow, pose.turn, pose.dx + x - grow * x - pose.turn * y],
                [-pose.turn, grow, pose.dy + y - grow * y + pose.turn * x],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.shape[1], self.shape[0])
        moved = cv2.warpAffine(gray, matrix, size, flags=flags, borderMode=border)
        return np.asarray(moved, np.uint8)

    def _flat(self, gray: Image) -> Floats:
        """The still part without its slow shading, so that the mask's own edges do not count."""
        sharp = gray.astype(np.float32)
        sharp -= cv2.GaussianBlur(sharp, (0, 0), 4.0)
        sharp *= self._weights
        return sharp


def _soft(mask: Image) -> Floats:
    return np.asarray(cv2.GaussianBlur((mask > 0).astype(np.float32), (0, 0), 2.0), np.float32)


def _smooth(gray: Image, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(gray.astype(np.float32), (0, 0), sigma), np.float32)


def _solve(inverse: Floats, gray: Image, sigma: float) -> Pose:
    # Not a matrix product: BLAS would wake its threads for this, beside those that infer.
    flat = _smooth(gray, sigma).ravel()
    gain, _, *change = np.einsum("ij,j->i", inverse, flat).tolist()
    if gain < _LEAST_GAIN:
        return Pose()
    dx, dy, turn, zoom = (-value / gain for value in change)
    return Pose(dx, dy, turn, zoom)


def _solver(
    reference: Image, mask: Image, sigma: float, middle: tuple[float, float]
) -> tuple[Floats, float]:
    """(6, h w): picture -> gain, offset and gain times the movement; and its error in pixels.

    The error is that of a shift when every static pixel is off by `_NOISE_LEVELS` at random.
    """
    smooth = _smooth(reference, sigma)
    right, down = np.gradient(smooth, axis=1), np.gradient(smooth, axis=0)
    ys, xs = np.indices(smooth.shape, np.float32)
    xs, ys = xs - middle[0], ys - middle[1]
    columns = (smooth, np.ones_like(smooth), right, down, ys * right - xs * down,
               xs * right + ys * down)  # fmt: skip
    still = (mask > 0).ravel()
    matrix = np.stack([column.ravel() * still for column in columns], axis=1).astype(np.float64)
    scale = np.sqrt((matrix**2).sum(0))
    if np.any(scale < 1e-6):
        return np.zeros((6, smooth.size), np.float32), math.inf
    covariance = np.linalg.pinv((matrix / scale).T @ (matrix / scale), rcond=1e-9, hermitian=True)
    inverse = (covariance @ (matrix / scale).T) / scale[:, None]
    shifts = covariance[[2, 3], [2, 3]] / scale[[2, 3]] ** 2
    return inverse.astype(np.float32), _NOISE_LEVELS * math.sqrt(float(shifts.max()))
