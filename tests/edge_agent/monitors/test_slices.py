"""Differences between cameras and shifts: rates, intervals, and what chance alone gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from edge_agent.metrics import Stamper
from edge_agent.monitors.intervals import newcombe, two_sided_z, wilson
from edge_agent.monitors.slices import (
    SliceCounts,
    SliceHistory,
    largest_difference,
    shift_of,
    time_of,
)
from edge_agent.monitors.windows import WindowCounter
from edge_agent.telemetry.payloads import slice_messages
from tests.schemas import faults

CLASSES = ("a", "b")


def counts(frames, empty=0, holding=(0, 0)):
    slice_ = SliceCounts(2, frames, empty)
    slice_.holding += np.asarray(holding)
    return slice_


def test_wilson_and_newcombe_by_the_published_examples():
    """Newcombe 1998, table II, method 10: 56/70 and 48/80, and 9/10 and 3/10."""
    assert wilson(0.5, 10).low == pytest.approx(0.2366, abs=1e-4)
    for hits, looks in ((0, 10), (10, 10), (3, 7), (499, 500)):
        scipy = stats.binomtest(hits, looks).proportion_ci(method="wilson")
        ours = wilson(hits / looks, looks)
        assert (ours.low, ours.high) == pytest.approx((scipy.low, scipy.high), abs=1e-12)
    first = newcombe((56 / 70, 70), (48 / 80, 80))
    assert (first.low, first.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    second = newcombe((0.9, 10), (0.3, 10))
    assert (second.low, second.high) == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert two_sided_z(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_the_largest_difference_is_named_with_its_interval():
    """Camera left reports b in 40 % of its frames, right in 5 %: that is what is told."""
    slices = {
        "left": counts(4000, empty=1000, holding=(400, 1600)),
        "right": counts(4000, empty=1100, holding=(420, 200)),
        "never": counts(0),
    }
    found = largest_difference(slices, CLASSES)
    assert (found.of, found.high, found.low, found.frames) == ("b", "left", "right", 8000)
    assert found.value == pytest.approx(0.35)
    assert found.compared == 3 and found.sure
    wide = newcombe((0.4, 400), (0.05, 400), two_sided_z(1 - 0.05 / 3))
    assert (found.interval.low, found.interval.high) == (wide.low, wide.high)


def test_chance_in_a_small_slice_does_not_hide_what_is_sure():
    """Three frames of a third camera differ by 100 %, and prove nothing."""
    slices = {
        "left": counts(9000, holding=(2700, 0)),
        "right": counts(9000, holding=(900, 0)),
        "new": counts(3, empty=3),
    }
    found = largest_difference(slices, CLASSES)
    assert (found.of, found.high, found.low) == ("a", "left", "right")


def test_one_slice_has_nothing_to_differ_from():
    """No figure is better than a made-up one."""
    assert largest_difference({"only": counts(100)}, CLASSES) is None
    assert largest_difference({}, CLASSES) is None


def test_equal_slices_are_seldom_sure_to_differ():
    """All intervals hold together in 95 %: of 300 equal fleets of four cameras, few are sure."""
    rng = np.random.default_rng(3)
    sure = 0
    for _ in range(300):
        slices = {}
        for name in "abcd":
            holding = rng.binomial(300, (0.2, 0.6))
            slices[name] = counts(300, int(rng.binomial(300, 0.1)), holding)
        sure += largest_difference(slices, CLASSES, correlated_frames=1).sure
    assert sure <= 22  # 15 expected at most; P(X > 22) = 3 % at exactly 5 %


@pytest.mark.parametrize(
    ("hour", "shift"),
    [
        (0, "night"),
        (5, "night"),
        (6, "early"),
        (13, "early"),
        (14, "late"),
        (21, "late"),
        (22, "night"),
    ],
)
def test_shifts(hour, shift):
    """Eight hours each, from 6, 14 and 22."""
    assert shift_of(hour) == shift


def test_parts_of_the_day():
    """Four hours each, from midnight."""
    assert [time_of(hour) for hour in (0, 3, 4, 12, 23)] == [
        "00-04", "00-04", "04-08", "12-16", "20-24",
    ]  # fmt: skip


def test_it_is_told_once_an_hour_over_the_last_day():
    """Windows of one hour are silent; the first one of the next tells of all before it."""
    history = SliceHistory(CLASSES)
    slices = {"left": counts(100, holding=(90, 0)), "right": counts(100, holding=(10, 0))}
    assert history.add(slices, hour=7, local_hour=7) == {}
    assert history.add(slices, hour=7, local_hour=7) == {}
    told = history.add({"left": counts(50)}, hour=8, local_hour=14)
    assert set(told) == {"camera"} and told["camera"].frames == 400
    assert set(history.differences()) == {"camera", "shift", "time"}
    for hour in range(9, 9 + SliceHistory.HOURS):
        history.add({"left": counts(1)}, hour=hour, local_hour=14)
    assert history.hours == SliceHistory.HOURS
    assert history.differences() == {}, "what is older than a day is forgotten"


def test_messages_of_a_window():
    """Per camera what was reported; after the hour the largest difference, flat."""
    from edge_agent.detection.detector import Result

    history, messages = SliceHistory(CLASSES), []
    for at in (3590.0, 3601.0):
        window = WindowCounter(2, confidence=0.25)
        for camera, score in (("left", 0.9), ("right", 0.1)):
            boxes = np.asarray([[0, 0, 9, 9, score, 1]], np.float32)
            for _ in range(40):
                window.inferred(camera, None, Result(boxes, False, 1, 1, 1), size=(10, 10))
        messages.append(slice_messages("m", history, window.close(), at=at))
    assert [one.suffix for one in messages[0]] == ["up/metrics/classes"] * 2
    (told,) = (one.payload for one in messages[1] if one.suffix == "up/metrics/slices")
    assert (told["dimension"], told["of"]) in {("camera", "empty"), ("camera", "b")}
    assert (told["difference"], told["frames"], told["hours"]) == (1.0, 80, 1)
    assert {told["high"], told["low"]} == {"left", "right"}
    stamper = Stamper("b00c")
    for message in (*messages[0], *messages[1]):
        document = json.loads(stamper.stamp(message.payload, ts=1.0, model_version=1))
        assert faults("_".join(message.suffix.split("/")[1:]), document) == []
    assert 0 < told["difference_least"] < told["difference_most"] <= 1
