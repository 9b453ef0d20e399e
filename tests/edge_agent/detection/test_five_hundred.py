"""500 frames: our boxes are ultralytics' for YOLOv5u, and the original code's for the classic head.

Frames of the demo's line, each mirrored, lit, blurred or cut in another way, through real graphs.
For the classic head the definition that was published with YOLOv5 is written down here once more,
box by box, with nothing of ours: score = objectness x class, the best class, 7680 pixels between
classes, greedy suppression, the border and the gain taken off again.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph.writer import write_onnx
from deploy.demo.line import clips
from edge_agent.backends import BackendOptions, Contract, ModelFile, load_backend
from edge_agent.bundle import DecodeSpec, InputSpec
from edge_agent.detection.decode import above, decode
from edge_agent.detection.preprocess import Letterbox

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")

ROOT = Path(__file__).resolve().parents[3]
FRAMES = 500
U_SIDE, CLASSIC_SIDE = 256, 128
SPEC = DecodeSpec(confidence=0.25, iou=0.7, max_detections=300, floor=0.05)
CLASSIC = DecodeSpec(confidence=0.25, iou=0.45, max_detections=100, floor=0.05)

pytestmark = pytest.mark.slow


def picture(base: list[np.ndarray], index: int, *, whole: bool) -> np.ndarray:
    """Frame ``index``: one of the clip's, changed in its own way; cut to odd sizes unless whole."""
    rng = np.random.default_rng(index)
    image = base[index % len(base)]
    image = image[:: 1 - 2 * (index // 25 % 2), :: 1 - 2 * (index // 50 % 2)]
    image = cv2.convertScaleAbs(image, alpha=rng.uniform(0.7, 1.3), beta=rng.uniform(-20, 20))
    if index % 3 == 0:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    image = np.roll(image, rng.integers(-60, 60, 2), (0, 1))
    return image if whole else image[: 384 - index % 13, : 512 - index % 29]


@pytest.fixture(scope="module")
def base() -> list[np.ndarray]:
    """25 frames of the running line."""
    return [frame.picture for frame in clips.frames(11, 2.5)]


def spec_of(side: int) -> InputSpec:
    """The input of a graph of this size."""
    return InputSpec(side, side, "NCHW", "RGB", 1 / 255, 114, "linear", True, "round-0.1")


def graph_of(checkpoint: str, side: int) -> onnx.ModelProto:
    """The graph that the builder writes for a committed checkpoint."""
    return write_onnx(read_checkpoint(ROOT / checkpoint), height=side, width=side)


def lively(model: onnx.ModelProto) -> onnx.ModelProto:
    """The fixture's random weights, widened until its outputs depend on the picture.

    Its activations fade from layer to layer, so that every picture gives the same boxes.
    """
    weights = {one.name: one for one in model.graph.initializer}
    for node in (node for node in model.graph.node if node.op_type == "Conv"):
        head = "/24/" in node.name
        weight = onnx.numpy_helper.to_array(weights[node.input[1]]) * (0.3 if head else 2.7)
        weights[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(weight, node.input[1]))
        if head:  # of three anchors: four for the box, objectness, three classes
            bias = onnx.numpy_helper.to_array(weights[node.input[2]]).copy().reshape(3, 8)
            bias[:, 4], bias[:, 5:] = -3.0, -0.5
            changed = onnx.numpy_helper.from_array(bias.reshape(-1), node.input[2])
            weights[node.input[2]].CopyFrom(changed)
    return model


def backend_for(model: onnx.ModelProto, folder: Path, contract: Contract):
    """The graph on one core."""
    path = folder / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    return load_backend(ModelFile(path), contract, BackendOptions(threads=1))


class Tally:
    """The worst of all pairs so far."""

    def __init__(self) -> None:
        self.boxes, self.reported, self.iou, self.score = 0, 0, 1.0, 0.0

    def compare(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Every box of one side has its partner of the same class on the other."""
        assert len(ours) == len(theirs)
        assert np.array_equal(ours[:, 5], theirs[:, 5])
        for mine, other in zip(ours.astype(float), theirs.astype(float), strict=True):
            self.boxes += 1
            same = np.array_equal(mine[:4], other[:4])  # a box without area overlaps nothing
            self.iou = min(self.iou, 1.0 if same else float(overlap(mine, other)))
            self.score = max(self.score, abs(mine[4] - other[4]))

    def __str__(self) -> str:
        return (
            f"{self.boxes} boxes ({self.reported} reported) on {FRAMES} frames: least IoU"
            f" {self.iou:.6f}, largest score difference {self.score:.1e}"
        )


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of a box, (4,), with another or with (4, n); 0 without an area."""
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / np.maximum(areas - common, np.float32(1e-9))


def test_yolov5u_is_ultralytics(base, tmp_path):
    """Its LetterBox, its non_max_suppression, its scale_boxes, around the same graph."""
    torch = pytest.importorskip("torch", reason="the reference extra is not installed")
    augment = pytest.importorskip("ultralytics.data.augment")
    nms = pytest.importorskip("ultralytics.utils.nms")
    ops = pytest.importorskip("ultralytics.utils.ops")
    torch.set_num_threads(1)  # small tensors: threads only wait for each other
    side = U_SIDE
    contract = Contract((1, 3, side, side), 7, 1)
    backend = backend_for(graph_of("deploy/demo/models/defects-v2.pt", side), tmp_path, contract)
    letterbox, tally = Letterbox(spec_of(side)), Tally()
    for index in range(FRAMES):
        image = picture(base, index, whole=False)
        tensor, placement = letterbox(image)
        given = augment.LetterBox((side, side), auto=False)(image=image)
        given = torch.from_numpy(given).permute(2, 0, 1).flip(0).float().div_(255)
        assert np.array_equal(tensor[0], given.numpy())
        raw = backend.run(tensor)
        ours, nonfinite = decode(raw, "yolov5u", SPEC, placement)
        assert not nonfinite
        for limit, mine in ((SPEC.floor, ours), (SPEC.confidence, above(ours, SPEC.confidence))):
            (found,) = nms.non_max_suppression(
                torch.from_numpy(raw.copy()), limit, SPEC.iou, max_det=SPEC.max_detections
            )
            found[:, :4] = ops.scale_boxes((side, side), found[:, :4], image.shape[:2])
            tally.compare(mine, found.numpy())
        tally.reported += len(mine)
    print(f"\nyolov5u: {tally}")
    assert tally.boxes > 3000 and tally.reported > 1000
    assert tally.iou >= 0.99 and tally.score <= 1e-3


def original(raw: np.ndarray, least: float, iou: float, most: int) -> np.ndarray:
    """The published way from the raw output of the classic head to boxes in tensor pixels.

    Args:
        raw: (N, 5 + classes) rows of centre, size, objectness, classes.
        least: a box needs more objectness than this, and then a higher score.
        iou: boxes that overlap a better one of their class by more are dropped.
        most: how many are kept.
    """
    boxes = []
    for x, y, width, height, objectness, *classes in raw[raw[:, 4] > np.float32(least)]:
        scores = [one * objectness for one in classes]
        best = int(np.argmax(scores))
        if scores[best] > np.float32(least):
            half = np.float32(2)
            corners = (x - width / half, y - height / half, x + width / half, y + height / half)
            boxes.append((*corners, scores[best], np.float32(best)))
    boxes.sort(key=lambda box: -box[4])
    rows = np.asarray(boxes, np.float32).reshape(-1, 6)
    apart = rows[:, :4] + rows[:, 5:] * np.float32(7680)
    kept: list[int] = []
    for row in range(len(rows)):
        if not (overlap(apart[row], apart[kept].T) > iou).any():
            kept.append(row)
    return rows[kept[:most]]


def on_picture(boxes: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Border and gain taken off, and cut at the picture's edges, as the original's scale_boxes."""
    height, width = shape[:2]
    gain = min(side / height, side / width)
    found = boxes.copy()
    found[:, [0, 2]] = ((found[:, [0, 2]] - (side - width * gain) / 2) / gain).clip(0, width)
    found[:, [1, 3]] = ((found[:, [1, 3]] - (side - height * gain) / 2) / gain).clip(0, height)
    return found


def test_the_classic_head_is_the_original(base, tmp_path):
    """Objectness and classes multiplied, suppressed and placed as published."""
    side = CLASSIC_SIDE
    contract = Contract((1, 3, side, side), 8, 2)
    model = lively(graph_of("tests/data/classic_yolov5/classic_n.pt", side))
    backend = backend_for(model, tmp_path, contract)
    letterbox, tally = Letterbox(spec_of(side)), Tally()
    for index in range(FRAMES):
        image = picture(base, index, whole=True)
        tensor, placement = letterbox(image)
        raw = backend.run(tensor)
        ours, nonfinite = decode(raw, "yolov5-anchor", CLASSIC, placement)
        assert not nonfinite
        theirs = original(raw[0], CLASSIC.floor, CLASSIC.iou, CLASSIC.max_detections)
        tally.compare(ours, on_picture(theirs, side, image.shape))
        tally.reported += len(above(ours, CLASSIC.confidence))
    print(f"\nclassic: {tally}")
    assert tally.boxes > 3000 and tally.reported > 1000
    assert tally.iou >= 0.99 and tally.score <= 1e-3
