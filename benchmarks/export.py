"""Checkpoint to ONNX as whole processes, and how fast the graph then runs, beside ultralytics."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.process import Life, live
from benchmarks.rows import Row, interleaved, timed_ms

_OURS = """
import sys
from pathlib import Path
from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
size = int(sys.argv[3])
model = write_onnx(read_checkpoint(Path(sys.argv[1])), height=size, width=size)
with open(sys.argv[2], "wb") as file:
    file.writelines(serialized(model))
"""
_QUIET = """
import os, sys
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
from ultralytics import YOLO
"""
_THEIRS = _QUIET + "YOLO(sys.argv[1]).export(format='onnx', imgsz=int(sys.argv[2]))"
_MAKE = _QUIET + "YOLO('yolov5n.yaml').save(sys.argv[1])"


@dataclass(frozen=True)
class Subject:
    """What is exported: a checkpoint, its size in pixels and what to call it in a table."""

    checkpoint: Path
    size: int
    name: str


def subject(folder: Path, python: str, fallback: Path, size: int) -> Subject:
    """A yolov5n at 640 with random weights where ultralytics can make one, else the given model."""
    made = folder / "yolov5n.pt"
    if live([python, "-c", _MAKE, str(made)]) is not None and made.exists():
        return Subject(made, 640, "yolov5n 640")
    return Subject(fallback, size, f"{fallback.stem} {size}")


def export(what: Subject, folder: Path, python: str, *, rounds: int) -> list[Row]:
    """`export_s`, `export_rss_mb` and `onnx_ms`.

    Args:
        what: the checkpoint.
        folder: scratch.
        python: an interpreter that has ultralytics; the peer is absent when it cannot export.
        rounds: how often, in turns with the peer.
    """
    copy = folder / "peer.pt"
    copy.write_bytes(what.checkpoint.read_bytes())  # its exporter writes beside the checkpoint
    mine, theirs = folder / "mine.onnx", copy.with_suffix(".onnx")
    ours = [sys.executable, "-c", _OURS, str(what.checkpoint), str(mine), str(what.size)]
    peers = [python, "-c", _THEIRS, str(copy), str(what.size)]
    works = live(peers) is not None and theirs.exists()
    lives, others = [], []
    for _ in range(rounds):
        lives.append(live(ours))
        if works:
            others.append(live(peers))
    peer = "ultralytics export" if works else None
    return [
        Row(
            "export_s", _median(lives, "seconds") or 0.0, f"s, {what.name}", peer,
            _median(others, "seconds"),
        ),
        Row(
            "export_rss_mb", _median(lives, "rss_mb") or 0.0, f"MiB, {what.name}", peer,
            _median(others, "rss_mb"),
        ),
        _run(mine, theirs if works else None, what, rounds=rounds),
    ]  # fmt: skip


def _run(mine: Path, theirs: Path | None, what: Subject, *, rounds: int) -> Row:
    sides = [_session(path, what.size) for path in (mine, theirs) if path is not None]
    values = interleaved(*(timed_ms(side, least_s=0.3) for side in sides), rounds=rounds)
    unit = f"ms per session.run, {what.name}"
    if theirs is None:
        return Row("onnx_ms", values[0], unit)
    return Row("onnx_ms", values[0], unit, "ultralytics' ONNX", values[1])


def _session(path: Path, size: int):  # noqa: ANN202
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    tensor = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    return lambda: session.run(None, {name: tensor})


def _median(lives: Sequence[Life | None], name: str) -> float | None:
    values = [float(getattr(life, name)) for life in lives if life is not None]
    return statistics.median(values) if values else None
