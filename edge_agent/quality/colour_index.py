"""DSCSI: the similarity of colours, hue by hue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np

from edge_agent.quality.colours import lab, linear_light, matrix
from edge_agent.quality.plane import Picture, Plane, colour_pair
from edge_agent.quality.windows import Moments, gaussian, moments

LEAST = 40  # the filters of S-CIELAB are 39 long
_SIDE = 7
_HUE_SWITCH, _HUE_CURVE = 0.2, 0.07
_CHROMA_OF_HUE = 10.0  # below about this chroma hue means nothing
_K_HUE, _K_CHROMA, _K_CHROMA_CONTRAST, _K_LIGHTNESS = 0.0008, 0.0008, 16.0, 0.8
_CHROMATIC_EXPONENT = 0.8

_SAMPLES_PER_DEGREE = 40
_FINE = 6  # the filters are drawn at 240 samples per degree
# Half widths in degrees and weights of Poirson and Wandell's filters: luminance, red-green,
# blue-yellow.
_FILTERS = (
    ((0.05, 1.00327), (0.225, 0.114416), (7.0, -0.117686)),
    ((0.0685, 0.616725), (0.826, 0.383275)),
    ((0.092, 0.567885), (0.6451, 0.432115)),
)
_OPPONENT = np.array([
    [0.2787336, 0.7218031, -0.1065520],
    [-0.4487736, 0.2898056, 0.0771569],
    [0.0859513, -0.5899859, 0.5011089],
])  # fmt: skip
_XYZ_OF_RGB = np.linalg.inv(
    np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.057]])
)
_WHITE = np.array([0.950456, 1.0, 1.088754])
_KNEE = 0.0404482362771076


def dscsi(reference: Picture, image: Picture) -> float:
    """Directional statistics based colour similarity index.

    D. Lee, K. N. Plataniotis: "Towards a full-reference quality assessment for color images using
    directional statistics", IEEE Transactions on Image Processing 24(11), 2015: six similarities in
    7 x 7 windows of S-CIELAB at 40 pixels per degree (X. Zhang, B. A. Wandell: "A spatial extension
    of CIELAB for digital color image reproduction", SID 1996): hue mean and dispersion (circular,
    faded out where there is no chroma), chroma mean and contrast, lightness contrast and structure;
    pooled by ``1 - rms(1 - map)`` and multiplied, the four chromatic ones to the power of 0.8.
    Constants are those of the authors' program. Up to 1, higher is better, 1 for the same; a change
    of the mean lightness alone costs nothing. BGR (a grey picture is one without colour), from 40 x
    40 pixels. Cost: seven 39-tap filters and fourteen small ones per picture. Raises `SourceError`.
    """
    first, second = (_view(p) for p in colour_pair(reference, image, least=LEAST))
    similarities = _similarities(first, second)
    score = 1.0
    for number, values in enumerate(similarities):
        pooled = 1.0 - float(np.sqrt(np.mean((1.0 - values) ** 2)))
        # The real part of a power, as in the program; only pictures of nothing in common get there.
        turned = np.cos(np.pi * _CHROMATIC_EXPONENT) if pooled < 0 and number < 4 else 1.0
        score *= abs(pooled) ** _CHROMATIC_EXPONENT * turned if number < 4 else pooled
    return float(score)


@dataclass(frozen=True)
class _View:
    """Lightness, chroma and the hue's unit vectors of a picture, (H, W) each."""

    lightness: Plane
    chroma: Plane
    cosine: Plane
    sine: Plane


def _view(picture: Plane) -> _View:
    values = s_cielab(picture)
    a, b = values[..., 1], values[..., 2]
    hue = np.arctan2(b, a)
    return _View(np.clip(values[..., 0], 0, 100), np.hypot(a, b), np.cos(hue), np.sin(hue))


