"""Metrics of information: VIF in the pixel domain, IW-SSIM."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from edge_agent.quality.plane import Picture, Plane, grey_pair
from edge_agent.quality.structural import (
    LEAST_MULTISCALE,
    SCALE_WEIGHTS,
    contrast_structure,
    ssim_of,
)
from edge_agent.quality.windows import GAUSSIAN, Moments, compare, gaussian, moments

_VIF_NOISE = 2.0
_VIF_SCALES = 4
_VIF_TINY = 1e-10
_LEAST_VIF = 41  # the fourth scale needs 3 x 3

_IW_NOISE = 0.4
_IW_TINY = 1e-15
_STRIP_ROWS = 128  # ten neighbours of every pixel at once would be ten pictures
_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0 * np.sqrt(2.0)


def _channel(m: Moments, tiny: float) -> tuple[Plane, Plane]:
    """Gain and noise variance that turn x into y locally: ``y = gain x + noise``."""
    gain = m.covariance / (m.variance_x + tiny)
    noise = m.variance_y - gain * m.covariance
    flat = m.variance_x < tiny
    gain = np.where(flat | (m.variance_y < tiny), 0.0, gain)
    noise = np.where(flat, m.variance_y, noise)
    return gain, np.where(m.variance_y < tiny, 0.0, noise)


def vif(reference: Picture, image: Picture) -> float:
    """Visual information fidelity, in the pixel domain: what share of the information got through.

    H. R. Sheikh, A. C. Bovik: "Image information and visual quality", IEEE Transactions on Image
    Processing 15(2), 2006; the ratio of informations under a scalar Gaussian scale mixture over
    four octaves of the pixels (the authors' "vifp" variant, not the steerable pyramid), Gaussian
    windows of 17, 9, 5 and 3 pixels with a deviation of a fifth of that, variance of the eye's
    noise 2. From 0, higher is better, 1 for the same; **above 1** where contrast was enhanced
    without noise; 1 for a reference that is flat. Not symmetric. Grey, from 41 x 41 pixels. Cost:
    26 Gaussian filters, most on small planes. Raises `SourceError`.
    """
    x, y = grey_pair(reference, image, least=_LEAST_VIF)
    received, sent = 0.0, 0.0
    for scale in range(_VIF_SCALES):
        side = 2 ** (_VIF_SCALES - scale) + 1
        blur = partial(gaussian, side=side, sigma=side / 5)
        if scale:
            x, y = (np.ascontiguousarray(blur(plane)[::2, ::2]) for plane in (x, y))
        m = moments(x, y, blur)
        gain, noise = _channel(m, _VIF_TINY)
        noise = np.where(gain < 0, m.variance_y, noise)
        gain = np.maximum(gain, 0.0)
        energy = np.where(m.variance_x < _VIF_TINY, 0.0, m.variance_x)
        heard = gain**2 * energy / (np.maximum(noise, _VIF_TINY) + _VIF_NOISE)
        received += float(np.log1p(heard).sum())
        sent += float(np.log1p(energy / _VIF_NOISE).sum())
    return received / sent if sent > 0 else 1.0


def iw_ssim(reference: Picture, image: Picture) -> float:
    """Information content weighted SSIM: MS-SSIM that looks where there is something to see.

    Z. Wang, Q. Li: "Information content weighting for perceptual image quality assessment", IEEE
    Transactions on Image Processing 20(5), 2011; weights with the parent band and a noise variance
    of 0.4, over five levels of a Laplacian pyramid with the exponents of MS-SSIM. A level whose
    mean is negative counts with its magnitude, as in the authors' program. 0..1, higher is better,
    1 for the same. Grey, from 161 x 161 pixels. Cost: 25 Gaussian filters and ten planes of numbers
    per level. Raises `SourceError`.
    """
    x, y = (_pyramid(p) for p in grey_pair(reference, image, least=LEAST_MULTISCALE))
    last = len(SCALE_WEIGHTS) - 1
    score = 1.0
    for level, exponent in enumerate(SCALE_WEIGHTS):
        values = compare(x[level], y[level], ssim_of if level == last else contrast_structure)
        if level == last:
            mean = float(values.mean())
        else:
            parent = x[level + 1] if level < last - 1 else None
            weights = _inner(information_map(x[level], y[level], parent))
            mean = float((values * weights).sum() / weights.sum()) if weights.any() else 1.0
        score *= abs(mean) ** (exponent / sum(SCALE_WEIGHTS))
    return score


def _inner(plane: Plane) -> Plane:
    """The weights (which lost one pixel on each side) of the windows that SSIM looks at."""
    margin = GAUSSIAN // 2 - 1
    return plane[margin:-margin, margin:-margin]


def _pyramid(plane: Plane) -> list[Plane]:
    """Four bands and what is left, fine to coarse (Burt and Adelson 1983, as matlabPyrTools)."""
    bands = []
    for _ in range(len(SCALE_WEIGHTS) - 1):
        low = np.ascontiguousarray(_binomial(plane)[::2, ::2])
        wide = np.zeros_like(plane)
        wide[::2, ::2] = low
        bands.append(plane - _binomial(wide))
        plane = low
    return [*bands, plane]


def _binomial(plane: Plane) -> Plane:
    border = cv2.BORDER_REFLECT_101
    filtered = cv2.sepFilter2D(plane, cv2.CV_64F, _BINOMIAL, _BINOMIAL, borderType=border)
    return np.asarray(filtered, np.float64)


def _mean3(plane: Plane) -> Plane:
    means = cv2.boxFilter(plane, cv2.CV_64F, (3, 3), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(means, np.float64)


def information_map(x: Plane, y: Plane, parent: Plane | None) -> Plane:
    """Bits that a 3 x 3 neighbourhood of two bands carries: the weights of IW-SSIM; (H - 2, W - 2).

    Args:
        x: (H, W) band of the reference.
        y: the same band of the picture.
        parent: the reference's next coarser band, a tenth neighbour; None without.
    """
    gain, noise = (part[1:-1, 1:-1] for part in _channel(moments(x, y, _mean3), _IW_TINY))
    wide = None if parent is None else _enlarge(parent)
    strips = range(0, gain.shape[0], _STRIP_ROWS)
    covariance = sum(n @ n.T for n in (_neighbours(x, wide, top) for top in strips)) / gain.size
    values, vectors = np.linalg.eigh(covariance)
    values = _positive(values)
    kept = values > 0
    whitened = vectors[:, kept].T / np.sqrt(values[kept, None])
    energy = np.concatenate([((whitened @ _neighbours(x, wide, t)) ** 2).sum(0) for t in strips])
    energy = energy.reshape(gain.shape) / len(values)
    bits = np.zeros(gain.shape)
    for value in values[kept]:
        power = (noise + (1.0 + gain**2) * _IW_NOISE) * energy * value + _IW_NOISE * noise
        bits += np.log2(1.0 + power / _IW_NOISE**2)
    return np.where(bits < _IW_TINY, 0.0, bits)


def _neighbours(x: Plane, wide: Plane | None, top: int) -> Plane:
    """Nine neighbours, and the parent, of the pixels of one strip: (9 or 10, pixels)."""
    rows, columns = min(_STRIP_ROWS, x.shape[0] - 2 - top), x.shape[1] - 2
    views = [x[top + dy : top + dy + rows, dx : dx + columns] for dx in range(3) for dy in range(3)]
    if wide is not None:
        views.append(wide[top + 1 : top + 1 + rows, 1 : columns + 1])
    return np.stack([view.ravel() for view in views])


def _positive(values: Plane) -> Plane:
    """Eigenvalues without the negative ones that rounding makes; their sum is kept."""
    kept = np.where(values > 0, values, 0.0)
    total = kept.sum()
    return kept * (values.sum() / total) if total > 0 else kept


def _enlarge(plane: Plane) -> Plane:
    """A band at the size of the next finer one: linear inside, carried on in a line at the edge."""
    rows, columns = 4 * plane.shape[0] - 3, 4 * plane.shape[1] - 3
    wide = np.zeros((rows + 2, columns + 2))
    wide[1:-1, 1:-1] = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR)
    wide[0], wide[-1] = 2 * wide[1] - wide[2], 2 * wide[-2] - wide[-3]
    wide[:, 0], wide[:, -1] = 2 * wide[:, 1] - wide[:, 2], 2 * wide[:, -2] - wide[:, -3]
    return wide[::2, ::2]
