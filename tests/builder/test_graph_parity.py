"""The graphs give what PyTorch gives: largest relative difference 1e-5, usually below 1e-6."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import GraphError
from builder.graph import serialized, write_onnx
from tests.builder.parity import difference, infer

torch = pytest.importorskip("torch", reason="needs the reference extra")
reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
pytest.importorskip("onnxruntime", reason="needs the cpu extra")

ROOT = Path(__file__).parent.parent.parent
TRAINED = sorted((ROOT / "deploy" / "demo" / "models").glob("*.pt"))
TOLERANCE = 1e-5

OLD_LAYERS = {
    "nc": 3,
    "depth_multiple": 1.0,
    "width_multiple": 0.25,
    "backbone": [
        [-1, 1, "Focus", [64, 3]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 2, "BottleneckCSP", [128]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "SPP", [256, [3, 5, 9]]],
        [-1, 1, "DWConv", [256, 3, 2]],
    ],
    "head": [
        [-1, 1, "BottleneckCSP", [256, False]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [[8, 6], 1, "Detect", ["nc"]],
    ],
}


def images(height: int, width: int, batch: int = 1) -> np.ndarray:
    """Return seeded noise in 0..1, (batch, 3, height, width)."""
    return np.random.default_rng(1).random((batch, 3, height, width), dtype=np.float32)


def check(path: Path, inputs: np.ndarray, **options) -> None:
    """Compare the graph of the checkpoint `path` with PyTorch on `inputs`."""
    checkpoint = read_checkpoint(path)
    model = write_onnx(checkpoint, height=inputs.shape[2], width=inputs.shape[3], **options)
    ours, theirs = infer(b"".join(serialized(model)), inputs), reference.run(path, inputs)
    far = difference(ours, theirs, anchors=checkpoint.head == "yolov5-anchor")
    print(f"largest relative difference {far:.1e}")
    assert far <= TOLERANCE


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    """A yolov5nu with three classes."""
    return reference.save(reference.build("yolov5n.yaml"), tmp_path_factory.mktemp("n") / "n.pt")


@pytest.mark.parametrize("size", [(128, 128), (96, 160), (32, 32)])
def test_nano_at_several_sizes(nano, size):
    """Square and not, down to one cell on the last level."""
    check(nano, images(*size))


def test_fixed_and_free_batches(nano):
    """Two images at once give what each gives."""
    check(nano, images(64, 64, batch=2), batch=2)
    check(nano, images(64, 64, batch=3), batch="dynamic")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("yolov5n-p6.yaml", 128),
        pytest.param("yolov5s.yaml", 320, marks=pytest.mark.slow),
    ],
)
def test_other_networks(tmp_path, name, size):
    """Four output levels, and the wider and deeper ones."""
    check(
        reference.save(reference.build(name, classes=5), tmp_path / "best.pt"), images(size, size)
    )


@pytest.mark.parametrize(
    "activation",
    ["torch.nn.ReLU()", "torch.nn.LeakyReLU(0.1)", "torch.nn.Hardswish()", "torch.nn.Identity()"],
)
def test_activations(tmp_path, activation):
    """Each activation that YOLOv5 was trained with."""
    description = reference.yaml_of("yolov5n.yaml", activation=activation)
    check(reference.save(reference.build(description), tmp_path / "best.pt"), images(64, 64))


def test_layers_of_older_releases(tmp_path):
    """Focus, BottleneckCSP, SPP and DWConv."""
    model = reference.build(OLD_LAYERS)
    check(reference.save(model, tmp_path / "best.pt"), images(96, 64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_precisions(tmp_path, dtype):
    """Weights in other precisions than training's half."""
    check(
        reference.save(reference.build("yolov5n.yaml"), tmp_path / "best.pt", dtype), images(64, 64)
    )


def test_fused_checkpoint(tmp_path):
    """A model whose batch norms were folded before it was saved."""
    model, inputs = reference.build("yolov5n.yaml").fuse(verbose=False), images(64, 64)
    theirs = reference.forward(model, inputs)
    for module in model.modules():
        module.__dict__.pop("forward", None)  # a bound method, which pickles as a getattr call
    path = reference.save(model, tmp_path / "best.pt", torch.float32)
    ours = write_onnx(read_checkpoint(path), height=64, width=64)
    assert difference(infer(ours.SerializeToString(), inputs), theirs, anchors=False) <= TOLERANCE


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["yolov5n.yaml", "yolov5n-p6.yaml"])
def test_anchor_heads(tmp_path, monkeypatch, name, old):
    """Three and four levels, anchors of their own, and the pixel anchors of older releases."""
    home = ModuleType("models.yolo")
    home.Detect = reference.Detect
    monkeypatch.setitem(sys.modules, "models", ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.yolo", home)
    model = reference.with_anchors(reference.build(name), anchors_per_level=4 - old, old=old)
    check(reference.save(model, tmp_path / "best.pt"), images(128, 192))


def test_unknown_layers_are_named(tmp_path):
    """A detector of another family is read, and refused by the name of its first other layer."""
    path = reference.save(reference.build("yolov8n.yaml"), tmp_path / "best.pt")
    with pytest.raises(
        GraphError, match=r"model\.2: .* does not know ultralytics.*\.C2f; it knows"
    ):
        write_onnx(read_checkpoint(path), height=64, width=64)


def test_ultralytics_opens_the_file(nano, tmp_path):
    """Its loader finds the classes, the size and the stride where its own export has them."""
    from ultralytics.nn.autobackend import AutoBackend

    path = tmp_path / "model.onnx"
    path.write_bytes(b"".join(serialized(write_onnx(read_checkpoint(nano), height=64, width=96))))
    backend = AutoBackend(str(path))
    assert backend.names == {0: "class0", 1: "class1", 2: "class2"}
    assert (backend.stride, backend.task, list(backend.imgsz)) == (32, "detect", [64, 96])


@pytest.mark.skipif(not TRAINED, reason="the demo's models are not there")
@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_trained_models_on_real_frames(path):
    """The demo's models on frames of their line, in the size they were trained with."""
    cv2 = pytest.importorskip("cv2")
    frames = sorted((ROOT / "tests" / "data" / "line").glob("*.jpg"))[:4]
    size = read_checkpoint(path).image_size
    pixels = [cv2.resize(cv2.imread(str(frame)), (size, size)) for frame in frames]
    inputs = np.stack(pixels)[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255)
    check(path, np.ascontiguousarray(inputs), batch=len(frames))
