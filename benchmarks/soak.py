"""``python -m benchmarks.soak --frames 10000000``: does a long life cost memory or files?

The real agent on small pictures, with every monitor and telemetry, its network taking no time.
Memory and open files are read while it runs; a line through the readings of the second half says
what a million frames more would cost. Exit code 1 when that is more than `MOST_KB`, or files grow.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
from tqdm import tqdm

from benchmarks import line
from benchmarks.agent import Tap, config, running, without_inference
from edge_agent.bundle import Bundle
from edge_agent.loop.loaded import load_release

FRAMES = 10_000_000
MOST_KB = 256.0
"""Resident memory per million frames; a leak of one small object per frame would be 50,000."""

_READINGS = 200
_SIZE = (160, 96)


@dataclass(frozen=True)
class Soaked:
    """What a long life cost.

    Attributes:
        frames: judged.
        frames_per_s: on average.
        rss_mb: at the end.
        growth_kb: resident memory per million frames, over the second half.
        files: open at the end.
        files_more: than after the first reading.
    """

    frames: int
    frames_per_s: float
    rss_mb: float
    growth_kb: float
    files: int
    files_more: int

    @property
    def flat(self) -> bool:
        """Whether it may go on for ever."""
        return self.growth_kb <= MOST_KB and self.files_more <= 0


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Least-squares slope, made robust: the median over pairs half a range apart (Theil-Sen)."""
    half = len(xs) // 2
    return float(np.median([(ys[i + half] - ys[i]) / (xs[i + half] - xs[i]) for i in range(half)]))


def soak(bundle: Bundle, folder: Path, frames: int) -> Soaked:
    """Run ``frames`` frames through the agent and read memory and files on the way."""
    settings = config(folder, bundle.manifest.name, detections=False)
    loaded = load_release(settings, settings.models[0], bundle.root)
    loaded = without_inference(loaded, _pictures()[0])
    tap = Tap(_pictures(), "tap")
    process = psutil.Process()
    seen: list[int] = []
    rss: list[int] = []
    files: list[int] = []
    began = time.perf_counter()
    with running(settings, loaded, tap) as worker:
        tap.open.set()
        targets = np.linspace(frames / _READINGS, frames, _READINGS).astype(int).tolist()
        for target in tqdm(targets, disable=None, unit_scale=frames / _READINGS, unit="frame"):
            while worker.counts.inferred < target:
                time.sleep(0.01)
            seen.append(worker.counts.inferred)
            rss.append(process.memory_info().rss)
            files.append(process.num_fds())
        counts = worker.counts
    if counts.errors:
        raise RuntimeError(f"frames were not judged: {counts}")
    later = len(seen) // 2
    growth = slope(seen[later:], rss[later:]) * 1e6 / 1024
    seconds = time.perf_counter() - began
    return Soaked(
        frames=counts.inferred,
        frames_per_s=round(counts.inferred / seconds, 1),
        rss_mb=round(rss[-1] / 2**20, 1),
        growth_kb=round(growth, 1),
        files=files[-1],
        files_more=files[-1] - files[0],
    )


def _pictures() -> list[np.ndarray]:
    return [np.asarray(cv2.resize(one, _SIZE), np.uint8) for one in line.pictures()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = line.build(line.checkpoint(), Path(scratch, "bundle"), 64)
        soaked = soak(bundle, Path(scratch), options.frames)
    if options.json:
        print(json.dumps(asdict(soaked)))
    else:
        print(
            f"{soaked.frames:,} frames at {soaked.frames_per_s:,.0f} a second: {soaked.rss_mb} MiB,"
            f" {soaked.growth_kb:+.1f} KiB per million frames; {soaked.files} files open,"
            f" {soaked.files_more:+d}"
        )
    return 0 if soaked.flat else 1


if __name__ == "__main__":
    sys.exit(main())
