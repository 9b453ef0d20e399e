"""The sample line: reproducible, without leaks, true to its labels, and its faults are visible."""

import dataclasses
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from deploy.demo.line import camera, clips, dataset, faults, photos, reference
from deploy.demo.line.__main__ import main
from deploy.demo.line.defects import CLASSES, DEFECTS, Blank
from deploy.demo.line.machine import HEIGHT, OPENING, WIDTH
from deploy.demo.line.scene import Line
from deploy.demo.line.severity import Severity, drawn
from deploy.demo.line.shapes import outline


def gray(picture):
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def similarity(empty, picture):
    return structural_similarity(gray(empty), gray(picture))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run of the command."""
    out = tmp_path_factory.mktemp("line")
    sizes = ["--images", "3", "--val-images", "4", "--test-images", "2", "--clip-seconds", "3"]
    assert main(["--out", str(out), "--seed", "5", *sizes]) == 0
    return out


@pytest.fixture(scope="module")
def empty():
    return reference(seed=1)


@pytest.fixture(scope="module")
def clean(empty):
    """SSIM of normal frames against the empty line."""
    shots = itertools.islice(dataset.pictures("val", 12, seed=1), 12)
    return [similarity(empty, picture) for picture, _ in shots]


def test_same_seed_same_bytes(made, tmp_path):
    """A second run with the same seed writes the same pictures, labels and truth."""
    for _ in dataset.write_split(tmp_path, "val", 4, seed=5):
        pass
    for path in sorted(tmp_path.rglob("*.*")):
        assert path.read_bytes() == (made / "dataset" / path.relative_to(tmp_path)).read_bytes()
    for _ in clips.record(tmp_path / "clip.mp4", seed=5, seconds=3):
        pass
    for name in ("clip.truth.json", "clip.mp4"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_another_seed_other_parts():
    """The seed names the run."""
    one, other = (next(dataset.pictures("test", 1, seed))[0] for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_splits_share_no_tile():
    """Every tile of the photographs belongs to one split, and none is without an owner."""
    owned = [tile for split in photos.SPLITS for tile in photos.tiles(split)]
    assert len(owned) == len(set(owned)) == 16


def test_surfaces_come_from_their_own_tiles_only(monkeypatch):
    """With the training tiles painted over, a validation surface stays the same."""
    before = photos.surface(np.random.default_rng(3), "val", 64)
    painted = {}
    for name in photos.SURFACES:
        photo = photos.photograph(name).copy()
        high, wide = photo.shape[0] // 4, photo.shape[1] // 4
        for row, column in photos.tiles("train"):
            photo[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = 0
        painted[name] = photo
    monkeypatch.setattr(photos, "photograph", painted.__getitem__)
    assert np.array_equal(before, photos.surface(np.random.default_rng(3), "val", 64))


def test_labels_are_yolo_shares(made):
    """Five numbers per line, the class known, the box inside the picture."""
    rows = [r for p in (made / "dataset/labels").rglob("*.txt") for r in p.read_text().splitlines()]
    assert rows
    for row in rows:
        kind, *box = row.split()
        x, y, width, height = map(float, box)
        assert int(kind) in range(len(CLASSES))
        assert x - width / 2 >= 0 and x + width / 2 <= 1
        assert y - height / 2 >= 0 and y + height / 2 <= 1


def test_committed_frames_are_the_first_of_the_test_split():
    """The eight frames in tests/data/line can be made again, labels and pixels (up to JPEG)."""
    folder = Path(__file__).parents[1] / "data/line"
    for number, (picture, truth) in enumerate(dataset.pictures("test", 8, seed=1)):
        kept = cv2.imread(str(folder / f"test-{number:04d}.jpg"))
        assert np.abs(kept.astype(float) - picture).mean() < 3
        assert (folder / f"test-{number:04d}.txt").read_text() == dataset.label_lines(truth)


@pytest.mark.parametrize("kind", range(len(CLASSES)), ids=CLASSES)
def test_boxes_fit_what_was_drawn(kind):
    """A defect changes the part inside its box only, and the box has no room to spare."""
    drawn = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mask = outline(rng)
        blank = Blank(mask.copy(), np.zeros_like(mask), np.zeros_like(mask))
        box = DEFECTS[kind](blank, rng)
        if box is None:
            continue
        change = abs(blank.tint) + abs(blank.height) + 3 * abs(blank.mask - mask)
        ys, xs = np.nonzero(change > 0.25 * change.max())
        extent = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.all(np.abs(extent - box) <= 7), (seed, extent, box)
        assert all(8 <= side <= 90 for side in (box[2] - box[0], box[3] - box[1]))
        drawn += 1
    assert drawn >= 4


def test_truth_moves_with_the_belt():
    """A whole defect moves by the belt's speed from one frame to the next."""
    before, after = (f.boxes for f in itertools.islice(clips.frames(1, 1), 2))
    left, right = OPENING[0] - 48, OPENING[2] - 48
    whole = [b for b in before if left + 14 < b[0] and b[2] < right - 14]
    assert whole
    for x0, y0, x1, y1, kind in whole:
        assert (x0 + clips.SPEED_PX, y0, x1 + clips.SPEED_PX, y1, kind) in after


