"""Two pictures in, two planes of numbers out: what every metric asks of its arguments.

Grey is that of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B). Of 8-bit pictures it is rounded to whole
levels, as MATLAB's rgb2gray and the agent's gate do; of pictures in floating point it is not.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.errors import SourceError

Picture = npt.NDArray[Any]
Plane = npt.NDArray[np.float64]

PEAK = 255.0


def check_pair(reference: Picture, image: Picture, *, least: int) -> None:
    """Refuse what the metrics are not defined for.

    Args:
        reference: (H, W) grey or (H, W, 3) BGR, uint8, or floating point with levels 0..255.
        image: the same.
        least: the smallest side that the metric can take, in pixels.

    Raises:
        SourceError: other shapes or types, sizes that differ, NaN, or a picture that is too small.
    """
    for what, picture in (("reference", reference), ("picture", image)):
        _check_one(what, picture, least)
    if reference.shape != image.shape:
        raise SourceError(
            f"the reference is {_size(reference)}, the picture {_size(image)}; only pictures of"
            " one size and kind can be compared, so scale or crop one of them first"
        )


def _check_one(what: str, picture: Picture, least: int) -> None:
    if not isinstance(picture, np.ndarray) or picture.dtype not in (
        np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64)
    ):  # fmt: skip
        kind = getattr(picture, "dtype", type(picture).__name__)
        raise SourceError(
            f"the {what} should be uint8, or floating point with levels 0..255, is {kind}"
        )
    if picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[2] == 3):
        shape = " x ".join(map(str, picture.shape))
        raise SourceError(
            f"the {what} should be grey (height x width) or BGR (x 3), is {shape or 'a scalar'}"
        )
    if min(picture.shape[:2]) < least:
        raise SourceError(
            f"the {what} is {_size(picture)}; this metric needs {least} pixels on each side"
        )
    if picture.dtype != np.uint8 and not np.isfinite(picture).all():
        raise SourceError(f"the {what} holds NaN or Inf")


def _size(picture: Picture) -> str:
    colour = "colour" if picture.ndim == 3 else "grey"
    return f"{picture.shape[1]} x {picture.shape[0]} {colour}"


def grey(picture: Picture) -> Plane:
    """(H, W) float64 levels 0..255 of a checked picture."""
    if picture.ndim == 2:
        return picture.astype(np.float64)
    if picture.dtype == np.uint8:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float64)
    return mix(picture.astype(np.float64), 0.299, 0.587, 0.114)


def grey_pair(reference: Picture, image: Picture, *, least: int) -> tuple[Plane, Plane]:
    """Both pictures as grey planes (see `check_pair` and `grey`)."""
    check_pair(reference, image, least=least)
    return grey(reference), grey(image)


def colour_pair(reference: Picture, image: Picture, *, least: int) -> tuple[Plane, Plane]:
    """Both as (H, W, 3) BGR float64 levels 0..255; a grey picture is a picture without colour."""
    check_pair(reference, image, least=least)
    return _colour(reference), _colour(image)


def _colour(picture: Picture) -> Plane:
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, 2)
    return picture.astype(np.float64)


def mix(picture: Plane, red: float, green: float, blue: float) -> Plane:
    """One linear combination of the channels of a BGR picture, (H, W)."""
    return np.asarray(cv2.transform(picture, np.array([[blue, green, red]])), np.float64)
