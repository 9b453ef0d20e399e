"""Every metric that somebody else has programmed, against their program."""

import cv2
import numpy as np
import pytest

from edge_agent.quality import METRICS
from edge_agent.quality.apparent import apparent
from tests.edge_agent.quality.authors import ORDER, SCORES
from tests.edge_agent.quality.pictures import LARGE, ODD, SQUARE, WIDE, distorted, scene
from tests.edge_agent.quality.piq_scores import pairs

SIZES = {"square": SQUARE, "wide": WIDE, "odd": ODD, "large": LARGE}
HALVES = {"mad-hi": "detection", "mad-lo": "appearance"}
# The largest differences that were seen; double precision agrees to twelve digits, transforms in
# single precision to six or seven.
RELATIVE = {
    "nqm": 1e-7, "fsim": 1e-6, "fsimc": 1e-6, "vsi": 1e-8, "mad": 1e-5, "mad-hi": 1e-5,
    "mad-lo": 3e-6,
}  # fmt: skip
# piq scales levels to 0..1 beside constants of its own, and does not smooth where it shrinks (VSI).
PIQ_ABSOLUTE = {
    "ssim": 1e-12, "ms-ssim": 1e-12, "gmsd": 1e-5, "vif": 2e-9, "iw-ssim": 1e-12, "fsim": 5e-6,
    "fsimc": 1e-4, "vsi": 3e-4,
}  # fmt: skip


def grey(picture):
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def ours(name, reference, image):
    if name in HALVES:
        return getattr(apparent(reference, image), HALVES[name])
    return METRICS[name].score(reference, image)


@pytest.mark.parametrize(
    ("size", "name"), [(size, name) for size in SCORES for name in SCORES[size]]
)
def test_equals_the_authors_program(size, name):
    """On five distortions of a picture, square and wide, and on two of one with odd sides."""
    reference, images = scene(SIZES[size]), distorted(SIZES[size])
    got = [ours(name, reference, images[kind]) for kind in ORDER if kind in images]
    assert got == pytest.approx(SCORES[size][name], rel=RELATIVE.get(name, 1e-11))


@pytest.mark.parametrize("name", sorted(PIQ_ABSOLUTE))
def test_equals_piq(name, piq_scores):
    """Blur on a square picture, less light on a wide one, noise on one with odd sides."""
    checked = {label: pair for label, pair in pairs().items() if name in piq_scores[label]}
    assert len(checked) >= 2
    for label, pair in checked.items():
        expected = piq_scores[label][name]
        got = METRICS[name].score(*pair)
        assert got == pytest.approx(expected, abs=PIQ_ABSOLUTE[name]), label


@pytest.mark.parametrize("kind", ORDER)
def test_vif_equals_sewar(kind):
    """A third program for VIF in the pixel domain."""
    vifp = pytest.importorskip("sewar.full_ref").vifp
    first, second = grey(scene(WIDE)), grey(distorted(WIDE)[kind])
    expected = vifp(first, second)
    assert METRICS["vif"].score(first, second) == pytest.approx(expected, abs=1e-9)


def test_grey_of_a_colour_picture_is_the_agents_grey():
    """A grey metric gives a colour picture the score of its 8-bit grey."""
    reference, image = scene(), distorted()["noise"]
    for name in ("ssim", "gmsd", "nqm"):
        expected = METRICS[name].score(grey(reference), grey(image))
        assert METRICS[name].score(reference, image) == expected


def test_floating_point_is_taken_as_levels():
    """Levels as float32 or float64 give the score of the same levels as uint8."""
    reference, image = grey(scene()), grey(distorted()["blur"])
    for metric in METRICS.values():
        expected = metric.score(reference, image)
        for kind in (np.float32, np.float64):
            got = metric.score(reference.astype(kind), image.astype(kind))
            assert got == pytest.approx(expected, rel=1e-9)
