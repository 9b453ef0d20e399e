"""The structural similarity family: UQI, SSIM, MS-SSIM, 3-SSIM."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.gate.ssim import WINDOW, Reference
from edge_agent.quality.plane import PEAK, Picture, Plane, check_pair, grey, grey_pair
from edge_agent.quality.windows import GAUSSIAN, Moments, box, compare, halve

Mask = npt.NDArray[np.bool_]

C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST_MULTISCALE = (GAUSSIAN - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
_UQI_SIDE = 8
_EDGE, _SMOOTH = 0.12, 0.06  # of the largest gradient of the reference
_REGION_WEIGHTS = (0.5, 0.25, 0.25)  # edges, texture, smooth


def luminance(m: Moments) -> Plane:
    """l(x, y), equation 6 of Wang et al. 2004."""
    product = m.mean_x * m.mean_y
    return (2.0 * product + C1) / (m.mean_x * m.mean_x + m.mean_y * m.mean_y + C1)


def contrast_structure(m: Moments) -> Plane:
    """c(x, y) s(x, y), equations 9 and 10 of Wang et al. 2004 with C3 = C2 / 2."""
    return (2.0 * m.covariance + C2) / (m.variance_x + m.variance_y + C2)


def ssim_of(m: Moments) -> Plane:
    """SSIM, equation 13 of Wang et al. 2004."""
    return luminance(m) * contrast_structure(m)


def ssim_map(x: Plane, y: Plane) -> Plane:
    """SSIM of every 11 x 11 window of two grey planes, (H - 10, W - 10)."""
    return compare(x, y, ssim_of)


def ssim(reference: Picture, image: Picture) -> float:
    """Structural similarity with the Gaussian window of the paper.

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: "Image quality assessment: from error
    visibility to structural similarity", IEEE Transactions on Image Processing 13(4), 2004;
    equation 13, its mean over the picture (17), 11 x 11 Gaussian window of deviation 1.5, K1 =
    0.01, K2 = 0.03, windows that lie in the picture only. -1..1, higher is better, 1 for the same.
    Grey, from 11 x 11 pixels. Cost: five Gaussian filters. Raises `SourceError` (see `check_pair`).
    """
    return float(ssim_map(*grey_pair(reference, image, least=GAUSSIAN)).mean())


def ssim_uniform(reference: Picture, image: Picture) -> float:
    """SSIM as the gate computes it: a uniform 7 x 7 window and the sample covariance.

    The same formula as `ssim` with the window of `edge_agent.gate.ssim`, which says more; at full
    size, where the gate works on a reduced picture. -1..1, higher is better. Grey, 8-bit (levels in
    floating point are rounded), from 7 x 7 pixels. Cost: three box filters in whole numbers.
    Raises `SourceError`.
    """
    check_pair(reference, image, least=WINDOW)
    x, y = (np.rint(np.clip(grey(p), 0, PEAK)).astype(np.uint8) for p in (reference, image))
    return Reference(x).ssim(y)


def uqi(reference: Picture, image: Picture) -> float:
    """Universal image quality index: SSIM without its constants, in 8 x 8 windows.

    Z. Wang, A. C. Bovik: "A universal image quality index", IEEE Signal Processing Letters 9(3),
    2002; in every 8 x 8 window, and the mean of that. Where both windows are flat, what is
    left is the luminance term; where they are black too, 1. -1..1, higher is better; very strict on
    flat parts with noise. Grey, from 8 x 8 pixels. Cost: five box filters. Raises `SourceError`.
    """
    x, y = grey_pair(reference, image, least=_UQI_SIDE)
    return float(compare(x, y, _universal, partial(box, side=_UQI_SIDE), _UQI_SIDE).mean())


def _universal(m: Moments) -> Plane:
    # Rounding leaves variances of about 1e-11 where there are none.
    spread = m.variance_x + m.variance_y
    structure = np.divide(2.0 * m.covariance, spread, out=np.ones_like(spread), where=spread > 1e-8)
    level = m.mean_x * m.mean_x + m.mean_y * m.mean_y
    bright = np.divide(
        2.0 * m.mean_x * m.mean_y, level, out=np.ones_like(level), where=level > 1e-8
    )
    return structure * bright


def ms_ssim(reference: Picture, image: Picture) -> float:
    """Multi-scale SSIM over five octaves.

    Z. Wang, E. P. Simoncelli, A. C. Bovik: "Multi-scale structural similarity for image quality
    assessment", Asilomar Conference on Signals, Systems and Computers, 2003; equation 7 with the
    exponents 0.0448, 0.2856, 0.3001, 0.2363, 0.1333, each scale the mean of 2 x 2 pixels of the one
    before. A scale whose contrast-structure mean is negative counts as 0. 0..1, higher is better.
    Grey, from 161 x 161 pixels. Cost: 1.33 times `ssim`. Raises `SourceError`.
    """
    x, y = grey_pair(reference, image, least=LEAST_MULTISCALE)
    score = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            x, y = halve(x), halve(y)
        last = scale == len(SCALE_WEIGHTS) - 1
        values = compare(x, y, ssim_of if last else contrast_structure)
        score *= max(float(values.mean()), 0.0) ** weight
    return score


def regions(x: Plane, y: Plane) -> tuple[Mask, Mask]:
    """Where 3-SSIM sees edges and where smooth parts; what is neither is texture.

    Returns:
        Two boolean (H, W) masks, which exclude each other.
    """
    first, second = (
        cv2.magnitude(cv2.Sobel(p, cv2.CV_64F, 1, 0), cv2.Sobel(p, cv2.CV_64F, 0, 1))
        for p in (x, y)
    )
    largest = float(first.max())
    edges = (first > _EDGE * largest) | (second > _EDGE * largest)
    smooth = (first < _SMOOTH * largest) & ~edges
    return np.asarray(edges, np.bool_), np.asarray(smooth, np.bool_)


def three_ssim(reference: Picture, image: Picture) -> float:
    """Three-component SSIM: edges count twice as much as texture and as smooth parts.

    C. Li, A. C. Bovik: "Three-component weighted structural similarity index", Proceedings of SPIE
    7242, 2009, and "Content-weighted video quality assessment using a three-component image model",
    Journal of Electronic Imaging 19(1), 2010. Pixels are edges where the Sobel gradient of either
    picture is above 0.12 times the largest of the reference, else smooth where that of the
    reference is below 0.06 times it, else texture. The means of the SSIM map over the three,
    weighted 0.5, 0.25, 0.25; a kind of region that a picture does not have leaves its weight to the
    others. -1..1, higher is better. Grey, from 11 x 11 pixels. Cost: `ssim` and two gradients.
    Raises `SourceError`.
    """
    x, y = grey_pair(reference, image, least=GAUSSIAN)
    values = ssim_map(x, y)
    inner = slice(GAUSSIAN // 2, -(GAUSSIAN // 2))
    edges, smooth = (mask[inner, inner] for mask in regions(x, y))
    parts = [values[mask] for mask in (edges, ~edges & ~smooth, smooth)]
    weighted = [
        (w, part.mean()) for w, part in zip(_REGION_WEIGHTS, parts, strict=True) if part.size
    ]
    return float(sum(w * mean for w, mean in weighted) / sum(w for w, _ in weighted))
