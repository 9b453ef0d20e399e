"""The demo's clean clips as months of a camera: real pictures and the real network.

Ten clips of the running line, 40 s each, go through the input check and the demo's model; what the
drift would count of each frame is kept. A month is then drawn by the circular block bootstrap
(Politis and Romano, Exploring the Limits of Bootstrap, 1992): once round a clip, from anywhere in
it, then another one. More than once round would show the same parts again and again, which no line
does. Each camera draws its own months, and nothing ever changes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.gate import SHAKE_PX, commission, processes
from benchmarks.line import build, checkpoint
from deploy.demo.line import clips
from edge_agent.bundle import Bundle
from edge_agent.detection.detector import Detector
from edge_agent.drift.camera import CameraWatch, Glance
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.layout import FEATURES, Layout
from edge_agent.drift.memory import Memory, Release
from edge_agent.gate import Baseline, Gate

SIZE = 256
CLIPS, CLIP_S = 10, 40.0
FIRST_SEED = 1 << 61  # above the seeds of every other benchmark
NOTHING = -1
Bins = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Recording:
    """What the drift would count of each frame.

    Attributes:
        layout: of the counts.
        clips: each (frames, features), the index in all counts or `NOTHING`.
        spacing_s: between frames that count, as the device learnt it from these frames.
        frames: that were shown, with those that the input check kept back.
    """

    layout: Layout
    clips: tuple[Bins, ...]
    spacing_s: float
    frames: int


class Replay:
    """A camera that shows stretches of a recording; like `drift_streams.Stream`.

    Args:
        recording: of what.
        step: frames from one that counts to the next.
        rng: where chance comes from.
    """

    def __init__(self, recording: Recording, step: int, rng: np.random.Generator) -> None:
        self._recording = recording
        self._step = step
        self._rng = rng

    def blocks(self, number: int, size: int = BLOCK) -> npt.NDArray[np.int64]:
        """(number, layout.size) counts of the next blocks of ``size`` frames each."""
        total, bins = number * size, self._recording.layout.size
        shown = np.concatenate(list(self._stretches(total)))[:total]
        row = np.repeat(np.arange(number), size)[:, None] * bins
        at = (row + shown)[shown != NOTHING]
        return np.bincount(at, minlength=number * bins).reshape(number, bins)

    def _stretches(self, frames: int) -> Iterator[Bins]:
        """Pieces of clips that have so many frames together, at least."""
        while frames > 0:
            clip = self._recording.clips[self._rng.integers(len(self._recording.clips))]
            length = max(1, len(clip) // self._step)
            start = int(self._rng.integers(len(clip)))
            yield clip[(start + self._step * np.arange(length)) % len(clip)]
            frames -= length


def record(workers: int) -> Recording:
    """Show the clips to the input check and the network; a minute on two cores."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        bundle = build(checkpoint(), home / "bundle", SIZE)
        with processes(workers) as pool:
            commission(home / "line", pool)
            shown = list(pool.map(partial(_glances, home), range(CLIPS)))
        manifest = bundle.manifest
        layout = Layout(len(manifest.classes))
        watch = CameraWatch("line", Memory(home, Release("", ""), layout), 0.0, None)
        now = 0.0
        while watch.spacing.seconds is None:  # the line goes round until the device knows
            for clip in shown:
                for frame in clip:
                    watch.look(frame, manifest.decode.confidence, now)
                    now += 1 / clips.FPS
        made = tuple(_bins(clip, layout, manifest.decode.confidence) for clip in shown)
    frames = round(CLIPS * CLIP_S * clips.FPS)
    return Recording(layout, made, watch.spacing.seconds, frames)


def _glances(home: Path, number: int) -> list[Glance]:
    """The frames of one clip that pass the input check, as the drift sees them."""
    detector = Detector.load(Bundle.open(home / "bundle"), threads=1)
    baseline = Baseline.read(home / "line")
    assert baseline is not None
    gate = Gate.calibrated(baseline)
    run = clips.Run(phase_s=number * CLIP_S, shake_px=SHAKE_PX)
    glances = []
    for index, frame in enumerate(clips.frames(FIRST_SEED + number, CLIP_S, (), run)):
        verdict = gate.check(frame.picture, seq=index, at=index / clips.FPS)
        if not verdict.passed:
            continue
        found = detector.detect(frame.picture).detections
        height, width = frame.picture.shape[:2]
        glances.append(Glance(found, (width, height), verdict.statistics, verdict.ssim, index, 0.0))
    return glances


def _bins(clip: list[Glance], layout: Layout, confidence: float) -> Bins:
    made = np.full((len(clip), len(FEATURES)), NOTHING, np.int16)
    for row, frame in zip(made, clip, strict=True):
        values = frame.values(confidence)
        known = {name: value for name, value in values.items() if value == value}
        row[: len(known)] = layout.indices(known)
    return made
