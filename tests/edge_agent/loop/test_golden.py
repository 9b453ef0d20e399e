"""The golden self-test on the live engine, in the lane between a camera's frames."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.damage import Damaged, nan, raising, wrong
from edge_agent.backends import BackendOptions, Host, ModelFile, load_backend
from edge_agent.config import Drift
from edge_agent.detection.detector import Detector, contract
from edge_agent.drift.skew import SkewMonitor
from edge_agent.drift.watch import DriftWatch
from edge_agent.loop.golden import AGAIN_S, LiveSelfTest
from edge_agent.loop.lane import SLOTS, Job, Lane
from edge_agent.loop.loaded import Holder, Loaded
from edge_agent.monitors.windows import WindowCounter
from tests.bundles import frame, make_bundle


class Stage:
    """A release whose engine a test can break, and a self-test on a clock that it moves."""

    def __init__(self, bundle, spoil=nan, interval_s=3600.0):
        manifest = bundle.manifest
        chosen = manifest.variant("auto")
        file = ModelFile(bundle.path(chosen.path), precision=chosen.precision)
        real = load_backend(file, contract(manifest), BackendOptions(threads=1), Host())
        self.backend = Damaged(real, spoil)
        self.now = 100.0
        self.holder = Holder()
        skew = SkewMonitor(None, Drift(1.0, None, 24.0, 0.25, 300))
        self.loaded = Loaded(
            "tiny",
            manifest.digest,
            bundle,
            Detector(manifest, self.backend),
            {},
            WindowCounter(3, manifest.decode.confidence),
            DriftWatch({}, skew, knob=1.0, classes=3, confidence=manifest.decode.confidence),
            chosen.id,
            manifest.decode.confidence,
        )
        self.holder.swap(self.loaded)
        self.test = LiveSelfTest(self.holder, interval_s, clock=lambda: self.now)

    def finish(self, timeout_s=10.0):
        """Tick until a test is done."""
        deadline = time.monotonic() + timeout_s
        while (outcome := self.test.tick()) is None:
            assert time.monotonic() < deadline, self.test.trouble
        return outcome


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "v1")


def test_a_healthy_engine_passes_at_the_start_and_every_hour(bundle):
    """Nothing happens between; the release is let go after each test."""
    stage = Stage(bundle)
    outcome = stage.finish()
    assert outcome.ok and outcome.frames == 4 and "reproduces its 4 golden frames" in outcome.text
    assert stage.loaded.users == 0
    stage.now += 3599
    assert stage.test.tick() is None and stage.loaded.users == 0
    stage.now += 2
    assert stage.finish().at == stage.now


@pytest.mark.parametrize(
    ("spoil", "text"), [(nan, "NaN or Inf"), (wrong, "expected"), (raising, "lost")]
)
def test_damage_in_memory_is_found(bundle, spoil, text):
    """Asked for, it does not wait for the hour; and it sees when the engine is right again."""
    stage = Stage(bundle, spoil)
    stage.finish()
    stage.backend.broken = True
    stage.now += AGAIN_S
    stage.test.ask()
    outcome = stage.finish()
    assert not outcome.ok and text in outcome.text
    assert stage.loaded.users == 0
    stage.backend.broken = False
    stage.test.ask()
    stage.now += AGAIN_S
    assert stage.finish().ok


def test_asked_again_and_again_it_keeps_a_distance(bundle):
    """Suspicion in every window does not become a load."""
    stage = Stage(bundle)
    stage.finish()
    stage.test.ask()
    stage.now += AGAIN_S - 1
    assert stage.test.tick() is None and stage.loaded.users == 0
    stage.now += 1
    assert stage.finish().ok


def test_a_frame_waits_for_one_golden_frame_at_most(bundle):
    """However often it ticks, no second one is lined up before the first came back."""
    stage = Stage(bundle)
    inside, go_on = threading.Event(), threading.Event()

    def wait(raw):
        inside.set()
        assert go_on.wait(10)
        return raw

    stage.backend = Damaged(stage.backend, wait)
    stage.loaded.lane = Lane(Detector(bundle.manifest, stage.backend))
    stage.backend.broken = True
    stage.test.tick()
    assert inside.wait(10)  # the first golden frame is in the network
    for _ in range(50):
        assert stage.test.tick() is None
    order = []
    tensor, placement = stage.loaded.detector.letterbox()(frame(0))
    stage.loaded.lane.submit(Job(tensor, placement, 0.0, lambda _: order.append("frame")))
    go_on.set()
    while not order:  # nothing is ticked: no golden frame came between
        time.sleep(0.001)
    assert stage.test.outcome is None and stage.finish().ok


def test_a_camera_that_keeps_all_canvases_delays_the_test(bundle):
    """The test shares them with the camera, and goes on when one is free."""
    stage = Stage(bundle)
    canvases = stage.loaded.lane.canvases()
    taken = [canvases.take(0) for _ in range(SLOTS)]
    assert all(stage.test.tick() is None for _ in range(3)) and stage.test.outcome is None
    canvases.give_back(taken.pop())
    assert stage.finish().ok and canvases.take(0) is not None


def test_a_swap_ends_the_test_of_the_old_release(bundle, tmp_path):
    """It is let go, and the new one is asked at once."""
    stage = Stage(bundle)
    stage.test.tick()
    newer = Stage(make_bundle(tmp_path / "v2", version=2))
    stage.holder.swap(newer.loaded)
    outcome = stage.finish()
    assert outcome.version == 2 and stage.holder.collect() == [stage.loaded]


@pytest.mark.parametrize("file", ["golden/0001.png", "golden/expected.json"])
def test_a_damaged_disk_is_not_a_damaged_engine(bundle, file):
    """It is told as what it is."""
    data = bytearray(bundle.path(file).read_bytes())
    data[len(data) // 2] ^= 1
    bundle.path(file).write_bytes(data)
    stage = Stage(bundle)
    deadline = time.monotonic() + 10
    while not stage.test.trouble:
        assert stage.test.tick() is None and time.monotonic() < deadline
    assert "not the bytes that were signed" in stage.test.trouble
    assert stage.test.outcome is None and stage.loaded.users == 0


def test_zero_means_never(bundle):
    """Not even when asked."""
    stage = Stage(bundle, interval_s=0.0)
    stage.test.ask()
    assert stage.test.tick() is None and stage.loaded.users == 0


class Away:
    """A disk that does its errand when the test says so."""

    def __init__(self):
        self.errand = None

    def do(self, name, errand):
        self.errand = errand
        return True

    def come(self):
        errand, self.errand = self.errand, None
        errand()


def test_a_tick_never_waits_for_the_disk(bundle):
    """Expected values, then picture by picture; the engine is asked for what was read."""
    stage, disk = Stage(bundle), Away()
    stage.test = LiveSelfTest(stage.holder, 3600.0, clock=lambda: stage.now, disk=disk)
    read = 0
    deadline = time.monotonic() + 10
    while (outcome := stage.test.tick()) is None:
        assert time.monotonic() < deadline
        if disk.errand is not None:
            for _ in range(3):
                assert stage.test.tick() is None
            disk.come()
            read += 1
    assert outcome.ok and read == 1 + outcome.frames
    assert stage.loaded.users == 0
