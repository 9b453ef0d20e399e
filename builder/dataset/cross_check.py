"""The scores once more by scikit-image, the implementation of the published recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from builder.dataset.scan import read_gray
from builder.precision.calibration import choose
from edge_agent.errors import OutpostError, UsageError

LARGEST = 1e-6
"""Difference up to which two scores count as the same."""


def cross_check(root: Path, reference: Path, scores: Mapping[str, float], most: int) -> float:
    """Score images, spread evenly over all, by scikit-image too.

    Args:
        root: the folder.
        reference: picture of the good view.
        scores: name -> SSIM, as the check gave it.
        most: images to score again.

    Returns:
        The largest difference.

    Raises:
        UsageError: scikit-image is not installed.
        OutpostError: a score differs by more than `LARGEST`.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise UsageError(
            f"--cross-check needs scikit-image ({error}); `pip install outpost-edge[dataset]`"
        ) from None
    wanted = read_gray(reference)
    worst, name = 0.0, ""
    for one in choose(list(scores), most):
        gray = read_gray(root / one)
        if gray.shape != wanted.shape:
            size = (wanted.shape[1], wanted.shape[0])
            gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
        theirs = float(structural_similarity(wanted, gray, data_range=255))
        worst, name = max((worst, name), (abs(theirs - scores[one]), one))
    if worst > LARGEST:
        raise OutpostError(
            f"{root / name}: scikit-image's score differs by {worst:.1e} (at most {LARGEST:.0e});"
            " please report it with the image"
        )
    return worst
