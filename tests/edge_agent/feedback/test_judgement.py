"""What can be said of a frame, and which detections are meant by it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import UsageError
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.judgement import Judgement, check
from tests.edge_agent.feedback.scenes import box, detected, said


def test_a_frame_has_a_name():
    """There and back; the camera may have dashes and digits."""
    key = FrameKey.parse("side-2/1f2e3d4c/00123")
    assert key == FrameKey("side-2", "1f2e3d4c", 123)
    assert FrameKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "text", ["", "top", "top/1f", "top/1f/x", "Top/1f/1", "top/xyz/1", "a/b/1/2"]
)
def test_what_is_no_frame_is_refused(text):
    """One line that shows how it should look."""
    with pytest.raises(UsageError, match="should look like top/1f2e3d4c/123"):
        FrameKey.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_frame_or_a_clear_error(text):
    """Nothing else can happen."""
    with contextlib.suppress(UsageError):
        assert str(FrameKey.parse(text)).count("/") == 2


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"verdict": "rigth"}, 'did you mean "right"'),
        ({"verdict": "missed"}, "with --class"),
        ({"verdict": "right", "actual": "dent"}, "goes with wrong only"),
        ({"verdict": "wrong", "box": (5, 0, 5, 9)}, "x0 < x1"),
    ],
)
def test_words_that_do_not_go_together(words, match):
    """A judgement that exists is one."""
    with pytest.raises(UsageError, match=match):
        Judgement(FrameKey("top", "b", 1), **words)


def test_which_detections_are_meant():
    """All, those of a class, or the one that overlaps most with a box."""
    boxes = (box("dent", 0), box("dent", 4), box("scratch", 50))
    frame = detected(*boxes)
    assert said("right", frame).targets(boxes) == (0, 1, 2)
    assert said("wrong", frame, name="dent").targets(boxes) == (0, 1)
    assert said("wrong", frame, box=(3, 0, 13, 10)).targets(boxes) == (1,)
    assert said("wrong", frame, box=(3, 0, 13, 10), name="scratch").targets(boxes) == ()
    assert said("missed", frame, name="dent").targets(boxes) == ()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"verdict": "missed", "name": "scrach"}, 'did you mean "scratch"'),
        ({"verdict": "wrong", "actual": "rust"}, '"rust" is not a class of defects 2'),
        ({"verdict": "right", "name": "dent"}, "reported 2 scratch, 1 broken edge there"),
        ({"verdict": "right", "box": (200, 200, 210, 210)}, "no detection is meant"),
    ],
)
def test_what_cannot_be_about_this_frame(words, match):
    """The message says what the device reported."""
    frame = detected(box("scratch", 0), box("scratch", 30), box("broken edge", 60))
    with pytest.raises(UsageError, match=match):
        check(Judgement(frame.key, **words), frame)


def test_an_empty_frame_can_be_right_but_not_wrong():
    """Nothing was reported: that may be right; what is lacking is missed, not wrong."""
    check(said("right", detected()), detected())
    check(said("missed", detected(), name="dent"), detected())
    with pytest.raises(UsageError, match="reported nothing there"):
        check(said("wrong", detected()), detected())
