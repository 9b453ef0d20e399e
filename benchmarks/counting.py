"""What it costs to count a frame, to close a window and to read the device.

`python -m benchmarks.counting` prints three figures, the least of several rounds each: on a machine
that does other things besides, that is the nearest to what the code itself takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge_agent.detection.detector import Result
from edge_agent.gate import Statistics, Verdict
from edge_agent.monitors.latency import Speed
from edge_agent.monitors.slices import SliceHistory
from edge_agent.monitors.system import SystemReader
from edge_agent.monitors.windows import WindowCounter
from edge_agent.telemetry.payloads import slice_messages, system_message

BOXES = 30
FRAMES = 100
CLASSES = ("scratch", "dent", "crack", "stain", "hole")
SIDE = 1000
VERDICT = Verdict(True, 0.9, Statistics(0.5, 0.1, 2.0, 0.05, 0.1), "SSIM 0.90")


def result(seed: int = 0) -> Result:
    """A frame with `BOXES` detections of all classes and scores."""
    rng = np.random.default_rng(seed)
    rows = np.empty((BOXES, 6), np.float32)
    rows[:, :2] = rng.uniform(0, 0.9 * SIDE, (BOXES, 2))
    rows[:, 2:4] = rows[:, :2] + rng.uniform(10, 100, (BOXES, 2))
    rows[:, 4] = np.sort(rng.uniform(0.06, 0.95, BOXES))[::-1]
    rows[:, 5] = rng.integers(0, len(CLASSES), BOXES)
    return Result(rows, False, 2.0, 40.0, 1.0)


def fill(window: WindowCounter, frames: int, camera: str = "top") -> None:
    """Count frames."""
    given = result()
    for _ in range(frames):
        window.inferred(
            camera,
            VERDICT,
            given,
            size=(SIDE, SIDE),
            gate_ms=1.0,
            capture_ms=3.0,
            end_to_end_ms=50.0,
        )


def frame_us(rounds: int) -> float:
    """Microseconds to count one frame of `BOXES` detections."""
    window = WindowCounter(len(CLASSES), confidence=0.25)
    return 1e6 / FRAMES * least(lambda: fill(window, FRAMES), rounds)


def slices_ms(rounds: int) -> float:
    """Milliseconds to close a window and compare two cameras and three shifts over a day."""
    history, spent = SliceHistory(CLASSES), []
    for hour in range(SliceHistory.HOURS + rounds):
        window = WindowCounter(len(CLASSES), confidence=0.25)
        for camera in ("top", "side"):
            fill(window, 5, camera)
        began = time.perf_counter()
        slice_messages("m", history, window.close(), at=hour * 3600.0)
        spent.append(time.perf_counter() - began)
    return 1e3 * min(spent[SliceHistory.HOURS :])


def reading_ms(rounds: int, folder: Path) -> float:
    """Milliseconds to read this machine and to make the message of it."""
    reader, speed = SystemReader(folder), Speed()
    return 1e3 * least(lambda: system_message(reader.read(), speed, {}, seconds=1.0), rounds)


def least(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the quickest round."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args(arguments)
    figures = {
        "frame_us": frame_us(options.rounds),
        "slices_ms": slices_ms(options.rounds),
        "reading_ms": reading_ms(options.rounds, Path()),
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
