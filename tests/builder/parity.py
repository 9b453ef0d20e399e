"""How far two raw outputs are apart, and how to run an ONNX model."""

from __future__ import annotations

import numpy as np


def difference(ours: np.ndarray, reference: np.ndarray, *, anchors: bool) -> float:
    """Return the largest difference over the largest value, boxes and scores each on their own.

    Both outputs are float32 from different orders of summation; a box near the left edge has a
    coordinate near zero, so that a ratio of single numbers would say nothing.
    """
    assert ours.shape == reference.shape
    axis = 2 if anchors else 1
    return max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(
            np.split(ours, [4], axis=axis), np.split(reference, [4], axis=axis), strict=True
        )
    )


def infer(model: bytes, images: np.ndarray) -> np.ndarray:
    """Run `model` on the CPU with ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]
