"""Pairs of truth and detection, and the figures that come of them, worked out by hand."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edge_agent.feedback.frames import Box
from edge_agent.feedback.join import IOU, Pair, from_judgements, from_labels
from edge_agent.feedback.report import BACKGROUND, Evidence, count
from tests.edge_agent.feedback.scenes import CLASSES, NOON, box, detected, said


def names(heard):
    pairs = heard if isinstance(heard, list) else heard.pairs
    return sorted((pair.truth or "", pair.detected or "") for pair in pairs)


def test_words_become_pairs():
    """Right, wrong for something else, wrong for nothing, missed; the rest is not counted."""
    boxes = (box("dent", 0), box("dent", 30), box("scratch", 60), box("scratch", 90))
    frame = detected(*boxes)
    heard = from_judgements(
        frame,
        [
            said("right", frame, box=(0, 0, 10, 10)),
            said("wrong", frame, box=(30, 0, 40, 10), actual="broken edge"),
            said("wrong", frame, box=(60, 0, 70, 10)),
            said("missed", frame, name="dent"),
        ],
    )
    assert names(heard) == [
        ("", "scratch"),
        ("broken edge", "dent"),
        ("dent", ""),
        ("dent", "dent"),
    ]


def test_of_two_words_about_one_thing_the_later_counts():
    """An inspector corrects himself; saying the same twice is saying it once."""
    frame = detected(box("dent", 0))
    words = [said("right", frame), said("wrong", frame), said("missed", frame, name="scratch")]
    heard = from_judgements(frame, words * 2)
    assert names(heard) == [("", "dent"), ("scratch", "")]
    assert (heard.repeated, heard.overruled) == (1, 3), "missed again; right, wrong, right, wrong"
    assert from_judgements(frame, words[:1] * 3).repeated == 2
    assert names(from_judgements(frame, words[::-1])) == [("dent", "dent"), ("scratch", "")]


def test_an_empty_frame_that_is_right_is_background_twice():
    """It counts in the corner of the matrix, and for no class."""
    frame = detected()
    assert names(from_judgements(frame, [said("right", frame)])) == [("", "")]
    words = [said("right", frame), said("missed", frame, name="dent")]
    assert names(from_judgements(frame, words)) == [("dent", "")]


def test_labels_match_their_own_class_first():
    """A detection of another class that overlaps more does not take a right one's object."""
    truth = [box("dent", 0), box("scratch", 50), box("broken edge", 100)]
    frame = detected(box("scratch", 0), box("dent", 2), box("dent", 51), box("scratch", 200))
    assert names(from_labels(frame, truth)) == [
        ("", "scratch"),
        ("", "scratch"),
        ("broken edge", ""),
        ("dent", "dent"),
        ("scratch", "dent"),
    ]


BOXES = st.lists(
    st.builds(box, st.sampled_from(CLASSES), st.integers(0, 24), st.integers(0, 12)), max_size=5
)


@settings(max_examples=150, deadline=None)
@given(BOXES, BOXES)
def test_every_object_and_every_detection_is_in_one_pair(truth, found):
    """Nothing is lost or counted twice, and no better pair was left apart."""
    pairs = from_labels(detected(*found), truth)
    assert sorted(pair.truth for pair in pairs if pair.truth) == sorted(one.name for one in truth)
    assert sorted(p.detected for p in pairs if p.detected) == sorted(one.name for one in found)
    if len(truth) == len(found) == 1:
        matched = truth[0].overlap(found[0]) >= IOU
        assert len(pairs) == (1 if matched else 2)
    if all(pair.truth is None or pair.detected is None for pair in pairs):
        assert all(actual.overlap(one) < IOU for actual in truth for one in found)


def test_two_who_mark_the_same_missed_object_mark_one():
    """Boxes of one class that overlap by half; elsewhere, or of another class, it is another."""
    frame = detected()
    words = [
        said("missed", frame, name="dent", box=(0, 0, 10, 10)),
        said("missed", frame, name="dent", box=(1, 0, 11, 10)),
        said("missed", frame, name="dent", box=(40, 0, 50, 10)),
        said("missed", frame, name="scratch", box=(0, 0, 10, 10)),
    ]
    heard = from_judgements(frame, words)
    assert names(heard) == [("dent", ""), ("dent", ""), ("scratch", "")]
    assert (heard.repeated, heard.overruled) == (1, 0)


