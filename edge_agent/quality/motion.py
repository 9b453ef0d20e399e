"""MC-SSIM: a frame against the one before it, after each part was moved back to where it was.

A. K. Moorthy, A. C. Bovik: "Efficient video quality assessment along temporal trajectories", IEEE
Transactions on Circuits and Systems for Video Technology 20(11), 2010, judge a video by SSIM
between blocks that motion connects: vectors of 8 x 8 blocks of grey pictures at the second scale
(half the size), each block of a frame looked for in the frame before. They compare the moved blocks
of a test video with those of its undistorted original. A camera has no original, so here the frame
before, moved by the vectors, *is* the reference for the frame: SSIM of what motion does not
explain.

The search is exhaustive within 7 pixels of the half size by the sum of absolute differences,
nearest vector first. A block that differs from its own place by no more than 2 levels per pixel is
static and not moved (the zero-motion prejudgement of Y. Nie, K.-K. Ma: "Adaptive rood pattern
search for fast block-matching motion estimation", IEEE Transactions on Image Processing 11(12),
2002: 512 per 256 pixels). The mean over static blocks alone is what tells a scene that stands still
from a picture that does: sensor noise keeps it below 1, a frozen picture is exactly 1 with every
block the same bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.quality.plane import Picture, Plane, grey_pair
from edge_agent.quality.structural import ssim_map
from edge_agent.quality.windows import GAUSSIAN, halve

BLOCK = 8
REACH = 7
STATIC_DIFFERENCE = 2.0  # levels per pixel
LEAST = 32  # at half the size, two blocks each way; SSIM's window fits as well

_Blocks = npt.NDArray[np.float32]  # one number per block


@dataclass(frozen=True)
class Prediction:
    """A frame made of the frame before.

    Attributes:
        picture: (h, w) at half the size, cut to whole blocks.
        vectors: (rows, columns, 2) whole pixels of the half size, down and right, by which each
            block's content lay away in the frame before.
        static: (rows, columns), the blocks that did not move.
        same: (rows, columns), the static blocks without any difference.
    """

    picture: Plane
    vectors: npt.NDArray[np.int64]
    static: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Continuity:
    """How well a frame carries on the one before.

    Attributes:
        score: MC-SSIM, the mean over the picture.
        static_ssim: the mean over static blocks; None when nothing is static.
        static_share, same_share: of the blocks, 0..1; ``same`` are equal bit for bit.
    """

    score: float
    static_ssim: float | None
    static_share: float
    same_share: float


def mc_ssim(before: Picture, frame: Picture) -> float:
    """Motion-compensated SSIM of a frame against the one before (see the module).

    -1..1, higher is better, 1 when motion explains everything. With a reference picture in place of
    the frame before it is an SSIM that forgives a camera that moved by up to 14 pixels. Grey, from
    32 x 32 pixels. Cost: 225 differences of pictures of half the size. Raises `SourceError`.
    """
    return continuity(before, frame).score


def continuity(before: Picture, frame: Picture) -> Continuity:
    """MC-SSIM with what stood still (see `mc_ssim`)."""
    old, new = (_whole_blocks(halve(p)) for p in grey_pair(before, frame, least=LEAST))
    found = predict(old, new)
    values = ssim_map(found.picture, new)
    still = np.repeat(np.repeat(found.static, BLOCK, 0), BLOCK, 1)
    inner = slice(GAUSSIAN // 2, -(GAUSSIAN // 2))
    of_static = values[still[inner, inner]]
    return Continuity(
        score=float(values.mean()),
        static_ssim=float(of_static.mean()) if of_static.size else None,
        static_share=float(found.static.mean()),
        same_share=float(found.same.mean()),
    )


def _whole_blocks(plane: Plane) -> Plane:
    rows, columns = (side // BLOCK * BLOCK for side in plane.shape)
    return np.ascontiguousarray(plane[:rows, :columns])


def predict(before: Plane, frame: Plane) -> Prediction:
    """Build ``frame`` from blocks of ``before``; both (h, w), sides whole multiples of 8."""
    old, new = before.astype(np.float32), frame.astype(np.float32)
    wide = cv2.copyMakeBorder(old, REACH, REACH, REACH, REACH, cv2.BORDER_REPLICATE)
    least = _difference(wide, new, 0, 0)
    same, static = least == 0, least <= STATIC_DIFFERENCE
    vectors = np.zeros((*least.shape, 2), np.int64)
    for dy, dx in [] if static.all() else _around():
        cost = _difference(wide, new, dy, dx)
        better = (cost < least) & ~static
        least[better] = cost[better]
        vectors[better] = (dy, dx)
    return Prediction(_moved(before, vectors), vectors, static, same)


def _around() -> list[tuple[int, int]]:
    """All vectors but zero, the short ones first, so that a tie goes to the least motion."""
    steps = range(-REACH, REACH + 1)
    vectors = [(dy, dx) for dy in steps for dx in steps if (dy, dx) != (0, 0)]
    return sorted(vectors, key=lambda v: v[0] ** 2 + v[1] ** 2)


def _difference(wide: npt.NDArray[Any], frame: npt.NDArray[Any], dy: int, dx: int) -> _Blocks:
    """Mean absolute difference of each block and what lies (dy, dx) away in the frame before."""
    rows, columns = frame.shape
    old = wide[REACH + dy : REACH + dy + rows, REACH + dx : REACH + dx + columns]
    size = (columns // BLOCK, rows // BLOCK)
    means = cv2.resize(cv2.absdiff(old, frame), size, interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32)


def _moved(before: Plane, vectors: npt.NDArray[np.int64]) -> Plane:
    """Each pixel of the prediction is taken where its block's vector points, edges repeated."""
    shift = np.repeat(np.repeat(vectors, BLOCK, 0), BLOCK, 1)
    y, x = np.indices(before.shape)
    y = np.clip(y + shift[..., 0], 0, before.shape[0] - 1)
    x = np.clip(x + shift[..., 1], 0, before.shape[1] - 1)
    return np.asarray(before[y, x], np.float64)
