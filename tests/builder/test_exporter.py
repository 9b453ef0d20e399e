"""Detectors of other families, through ultralytics' own exporter and the same proof."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder import exporter
from builder.checkpoint import read_checkpoint
from builder.cli import main
from builder.errors import GraphError
from builder.exporter import export_onnx, exportable
from builder.graph import serialized
from builder.worker import run_worker
from edge_agent.bundle import Bundle
from edge_agent.detection import selftest
from tests.builder.forge import dump, network, write_archive
from tests.builder.hostile import SYSTEM

USE = ["--exporter", "ultralytics"]


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """A YOLOv8 with thin layers: C2f is a class that the graph writer does not know."""
    pytest.importorskip("torch", reason="needs the reference extra")
    reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
    thin = reference.yaml_of("yolov8n.yaml", scales={"n": [0.33, 0.0625, 256]}, scale="n")
    return reference.save(reference.build(thin), tmp_path_factory.mktemp("eight") / "eight.pt")


def test_another_detector_becomes_a_proven_bundle(eight, frames, tmp_path, capsys):
    """The refusal names the option; with it the bundle is proven, accepted, and the same again."""
    build = ["build", str(eight), "-o", str(tmp_path / "b"), "--imgsz", "64x96"]
    build += ["--reference-data", str(frames), "--prove", "require"]
    assert main(build) == 5
    assert "block.C2f; it knows" in (message := capsys.readouterr().err.splitlines()[-1])
    assert message.endswith("of the ultralytics package with --exporter ultralytics")
    assert main([*build, *USE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "pytorch"
    bundle = Bundle.open(tmp_path / "b")
    assert (bundle.manifest.head, bundle.manifest.source["exporter"]) == ("yolov5u", "ultralytics")
    assert selftest.run(bundle).ok
    again = export_onnx(exportable(read_checkpoint(eight)), height=64, width=96)
    assert b"".join(serialized(again)) == (bundle.root / "model/fp32.onnx").read_bytes()


@pytest.fixture(scope="module")
def eleven(tmp_path_factory):
    """A YOLO11 with thin layers, attention among them, and its export with every side free."""
    pytest.importorskip("torch", reason="needs the reference extra")
    reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
    thin = reference.yaml_of("yolo11n.yaml", scales={"n": [0.33, 0.0625, 256]}, scale="n")
    folder = tmp_path_factory.mktemp("eleven")
    path = reference.save(reference.build(thin), folder / "eleven.pt")
    made = folder / "free.onnx"
    sides = "64", "96", "dynamic"
    run_worker("export", path, made, *sides, folder=folder, result=made, advice="test")
    return path, made


def test_free_sides_are_proven_too(eleven, frames, tmp_path, capsys):
    """`--exporter ultralytics --batch dynamic`: PyTorch's numbers, and several images at once."""
    build = ["build", str(eleven[0]), "-o", str(tmp_path / "b"), "--imgsz", "64x96", *USE]
    build += ["--batch", "dynamic", "--prove", "require", "--reference-data", str(frames)]
    assert main([*build, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "pytorch"
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.variants[0].parity["max_score_difference"] < 1e-4
    assert selftest.run(bundle).ok


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_an_export_with_free_sides_is_a_source(eleven, frames, tmp_path, size):
    """As `yolo export dynamic=True` writes it: taken for any size, equal to PyTorch."""
    import numpy as np
    import onnxruntime

    reference = pytest.importorskip("tests.builder.reference", reason="needs the reference extra")
    build = ["build", str(eleven[1]), "-o", str(tmp_path / "b"), "--imgsz", f"{size[0]}x{size[1]}"]
    assert main([*build, "--reference-data", str(frames)]) == 0
    bundle = Bundle.open(tmp_path / "b")
    assert (bundle.manifest.input.height, bundle.manifest.input.width) == size
    assert bundle.manifest.classes == ("class0", "class1", "class2")
    assert selftest.run(bundle).ok
    images = np.random.default_rng(1).random((1, 3, *size), dtype=np.float32)
    session = onnxruntime.InferenceSession(bundle.root / "model/fp32.onnx")
    ours, theirs = session.run(None, {"images": images})[0], reference.run(eleven[0], images)
    assert np.abs(ours[:, 4:] - theirs[:, 4:]).max() < 1e-4
    assert np.abs(ours[:, :4] - theirs[:, :4]).max() < 1e-4 * max(size)


def test_without_torch_one_clear_line(squares, tmp_path, monkeypatch, capsys):
    """The option needs an extra, and the message says which."""
    monkeypatch.setattr(exporter, "torch_available", lambda: False)
    assert main(["build", str(squares), "-o", str(tmp_path / "b"), *USE]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        "--exporter ultralytics: PyTorch is not installed, `pip install outpost-edge[ref" in error
    )


def test_hostile_files_never_reach_the_exporter(tmp_path, monkeypatch, capsys):
    """The restricted reader stands before it."""
    monkeypatch.chdir(tmp_path)
    path = write_archive(tmp_path / "best.pt", dump({"model": network(), "x": SYSTEM}))
    assert main(["build", str(path), "-o", "b", *USE]) == 5
    assert "names the global os.system" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["best.pt"]


def test_sizes_are_checked_before_anything_starts(squares):
    """ultralytics would round a size up in silence."""
    with pytest.raises(GraphError, match=r"height 60 is not a multiple .*use 64"):
        export_onnx(read_checkpoint(squares), height=60, width=64)


def test_classic_checkpoints_need_no_exporter(tmp_path, capsys):
    """ultralytics cannot load them; the message says what to do."""
    pytest.importorskip("torch", reason="needs the reference extra")
    path = str(Path(__file__).parents[1] / "data/classic_yolov5/classic_n.pt")
    assert main(["build", path, "-o", str(tmp_path / "b"), *USE]) == 2
    assert "build it without --exporter" in capsys.readouterr().err


def test_dynamic_batch_end_to_end(squares, frames, tmp_path):
    """A bundle whose graph takes any number of images: on the device, one and several at once."""
    import numpy as np
    import onnxruntime

    build = ["build", str(squares), "-o", str(tmp_path / "b"), "--batch", "dynamic"]
    assert main([*build, "--reference-data", str(frames), "--prove", "never"]) == 0
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.document["input"]["batch"] == "dynamic"
    assert selftest.run(bundle).ok
    session = onnxruntime.InferenceSession(bundle.root / "model/fp32.onnx")
    images = np.random.default_rng(1).random((3, 3, 64, 64), dtype=np.float32)
    together = session.run(None, {"images": images})[0]
    alone = [session.run(None, {"images": image[None]})[0] for image in images]
    assert np.allclose(together, np.concatenate(alone), rtol=0, atol=1e-5)