def far(truth, found, camera, version, number):
    """Pairs an hour apart, which are independent."""
    return Pair(truth, found, camera, "m", version, NOON + 3600.0 * number)


def test_figures_by_hand():
    """dent: 8 right, 2 wrong, 4 missed; precision 8/10, recall 8/12, Wilson as scipy has it."""
    kinds = (
        [("dent", "dent", "top", 1)] * 8
        + [(None, "dent", "top", 1)]
        + [("scratch", "dent", "side", 2)]
        + [("dent", None, "side", 2)] * 3
        + [("dent", "scratch", "side", 2)]
        + [(None, None, "side", 2)]
    )
    report = count([far(*kind, number) for number, kind in enumerate(kinds)], Evidence(frames=9))
    dent, scratch = report.classes
    assert (dent.right, dent.wrong, dent.missed) == (8, 2, 4)
    assert (scratch.right, scratch.wrong, scratch.missed) == (0, 1, 1)
    for rate, hits, of in ((dent.precision, 8, 10), (dent.recall, 8, 12), (scratch.recall, 0, 1)):
        wilson = stats.binomtest(hits, of).proportion_ci(method="wilson")
        assert (rate.value, rate.count, rate.effective) == (hits / of, of, of)
        assert (rate.low, rate.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    assert report.names == ("dent", "scratch", BACKGROUND)
    assert report.confusion == ((8, 1, 3), (1, 0, 0), (1, 0, 1))
    assert (report.whole.right, report.whole.wrong, report.whole.missed) == (8, 3, 5)
    side, top = (one for one in report.slices if one.dimension == "camera")
    assert (side.name, top.name) == ("side", "top")
    assert top.classes[0].precision.value == pytest.approx(8 / 9)
    assert top.classes[0].recall.value == 1.0
    assert (top.names, top.confusion) == (("dent", BACKGROUND), ((8, 0), (1, 0)))
    assert side.confusion == ((0, 1, 3), (1, 0, 0), (0, 0, 1))
    versions = [one.name for one in report.slices if one.dimension == "version"]
    assert versions == ["m 1", "m 2"]
    json.dumps(report.document(), allow_nan=False)


def test_figures_against_an_independent_count():
    """Random pairs, counted by numpy from indicator vectors."""
    rng = np.random.default_rng(11)
    kinds = (*CLASSES, None)
    pairs = [
        far(kinds[rng.integers(4)], kinds[rng.integers(4)], "top", 1, number)
        for number in range(500)
    ]
    report = count(pairs)
    for figures in report.classes:
        truth = np.asarray([pair.truth == figures.name for pair in pairs])
        found = np.asarray([pair.detected == figures.name for pair in pairs])
        assert figures.precision.value == pytest.approx((truth & found).sum() / found.sum())
        assert figures.recall.value == pytest.approx((truth & found).sum() / truth.sum())
    axis = {name: number for number, name in enumerate(report.names)}
    matrix = np.zeros((len(axis), len(axis)), int)
    places = [(axis[p.truth or BACKGROUND], axis[p.detected or BACKGROUND]) for p in pairs]
    np.add.at(matrix, tuple(np.transpose(places)), 1)
    assert matrix.tolist() == [list(row) for row in report.confusion]


def test_nothing_said_is_nothing_known():
    """No rates out of nothing."""
    report = count([])
    assert report.whole.precision is None and report.classes == ()
    assert report.document()["overall"]["recall"] is None


def test_shift_is_that_of_the_time_of_capture():
    """Local time of the device, also when the word comes a day later."""
    was = os.environ.get("TZ")
    try:
        os.environ["TZ"] = "UTC"
        time.tzset()
        frame = detected(box("dent", 0), at=NOON)
        (pair,) = from_judgements(frame, [said("right", frame, at=NOON + 90_000)]).pairs
        assert time.gmtime(NOON).tm_hour == 10
        assert (pair.slice("shift"), pair.slice("time")) == ("early", "09-12")
    finally:
        os.environ.pop("TZ") if was is None else os.environ.update(TZ=was)
        time.tzset()


def test_overlap_by_hand():
    """Two squares of 10 that share 5 x 10: 50 of 150."""
    assert box("a", 0).overlap(box("a", 5)) == pytest.approx(1 / 3)
    assert box("a", 0).overlap(box("a", 10)) == 0.0
    assert Box("a", 0, 0, 4, 4).overlap(Box("a", 0, 0, 4, 4)) == 1.0
