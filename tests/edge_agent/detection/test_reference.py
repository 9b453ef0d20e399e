"""Letterbox, decode and NMS against ultralytics' own functions, where they are installed."""

import os

import cv2
import numpy as np
import pytest

from edge_agent.bundle import DecodeSpec, InputSpec
from edge_agent.detection.decode import decode
from edge_agent.detection.preprocess import Letterbox, place

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")
torch = pytest.importorskip("torch", reason="the reference extra is not installed")
augment = pytest.importorskip("ultralytics.data.augment")
nms = pytest.importorskip("ultralytics.utils.nms")
ops = pytest.importorskip("ultralytics.utils.ops")

SIZES = [(480, 640), (1080, 1920), (333, 777), (777, 333), (50, 40), (1, 900), (640, 640), (7, 7)]
SPEC = DecodeSpec(confidence=0.25, iou=0.7, max_detections=300, floor=0.05)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("target", [(640, 640), (256, 416)])
@pytest.mark.parametrize("scaleup", [True, False])
def test_letterbox_is_equal_to_the_last_bit(shape, target, scaleup):
    """The tensor equals LetterBox + BGR to RGB + float32 / 255 of the reference."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    spec = InputSpec(target[1], target[0], "NCHW", "RGB", 1 / 255, 114, "linear", scaleup, "")
    tensor, _ = Letterbox(spec)(image)
    theirs = augment.LetterBox(target, auto=False, scaleup=scaleup)(image=image)
    theirs = torch.from_numpy(theirs).permute(2, 0, 1).flip(0).float().div_(255)
    assert np.array_equal(tensor[0], theirs.numpy())


def raw_output(rng: np.random.Generator, classes: int, count: int, size: int) -> np.ndarray:
    """Clusters of overlapping boxes, as a head gives them: (4 + classes, count)."""
    centres = rng.uniform(0, size, (max(1, count // 12), 2))
    pick = rng.integers(0, len(centres), count)
    raw = np.empty((4 + classes, count), np.float32)
    raw[:2] = (centres[pick] + rng.normal(0, 6, (count, 2))).T
    raw[2:4] = rng.gamma(4, 12, (2, count))
    raw[4:] = rng.beta(0.4, 3, (classes, count))
    return raw


def reference(raw: np.ndarray, shape: tuple[int, int], spec: DecodeSpec) -> np.ndarray:
    """non_max_suppression and scale_boxes of ultralytics on (1, 4+nc, N)."""
    found = nms.non_max_suppression(
        torch.from_numpy(raw), spec.floor, spec.iou, max_det=spec.max_detections
    )[0]
    found[:, :4] = ops.scale_boxes((640, 640), found[:, :4], shape)
    return found.numpy()


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("seed", range(20))
def test_decode_is_equal(classes, seed):
    """Boxes, scores, classes and their order equal those of the reference."""
    rng = np.random.default_rng([classes, seed])
    shape = (int(rng.integers(200, 1500)), int(rng.integers(200, 2000)))
    raw = raw_output(rng, classes, int(rng.integers(1, 900)), 640)[None]
    spec = InputSpec(640, 640, "NCHW", "RGB", 1 / 255, 114, "linear", True, "")
    placement, _ = place(spec, shape[1], shape[0])
    ours, _ = decode(raw, "yolov5u", SPEC, placement)
    theirs = reference(raw, shape, SPEC)
    assert len(ours) == len(theirs)
    assert np.array_equal(ours[:, 4:], theirs[:, 4:])
    assert np.abs(ours[:, :4] - theirs[:, :4]).max(initial=0) < 1e-3


def test_letterbox_reads_a_decoded_file(tmp_path):
    """A JPEG read by OpenCV goes the same way."""
    image = np.random.default_rng(1).integers(0, 256, (120, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    picture = cv2.imread(str(tmp_path / "a.jpg"))
    spec = InputSpec(64, 64, "NCHW", "RGB", 1 / 255, 114, "linear", True, "")
    theirs = augment.LetterBox((64, 64), auto=False)(image=picture)
    theirs = torch.from_numpy(theirs).permute(2, 0, 1).flip(0).float().div_(255)
    assert np.array_equal(Letterbox(spec)(picture)[0][0], theirs.numpy())
