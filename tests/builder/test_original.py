"""The original network, rebuilt in PyTorch: the other side of every proof."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
from builder.prove import run_reference
from tests.builder.parity import difference, infer

torch = pytest.importorskip("torch", reason="needs the reference extra")
reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")

DATA = Path(__file__).parents[1] / "data" / "classic_yolov5"
ANCHORS = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119]]
V3 = {
    "nc": 3, "depth_multiple": 1.0, "width_multiple": 0.25, "activation": "torch.nn.Hardswish()",
    "backbone": [
        [-1, 1, "Focus", [64, 3]], [-1, 1, "Conv", [128, 3, 2]], [-1, 2, "BottleneckCSP", [128]],
        [-1, 1, "Conv", [256, 3, 2]], [-1, 1, "SPP", [256, [5, 9, 13]]],
    ],
    "head": [
        [-1, 1, "BottleneckCSP", [256, False]], [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1, 4], 1, "Concat", [1]],
        [[8, 6], 1, "Detect", ["nc"]],
    ],
}  # fmt: skip
GHOST = {
    "nc": 3, "depth_multiple": 1.0, "width_multiple": 0.25, "activation": "torch.nn.LeakyReLU(0.1)",
    "backbone": [
        [-1, 1, "Conv", [64, 6, 2, 2]], [-1, 1, "GhostConv", [128, 3, 2]],
        [-1, 1, "C3Ghost", [128]], [-1, 1, "Conv", [256, 3, 2]], [-1, 1, "SPPF", [256, 5]],
        [-1, 1, "C3x", [256]],
    ],
    "head": [[[5], 1, "Detect", ["nc"]]],
}  # fmt: skip
TRANSFORMER = GHOST | {
    "backbone": [
        [-1, 1, "Focus", [64, 3]], [-1, 1, "Conv", [128, 3, 4, 1]], [-1, 1, "SPP", [128, [5, 9]]],
        [-1, 1, "C3TR", [128, False]],
    ],
    "head": [[[3], 1, "Detect", ["nc"]]],
}  # fmt: skip


def images(height: int, width: int) -> np.ndarray:
    """Seeded noise in 0..1."""
    return np.random.default_rng(1).random((1, 3, height, width), dtype=np.float32)


def classic(description, *, old: bool):
    """A network with an anchor head, its weights exact in half precision."""
    model = reference.with_anchors(reference.build(description), anchors_per_level=3, old=old)
    return model.half().float()


def load(path: Path):
    """The network as the worker has it."""
    from builder.original import load_original

    return load_original(path)


def test_the_recorded_output_through_the_worker():
    """The shared classic checkpoint gives what the original code gave, in a process of its own."""
    recorded = np.load(DATA / "classic_n.npz")
    (ours,) = run_reference(DATA / "classic_n.pt", [recorded["x"].astype(np.float32)])
    assert difference(ours, recorded["y"], anchors=True) <= 1e-6


@pytest.mark.parametrize(
    ("description", "old"),
    [
        (V3, True),
        ("yolov5n.yaml", True),
        (TRANSFORMER, True),
        ("yolov5n-p6.yaml", False),
        (GHOST, False),
    ],
    ids=["v3", "v5", "v5-transformer", "v7-p6", "ghost"],
)
def test_releases_of_the_original_code(tmp_path, description, old):
    """Focus, BottleneckCSP, SPP, pixel anchors, names in a list, four levels: one output."""
    model, path = classic(description, old=old), tmp_path / "best.pt"
    with reference.original_repository(model, old=old) as theirs:
        reference.save(theirs, path)
    inputs = images(64, 128)
    wanted = reference.forward(model, inputs)
    assert difference(reference.forward(load(path), inputs), wanted, anchors=True) <= 1e-6
    checkpoint = read_checkpoint(path)
    assert checkpoint.head == "yolov5-anchor" and checkpoint.model.kind == "models.yolo.Model"
    graph = write_onnx(checkpoint, height=64, width=128)
    assert difference(infer(b"".join(serialized(graph)), inputs), wanted, anchors=True) <= 1e-5


@pytest.mark.parametrize("wrapper", ["DataParallel", "AutoShape", "autoShape"])
def test_networks_inside_others(tmp_path, wrapper, monkeypatch):
    """What scripts for several GPUs and for inference save is the network that they hold."""
    model, path = reference.build("yolov5n.yaml").half().float(), tmp_path / "best.pt"
    wanted = reference.forward(model, images(64, 64))
    if wrapper == "DataParallel":
        torch.save({"model": torch.nn.DataParallel(model), "ema": None}, path)
    else:
        home = ModuleType("models.common")
        shape = type(wrapper, (torch.nn.Module,), {"__module__": "models.common"})
        setattr(home, wrapper, shape)
        monkeypatch.setitem(sys.modules, "models", ModuleType("models"))
        monkeypatch.setitem(sys.modules, "models.common", home)
        outer = shape()
        outer.model, outer.conf = model, 0.25
        torch.save(outer, path)
    assert np.array_equal(reference.forward(load(path), images(64, 64)), wanted)
    checkpoint = read_checkpoint(path)
    assert checkpoint.names == ("class0", "class1", "class2")
    ours = infer(write_onnx(checkpoint, height=64, width=64).SerializeToString(), images(64, 64))
    assert difference(ours, wanted, anchors=False) <= 1e-5


def test_what_the_list_does_not_have_is_not_loaded(tmp_path):
    """The loader has the reader's list; it never imports what a file names."""
    from builder.checkpoint.refusal import Refusal
    from tests.builder.forge import dump, network, write_archive
    from tests.builder.hostile import CODE

    for name in ("os.system", "nested in a module", "torch.hub"):
        path = write_archive(tmp_path / "best.pt", dump({"model": network(), "x": CODE[name][0]}))
        with pytest.raises(Refusal, match="not on the list"):
            load(path)
    assert [one.name for one in tmp_path.iterdir()] == ["best.pt"]