def _similarities(first: _View, second: _View) -> list[Plane]:
    """The six maps, hue mean first; each (H - 6, W - 6)."""
    blur = partial(gaussian, side=_SIDE, sigma=(_SIDE - 1) / 6)
    light = moments(first.lightness, second.lightness, blur)
    chroma = moments(first.chroma, second.chroma, blur)
    reliable = _reliability(np.minimum(chroma.mean_x, chroma.mean_y))
    means, spreads = _hues(first, second, blur)
    return [
        1.0 - (1.0 - means) * reliable,
        1.0 - (1.0 - spreads) * reliable,
        1.0 / (_K_CHROMA * (chroma.mean_x - chroma.mean_y) ** 2 + 1.0),
        _contrast(chroma, _K_CHROMA_CONTRAST),
        _contrast(light, _K_LIGHTNESS),
        (_K_LIGHTNESS + light.covariance)
        / (_K_LIGHTNESS + np.sqrt(light.variance_x * light.variance_y)),
    ]


def _reliability(chroma: Plane) -> Plane:
    return 0.5 + 0.5 * np.tanh((chroma - _CHROMA_OF_HUE) / (0.25 * _CHROMA_OF_HUE))


def _contrast(m: Moments, constant: float) -> Plane:
    product = np.sqrt(m.variance_x * m.variance_y)
    return (constant + 2.0 * product) / (constant + m.variance_x + m.variance_y)


def _hues(first: _View, second: _View, blur: partial[Plane]) -> tuple[Plane, Plane]:
    """Similarity of the circular means and of the circular dispersions."""
    (c1, s1), (c2, s2) = ((blur(v.cosine), blur(v.sine)) for v in (first, second))
    apart = np.abs(np.arctan2(s1 * c2 - c1 * s2, c1 * c2 + s1 * s2)) / np.pi
    means = 0.5 - 0.5 * np.tanh((apart - _HUE_SWITCH) / _HUE_CURVE)
    d1, d2 = 1.0 - np.hypot(c1, s1), 1.0 - np.hypot(c2, s2)
    return means, (_K_HUE + 2.0 * d1 * d2) / (_K_HUE + d1 * d1 + d2 * d2)


def s_cielab(picture: Plane) -> Plane:
    """L*a*b* of an (H, W, 3) BGR picture as an eye sees it that resolves 40 pixels per degree.

    Each opponent channel is blurred by its own sum of Gaussians; edges are mirrored.
    """
    opponents = matrix(linear_light(picture[..., ::-1], _KNEE), _OPPONENT @ _XYZ_OF_RGB)
    seen = np.stack([_see(opponents[..., c], _kernels()[c]) for c in range(3)], axis=-1)
    xyz = matrix(seen, np.linalg.inv(_OPPONENT))
    return lab(xyz, _WHITE, threshold=0.008856, slope=841 / 108)


def _see(plane: Plane, kernels: tuple[tuple[Plane, float], ...]) -> Plane:
    plane = np.ascontiguousarray(plane)
    border = cv2.BORDER_REFLECT
    return np.asarray(
        sum(
            weight * cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel, borderType=border)
            for kernel, weight in kernels
        ),
        np.float64,
    )


@lru_cache(maxsize=1)
def _kernels() -> tuple[tuple[tuple[Plane, float], ...], ...]:
    return tuple(tuple((_kernel(width), weight) for width, weight in f) for f in _FILTERS)


def _kernel(half_width: float) -> Plane:
    """A Gaussian one degree long, drawn finely and brought to the pixels by a triangle."""
    fine = _SAMPLES_PER_DEGREE * _FINE
    x = np.arange(1 - fine // 2, fine // 2)
    gaussian_fine = np.exp(-4.0 * np.log(2.0) * (x / (half_width * fine - 1.0)) ** 2)
    triangle = 1.0 - np.abs(np.arange(1 - _FINE, _FINE)) / _FINE
    drawn = np.convolve(gaussian_fine / gaussian_fine.sum(), triangle, "same")
    return drawn[len(drawn) // 2 % _FINE :: _FINE]
