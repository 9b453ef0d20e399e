"""The process in which a graph of a stranger runs for the first time.

``python -m builder.graph.ready_child <bytes>`` reads a model from stdin, runs it on a drawn picture
with no more than that much memory, and prints one line of JSON: ``shape``, or ``error`` from ONNX
Runtime, or ``fault`` for an output that is no raw output of a YOLOv5.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

import numpy as np


def main() -> None:
    """Run the model from stdin."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps(_answer(sys.stdin.buffer.read())))


def _answer(model: bytes) -> dict[str, Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        sides = [side if isinstance(side, int) else 1 for side in given.shape]
        picture = np.random.default_rng(0).random(sides, np.float32)
        (raw,) = session.run(None, {given.name: picture})
    except Exception as error:
        return {"error": " ".join(str(error).split())[:200]}
    fault = _fault(raw[0]) if raw.ndim == 3 and np.isfinite(raw).all() else None
    return {"fault": fault} if fault else {"shape": [int(side) for side in raw.shape]}


def _fault(raw: Any) -> str | None:
    """Boxes first: their channel is the axis on which the first four hold pixels."""
    rows = raw if raw.shape[0] < raw.shape[1] else raw.T
    scores, boxes = rows[4:], rows[:4]
    if scores.size and not (scores.min() >= -1e-4 and scores.max() <= 1 + 1e-4):
        return (
            f"its scores are {scores.min():.3g} to {scores.max():.3g}, not 0 to 1: they are no"
            " probabilities; export it with its sigmoid"
        )
    if boxes.size and np.abs(boxes).max() <= 2:
        return (
            "its boxes are fractions of the picture, not pixels; export it without normalised boxes"
        )
    return None


if __name__ == "__main__":
    main()
