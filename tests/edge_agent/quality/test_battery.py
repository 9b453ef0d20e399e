"""What is true of every metric."""

import math

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.quality import METRICS
from tests.edge_agent.quality.pictures import blurred, noisy, scene

ALL = pytest.mark.parametrize("name", METRICS)
# VIF and NQM compare what arrives with what was sent; the others do not ask which came first. UQI,
# SSIM and the like do so by their formula, 3-SSIM measures its thresholds on the reference, MC-SSIM
# moves it, IW-SSIM weighs by it, MAD masks by it.
SYMMETRIC = (
    "ssim", "ssim-uniform", "ms-ssim", "g-ssim", "uqi", "gmsm", "gmsd", "fsim", "fsimc", "vsi",
    "dscsi",
)  # fmt: skip
# The hue terms of DSCSI end in a tanh that stays 0.3 % below 1 for the same hue.
BEST_TOLERANCE = {"dscsi": 3e-3}


def better(name: str, one: float, other: float) -> bool:
    return one > other if METRICS[name].higher_is_better else one < other


@ALL
def test_the_same_picture_has_the_best_score(name):
    """In colour and in grey."""
    for picture in (scene(), cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)):
        got = METRICS[name].score(picture, picture.copy())
        assert got == pytest.approx(METRICS[name].best, abs=BEST_TOLERANCE.get(name, 1e-7))


@ALL
@pytest.mark.parametrize(
    "distort",
    [lambda p, step: blurred(p, step), lambda p, step: noisy(p, 20 * step)],
    ids=["blur", "noise"],
)
def test_more_distortion_is_worse(name, distort):
    """Three steps of blur and of noise, each worse than the one before and none as good as none."""
    reference = scene()
    scores = [METRICS[name].score(reference, distort(reference, step)) for step in (1, 2, 3)]
    best = METRICS[name].score(reference, reference)
    assert all(
        better(name, one, other) for one, other in zip([best, *scores], scores, strict=False)
    )


@ALL
def test_symmetry(name):
    """Where the definition has it; where it has not, the order matters."""
    reference, image = scene(), noisy(scene())
    there, back = (METRICS[name].score(*p) for p in ((reference, image), (image, reference)))
    assert (there == pytest.approx(back, rel=1e-9)) == (name in SYMMETRIC)


@ALL
def test_flat_pictures_have_a_score(name):
    """Black, grey and white walls, compared with themselves, each other and a scene: no NaN."""
    walls = [np.full((176, 180, 3), level, np.uint8) for level in (0, 128, 255)]
    pictures = [*walls, scene((176, 180))]
    for reference in pictures:
        for image in pictures:
            assert not math.isnan(METRICS[name].score(reference, image))
        assert METRICS[name].score(reference, reference) == pytest.approx(
            METRICS[name].best, abs=BEST_TOLERANCE.get(name, 1e-6)
        )


@ALL
def test_smallest_picture(name):
    """The least side works, in both shapes; one pixel less is refused with the number."""
    least = METRICS[name].least
    for shape in ((least, least), (least, least + 37), (least + 38, least)):
        picture = scene((256, 256))[: shape[0], : shape[1]]
        score = METRICS[name].score(picture, noisy(picture))
        assert math.isfinite(score)
    small = scene()[: least - 1, : least + 9]
    with pytest.raises(SourceError, match=f"needs {least} pixels on each side"):
        METRICS[name].score(small, small)


@ALL
def test_pictures_that_cannot_be_compared(name):
    """One sentence for other sizes, colour beside grey, other types, NaN, four channels."""
    picture = scene((200, 220))
    grey = picture[..., 0]
    for wrong, words in (
        (picture[:-1], "220 x 200 colour, the picture 220 x 199 colour"),
        (grey, "is 220 x 200 colour, the picture 220 x 200 grey"),
        (picture.astype(np.uint16), "is uint16"),
        (np.full(picture.shape, np.nan), "the picture holds NaN or Inf"),
        (np.dstack([picture, grey]), "is 200 x 220 x 4"),
        (np.uint8(3), "is uint8"),
        ([[1, 2], [3, 4]], "is list"),
    ):
        with pytest.raises(SourceError, match=r"the (reference|picture)") as caught:
            METRICS[name].score(picture, wrong)
        assert words in str(caught.value)


@ALL
def test_arguments_stay_as_they_were(name):
    """Neither picture is written to."""
    reference, image = scene().astype(np.float64), noisy(scene()).astype(np.float64)
    kept = reference.copy(), image.copy()
    METRICS[name].score(reference, image)
    assert np.array_equal(reference, kept[0]) and np.array_equal(image, kept[1])


@ALL
def test_only_colour_metrics_see_colour(name):
    """Changing hues at one grey level is noticed by the colour metrics and by no other."""
    metric = METRICS[name]
    reference = scene() * 0.8 + 20
    other = reference + np.array([10.0, 0.0, -10.0 * 0.114 / 0.299])
    got, best = metric.score(reference, other), metric.score(reference, reference)
    noticed = abs(got - best) > 1e-4 if math.isfinite(best) else got < 200
    assert noticed == metric.colour
