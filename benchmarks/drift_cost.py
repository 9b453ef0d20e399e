"""`python -m benchmarks.drift_cost`: what one block of a camera costs at the end of a window.

A camera with a complete baseline and a full ring gets 100 blocks more: verdict, message for
``up/metrics/drift``, the bytes of both files (in the agent's loop), and writing them (an errand at
the disk). Median and 95th percentile, with what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.drift_streams import CLASSES, Change, Stream
from edge_agent.clerk import Errand
from edge_agent.drift.camera import CameraWatch
from edge_agent.drift.gathering import Gathering
from edge_agent.drift.history import Block
from edge_agent.drift.layout import Layout
from edge_agent.drift.memory import Memory, Release
from edge_agent.drift.verdict import Verdict
from edge_agent.drift.watch import Judged
from edge_agent.telemetry.payloads import drift_message

BLOCK_S = 6000.0
FULL, MEASURED = 220, 100
_Result = TypeVar("_Result")


class Later:
    """A disk whose last errand is done when it is asked for."""

    def do(self, name: str, errand: Errand) -> bool:
        """Keep it."""
        self.errand = errand
        return True

    def settle(self, timeout_s: float) -> bool:
        """Do it."""
        self.errand()
        return True


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Step -> ``p50`` and ``p95`` in milliseconds."""
    layout = Layout(len(CLASSES))
    counts = Stream(layout, 0.0, np.random.default_rng(1)).blocks(FULL + MEASURED, Change())
    hours = (np.arange(len(counts)) * BLOCK_S // 3600).astype(int) % 24
    blocks = [
        Block({hour: 100}, {hour: row}, BLOCK_S)
        for hour, row in zip(hours.tolist(), counts, strict=True)
    ]
    memory, disk = Memory(folder, Release("0" * 64, "fp32"), layout), Later()
    camera = CameraWatch("line", memory, 86400.0, 60.0, disk=disk)
    for block in blocks[:FULL]:
        camera.add(block)
    times: dict[str, list[float]] = {}
    for block in blocks[FULL:]:
        before = camera.history.standing
        verdict = _timed(times, "verdict_ms", partial(_verdict, camera, block))
        judged = Judged("line", verdict, before, camera.history.standing, camera.history)
        _timed(times, "message_ms", partial(drift_message, "model", judged))
        _timed(times, "history_bytes_ms", camera.keep)
        _timed(times, "history_file_ms", partial(disk.settle, 0.0))
        filling = Gathering(layout, block.frames, block.counts, BLOCK_S)
        _timed(times, "block_bytes_ms", partial(camera.keep_gathering, filling))
        _timed(times, "block_file_ms", partial(disk.settle, 0.0))
    return {
        name: {f"p{q}": round(float(np.percentile(some, q)), 2) for q in (50, 95)}
        for name, some in times.items()
    }


def _verdict(camera: CameraWatch, block: Block) -> Verdict:
    camera.add(block)
    assert camera.seat.chance is not None
    return camera.history.conclude(1.0)


def _timed(times: dict[str, list[float]], name: str, step: Callable[[], _Result]) -> _Result:
    began = time.perf_counter()
    result = step()
    times.setdefault(name, []).append((time.perf_counter() - began) * 1e3)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print one JSON object; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_cost", description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; else a temporary")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        print(json.dumps(measure(Path(scratch)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
