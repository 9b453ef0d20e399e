"""A recording shown again is a camera that does not change; it needs no network here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.drift import Device, month, plain_month
from benchmarks.drift_clips import NOTHING, Recording, Replay
from edge_agent.drift.layout import FEATURES, Layout

LAYOUT = Layout(3)


def recording():
    """Two clips of 90 frames; every third frame has no box, and none has an SSIM."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(2):
        clip = np.full((90, len(FEATURES)), NOTHING, np.int16)
        for index, feature in enumerate(LAYOUT.features):
            width = feature.place.stop - feature.place.start
            clip[:, index] = feature.place.start + rng.integers(0, min(width, 4), 90)
        clip[::3, FEATURES.index("box_area")] = NOTHING
        clip[:, FEATURES.index("ssim")] = NOTHING
        made.append(clip)
    return Recording(LAYOUT, tuple(made), 6.0, 180)


def test_blocks_have_the_shares_of_the_recording():
    """Each frame is as likely as every other one; what a frame lacks is not counted."""
    known = recording()
    counts = Replay(known, 7, np.random.default_rng(1)).blocks(400)
    frames = np.concatenate(known.clips)
    for index, feature in enumerate(LAYOUT.features):
        column = frames[:, index]
        wanted = np.bincount(column[column != NOTHING], minlength=LAYOUT.size)[feature.place] / 180
        got = counts[:, feature.place].sum(0) / 40_000
        assert got == pytest.approx(wanted, abs=0.02), feature.name
    assert counts.sum(1).max() <= 100 * (len(FEATURES) - 1)


def test_stretches_are_in_order():
    """Once round the clip, twelve frames of 90 at a step of seven; then another place."""
    known = recording()
    shown = np.concatenate(list(Replay(known, 7, np.random.default_rng(2))._stretches(3000)))
    place = {
        clip[row].tobytes(): (c, row) for c, clip in enumerate(known.clips) for row in range(90)
    }
    rounds = np.array([place[row.tobytes()] for row in shown]).reshape(-1, 12, 2)
    assert (np.diff(rounds[:, :, 0]) == 0).all() and (np.diff(rounds[:, :, 1]) % 90 == 7).all()
    assert len({tuple(one[0]) for one in rounds}) > 80


def test_a_month_of_clips_has_hardly_an_alarm():
    """And one seed gives one answer."""
    device = Device(0.0, 10.0, 0.5, recording=replace(recording(), spacing_s=100.0))
    told = [[month(device, one) for one in np.random.SeedSequence(3).spawn(2)] for _ in range(2)]
    assert told[0] == told[1] and sum(told[0]) <= 3
    assert plain_month(device, 0.2, np.random.SeedSequence(3)) == 0.0
