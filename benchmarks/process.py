"""Whole processes: peak memory of the agent, and how soon a bundle gives its first detection."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare import script
from benchmarks.line import picture_files, write_clip
from benchmarks.rows import Row
from edge_agent.bundle import Bundle

_LIMIT_S = 120.0
_POLL_S = 0.005
_PREDICT = """
import os, sys
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")
from ultralytics import YOLO
YOLO(sys.argv[1], task="detect").predict(sys.argv[2], imgsz=int(sys.argv[3]), verbose=False)
"""
_TOML = """
[device]
id = "bench"
data = "{folder}"
run = "{folder}"
[[model]]
name = "{model}"
[[camera]]
id = "clip"
source = "file:{clip}?speed=max"
model = "{model}"
policy = "wait"
"""


@dataclass(frozen=True)
class Life:
    """What one process took from its start to its end."""

    seconds: float
    rss_mb: float


def live(command: Sequence[str]) -> Life | None:
    """Run a command to its end; None when it fails or has no end."""
    began = time.perf_counter()
    peak_mb = 0.0
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        while child.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(child.pid))
            if time.perf_counter() - began > _LIMIT_S:
                child.kill()
            time.sleep(_POLL_S)
        seconds = time.perf_counter() - began
    return Life(seconds, peak_mb) if child.returncode == 0 else None


def _peak_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # it has just ended
    return 0.0


def whole_process(bundle: Bundle, folder: Path, python: str, *, rounds: int) -> list[Row]:
    """`rss_mb` of `edge-agent run` over a clip, `first_detection_s` of `edge-agent detect`.

    `rss_floor_mb` is the same agent beside the short script of `benchmarks.bare` on the same clip.

    Args:
        bundle: what runs.
        folder: scratch.
        python: an interpreter that has ultralytics; the peer is absent when it cannot predict.
        rounds: how often, in turns with the peer.
    """
    image = picture_files()[0]
    detect = [sys.executable, "-m", "edge_agent", "detect", str(bundle.root), str(image)]
    run = _agent(bundle, folder)
    spec = bundle.manifest.input
    model = bundle.path(bundle.manifest.variant().path)
    predict = [python, "-c", _PREDICT, str(model), str(image), str(max(spec.width, spec.height))]
    floor = script(model, folder / "clip.avi")
    agents, detects, predicts, floors = [], [], [], []
    peer_works = live(predict) is not None
    for _ in range(rounds):
        agents.append(live(run))
        detects.append(live(detect))
        floors.append(live(floor))
        if peer_works:
            predicts.append(live(predict))
    peer = "ultralytics predict, same ONNX file" if peer_works else None
    return [
        Row("rss_mb", _median(agents, "rss_mb"), "MiB", peer, _median_or_none(predicts, "rss_mb")),
        Row(
            "rss_floor_mb", _median(agents, "rss_mb"), "MiB",
            "ten lines of OpenCV and ONNX Runtime", _median(floors, "rss_mb"),
        ),
        Row(
            "first_detection_s", _median(detects, "seconds"), "s", peer,
            _median_or_none(predicts, "seconds"),
        ),
    ]  # fmt: skip


def _agent(bundle: Bundle, folder: Path) -> list[str]:
    clip = write_clip(folder / "clip.avi", 100)
    path = folder / "agent.toml"
    text = _TOML.format(folder=folder / "agent", model=bundle.manifest.name, clip=clip)
    path.write_text(text, encoding="utf-8")
    return [
        sys.executable, "-m", "edge_agent", "run", "-c", str(path), "--bundle", str(bundle.root),
    ]  # fmt: skip


def _median(lives: Sequence[Life | None], name: str) -> float:
    value = _median_or_none(lives, name)
    if value is None:
        raise RuntimeError("an agent process failed; run its command by hand to see why")
    return value


def _median_or_none(lives: Sequence[Life | None], name: str) -> float | None:
    values = [float(getattr(life, name)) for life in lives if life is not None]
    return statistics.median(values) if values else None