def test_clip_opens_and_has_its_length(made):
    """OpenCV reads as many frames as the truth describes, at the truth's rate."""
    truth = json.loads((made / "clip.truth.json").read_text())
    video = cv2.VideoCapture(str(made / "clip.mp4"))
    count = 0
    while video.grab():
        count += 1
    assert count == len(truth["frames"]) == 30
    assert video.get(cv2.CAP_PROP_FPS) == truth["fps"] == 10
    assert truth["size"] == [WIDTH, HEIGHT]
    assert not any(frame["faults"] for frame in truth["frames"])


def test_faults_are_told_when_they_happen(made):
    """The fault clip's truth names the fault in every frame of its interval and in no other."""
    truth = json.loads((made / "faults.truth.json").read_text())
    assert {i["fault"] for i in truth["intervals"]} == {"dirty_lens", "occlusion", "knock"}
    for number, frame in enumerate(truth["frames"]):
        second = number / truth["fps"]
        due = [i["fault"] for i in truth["intervals"] if i["from_s"] <= second < i["to_s"]]
        assert frame["faults"] == due


def test_normal_frames_resemble_the_empty_line(clean):
    """SSIM of normal operation is high and steady, whatever parts pass."""
    assert min(clean) > 0.72 and max(clean) < 0.9
    assert np.std(clean) < 0.03


def test_a_frozen_picture_repeats_itself():
    """From the second frame on the bytes are the first's; an encoder changes a few of them."""
    held = clips.Fault("freeze", 0, 3)
    shots = [frame.picture for frame in clips.frames(3, 2, (held,))]
    assert all(np.array_equal(shots[0], shot) for shot in shots)
    coded = dataclasses.replace(held, severity=Severity(recoded=True))
    shots = [frame.picture.astype(int) for frame in clips.frames(3, 2, (coded,))]
    change = [np.abs(one - other).mean() for one, other in itertools.pairwise(shots)]
    assert np.median(change) == 0 and 1 < max(change) < 5


def test_a_severity_is_drawn_from_its_seed():
    """The same seed, the same fault; every draw is within what the docstring promises."""
    draws = [drawn(np.random.default_rng(seed)) for seed in range(200)]
    assert draws[7] == drawn(np.random.default_rng(7)) != draws[8]
    for how in draws:
        assert 0.25 <= how.dirt <= 1 and 0.06 <= how.cover <= 0.6 and 1 <= how.blur_px <= 5
        assert 3.99 < np.hypot(how.turn.dx_px, how.turn.dy_px) < 30.01
        assert 0.3 <= how.gain <= 0.801 or 1.249 <= how.gain <= 2.8


def test_a_line_may_shake_and_stop():
    """Vibration moves the picture by its pixels; the belt stands while it is stopped."""
    still = clips.Run(stops_s=(0.1, 0.4))
    boxes = [frame.boxes for frame in clips.frames(1, 0.6, (), still)]
    assert boxes[1] == boxes[2] == boxes[3] == boxes[4] != boxes[5]
    steady, shaken = (
        [
            frame.picture
            for frame in clips.frames(1, 0.5, (), clips.Run(shake_px=px, stops_s=(0, 9)))
        ]
        for px in (0.0, 1.0)
    )
    change = [np.abs(shots[0].astype(int) - shots[1]).mean() for shots in (steady, shaken)]
    assert change[1] > 1.5 * change[0]


@pytest.mark.parametrize("fault", [name for name in faults.FAULTS if name != "freeze"])
def test_each_fault_is_seen_in_ssim(fault, empty, clean):
    """A full fault lies well below the worst normal frame."""
    plan = (clips.Fault(fault, 0, 1),)
    shots = list(itertools.islice(clips.frames(3, 0.5, plan), 0, None, 2))
    assert all(frame.faults == [fault] for frame in shots)
    assert max(similarity(empty, frame.picture) for frame in shots) < min(clean) - 0.04


def test_the_live_light_hardly_changes_ssim(empty):
    """Running lights and a warmer lamp are no fault: the same parts in still light score alike."""
    for number, live in enumerate(itertools.islice(clips.frames(1, 3), 0, None, 10)):
        canvas, truth = Line(1, "clip").look(600 + number * 10 * clips.SPEED_PX)
        assert truth == live.boxes
        rng = np.random.default_rng(number)
        still = camera.expose(camera.straight(canvas), camera.Condition(), rng)
        assert abs(similarity(empty, still) - similarity(empty, live.picture)) < 0.02


def test_a_knocked_box_follows_the_picture():
    """A box moved by the knock frames the same pixels in the knocked view."""
    canvas, _ = Line(1, "test", empty=True).look(0)
    canvas[48 + 190 : 48 + 200, 48 + 240 : 48 + 250] = 255
    seen = faults.knock(canvas)
    x0, y0, x1, y1, _ = (round(v) for v in faults.knocked_box((240, 190, 250, 200, 0)))
    inner = seen[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]
    assert inner.min() > 240
    assert camera.straight(canvas)[195, 245].min() == 255


def test_an_unwritable_place_is_said(tmp_path):
    """No folder, no clip: the error names the path."""
    with pytest.raises(OSError, match=r"nowhere/clip\.mp4"):
        next(clips.record(Path(tmp_path / "nowhere/clip.mp4"), seed=1, seconds=1))
