"""The proof against PyTorch; what needs PyTorch itself is skipped where it is absent."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builder import build as build_module
from builder.build import build
from builder.cli import main
from builder.options import BuildOptions
from builder.prove import LIMIT, Parity, check, obstacle, parity, run_reference, torch_available
from builder.reprove import prove
from builder.runner import Runner
from edge_agent.detection import selftest
from edge_agent.detection.golden import Golden
from edge_agent.errors import ModelError, UsageError
from tests.builder.squares import write_squares

needs_torch = pytest.mark.skipif(
    not torch_available(), reason="the reference extra (torch, ultralytics) is not installed"
)
ROOT = Path(__file__).parents[2]
RAW = np.random.default_rng(1).uniform(0.01, 1, (1, 7, 20)).astype(np.float32)
RAW[:, :4] *= 64


def test_equal_outputs():
    """Nothing differs; both layouts are read."""
    assert parity([RAW, RAW], [RAW, RAW], "yolov5u") == Parity(2, 0.0, 0.0)
    rows = RAW.transpose(0, 2, 1)
    assert parity([rows], [rows], "yolov5-anchor") == Parity(1, 0.0, 0.0)


def test_boxes_are_relative_and_scores_absolute():
    """A box side off by 0.64 of 64 pixels is 1 %, a score off by 0.02 is 0.02."""
    other = RAW.copy()
    other[0, 2, 5] += 0.01 * RAW[0, :4].max()
    other[0, 6, 7] += 0.02
    proof = parity([other], [RAW], "yolov5u")
    assert proof.box == pytest.approx(0.01, rel=1e-3)
    assert proof.score == pytest.approx(0.02, rel=1e-3)
    with pytest.raises(ModelError, match=r"model\.pt: the graph differs from PyTorch by 2\.0e-02"):
        check(proof, "model.pt")
    check(Parity(1, LIMIT, LIMIT), "at the limit")


def test_what_cannot_be_compared():
    """Other shapes and NaN prove nothing."""
    with pytest.raises(ModelError, match=r"the graph gives \(1, 7, 20\), PyTorch \(1, 7, 19\)"):
        parity([RAW], [RAW[:, :, :19]], "yolov5u")
    with pytest.raises(ModelError, match="NaN or Inf"):
        parity([RAW * np.float32("nan")], [RAW], "yolov5u")


@needs_torch
def test_trained_model_is_proven(tmp_path):
    """PyTorch runs the demo's own model; the golden set is then its own, and devices agree."""
    options = BuildOptions(reference_data=ROOT / "tests/data/line", prove="require")
    built = build(str(ROOT / "deploy/demo/models/defects-v1.pt"), tmp_path / "b", options)
    manifest = built.bundle.manifest
    assert built.proof is not None and built.proof.worst <= LIMIT
    assert manifest.golden.reference == "pytorch"
    assert manifest.variants[0].parity["frames"] == 8
    assert any(len(frame.detections) for frame in Golden.read(built.bundle).frames)
    assert manifest.variants[0].parity["max_score_difference"] <= LIMIT
    assert selftest.run(built.bundle).ok
    other = write_squares(tmp_path / "other.pt", tilt=0.5)
    with pytest.raises(UsageError, match="is not the checkpoint of this bundle"):
        prove(built.bundle, other)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("echo loading; echo 'no such class' >&2; exit 1", "no such class"),
    ],
)
def test_worker_that_fails(tmp_path, monkeypatch, program, reason):
    """One line with the worker's last words and the way out."""
    worker = tmp_path / "python"
    worker.write_text(f"#!/bin/sh\n{program}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    with pytest.raises(ModelError, match=rf"a\.pt: PyTorch cannot run it: {reason}; .*--prove nev"):
        run_reference(Path("a.pt"), [RAW])


def test_proof_that_needs_what_is_absent(bundle, squares, monkeypatch):
    """Without PyTorch there is no proof, and the message says how to install it."""
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.meta_path", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert "not installed" in obstacle()
    with pytest.raises(UsageError, match=r"pip install outpost-edge\[reference\]"):
        prove(bundle, squares)


@needs_torch
def test_checkpoint_comes_from_the_registry(registry, frames, tmp_path, capsys):
    """`prove BUNDLE` alone takes it from where the manifest says; a local file must be named."""
    options = BuildOptions(reference_data=frames, prove="never")
    where = str(tmp_path / "b")
    build("models:/squares/2", tmp_path / "b", options, tracking_uri=registry.uri)
    assert main(["prove", where, "--tracking-uri", registry.uri]) == 0
    assert "equal to PyTorch" in capsys.readouterr().out
    assert main(["prove", where, "--tracking-uri", "sqlite:///none.db"]) == 10


@needs_torch
def test_local_checkpoint_has_to_be_named(bundle, capsys):
    """The manifest holds only its name."""
    assert main(["prove", str(bundle.root)]) == 2
    assert "name it with --checkpoint" in capsys.readouterr().err


@needs_torch
def test_classic_checkpoints_are_proven(frames, tmp_path):
    """The original's anchor heads, which ultralytics refuses to load, have PyTorch as reference."""
    classic = ROOT / "tests/data/classic_yolov5/classic_n.pt"
    options = BuildOptions(size=(64, 96), reference_data=frames, prove="require")
    built = build(str(classic), tmp_path / "b", options)
    assert built.proof is not None and built.proof.worst <= 1e-6
    assert built.bundle.manifest.golden.reference == "pytorch"
    assert selftest.run(built.bundle).ok
    later = build(str(classic), tmp_path / "later", replace(options, prove="never")).bundle
    assert later.manifest.golden.reference == "fp32-graph"
    proof, later = prove(later, classic, write=True)
    assert proof.worst == built.proof.worst
    assert later.manifest.digest == built.bundle.manifest.digest  # as if built with PyTorch
    later.verify()


def test_frames_that_hang_by_a_tie_are_left_out(bundle, squares, frames, tmp_path, monkeypatch):
    """Where equal scores decide, PyTorch and the graph may both be right: such a frame is none."""
    runner = Runner(bundle.manifest, bundle.root / "model/fp32.onnx")

    def tied(checkpoint, tensors):
        outputs = [runner.raw(tensor).copy() for tensor in tensors]
        full = next(one for one in outputs if one[0, 4:].max() > 0.5)
        full[0, 4:] = np.roll(full[0, 4:], 1, axis=0)  # other classes on this frame
        return outputs

    monkeypatch.setattr(build_module, "obstacle", lambda: None)
    monkeypatch.setattr(build_module, "run_reference", tied)
    monkeypatch.setattr(build_module, "check", lambda *_: None)
    options = BuildOptions(reference_data=frames)
    built = build(str(squares), tmp_path / "b", options)
    frames_before = bundle.manifest.golden.frames
    assert built.bundle.manifest.golden.frames == len(built.golden) == frames_before - 1
    assert "1 golden frames left out: ties of scores decide" in built.warnings
    assert selftest.run(built.bundle).ok
