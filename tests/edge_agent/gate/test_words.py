"""Each failed measure in words: what is wrong, by how much, what to do."""

import math

import pytest

from edge_agent.gate.measures import KINDS, Range
from edge_agent.gate.pose import Pose
from edge_agent.gate.regions import Lost
from edge_agent.gate.standard import Measured
from edge_agent.gate.words import sentence

LIMITS = {
    "ssim": Range(0.9, 0.8), "detail": Range(0.1, 0.062), "level": Range(100, 80, 125),
    "clipped": Range(0.01, high=0.03), "noise": Range(1.5, high=3.0), "change": Range(1.6, 0.2),
    "repeats": Range(0, high=8), "lost": Range(0, high=0.02), "moved": Range(0, high=0.005),
}  # fmt: skip


def said(name, value=0.0, **measured):
    return sentence(name, Measured({name: value}, **measured), LIMITS[name], 12.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ssim", 0.71, "SSIM 0.71 is below 0.80"),
        ("detail", 0.038, "lens blurred: gradient energy 38 % of the reference, at least 62 %"),
        ("level", 190.0, "picture too bright: 190 % of the usual level"),
        ("level", 45.0, "picture too dark: 45 % of the usual level"),
        ("clipped", 0.12, "12 % of the still picture is black or burnt out, usually 1 %"),
        ("noise", 5.1, "noise 3.4 times the usual"),
        ("change", 0.01, "picture frozen: from frame to frame 0.01 grey levels of noise"),
        ("repeats", 14.0, "picture frozen: 14 frames in a row are the same to the last bit"),
    ],
)
def test_what_and_how_much(name, value, expected):
    """The number that was measured beside the one that is usual, then what to look at."""
    text = said(name, value)
    assert text.startswith(expected) and ";" in text


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        (Pose(dx=2.0, dy=-1.0), "24 px to the right, 12 px up;"),
        (Pose(dx=-0.5), "6 px to the left;"),
        (Pose(dy=1.0, turn=math.radians(2.1)), "12 px down, turned 2.1 degrees anticlockwise;"),
        (Pose(turn=math.radians(-3)), "is turned 3.0 degrees clockwise;"),
        (Pose(zoom=0.04), "is 4 % larger;"),
    ],
)
def test_where_the_camera_went(pose, expected):
    """In pixels of the picture itself, and only what moved."""
    assert expected in said("moved", pose=pose)


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [(0.5, 0.5, "in the middle"), (0.9, 0.5, "on the right"), (0.1, 0.1, "at the top on the left")],
)
def test_where_something_hangs(x, y, place):
    """As the person sees it who looks at the picture."""
    assert f"covers 23 % of the still picture, {place};" in said("lost", lost=Lost(0.23, x, y))


def test_every_measure_has_words():
    """No measure can fail without a sentence."""
    for name in KINDS:
        assert said(name, 1.0)
