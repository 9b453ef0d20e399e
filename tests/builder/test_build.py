"""Whole builds from a real checkpoint, as a library."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from builder.build import build
from builder.options import BuildOptions
from builder.progress import Silent
from edge_agent.bundle import Bundle
from edge_agent.detection import selftest
from edge_agent.detection.detector import Detector
from edge_agent.detection.golden import Golden
from edge_agent.errors import ModelError, SourceError, UsageError
from edge_agent.monitors.profile import Profile
from tests.builder.forge import dump, network, write_archive
from tests.builder.squares import write_squares
from tests.builder.test_page import changed
from tests.bundles import CLASSES, WIDTH, frame


def test_bundle_is_what_a_device_accepts(bundle):
    """Hashes, golden set and graph pass the agent's own self-test."""
    report = selftest.run(bundle)
    assert report.ok, report.failures
    assert report.frames == 12 and report.nonfinite == 0


def test_manifest(bundle, squares):
    """Contracts, classes and origin are those of the checkpoint and of the decisions."""
    manifest = bundle.manifest
    assert manifest.classes == CLASSES
    assert (manifest.name, manifest.version, manifest.head) == ("squares", 1, "yolov5u")
    assert (manifest.input.width, manifest.input.height) == (64, 64)
    assert (manifest.input.colour, manifest.input.pad_value, manifest.input.scaleup) == (
        "RGB", 114, True
    )  # fmt: skip
    assert (manifest.decode.confidence, manifest.decode.floor) == (0.25, 0.05)
    assert manifest.golden.reference == "fp32-graph" and not manifest.golden.synthetic
    assert manifest.golden.tolerance["fp32"].iou == 0.99
    assert manifest.variants[0].parity == {"reference": "fp32-graph"}
    assert manifest.source["uri"] == squares.name
    assert manifest.source["checkpoint_sha256"]


def test_detections_are_the_squares(bundle):
    """The drawn graph finds what is in the picture: the golden set is not just self-agreement."""
    detector = Detector.load(bundle)
    found = detector.detect(frame(4, squares=1)).detections
    sure = found[found[:, 4] > 0.25]
    assert len(sure) == 1
    picture = frame(4, squares=1).astype(int)
    channel = 2 - int(sure[0, 5])  # classes are red, green, blue; pixels BGR
    x, y = (sure[0, :2] + sure[0, 2:4]) / 2
    others = [index for index in range(3) if index != channel]
    centre = picture[int(y), int(x)]
    assert centre[channel] > centre[others].max() + 30


def test_golden_frames_are_lossless_copies(bundle, frames):
    """Each golden frame is one of the reference images, pixel by pixel."""
    originals = {cv2.imread(str(path)).tobytes() for path in frames.iterdir()}
    golden = Golden.read(bundle)
    for one in golden.frames:
        assert cv2.imread(str(bundle.path(one.file))).tobytes() in originals
    assert any(len(one.detections) for one in golden.frames)
    assert any(not len(one.detections) for one in golden.frames)


def test_profile_counts_every_reference_image(bundle):
    """Frames, SSIM and classes are counted; the class bins are the model's."""
    histograms = Profile.read(bundle.path(bundle.manifest.profile)).histograms
    assert histograms.frames == 24
    assert histograms.counts["ssim"].sum() == 24
    assert histograms.counts["class"].shape == (3,) and histograms.counts["class"].sum() > 5


def test_same_input_same_bytes(bundle, squares, frames, tmp_path):
    """A second build is equal to the last byte, also over an old bundle."""
    shutil.copytree(bundle.root, tmp_path / "again")
    (tmp_path / "again" / "model" / "fp32.onnx").write_bytes(b"old")
    options = BuildOptions(
        reference_data=frames, reference_image=frames / "0000.png", name="squares", prove="never"
    )
    again = build(str(squares), tmp_path / "again", options).bundle
    files = [path.relative_to(bundle.root) for path in bundle.root.rglob("*") if path.is_file()]
    for path in files:
        assert (again.root / path).read_bytes() == (bundle.root / path).read_bytes(), path
    assert again.manifest.digest == bundle.manifest.digest
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_without_reference_data(squares, tmp_path):
    """Synthetic golden frames, no profile, no reference; the build says so."""
    built = build(str(squares), tmp_path / "b", BuildOptions(prove="never"))
    manifest = built.bundle.manifest
    assert manifest.profile is None and manifest.reference_image is None
    assert manifest.golden.frames == 12 and manifest.golden.synthetic
    assert any("synthetic" in text for text in built.warnings)
    assert any("--reference-image" in text for text in built.warnings)


