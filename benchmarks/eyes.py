"""What looks at each picture before the network: SSIM, the whole gate, the letterbox."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from benchmarks.line import full_hd, pictures
from benchmarks.rows import Row, interleaved, timed_ms
from edge_agent.bundle import Bundle
from edge_agent.detection.preprocess import Letterbox
from edge_agent.gate import Gate, Reference

SIDE = 640


def ssim_full_ms(*, rounds: int) -> Row:
    """One grey pair of 640 x 640, the same on both sides."""
    first, second = (
        np.asarray(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (SIDE, SIDE)), np.uint8)
        for picture in pictures()[:2]
    )
    reference = Reference(first)
    expected = structural_similarity(first, second, data_range=255)
    if abs(reference.ssim(second) - expected) > 1e-6:
        raise RuntimeError("SSIM differs from scikit-image; speed means nothing then")
    ours, theirs = interleaved(
        timed_ms(lambda: reference.ssim(second)),
        timed_ms(lambda: structural_similarity(first, second, data_range=255)),
        rounds=rounds,
    )
    return Row("ssim_full_ms", ours, "ms", "scikit-image structural_similarity", theirs)


def gate_ms(*, rounds: int) -> Row:
    """Reduction, SSIM and image statistics of a 1080p frame with the agent's defaults."""
    images = full_hd()
    gate = Gate(images[0], ssim_min=0.5)
    turn = itertools.cycle(images)
    (ours,) = interleaved(timed_ms(lambda: gate.check(next(turn))), rounds=rounds)
    return Row("gate_ms", ours, "ms per 1080p frame")


def preprocess_ms(bundle: Bundle, *, rounds: int) -> Row:
    """A 1080p frame to the model's tensor."""
    images = full_hd()
    letterbox = Letterbox(bundle.manifest.input)
    turn = itertools.cycle(images)
    (ours,) = interleaved(timed_ms(lambda: letterbox(next(turn))), rounds=rounds)
    return Row("preprocess_ms", ours, f"ms, 1080p to {bundle.manifest.input.width}")
