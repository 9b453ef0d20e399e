"""A watch in a folder, with a clock of its own, and frames for it."""

from __future__ import annotations

import time

import numpy as np

from edge_agent.config import Drift
from edge_agent.drift.camera import CameraWatch, Glance
from edge_agent.drift.layout import Layout
from edge_agent.drift.memory import Memory, Release
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import DriftWatch
from edge_agent.gate import Statistics

NOON = time.mktime((2026, 5, 4, 12, 0, 0, 0, 0, -1))
TWO = Layout(2)
RELEASE = Release("ab" * 32, "fp32")


class Clock:
    """Moves a second per frame."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Held:
    """A disk at which errands wait, one of each name, until it is let go."""

    def __init__(self):
        self.waiting = {}

    def do(self, name, errand):
        self.waiting.pop(name, None)
        self.waiting[name] = errand
        return True

    def let_go(self):
        for name in list(self.waiting):
            self.waiting.pop(name)()


def glance(seq, rng, *, shift=0.0):
    """A frame with none to three boxes."""
    number = int(rng.integers(0, 4))
    rows = np.zeros((number, 6), np.float32)
    rows[:, :2] = rng.uniform(0, 40, (number, 2))
    rows[:, 2:4] = rows[:, :2] + rng.uniform(5, 50, (number, 2))
    rows[:, 4] = np.sort(rng.beta(6, 2, number) - shift)[::-1]
    rows[:, 5] = rng.integers(0, 2, number)
    statistics = Statistics(
        rng.normal(0.5, 0.05),
        rng.normal(0.2, 0.02),
        rng.normal(2.5, 0.2),
        rng.normal(0.02, 0.01),
        rng.normal(0.1, 0.02),
    )
    return Glance(rows, (100, 100), statistics, None, seq, NOON + seq)


def camera_of(folder, *, name="top", spacing_s=1.0, release=RELEASE, disk=None):
    """One camera's watch; it needs 2,000 samples and no day."""
    return CameraWatch(name, Memory(folder, release, TWO), 0.0, spacing_s, disk=disk)


def watch_of(folder, spacing_s=1.0, cameras=("top",), release=RELEASE, disk=None):
    """The first camera's history is in the folder itself."""
    places = {name: folder if name == cameras[0] else folder / name for name in cameras}
    watches = {
        name: camera_of(place, name=name, spacing_s=spacing_s, release=release, disk=disk)
        for name, place in places.items()
    }
    skew = SkewMonitor(None, Drift(1.0, None, 24.0, 0.25, 300))
    return DriftWatch(watches, skew, knob=1.0, classes=2, confidence=0.25, clock=Clock())


def run(watch, frames, rng, *, begin=0, each=10, **change):
    """Look at a second's frames of the first camera, settle after every tenth; all verdicts."""
    judged = []
    for seq in range(begin, begin + frames):
        watch._clock.now += 1.0
        watch.look("top", glance(seq, rng, **change))
        if seq % each == each - 1:
            judged += watch.settle()[0]
    return judged