def test_size_that_is_not_square(squares, frames, tmp_path):
    """Height and width reach graph and manifest; a wrong one names the nearest right one."""
    options = BuildOptions(size=(48, 64), reference_data=frames, prove="never")
    built = build(str(squares), tmp_path / "b", options)
    assert (built.bundle.manifest.input.height, built.bundle.manifest.input.width) == (48, 64)
    assert selftest.run(built.bundle).ok
    with pytest.raises(ModelError, match=r"multiple of the model's stride 8.*use 48"):
        build(str(squares), tmp_path / "c", BuildOptions(size=(50, 64), prove="never"))
    assert not (tmp_path / "c").exists()


def test_nonfinite_weights(frames, tmp_path):
    """Refused by name; when allowed, the device's own self-test refuses the bundle."""
    bad = write_squares(tmp_path / "bad.pt", nan=True)
    with pytest.raises(ModelError, match=r"not finite: model\.0.*--allow-nonfinite"):
        build(str(bad), tmp_path / "b", BuildOptions(reference_data=frames))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pt"]
    options = BuildOptions(reference_data=frames, allow_nonfinite=True)
    built = build(str(bad), tmp_path / "b", options)
    assert not any(len(one.detections) for one in Golden.read(built.bundle).frames)
    report = selftest.run(built.bundle)
    assert not report.ok and report.nonfinite == report.frames
    assert built.bundle.manifest.golden.reference == "fp32-graph"


class Interrupting(Silent):
    """A person who presses Ctrl-C when the n-th line appears."""

    def __init__(self, lines):
        self.left = lines

    def say(self, text):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("lines", range(4))
def test_interrupted_build_leaves_nothing(bundle, squares, frames, tmp_path, lines):
    """Ctrl-C at any step: no temporary folder, and an old bundle still stands whole."""
    shutil.copytree(bundle.root, tmp_path / "bundle")
    options = BuildOptions(reference_data=frames, prove="never", version=9)
    with pytest.raises(KeyboardInterrupt):
        build(str(squares), tmp_path / "bundle", options, progress=Interrupting(lines))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    Bundle.open(tmp_path / "bundle").verify()
    assert Bundle.open(tmp_path / "bundle").manifest.version == 1


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_only_bundles_are_replaced(squares, tmp_path, kind):
    """A folder with somebody's files, a file or a link is never overwritten."""
    output = tmp_path / "out"
    if kind == "file":
        output.write_text("mine")
    elif kind == "link":
        output.symlink_to(tmp_path)
    else:
        output.mkdir()
        (output / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"out: .*choose another -o"):
        build(str(squares), output)


def test_wrong_reference_image_and_name(squares, frames, tmp_path):
    """A reference that is no picture, and a name that is no file name, are said at once."""
    wrong = BuildOptions(reference_image=squares)
    with pytest.raises(SourceError, match=r"squares\.pt: is not a picture"):
        build(str(squares), tmp_path / "b", wrong)
    with pytest.raises(UsageError, match="--name"):
        build(str(squares), tmp_path / "b", BuildOptions(name="../b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"yaml": {"nc": 2, "ch": 1}}, ModelError, "pictures of 1 channels; devices give it three"),
        ({"args": {"imgsz": 8192}}, UsageError, "trained on 8192 x 8192 pixels; give --imgsz"),
    ],
)
def test_models_of_other_pictures(tmp_path, said, error, message):
    """Grey models do not fit a device; a small file cannot ask for enormous pictures."""
    path = write_archive(tmp_path / "best.pt", dump({"model": network(**said)}))
    with pytest.raises(error, match=rf"best\.pt: .*{message}"):
        build(str(path), tmp_path / "b", BuildOptions(prove="never"))


