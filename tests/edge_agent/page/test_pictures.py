"""Live picture, reference and SSIM map, as a browser gets them."""

from __future__ import annotations

import json
import threading

import cv2
import numpy as np
import pytest

from edge_agent.captures.masks import Mask
from edge_agent.detection.decode import above
from edge_agent.gate import Reference
from edge_agent.gate.standard import Still
from edge_agent.gate.view import reduce
from edge_agent.page.pictures import FRAME_HEADER, Pictures, fit, paint
from edge_agent.page.shown import Shown
from edge_agent.page.watch import Watch
from tests.bundles import HEIGHT, WIDTH, background, dirty, frame, make_bundle


def decoded(answer):
    return cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def watch():
    return Watch(["top"])


@pytest.fixture
def closing():
    return threading.Event()


@pytest.fixture
def shown(watch):
    return Shown("b00c", lambda: watch.now)


@pytest.fixture
def made(watch, closing, shown):
    """``made(width, mask)``: the pictures of the camera."""

    def make(width, mask=None):
        return Pictures(
            watch.cameras["top"],
            width=width,
            gate_width=160,
            mask=mask,
            closing=closing,
            shown=shown,
        )

    return make


@pytest.fixture
def pictures(made):
    return made(960)


@pytest.fixture
def masked(made):
    """The left half is hidden."""
    return made(48, Mask([((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))]))


def test_the_live_picture_has_its_boxes_with_it(watch, pictures, see, loaded):
    """One answer, so that boxes and picture are of the same frame."""
    seen = see(frame(3, squares=3))
    watch(seen)
    answer = pictures.live(-1)
    assert answer.kind == "image/jpeg"
    assert cv2.PSNR(decoded(answer), seen.frame.image) > 28
    header = json.loads(answer.headers[FRAME_HEADER])
    assert (header["number"], header["width"], header["height"]) == (1, WIDTH, HEIGHT)
    wanted = above(seen.result.detections, loaded.bundle.manifest.decode.confidence)
    assert len(header["boxes"]) == len(wanted) > 0
    shares = np.asarray(header["boxes"])[:, :4] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert np.abs(shares - wanted[:, :4]).max() < 0.01
    assert header["passed"] and header["ssim"] == pytest.approx(seen.verdict.ssim, abs=1e-4)
    assert header["ssim_min"] == loaded.gates["top"].ssim_min


def test_a_frame_that_the_gate_kept_has_no_boxes_and_no_latency(watch, pictures, see):
    """Its reason is there instead."""
    watch(see(dirty(frame(3)), kept=True))
    header = json.loads(pictures.live(-1).headers[FRAME_HEADER])
    assert header["boxes"] == [] and "latency_ms" not in header and not header["passed"]
    assert "lens" in header["text"]


def test_who_has_the_newest_waits_for_the_next(watch, pictures, see):
    """And gets it as soon as it is there."""
    watch(see(frame(1)))
    got = []
    viewer = threading.Thread(target=lambda: got.append(pictures.live(1)))
    viewer.start()
    watch(see(frame(2)))
    viewer.join(10)
    assert json.loads(got[0].headers[FRAME_HEADER])["number"] == 2


def test_nobody_waits_once_the_server_ends(pictures, closing):
    """No frame ever came."""
    closing.set()
    assert pictures.live(-1).status == 204


def test_two_viewers_cost_one_picture(watch, pictures, see):
    """The same bytes, not the same work twice."""
    watch(see(frame(1)))
    assert pictures.live(-1) is pictures.live(-1)
    watch(see(frame(2)))
    first = pictures.live(1)  # this viewer has frame 1, so it must get another one
    assert pictures.live(0) is first


def test_pictures_are_reduced_to_the_width_and_keep_their_shape():
    """The longer side counts; small ones stay as they are."""
    assert fit(np.zeros((1080, 1920, 3), np.uint8), 960).shape == (540, 960, 3)
    assert fit(np.zeros((2000, 10, 3), np.uint8), 100).shape == (100, 1, 3)
    small = np.zeros((72, 96, 3), np.uint8)
    assert fit(small, 960) is small


def test_the_reference_is_the_bundles_picture(watch, pictures, see):
    """Before the first frame nobody knows which."""
    assert pictures.reference().status == pictures.map().status == 204
    watch(see(frame(1)))
    assert cv2.PSNR(decoded(pictures.reference()), background()) > 28


def test_the_map_shows_where_pictures_differ(watch, pictures, see):
    """As large as the reference: transparent where they are alike, opaque where they are not."""
    picture = background()
    picture[20:50, 30:60] = (0, 0, 230)
    watch(see(picture))
    shown = decoded(pictures.map())
    assert shown.shape == (*reduce(background(), 160).shape, 4)
    assert shown[24:46, 34:56, 3].min() > 100  # the new thing
    assert shown[:10, :, 3].max() == shown[60:, :, 3].max() == 0
    assert shown[..., 3].max() <= 255 * 0.8 + 1


