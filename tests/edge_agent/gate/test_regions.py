"""Cells of SSIM, and the largest region that is lost."""

import numpy as np
import pytest

from edge_agent.gate.regions import CELL_PX, Cells, learn_cells

SHAPE = (90, 160)
ALL = np.full(SHAPE, 255, np.uint8)
MAP = (84, 154)  # of windows


def test_the_mean_counts_windows_that_stand_still():
    """A window that touches what moves is not compared."""
    mask = ALL.copy()
    mask[:, 80:] = 0
    ssim_map = np.ones(MAP, np.float32)
    ssim_map[:, 74:] = -1  # windows centred at column 77 and beyond reach column 80
    assert Cells(mask).ssim(ssim_map) == pytest.approx(1)
    assert Cells(ALL).ssim(ssim_map) < 0.1


@pytest.mark.parametrize("shape", [(90, 160), (120, 160), (7, 7), (45, 163)])
def test_cells_are_the_means_of_their_windows(shape):
    """Each equals NumPy's mean over its windows, the cut ones at the edges too."""
    ssim_map = np.random.default_rng(0).random((shape[0] - 6, shape[1] - 6)).astype(np.float32)
    cells = Cells(np.full(shape, 255, np.uint8))
    each = cells.each(ssim_map)
    for row, column in np.argwhere(cells.used):
        part = ssim_map[row * CELL_PX : (row + 1) * CELL_PX, column * CELL_PX :][:, :CELL_PX]
        assert each[row, column] == pytest.approx(part.mean(), abs=1e-5)


def test_where_nothing_stands_still_everything_counts():
    """An empty mask would leave nothing to divide by."""
    assert Cells(np.zeros(SHAPE, np.uint8)).ssim(np.full(MAP, 0.5, np.float32)) == 0.5


def test_cells_outside_are_not_lost():
    """They read 1, whatever the map holds there."""
    mask = ALL.copy()
    mask[:, 80:] = 0
    cells = Cells(mask)
    each = cells.each(np.full(MAP, 0.25, np.float32))
    assert each[:, 0] == pytest.approx(0.25) and each[:, -1] == pytest.approx(1)
    assert cells.used[:, 0].all() and not cells.used[:, -1].any()


def test_the_largest_region_of_several():
    """Its share of the still part and its middle; corners that only touch are two regions."""
    cells = Cells(ALL)
    lost = np.zeros(cells.shape, np.bool_)
    lost[0, 0] = lost[1, 1] = True
    lost[7:10, 14:18] = True
    found = cells.largest(lost)
    assert found.share == pytest.approx(12 * CELL_PX**2 / (MAP[0] * MAP[1]), rel=0.01)
    assert found.x == pytest.approx(16 / 20) and found.y == pytest.approx(8.5 / 11)
    assert cells.largest(np.zeros_like(lost)).share == 0


def test_a_moved_camera_is_not_blamed_for_what_it_does_not_see():
    """Cells beyond its view do not count; a camera that looks elsewhere keeps them all."""
    inside = ALL.copy()
    inside[:, :40] = 0
    cells = Cells(ALL)
    part = cells.seen(inside)
    assert not part.used[:, 0].any() and part.used[:, -2].all()
    assert cells.seen(np.zeros_like(ALL)) is cells


def limits(cells):
    rng = np.random.default_rng(0)
    good = 0.9 + rng.normal(0, 0.01, (100, *cells.shape))
    return learn_cells(good.astype(np.float32))


def test_lost_is_local():
    """A fifth of the cells gone is lost; all of them worse alike is blur, not something before."""
    cells = Cells(ALL)
    known = limits(cells)
    shown = np.full(cells.shape, 0.9, np.float32)
    assert not known.lost(shown, cells.used).any()
    shown[:, :4] = 0.2
    assert np.array_equal(known.lost(shown, cells.used), shown < 0.5)
    assert not known.lost(np.full(cells.shape, 0.4, np.float32), cells.used).any()


def test_what_does_not_stand_still_cannot_be_lost():
    """Only used cells count, and only they say what the best ones keep."""
    mask = ALL.copy()
    mask[:, 80:] = 0
    cells = Cells(mask)
    blurred = np.where(cells.used, 0.4, 1.0).astype(np.float32)
    assert not limits(cells).lost(blurred, cells.used).any()
