"""Where the camera points: known movements are found, and light is not taken for one."""

import cv2
import numpy as np
import pytest

from edge_agent.gate.learn import settle
from edge_agent.gate.pose import Aligner, Pose
from tests.edge_agent.gate.scene import picture, views


@pytest.fixture(scope="module")
def aligner():
    still = settle([view.gray for view in views(40)])
    return Aligner(still.gray, still.mask)


def gray(**how):
    return cv2.cvtColor(picture(7, **how), cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (0.5, 0), (0, -0.7), (-1.0, 0.6)])
def test_a_shake_is_measured_in_one_step(aligner, dx, dy):
    """Within a tenth of a pixel, in both directions."""
    pose = aligner.step(gray(dx=dx, dy=dy))
    assert (pose.dx, pose.dy) == pytest.approx((dx, dy), abs=0.12)
    assert abs(pose.turn) < 0.002 and abs(pose.zoom) < 0.002


@pytest.mark.parametrize("light", [0.6, 1.0, 1.3])
def test_light_is_not_a_movement(aligner, light):
    """Half the light, or a third more, moves nothing."""
    assert aligner.step(gray(light=light)).moved(aligner.shape) < 0.1


@pytest.mark.parametrize(
    ("dx", "dy", "turn"),
    [(12, 0, 0), (-9, 7, 0), (3, -2, 2.0), (0, 0, -3.0), (8, 5, 2.5), (-14, -10, 1.0)],
)
def test_a_knock_is_found(aligner, dx, dy, turn):
    """One of the places that the search gives is the right one; undone, the picture fits."""
    shown = gray(dx=dx, dy=dy, turn=turn)
    errors = {
        np.hypot(pose.dx - dx, pose.dy - dy) + abs(np.degrees(pose.turn) - turn): pose
        for pose in aligner.search(shown)
    }
    assert min(errors) < 0.5
    undone = aligner.undo(shown, errors[min(errors)])
    inner = (slice(25, -25), slice(25, 45))
    assert np.abs(undone[inner].astype(int) - gray()[inner]).mean() < 6


def test_what_a_moved_camera_does_not_see(aligner):
    """Moved right by 20, the reference's left part is still seen, its right edge is not."""
    inside = aligner.inside(Pose(dx=20.0))
    assert inside[60, 100] == 255 and inside[60, -10] == 0 and inside[60, 5] == 255


def test_a_flat_picture_cannot_be_placed():
    """No edge, no movement; nor where next to nothing stands still."""
    flat = np.full((90, 160), 100, np.uint8)
    assert not Aligner(flat, np.full_like(flat, 255)).usable
    noise = np.random.default_rng(0).integers(0, 255, (90, 160)).astype(np.uint8)
    assert not Aligner(noise, np.zeros_like(flat)).usable


def test_moved_is_the_mean_over_the_picture():
    """A turn moves the corners, not the middle: root mean square over all points, by hand."""
    ys, xs = np.indices((90, 160)).astype(float)
    xs, ys = xs - xs.mean(), ys - ys.mean()
    pose = Pose(dx=1.0, dy=-2.0, turn=0.02, zoom=0.01)
    u = pose.dx + pose.turn * ys + pose.zoom * xs
    v = pose.dy - pose.turn * xs + pose.zoom * ys
    assert pose.moved((90, 160)) == pytest.approx(np.sqrt((u**2 + v**2).mean()), rel=1e-3)


def test_a_dark_picture_has_no_pose(aligner):
    """Where nothing of the reference is left there is no movement to tell."""
    assert aligner.step(np.zeros(aligner.shape, np.uint8)) == Pose()
