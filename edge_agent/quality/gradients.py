"""Metrics on the gradient: G-SSIM, GMSM and GMSD."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agent.quality.plane import Picture, Plane, grey_pair
from edge_agent.quality.structural import contrast_structure, luminance
from edge_agent.quality.windows import GAUSSIAN, compare, gradient, shrink, similarity

_PREWITT = np.array([[1.0, 0.0, -1.0]] * 3) / 3.0
_GMS_CONSTANT = 170.0
_GMS_STEP = 2
_LEAST_GMS = 6  # what is left after halving must hold a 3 x 3 kernel
_LEAST_GSSIM = GAUSSIAN + 2  # the Sobel gradient costs a pixel on each side


def _sobel(plane: Plane) -> Plane:
    """Magnitude of the Sobel gradient, kernels over 4, without the border."""
    across, down = (cv2.Sobel(plane, cv2.CV_64F, dx, 1 - dx, scale=1 / 4) for dx in (1, 0))
    return np.asarray(cv2.magnitude(across, down)[1:-1, 1:-1], np.float64)


def g_ssim(reference: Picture, image: Picture) -> float:
    """Gradient-based SSIM: contrast and structure are those of the gradient's magnitude.

    G.-H. Chen, C.-L. Yang, S.-L. Xie: "Gradient-based structural similarity for image quality
    assessment", IEEE International Conference on Image Processing, 2006: SSIM (Wang et al. 2004)
    whose luminance term stays that of the pictures and whose contrast and structure terms are
    computed on the Sobel gradient. The window, K1 and K2 are those of `ssim`. How large gradients
    are beside C2 depends on the kernels' scale; here it is ``sqrt(gx^2 + gy^2) / 4``, as in the
    public program of Microsoft's protocol test suites. -1..1, higher is better; notices blur that
    SSIM forgives. Grey, from 13 x 13 pixels. Cost: two gradients, ten Gaussian filters. Raises
    `SourceError`.
    """
    x, y = grey_pair(reference, image, least=_LEAST_GSSIM)
    slopes = compare(_sobel(x), _sobel(y), contrast_structure)
    levels = compare(x[1:-1, 1:-1], y[1:-1, 1:-1], luminance)
    return float((levels * slopes).mean())


def gms_map(reference: Picture, image: Picture) -> Plane:
    """Gradient magnitude similarity per pixel of the halved pictures, 0..1."""
    planes = grey_pair(reference, image, least=_LEAST_GMS)
    first, second = (gradient(shrink(plane, _GMS_STEP), _PREWITT) for plane in planes)
    return similarity(first, second, _GMS_CONSTANT)


def gmsm(reference: Picture, image: Picture) -> float:
    """Gradient magnitude similarity, mean: how much of the edges is still there.

    W. Xue, L. Zhang, X. Mou, A. C. Bovik: "Gradient magnitude similarity deviation: a highly
    efficient perceptual image quality index", IEEE Transactions on Image Processing 23(2), 2014;
    equations 4 and 5, with Prewitt gradients and c = 170 on levels 0..255, on means of 2 x 2
    pixels. 0..1, higher is better. Grey, from 6 x 6 pixels. Cost: four 3 x 3 filters on a quarter
    of the pixels; the cheapest here. Raises `SourceError`.
    """
    return float(gms_map(reference, image).mean())


def gmsd(reference: Picture, image: Picture) -> float:
    """Gradient magnitude similarity, deviation: how unevenly the edges have suffered.

    Xue et al. 2014 as `gmsm`; equation 6, the standard deviation over the map (of a sample, as in
    the authors' program). From 0, **lower is better**, 0 for the same; a change that hits all parts
    alike goes unnoticed. Grey, from 6 x 6 pixels. Cost: as `gmsm`. Raises `SourceError`.
    """
    return float(gms_map(reference, image).std(ddof=1))
