"""Good frames teach a reference, what stands still, limits, and what they would have rejected."""

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.gate.learn import BETWEEN_FRAMES, LEAST_FRAMES, Student, settle
from edge_agent.gate.measures import KINDS
from edge_agent.gate.view import look
from tests.edge_agent.gate.scene import HOLE, learnt, picture, views


def test_what_moves_is_not_still():
    """The hole is masked out, the machine is not, and the reference is the machine."""
    still = learnt().still
    x0, y0, x1, y1 = HOLE
    assert not still.mask[y0 + 10 : y1 - 10, x0 + 5 : x1 - 5].any()
    outside = np.ones_like(still.mask, np.bool_)
    outside[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = False
    assert (still.mask[outside] > 0).mean() > 0.97
    quiet = look(picture(3, noise=0.0), 160).gray.astype(int)
    assert np.abs(still.gray.astype(int) - quiet)[outside].mean() < 1.5
    assert still.aligned


def test_a_shaking_camera_still_stands_still():
    """Half a pixel of vibration does not take the edges out of what is compared."""
    rng = np.random.default_rng(0)
    shaken = [
        look(picture(n, dx=dx, dy=dy), 160).gray
        for n, (dx, dy) in enumerate(rng.normal(0, 0.5, (60, 2)))
    ]
    assert (settle(shaken).mask > 0).mean() > 0.9 * (learnt().still.mask > 0).mean()


def test_nothing_stands_still():
    """Then the whole picture counts, and nobody claims to know where the camera points."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (90, 160)).astype(np.uint8) for _ in range(40)]
    still = settle(noise)
    assert still.mask.all() and not still.aligned


def test_what_is_ignored_is_not_compared():
    """However still it stands; also where nothing else does; something must be left."""
    grays = [view.gray for view in views(LEAST_FRAMES)]
    ignored = np.zeros(grays[0].shape, np.bool_)
    ignored[:, :40] = True
    mask, usual = settle(grays, ignored).mask, settle(grays).mask
    assert not mask[:, :40].any() and usual[:, :40].any()
    assert np.array_equal(mask[:, 44:], usual[:, 44:])
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (90, 160)).astype(np.uint8) for _ in range(40)]
    assert not settle(noise, ignored[:90]).mask[:, :40].any()
    with pytest.raises(SourceError, match=r"\[gate.ignore\] leaves 0% of the picture"):
        settle(grays, np.ones_like(ignored))


def test_a_plain_wall_cannot_be_aligned():
    """It stands still, and has nothing to hold on to."""
    rng = np.random.default_rng(0)
    wall = [(120 + rng.normal(0, 0.6, (90, 160))).astype(np.uint8) for _ in range(40)]
    still = settle(wall)
    assert still.mask.all() and not still.aligned


def test_every_measure_is_learnt():
    """In a row from a camera; from a folder without what only such frames can tell."""
    assert set(learnt().ranges) == set(KINDS)
    student = Student(learnt().still)
    for view in views(LEAST_FRAMES):
        student.add(view)
    assert set(student.learn(in_a_row=False).ranges) == set(KINDS) - set(BETWEEN_FRAMES)


def test_too_few_frames():
    """They are counted in the message, which says what to do."""
    grays = [view.gray for view in views(LEAST_FRAMES - 1)]
    with pytest.raises(SourceError, match="29 frames are too few"):
        settle(grays)
    student = Student(learnt().still)
    with pytest.raises(SourceError, match="0 frames are too few"):
        student.learn(in_a_row=True)


def test_good_frames_are_not_rejected_and_bad_ones_among_them_are():
    """Something before the lens, twice: it would go, and is the worst shown, once each."""
    good = views(80)
    spoilt = [*good]
    for index in (20, 60, 61):
        spoilt[index] = look(picture(index, cover=(0, 0, 50, 120)), 160)
    student = Student(learnt().still)
    for view in spoilt:
        student.add(view)
    known = student.learn(in_a_row=True)
    assert student.rejected(known) == 3
    scores = student.scores(known)
    assert sorted(np.argsort(scores["ssim"])[-3:]) == [20, 60, 61]
    worst = student.worst(known, most=5)
    assert worst[0].score >= worst[1].score > 1 > worst[2].score
    assert sorted(one.index for one in worst[:2]) in ([20, 60], [20, 61])  # not 60 and 61
    assert np.array_equal(worst[0].gray, spoilt[worst[0].index].gray)


def test_memory_is_bounded_by_thinning():
    """More frames than are kept for the cells: the limits stay those of all."""
    student = Student(learnt().still)
    shown = views(40)
    for number in range(2100):
        student.add(shown[number % 40])
    known = student.learn(in_a_row=True)
    assert known.frames == 2100
    assert np.allclose(known.cells.usual, learnt().cells.usual, atol=0.02)
    assert student.rejected(known) == 0
