"""What keeping hard frames costs a camera: per frame that is not kept, and per frame that is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.line import full_hd
from benchmarks.rows import Row, interleaved, timed_ms
from edge_agent.bundle import Bundle
from edge_agent.captures.disk import Folder
from edge_agent.captures.recorder import Recorder
from edge_agent.captures.store import Store
from edge_agent.config import Config, parse
from edge_agent.detection.detector import Result
from edge_agent.gate import Gate
from edge_agent.loop.loaded import load_release
from edge_agent.loop.seen import Seen
from edge_agent.sources import Frame

BOXES = 30  # a busy frame


def capture_us(bundle: Bundle, folder: Path, *, rounds: int) -> list[Row]:
    """Microseconds in the camera's way: nothing to keep; a frame handed over to be written."""
    settings = _settings(folder, bundle.manifest.name)
    seen = _seen(bundle, settings)
    store = Store(Folder(settings.captures), most_bytes=10**9, reserve_bytes=0)
    recorder = Recorder(settings.capture, store, lambda *_: None, device="bench", boot="bench")
    recorder.start()
    listen = recorder.listener("tap")
    idle = timed_ms(lambda: listen(seen))
    idle_ms, taken_ms = interleaved(idle, lambda: _handed_over_ms(recorder, seen), rounds=rounds)
    recorder.close(10.0)
    return [
        Row("capture_idle_us", idle_ms * 1e3, "us per frame that is not kept"),
        Row("capture_taken_us", taken_ms * 1e3, "us in the camera's way per 1080p frame kept"),
    ]


def _handed_over_ms(recorder: Recorder, seen: Seen) -> float:
    """One frame, after the writer has finished the one before."""
    before = recorder.totals()["captures_kept"]
    began = time.perf_counter()
    if not recorder.offer(seen, "disagreement", {"text": "bench"}):
        raise RuntimeError(f"not taken: {recorder.totals()}")
    spent = time.perf_counter() - began
    while recorder.totals()["captures_kept"] == before:
        time.sleep(0.001)
    return spent * 1e3


def _settings(folder: Path, model: str) -> Config:
    document = {
        "device": {"id": "bench", "data": str(folder), "run": str(folder)},
        "model": [{"name": model}],
        "camera": [{"id": "tap", "source": "tap:", "model": model}],
        "capture": {"enabled": True, "spacing_s": 0.0, "per_minute": 1000, "reserve_mb": 0},
    }
    return parse(document, folder / "agent.toml")


def _seen(bundle: Bundle, settings: Config) -> Seen:
    """A frame with boxes well above the threshold, of a class that is seen all the time."""
    loaded = load_release(settings, settings.models[0], bundle.root)
    image = full_hd()[0]
    verdict = Gate(image, ssim_min=0.5).check(image)
    detections = np.zeros((BOXES, 6), np.float32)
    detections[:, 2:4] = 100.0
    detections[:, 4] = np.linspace(0.95, 0.6, BOXES)
    result = Result(detections, False, 1.0, 10.0, 1.0)
    return Seen(Frame(image, time.time(), 1, "tap"), verdict, result, loaded)
