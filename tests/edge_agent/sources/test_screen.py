"""The look that every frame passes, and the rules for up, degraded and down."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.sources import Frame
from edge_agent.sources.screen import (
    ALPHA,
    CLOCK_JUMP,
    DEPTH_16,
    EMPTY,
    GREY,
    NO_PICTURE,
    RESIZED,
    TOO_SMALL,
    Screen,
)
from edge_agent.sources.state import (
    DEGRADED,
    DOWN,
    RECENT_S,
    UP,
    WAITING,
    Sight,
    Standing,
    event_kind,
    lost,
    seen,
)

GOOD = np.full((48, 64, 3), 77, np.uint8)


def look(screen: Screen, image) -> Frame | None:
    return screen.look(Frame(image, 0.0, 1, "cam"))


def test_a_good_frame_is_the_same_object():
    """No copy, no count."""
    screen, item = Screen(), Frame(GOOD, 0.0, 1, "cam")
    assert screen.look(item) is item and screen.counts == {}


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        (np.zeros((0, 0, 3), np.uint8), EMPTY),
        (np.zeros((48, 0, 3), np.uint8), EMPTY),
        (np.zeros((1, 1, 3), np.uint8), TOO_SMALL),
        (np.zeros((1, 5000, 3), np.uint8), TOO_SMALL),
        (np.zeros((48, 64, 3), np.float32), NO_PICTURE),
        (np.zeros((48, 64, 2), np.uint8), NO_PICTURE),
        (np.zeros((48,), np.uint8), NO_PICTURE),
        (np.zeros((2, 48, 64, 3), np.uint8), NO_PICTURE),
        (None, NO_PICTURE),
        ("picture", NO_PICTURE),
    ],
)
def test_what_cannot_be_used_has_a_name(image, outcome):
    """It is kept back and counted; the next good frame passes."""
    screen = Screen()
    assert look(screen, image) is None
    assert screen.counts == {outcome: 1} and screen.unusable == 1
    assert look(screen, GOOD) is not None


@pytest.mark.parametrize(
    ("image", "outcomes"),
    [
        (np.full((48, 64), 77, np.uint8), {GREY: 1}),
        (np.full((48, 64, 1), 77, np.uint8), {GREY: 1}),
        (np.full((48, 64, 4), 77, np.uint8), {ALPHA: 1}),
        (np.full((48, 64, 3), 77 << 8, np.uint16), {DEPTH_16: 1}),
        (np.full((48, 64), (77 << 8) + 200, np.uint16), {DEPTH_16: 1, GREY: 1}),
        (np.full((48, 64, 4), 77 << 8, np.uint16), {DEPTH_16: 1, ALPHA: 1}),
    ],
)
def test_what_can_be_converted_is(image, outcomes):
    """To 8-bit BGR, and each conversion is counted."""
    screen = Screen()
    item = look(screen, image)
    assert item.image.shape == GOOD.shape and item.image.dtype == np.uint8
    assert (item.image == 77).all() and screen.counts == outcomes and screen.unusable == 0


def test_another_size_is_counted_once():
    """The first size is none; later frames of the new size are none either."""
    screen = Screen()
    for image in (GOOD, GOOD, GOOD[:40], GOOD[:40], GOOD):
        look(screen, image)
    assert screen.counts == {RESIZED: 2}


@pytest.mark.parametrize("jump", [-3600.0, 7.5, 86400.0])
def test_the_wall_clock_may_jump(jump):
    """Counted, and nothing else happens; drifting is not jumping."""
    wall, mono = [1000.0], [5.0]
    screen = Screen(wall=lambda: wall[0], clock=lambda: mono[0])
    for step in (0.04, 0.04, 0.04 + jump, 0.04, 0.5, 0.5):
        wall[0] += step
        mono[0] += step - jump if abs(step) > 1 else min(step, 0.04)
        assert look(screen, GOOD) is not None
    assert screen.counts == {CLOCK_JUMP: 1}


def fine(frames: int = 30, unusable: int = 0) -> Sight:
    return Sight(frames - unusable, unusable, 0.0, 10.0)


def silence(silent_s: float, stall_s: float | None = 10.0) -> Sight:
    return Sight(0, 0, silent_s, stall_s)


def test_a_camera_that_begins_well_is_no_news():
    """From waiting to up."""
    after = seen(Standing(), fine(), 0.0)
    assert after.state == UP and event_kind(Standing(), after) == ""


def test_one_loss_and_back():
    """down, told once, whatever else goes wrong meanwhile; then up."""
    up = Standing(UP)
    down = lost(up, "cable", 100.0)
    assert (down.state, down.reason, event_kind(up, down)) == (DOWN, "cable", "source.lost")
    again = lost(down, "no such device", 101.0)
    assert (again.reason, len(again.losses), event_kind(down, again)) == ("cable", 1, "")
    assert seen(again, silence(3.0), 102.0) == again
    back = seen(again, fine(1), 103.0)
    assert (back.state, event_kind(again, back)) == (UP, "source.restored")


def test_a_source_that_comes_and_goes_is_degraded():
    """Three losses in ten minutes; it is up again once they are long ago."""
    standing = Standing(UP)
    for at in (0.0, 10.0, 20.0):
        standing = seen(lost(standing, "cable", at), fine(), at + 1)
    assert standing.state == DEGRADED and "lost 3 times" in standing.reason
    later = seen(standing, fine(), RECENT_S + 5)
    assert (later.state, event_kind(standing, later)) == (UP, "source.restored")


def test_many_unusable_frames_degrade():
    """More than a tenth; a few do not, and none of them brings a lost camera back."""
    up = Standing(UP)
    assert seen(up, fine(30, 3), 0.0).state == UP
    worse = seen(up, fine(30, 4), 0.0)
    assert (worse.state, event_kind(up, worse)) == (DEGRADED, "source.degraded")
    assert worse.reason == "4 of the last 30 frames cannot be used"
    assert seen(worse, fine(), 1.0).state == UP
    assert seen(Standing(WAITING), fine(30, 30), 0.0).state == DEGRADED
    assert seen(Standing(DOWN), fine(30, 30), 0.0).state == DOWN


def test_silence_degrades_before_it_ends_the_source():
    """At half of the time; never for a recording."""
    up = Standing(UP)
    assert seen(up, silence(4.9), 0.0).state == UP
    quiet = seen(up, silence(5.1), 0.0)
    assert (quiet.state, quiet.reason) == (DEGRADED, "no frame for 5.1 s")
    assert seen(up, silence(1e6, None), 0.0).state == UP
