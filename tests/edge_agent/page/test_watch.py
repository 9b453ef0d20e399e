"""What is remembered of frames: references, a point per second, never more than it may."""

from __future__ import annotations

import gc
import weakref

import pytest

from edge_agent.page.watch import POINTS, Watch
from tests.bundles import dirty, frame


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return Watch(["top", "side"], clock)


def test_the_picture_is_kept_by_reference(watch, see):
    """No copy: the very array that the detector saw."""
    seen = see(frame(1))
    watch(seen)
    last = watch.cameras["top"].last
    assert last.frame.image is seen.frame.image
    assert (last.number, last.verdict, last.result) == (1, seen.verdict, seen.result)
    assert watch.cameras["side"].last is None


def test_only_the_newest_picture_is_kept(watch, see):
    """The one before can go as soon as nobody shows it."""
    picture = frame(1)
    gone = weakref.ref(picture)
    watch(see(picture))
    del picture
    watch(see(frame(2)))
    gc.collect()
    assert gone() is None and watch.cameras["top"].last.number == 2


def test_the_release_is_not_kept(watch, see, loaded):
    """Its folder and digest are; its model's memory must be free to go."""
    watch(see(frame(1)))
    last = watch.cameras["top"].last
    assert last.release.digest == loaded.digest
    assert last.release.ssim_min == loaded.gates["top"].ssim_min
    assert all(item is not loaded and item is not loaded.detector for item in last.release)


def test_seconds_become_points(watch, see, clock):
    """Frames, mean latency, least SSIM and rejected frames; an empty second has no point."""
    good, bad = see(frame(1)), see(dirty(frame(1)), kept=True)
    for now, seen in ((100.1, good), (100.5, good), (100.9, bad), (102.2, good), (105.0, good)):
        clock.now = now
        watch(seen)
    points = watch.cameras["top"].points
    assert [(p.second, p.frames, p.rejected) for p in points] == [(0, 3, 1), (2, 1, 0)]
    assert points[0].latency_ms == pytest.approx(good.result.total_ms)
    assert points[0].ssim == bad.verdict.ssim and points[1].ssim == good.verdict.ssim
    assert watch.second == 5


def test_a_second_that_the_gate_kept_whole_has_no_latency(watch, see, clock):
    """Absent, not zero."""
    watch(see(dirty(frame(1)), kept=True))
    clock.now += 1
    watch(see(frame(1)))
    (point,) = watch.cameras["top"].points
    assert point.latency_ms is None and point.rejected == 1


def test_history_is_bounded(watch, see, clock):
    """Months of frames are `POINTS` points."""
    seen = see(frame(1))
    for _ in range(POINTS + 50):
        watch(seen)
        clock.now += 1
    points = watch.cameras["top"].points
    assert len(points) == POINTS and points[-1].second == POINTS + 48


def test_the_interval_is_the_mean_between_frames(watch, see, clock):
    """Nothing before there were two."""
    camera, seen = watch.cameras["top"], see(frame(1))
    assert camera.interval_s == 0.0
    for now in (100.0, 100.5, 101.0):
        clock.now = now
        watch(seen)
    assert camera.interval_s == pytest.approx(0.5)


def test_a_camera_that_is_not_ours_is_ignored(watch, see):
    """A listener raises nothing."""
    watch(see(frame(1), camera="elsewhere"))
    assert all(camera.last is None for camera in watch.cameras.values())