def test_the_map_is_that_of_the_gate(see):
    """Colours follow SSIM: yellow and faint where a little is wrong, red where all is."""
    values = np.asarray([[1.0, 0.85, 0.6, 0.1, -1.0]], np.float32)
    painted = paint(values, (7, 11))
    assert painted.shape == (7, 11, 4) and not painted[:3].any() and not painted[4:].any()
    row = painted[3, 3:8]
    assert row[0, 3] == row[1, 3] == 0 < row[2, 3] < row[3, 3] == row[4, 3]
    assert row[2, 1] > row[3, 1] == 0  # less green: redder


def test_a_camera_that_changes_its_size_is_still_compared(watch, pictures, see):
    """The picture is fitted to the reference, as the gate does it."""
    watch(see(cv2.resize(frame(1), (480, 270))))
    assert decoded(pictures.map()).shape[:2] == reduce(background(), 160).shape


def test_a_bundle_without_a_reference(tmp_path, watch, pictures, see):
    """Then there is neither reference nor map; the live picture is as ever."""
    bare = make_bundle(tmp_path / "bare", reference=False)
    watch(see(frame(1)))
    camera = watch.cameras["top"]
    release = camera.last.release._replace(bundle=bare, digest=bare.manifest.digest)
    camera.last = camera.last._replace(release=release)
    assert pictures.reference().status == pictures.map().status == 204
    assert pictures.live(-1).status == 200


def test_a_reference_that_was_deleted_is_none(tmp_path, watch, pictures, see):
    """A release that the updater cleared away meanwhile."""
    gone = make_bundle(tmp_path / "gone", version=9)
    gone.path("reference.png").unlink()
    watch(see(frame(1)))
    camera = watch.cameras["top"]
    release = camera.last.release._replace(bundle=gone, digest=gone.manifest.digest)
    camera.last = camera.last._replace(release=release)
    assert pictures.reference().status == 204


def test_the_maps_values_are_ssims():
    """`paint` gets what `Reference.map` gives: a border of three pixels is missing."""
    gray = reduce(background(), 160)
    assert Reference(gray).map(gray).shape == (gray.shape[0] - 6, gray.shape[1] - 6)


def test_what_is_masked_is_shown_nowhere(watch, masked, see):
    """Two frames that differ only under the mask give the same bytes; the frame is left alone."""
    bright = background()
    bright[:, : WIDTH // 2] = 255
    shown = []
    for picture in (background(), bright):
        seen = see(picture)
        watch(seen)
        number = watch.cameras["top"].last.number
        shown.append((masked.live(number - 1).body, masked.reference().body, masked.map().body))
        assert np.array_equal(seen.frame.image, picture)
    assert shown[0] == shown[1]
    live = decoded(masked.live(-1))
    assert live.shape[1] == 48 and live[:, :23].max() < 12 < live[:, 30:].mean()
    assert decoded(masked.reference())[:, :23].max() < 12
    assert decoded(masked.map())[:, : WIDTH // 2, 3].max() == 0


def test_inspectors_are_shown_what_everybody_is(watch, masked, shown, see):
    """The frame that is kept for a verdict has the mask too, and no box under it."""
    watch(see(frame(3, squares=3), seq=5))
    live = masked.live(-1)
    assert shown.picture(5).body == live.body
    (one,) = shown.document()["frames"]
    assert one["boxes"] == json.loads(live.headers[FRAME_HEADER])["boxes"]
    assert all(x0 + x1 > 1.0 for x0, _, x1, *_ in one["boxes"])


def test_boxes_under_a_mask_are_not_shown(watch, pictures, masked, see):
    """Those beside it are; without a mask all are."""
    seen = see(frame(3, squares=3))
    found = above(seen.result.detections, seen.loaded.limit)
    right = (found[:, 0] + found[:, 2]) / 2 > WIDTH / 2 + 2
    assert 0 < right.sum() < len(found)
    watch(seen)
    header = json.loads(masked.live(-1).headers[FRAME_HEADER])
    assert len(header["boxes"]) == right.sum() and header["masked"]
    header = json.loads(pictures.live(-1).headers[FRAME_HEADER])
    assert len(header["boxes"]) == len(found) and "masked" not in header


def test_what_moves_in_a_learnt_reference_is_not_on_the_map(watch, pictures, see):
    """It is not compared, so it is not shown as different."""
    picture = background()
    picture[20:50, 10:86] = (0, 0, 230)
    watch(see(picture))
    camera = watch.cameras["top"]
    gray = reduce(background(), 160)
    mask = np.full_like(gray, 255)
    mask[:, :48] = 0
    views = {camera.last.verdict.reference: Still(gray, mask)}
    release = camera.last.release._replace(views=views, digest="calibrated")
    camera.last = camera.last._replace(release=release)
    shown = decoded(pictures.map())
    assert shown[24:46, 52:82, 3].min() > 100 and not shown[:, :48].any()