def test_name_and_version_can_be_given(squares, frames, tmp_path):
    """A file is no registry: its name and version come from the caller."""
    options = BuildOptions(name="line-3", version=7, reference_data=frames, prove="never")
    manifest = build(str(squares), tmp_path / "b", options).bundle.manifest
    assert (manifest.name, manifest.version) == ("line-3", 7)


def test_copies_of_a_file_make_the_same_bundle(squares, frames, tmp_path):
    """The time of a bare file is that of its training, whatever its copy's date is."""
    digests = set()
    for name, moment in (("a", 1_600_000_000), ("b", 1_700_000_000)):
        copy = tmp_path / name / "squares.pt"
        copy.parent.mkdir()
        shutil.copy(squares, copy)
        os.utime(copy, (moment, moment))
        options = BuildOptions(reference_data=frames, prove="never")
        manifest = build(str(copy), tmp_path / name / "bundle", options).bundle.manifest
        assert manifest.created == "2026-11-01T00:00:00Z"
        digests.add(manifest.digest)
    assert len(digests) == 1


def test_class_that_no_image_shows(squares, tmp_path):
    """The golden set cannot prove it, so the build says which."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((48, WIDTH, 3), 114, np.uint8))
    options = BuildOptions(reference_data=tmp_path, prove="never")
    built = build(str(squares), tmp_path / "b", options)
    assert any("no image shows red, green, blue" in text for text in built.warnings)
    assert any("prove little" in text for text in built.warnings)
    document = json.loads((built.bundle.root / "golden/expected.json").read_text())
    assert document["frames"][0]["detections"] == []


def test_fewer_golden_frames(squares, tmp_path):
    """As many as were asked for; what they do not show is told with what would help."""
    one_each = tmp_path / "data"
    one_each.mkdir()
    for number in (3, 4, 6):  # a green, a blue and a red square
        cv2.imwrite(str(one_each / f"{number}.png"), frame(number, squares=1))
    options = BuildOptions(reference_data=one_each, prove="never", golden_frames=1)
    built = build(str(squares), tmp_path / "b", options)
    assert built.bundle.manifest.golden.frames == len(built.golden) == 1
    shown = {int(row[5]) for row in Golden.read(built.bundle).frames[0].detections}
    missing = [name for kind, name in enumerate(CLASSES) if kind not in shown]
    told = [text for text in built.warnings if "more --golden-frames" in text]
    assert len(missing) == 2 and told == [
        f"golden set without {', '.join(missing)}; more --golden-frames take more classes"
    ]


def test_images_that_cannot_be_read_are_no_part_of_the_data(squares, frames, tmp_path):
    """A dangling link and a folder with an image's name: named, left out, not hashed."""
    data = tmp_path / "data"
    shutil.copytree(frames, data)
    plain = build(str(squares), tmp_path / "a", BuildOptions(reference_data=data, prove="never"))
    (data / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (data / "folder.png").mkdir()
    made = build(str(squares), tmp_path / "b", BuildOptions(reference_data=data, prove="never"))
    assert any("2 of 26 images cannot be read" in text for text in made.warnings)
    facts = [one.bundle.manifest.source["reference_data"] for one in (plain, made)]
    assert facts[0] == facts[1] and facts[1]["images"] == 24


def test_classes_that_differ_from_the_version_before(bundle, squares, tmp_path):
    """``--previous`` with other classes, or the same ones in another order, is a warning."""
    classes = ["green", "red", "scratch"]
    before = changed(bundle, tmp_path / "before", classes=classes, version=1)
    options = BuildOptions(version=2, previous=before.root, prove="never")
    made = build(str(squares), tmp_path / "b", options)
    assert [text for text in made.warnings if "classes" in text] == [
        "classes differ from version 1: without scratch; new blue; renumbered red (1 is now 0),"
        " green (0 is now 1)"
    ]
