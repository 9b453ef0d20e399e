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
from builder import pack
from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
size, target = int(sys.argv[3]), Path(sys.argv[2])
model = write_onnx(read_checkpoint(Path(sys.argv[1])), height=size, width=size)
pack.put(target.parent, target.name, serialized(model))
"""
_QUIET = """
import os, sys
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
from ultralytics import YOLO
"""
_THEIRS = _QUIET + "YOLO(sys.argv[1]).export(format='onnx', imgsz=int(sys.argv[2]))"
_MAKE = _QUIET + "YOLO(sys.argv[2] + '.yaml').save(sys.argv[1])"


@dataclass(frozen=True)
class Subject:
    """What is exported: a checkpoint, its size in pixels and what to call it in a table."""

    checkpoint: Path
    size: int
    name: str


def subject(folder: Path, python: str, fallback: Path, size: int) -> Subject:
    """A yolov5n at 640 with random weights where ultralytics can make one, else the given model."""
    return untrained("yolov5n", folder, python) or Subject(
        fallback, size, f"{fallback.stem} {size}"
    )


def untrained(kind: str, folder: Path, python: str) -> Subject | None:
    """A network with random weights at 640, such as yolov5x; None where ultralytics makes none."""
    made = folder / f"{kind}.pt"
    if live([python, "-c", _MAKE, str(made), kind]) is None or not made.exists():
        return None
    return Subject(made, 640, f"{kind} 640")


def export(what: Subject, folder: Path, python: str, *, rounds: int) -> list[Row]:
    """`export_s`, `export_rss_mb` and `onnx_ms`.

    Args:
        what: the checkpoint.
        folder: scratch.
        python: an interpreter that has ultralytics; the peer is absent when it cannot export.
        rounds: how often, in turns with the peer.
    """
    mine = folder / "mine.onnx"
    lives, others, theirs = _in_turns(what, mine, folder, python, rounds=rounds)
    return [*_process_rows("export", what, lives, others), _run(mine, theirs, what, rounds=rounds)]


def export_largest(folder: Path, python: str, *, rounds: int) -> list[Row]:
    """`export_x_s` and `export_x_rss_mb`, of a yolov5x; none where ultralytics cannot make one."""
    what = untrained("yolov5x", folder, python)
    if what is None:
        return []
    lives, others, _ = _in_turns(what, folder / "mine.onnx", folder, python, rounds=rounds)
    return _process_rows("export_x", what, lives, others)


def _in_turns(
    what: Subject, mine: Path, folder: Path, python: str, *, rounds: int
) -> tuple[list[Life | None], list[Life | None], Path | None]:
    """Our processes, the peer's and the peer's file, where it can write one."""
    copy = folder / "peer.pt"
    copy.write_bytes(what.checkpoint.read_bytes())  # its exporter writes beside the checkpoint
    theirs = copy.with_suffix(".onnx")
    ours = [sys.executable, "-c", _OURS, str(what.checkpoint), str(mine), str(what.size)]
    peers = [python, "-c", _THEIRS, str(copy), str(what.size)]
    works = live(peers) is not None and theirs.exists()
    lives: list[Life | None] = []
    others: list[Life | None] = []
    for _ in range(rounds):
        lives.append(live(ours))
        if works:
            others.append(live(peers))
    return lives, others, theirs if works else None


def _process_rows(
    name: str, what: Subject, lives: Sequence[Life | None], others: Sequence[Life | None]
) -> list[Row]:
    peer = "ultralytics export" if others else None
    return [
        Row(
            f"{name}_{row}", _median(lives, value) or 0.0, f"{unit}, {what.name}", peer,
            _median(others, value),
        )
        for row, value, unit in (("s", "seconds", "s"), ("rss_mb", "rss_mb", "MiB"))
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
