"""`python -m benchmarks.sources`: what a capture process costs, and how soon it is replaced.

Sources of 1080p frames are read in this process and in one of their own, in turns; processor time
is that of both processes together, and the program that fills the ring counts for neither.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.__main__ import render
from benchmarks.rows import Row, interleaved
from edge_agent.sources import Source, open_source
from edge_agent.sources.capture import Capture

WIDTH, HEIGHT = 1920, 1080
FRAMES = 150
_WRITER = """
import sys, time
from edge_agent.sources.shm import Writer
size = 3 * 1920 * 1080
with Writer(sys.argv[1], slot_bytes=size) as ring:
    pixels = bytearray(size)
    due = time.monotonic()
    while True:
        ring.write(pixels, width=1920, height=1080)
        due += 1 / 60
        time.sleep(max(0.0, due - time.monotonic()))
"""


@contextmanager
def ring() -> Iterator[str]:
    """A program that owns a camera of 60 frames per second; the source's text."""
    name = f"outpost-bench-{secrets.token_hex(4)}"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, name])
    path = Path("/dev/shm") / name
    try:
        while not path.exists():
            time.sleep(0.01)
        yield f"shm:{name}"
    finally:
        writer.kill()
        writer.wait()
        path.unlink(missing_ok=True)


def clip(folder: Path) -> str:
    """Two seconds of 1080p Motion JPEG with some detail; the source's text."""
    path = folder / "clip.avi"
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), code, 30, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    still = cv2.resize(rng.integers(0, 255, (108, 192, 3), np.uint8), (WIDTH, HEIGHT))
    for number in range(60):
        writer.write(np.roll(still, 16 * number, axis=1))
    writer.release()
    return f"file:{path}?loop=1&fps=60"


def cpu_ms(text: str, capture: str) -> float:
    """Processor milliseconds per frame, of this process and of the capture process."""
    source = open_source(text, "bench", capture=capture, queue=2)
    reader = Capture(source, policy="drop-oldest", size=2).start()
    try:
        for _ in range(10):
            reader.get(10.0)
        before, began = reader.captured, _cpu_s(source)
        while reader.captured < before + FRAMES:
            reader.get(10.0)
        return (_cpu_s(source) - began) / (reader.captured - before) * 1e3
    finally:
        reader.close()


def _cpu_s(source: Source) -> float:
    spent = time.process_time()
    pid = getattr(source, "pid", None)
    if pid is not None:
        times = psutil.Process(pid).cpu_times()
        spent += times.user + times.system
    return spent


def restart_s(text: str) -> float:
    """Seconds from the decision to end a hung capture process to the next one's first frame."""
    source = open_source(text, "bench", capture="process")
    source.read()
    os.kill(source.pid, signal.SIGSTOP)
    began = time.perf_counter()
    source.close()
    again = open_source(text, "bench", capture="process")
    frame = again.read()
    spent = time.perf_counter() - began
    again.close()
    assert frame is not None
    return spent


def resident_mb(text: str) -> float:
    """Memory of a capture process that is its own (private, MB of 10^6 bytes)."""
    source = open_source(text, "bench", capture="process")
    for _ in range(30):
        source.read()
    memory = psutil.Process(source.pid).memory_full_info()
    source.close()
    return float(memory.uss) / 1e6


def measure(folder: Path, rounds: int) -> list[Row]:
    """The rows; peers are the same source without a process."""
    rows = []
    with ring() as shm:
        for name, text in (("ring", shm), ("file", clip(folder))):
            ours, theirs = interleaved(
                lambda text=text: cpu_ms(text, "process"),
                lambda text=text: cpu_ms(text, "thread"),
                rounds=rounds,
            )
            unit = "ms CPU per 1080p frame"
            rows.append(Row(f"capture_{name}_ms", ours, unit, "in-process", theirs))
        restart = statistics.median(restart_s(shm) for _ in range(rounds))
        rows.append(Row("capture_restart_s", restart, "s from kill to frame"))
        rows.append(Row("capture_private_mb", resident_mb(shm), "MB of the process"))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sources", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each side, in turns")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(Path(scratch), options.rounds)
    documents = [row.to_document() for row in rows]
    print(json.dumps(documents, indent=2) if options.json else render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
