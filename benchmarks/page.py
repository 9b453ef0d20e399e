"""`python -m benchmarks.page`: what the page costs per frame: off, on, and with somebody looking.

A judge with the real gate looks at 1080p pictures at a camera's pace, with an inference that takes
no time. The viewer is a process of its own that asks for what a browser asks for; its own cost is
not counted.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import line
from benchmarks.agent import config, without_inference
from benchmarks.rows import interleaved
from edge_agent.config import Address, Config
from edge_agent.console import table
from edge_agent.detection.preprocess import Image
from edge_agent.feedback.intake import Intake
from edge_agent.loop.follow import FixedRelease
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Loaded, load_release
from edge_agent.loop.seen import Listener, Seen
from edge_agent.page import LivePage
from edge_agent.page.watch import Watch
from edge_agent.sources import Frame

FPS = 30.0
ROUND_S = 3.0
CAMERA = "tap"
# path -> period in seconds, as edge_agent/page/static/page.js asks.
ASKED = {"live.jpg": 0.1, "map.png": 0.6, "/api/state": 1.0}


def view(url: str, seconds: float) -> None:
    """Ask as a browser does: one request at a time for each of the three."""
    host = url.removeprefix("http://").rstrip("/")
    ends = time.monotonic() + seconds

    def ask(what: str, period_s: float) -> None:
        connection = http.client.HTTPConnection(host)
        path = what if what.startswith("/") else f"/cameras/{CAMERA}/{what}"
        while (began := time.monotonic()) < ends:
            connection.request("GET", path)
            connection.getresponse().read()
            time.sleep(max(0.0, began + period_s - time.monotonic()))

    threads = [threading.Thread(target=ask, args=item) for item in ASKED.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def viewer(url: str) -> Iterator[None]:
    """Somebody who looks, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.page", "--view", url]
    process = subprocess.Popen(command, cwd=line.HERE)
    try:
        time.sleep(1.0)  # its interpreter starts, its first requests are answered
        yield
        if process.poll() is not None:
            raise RuntimeError("the viewer went away; the page does not answer")
    finally:
        process.terminate()
        process.wait()


def replayed(folder: Path) -> tuple[Config, Loaded]:
    """A configuration and a release whose inference takes no time."""
    bundle = line.build(line.checkpoint(), folder / "bundle", 256)
    settings = config(folder, bundle.manifest.name)
    loaded = load_release(settings, settings.models[0], bundle.root)
    return settings, without_inference(loaded, line.full_hd()[0])


def processor_ms(judge: Judge, images: Sequence[Image], seconds: float) -> float:
    """Processor time of this process per frame, all its threads together, at a camera's pace."""
    frames = max(1, int(seconds * FPS))
    began, due = time.process_time(), time.monotonic()
    for number, image in zip(range(1, frames + 1), itertools.cycle(images), strict=False):
        judge.frame(Frame(image, time.time(), number, CAMERA))
        due += 1.0 / FPS
        time.sleep(max(0.0, due - time.monotonic()))
    return (time.process_time() - began) / frames * 1e3


def listener_us(watch: Watch, seen: Seen, calls: int = 20_000) -> float:
    """What the listener takes per frame, in microseconds: the least of five runs."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            watch(seen)
        return (time.perf_counter() - began) / calls * 1e6

    return min(run() for _ in range(5))


def measure(folder: Path, *, rounds: int, seconds: float = ROUND_S) -> list[tuple[str, float]]:
    """Processor time in ms per frame: off, on, viewed; then the listener alone."""
    settings, loaded = replayed(folder)
    images, kept = line.full_hd(), list[Seen]()
    kept_words = Intake(
        folder / "feedback.sqlite",
        folder,
        frozenset(),
        lambda *_: None,
        remind=lambda *_: None,
        times=dict,
    )
    page = LivePage(settings, Address("127.0.0.1", 0), "b00c", kept_words)
    holder = FixedRelease(lambda: loaded).holder

    def judge(*listeners: Listener) -> Judge:
        camera = settings.cameras[0]
        return Judge(camera, settings.gate, holder, lambda *_: None, listeners=listeners)

    off, on = judge(), judge(page.watch)
    with page.serving([], None) as address:

        def viewed() -> float:
            with viewer(f"http://{address}/"):
                return processor_ms(on, images, seconds)

        values = interleaved(
            lambda: processor_ms(off, images, seconds),
            lambda: processor_ms(on, images, seconds),
            viewed,
            rounds=rounds,
        )
    once = judge(kept.append)
    once.frame(Frame(images[0], time.time(), 1, CAMERA))
    once.drain(10.0)
    values.append(listener_us(page.watch, kept[0]) / 1e3)
    names = ("page off", "page on, nobody looks", "page on, one viewer", "the listener alone")
    return list(zip(names, values, strict=True))


def main() -> None:
    """Measure and print, or be the viewer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--view", metavar="URL", help="be the viewer of this page")
    options = parser.parse_args()
    if options.view:
        view(options.view, 3600.0)
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(Path(scratch), rounds=options.rounds)
    print(f"1920 x 1080 at {FPS:g} frames a second, median of {options.rounds} rounds in turns")
    print(table(["", "ms per frame"], [(name, f"{value:.4f}") for name, value in rows]))


if __name__ == "__main__":
    main()
