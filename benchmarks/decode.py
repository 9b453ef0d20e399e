"""Decoding alone: ``python -m benchmarks.decode``, milliseconds per frame of 640 x 640.

Raw outputs are drawn as a head gives them: thousands of faint candidates, and clusters of a dozen
boxes around each object. The peer is ultralytics' `non_max_suppression` and `scale_boxes` on the
same output with one thread, where the reference extra is installed (for YOLOv5u only: its classic
head is not theirs any more).
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from benchmarks.rows import Row, interleaved, timed_ms
from edge_agent.bundle import DecodeSpec
from edge_agent.detection.decode import Floats, decode
from edge_agent.detection.preprocess import Placement

SIDE, OBJECTS, CLUSTER = 640, 30, 12
SPEC = DecodeSpec(confidence=0.25, iou=0.7, max_detections=300, floor=0.05)
PLACE = Placement(1 / 3, 1 / 3, 0, 140, 1920, 1080)
CASES = {
    "decode_v5u_80_ms": ("yolov5u", 80, 8400),
    "decode_v5u_3_ms": ("yolov5u", 3, 8400),
    "decode_classic_80_ms": ("yolov5-anchor", 80, 25200),
    "decode_classic_3_ms": ("yolov5-anchor", 3, 25200),
}


def raw_output(head: str, classes: int, rows: int, *, seed: int = 0) -> Floats:
    """A raw output of one frame: (1, 4+nc, N) or (1, N, 5+nc) float32."""
    rng = np.random.default_rng(seed)
    raw = np.empty((rows, 5 + classes), np.float32)
    raw[:, :2] = rng.uniform(0, SIDE, (rows, 2))
    raw[:, 2:4] = rng.gamma(4, 12, (rows, 2))
    raw[:, 4] = _sigmoid(rng.normal(-7, 1.5, rows))
    raw[:, 5:] = _sigmoid(rng.normal(-5, 1.5, (rows, classes)))
    for _ in range(OBJECTS):
        near = rng.choice(rows, CLUSTER, replace=False)
        box = np.concatenate((rng.uniform(50, SIDE - 50, 2), rng.uniform(20, 200, 2)))
        raw[near, :4] = box + rng.normal(0, 3, (CLUSTER, 4))
        raw[near, 4] = rng.beta(4, 2, CLUSTER)
        raw[near, 5 + rng.integers(classes)] = rng.beta(4, 2, CLUSTER)
    if head == "yolov5-anchor":
        return raw[None]
    raw[:, 5:] *= raw[:, 4:5]
    whole: Floats = np.ascontiguousarray(np.delete(raw, 4, axis=1).T[None])
    return whole


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def peer(raw: Floats) -> Callable[[], object] | None:
    """The same by ultralytics, None where it is not installed."""
    try:
        import torch
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes
    except ImportError:
        return None
    torch.set_num_threads(1)
    tensor = torch.from_numpy(raw.copy())

    def work() -> object:
        found = non_max_suppression(tensor, SPEC.floor, SPEC.iou, max_det=SPEC.max_detections)[0]
        return scale_boxes((SIDE, SIDE), found[:, :4], (PLACE.height, PLACE.width))

    return work


def row(name: str, *, rounds: int = 15) -> Row:
    """One case, beside its peer where there is one."""
    head, classes, rows = CASES[name]
    raw = raw_output(head, classes, rows)
    sides = [timed_ms(lambda: decode(raw, head, SPEC, PLACE))]
    theirs = peer(raw) if head == "yolov5u" else None
    if theirs is not None:
        sides.append(timed_ms(theirs))
    ours, *others = interleaved(*sides, rounds=rounds)
    if not others:
        return Row(name, ours, "ms")
    return Row(name, ours, "ms", "ultralytics non_max_suppression, same output", others[0])


if __name__ == "__main__":
    print(json.dumps([row(name).to_document() for name in CASES], indent=2))
