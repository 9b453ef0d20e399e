"""A build with several precisions: what is kept, what is left out, and what the manifest says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from builder import pack
from builder.build import Built, build
from builder.options import BuildOptions, parse_precisions
from edge_agent.bundle import Bundle
from edge_agent.detection import selftest
from edge_agent.detection.detector import Detector
from edge_agent.detection.golden import Golden
from edge_agent.errors import ModelError, UsageError
from edge_agent.monitors.profile import Profile
from tests.bundles import HEIGHT, WIDTH, frame
from tests.schemas import faults


@pytest.fixture(scope="module")
def labels(squares, frames, tmp_path_factory) -> Path:
    """Labels as the fp32 model itself would give them: its mAP is 1."""
    folder = tmp_path_factory.mktemp("labels")
    options = BuildOptions(reference_data=frames, prove="never")
    made = build(str(squares), tmp_path_factory.mktemp("plain") / "bundle", options)
    detector = Detector.load(made.bundle, threads=1)
    for number in range(24):
        rows = detector.detect(frame(number)).detections
        lines = [
            f"{kind:.0f} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH}"
            f" {(y1 - y0) / HEIGHT}"
            for x0, y0, x1, y1, score, kind in rows.tolist()
            if score > 0.25
        ]
        (folder / f"{number:04d}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def built(squares, frames, labels, tmp_path_factory) -> Built:
    """fp32, fp16 and int8, measured on labels."""
    options = BuildOptions(
        reference_data=frames,
        precisions=("fp16", "int8"),
        labels=labels,
        prove="never",
        saliency=True,
    )
    return build(str(squares), tmp_path_factory.mktemp("four") / "bundle", options)


def test_every_variant_is_there_with_its_proof(built):
    """In order of exactness, each with what it lost."""
    manifest = built.bundle.manifest
    assert [one.id for one in manifest.variants] == ["fp32", "fp16", "int8"]
    for variant in manifest.variants[1:]:
        parity = variant.parity
        assert parity["labelled_images"] == parity["images"] == 24
        assert parity["agreement"] >= 0.9
        assert parity["map50_95_loss_points"] <= 1.0
        assert parity["map50"] > 0.9
        assert parity["detections_reference"] == "fp32-graph"
        assert parity["score_drift"].keys() <= {"red", "green", "blue"}
    assert "left_out" not in manifest.document
    built.bundle.verify()


def test_each_variant_passes_its_own_self_test(built):
    """The golden tolerance of its precision holds, and is inside the stated bounds."""
    for variant in built.bundle.manifest.variants:
        report = selftest.run(built.bundle, variant=variant.id)
        assert report.ok, report.failures
        tolerance = built.bundle.manifest.golden.tolerance[variant.precision]
        assert tolerance.iou >= 0.6 and tolerance.score <= 0.2


def test_int8_has_golden_detections_of_its_own(built):
    """What it loses is judged over all pictures; devices prove that they compute the same graph."""
    manifest = built.bundle.manifest
    assert [one.golden for one in manifest.variants] == [None, None, "golden/int8.json"]
    own, theirs = Golden.read(built.bundle, "int8"), Golden.read(built.bundle, "fp16")
    assert [one.file for one in own.frames] == [one.file for one in theirs.frames]
    scores = [
        np.concatenate([one.detections[:, 4] for one in set_.frames]) for set_ in (own, theirs)
    ]
    assert len(scores[0]) != len(scores[1]) or not np.array_equal(*scores)
    assert "golden/int8.json" not in [entry.path for entry in manifest.files_for("fp16")]
    assert "golden/int8.json" in [entry.path for entry in manifest.files_for("int8")]


def test_labelled_images_that_cannot_be_read(squares, frames, labels, tmp_path):
    """They are named and left out of mAP; the others are measured."""
    data = tmp_path / "data"
    shutil.copytree(frames, data)
    (data / "0003.png").write_bytes(b"cut off")
    options = BuildOptions(reference_data=data, labels=labels, precisions=("fp16",), prove="never")
    made = build(str(squares), tmp_path / "b", options)
    assert any("1 of 24 images cannot be read" in text for text in made.warnings)
    assert [one.parity["labelled_images"] for one in made.bundle.manifest.variants] == [23, 23]


def test_another_int8_graph_fails_the_self_test(built, tmp_path):
    """Quantized weights that are a little off are another model to the device."""
    root = tmp_path / "bundle"
    shutil.copytree(built.bundle.root, root)
    model = onnx.load(root / "model/int8.onnx")
    weight = next(
        one
        for one in model.graph.initializer
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4
    )
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.flip(values, 0).copy(), weight.name))
    onnx.save(model, root / "model/int8.onnx")
    document = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").unlink()
    pack.finish(root, {key: value for key, value in document.items() if key != "files"})
    report = selftest.run(Bundle.open(root), variant="int8")
    assert not report.ok
    assert selftest.run(Bundle.open(root), variant="fp16").ok


def test_labels_measure_fp32_too(built, squares, frames, labels, tmp_path):
    """Also when it is the only precision."""
    options = BuildOptions(reference_data=frames, labels=labels, prove="never")
    alone = build(str(squares), tmp_path / "bundle", options).bundle.manifest.variants
    assert len(alone) == 1
    first = built.bundle.manifest.variants[0]
    assert alone[0].parity == first.parity
    assert first.parity["map50_95"] > 0.99
    assert first.parity["detections_reference"] == "fp32-graph"
    assert "map50_95_loss_points" not in first.parity
    assert first.parity["labelled_objects"] > 10


def test_variants_that_agree_on_nothing(squares, tmp_path):
    """On grey pictures nothing is detected, and the build says what that is worth."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((48, 96, 3), 114, np.uint8))
    options = BuildOptions(reference_data=tmp_path, precisions=("fp16",), prove="never")
    made = build(str(squares), tmp_path / "b", options)
    assert any("agree says little" in text for text in made.warnings)


def test_a_profile_per_variant(built):
    """The same pictures, its own scores."""
    plain = Profile.of(built.bundle, "fp32")
    own = Profile.of(built.bundle, "int8")
    assert plain is not None and own is not None
    assert own.histograms.frames == plain.histograms.frames == 24
    same = {
        name: (own.histograms.counts[name] == plain.histograms.counts[name]).all()
        for name in ("luminance", "sharpness", "score")
    }
    assert same["luminance"] and same["sharpness"]
    assert built.bundle.manifest.profile_for("int8") == "profiles/int8.json"


def test_same_bytes_twice(built, squares, frames, labels, tmp_path):
    """All variants, their figures included."""
    options = BuildOptions(
        reference_data=frames,
        precisions=("fp16", "int8"),
        labels=labels,
        prove="never",
        saliency=True,
    )
    again = build(str(squares), tmp_path / "bundle", options)
    assert again.bundle.manifest.digest == built.bundle.manifest.digest


def test_saliency_is_in_the_manifest(built, squares, frames, tmp_path):
    """And, with the bundle of the version before, how stable it is."""
    classes = built.bundle.manifest.document["saliency"]["classes"]
    assert classes and all(0.5 < one["on_object"] <= 1 for one in classes.values())
    options = BuildOptions(reference_data=frames, prove="never", previous=built.bundle.root)
    after = build(str(squares), tmp_path / "bundle", options).bundle.manifest.document["saliency"]
    assert after["previous"]["digest"] == built.bundle.manifest.digest
    assert all(one["stability"] == 1.0 for one in after["classes"].values())


def test_int8_without_reference_data_is_left_out(squares, tmp_path):
    """Of `auto`, said in the manifest and to the person; fp16 needs none."""
    options = BuildOptions(precisions=("auto",), prove="never")
    made = build(str(squares), tmp_path / "bundle", options)
    assert [one.id for one in made.bundle.manifest.variants] == ["fp32", "fp16"]
    left = made.bundle.manifest.document["left_out"]
    assert [entry["id"] for entry in left] == ["int8", "int8-cpu"]
    assert all("there are 0; give more --reference-data" in entry["why"] for entry in left)
    assert any("int8 is left out" in text for text in made.warnings)
    assert made.bundle.manifest.variant("fp16").profile is None


def test_a_variant_outside_its_limits_is_left_out(squares, frames, tmp_path):
    """With what was measured; its file is gone, and --strict fails."""
    limits = tmp_path / "limits.toml"
    limits.write_text("[limits.int8]\nscore_drift = 0.0\n")
    options = {"reference_data": frames, "precisions": ("int8",), "prove": "never"}
    made = build(str(squares), tmp_path / "b", BuildOptions(**options, limits=limits))
    (entry,) = made.bundle.manifest.document["left_out"]
    assert "drift" in entry["why"] and entry["parity"]["images"] == 24
    assert faults("manifest", json.loads((made.bundle.root / "manifest.json").read_text())) == []
    assert not (made.bundle.root / "model/int8.onnx").exists()
    with pytest.raises(ModelError, match="--strict: int8: scores of"):
        build(str(squares), tmp_path / "c", BuildOptions(**options, limits=limits, strict=True))
    assert not (tmp_path / "c").exists()


def test_auto_keeps_what_passes(squares, frames, tmp_path):
    """By accuracy alone: however slow a variant was here, the second build says the same."""
    options = BuildOptions(reference_data=frames, precisions=("auto",), prove="never", strict=True)
    made = build(str(squares), tmp_path / "bundle", options)
    kept = {one.id for one in made.bundle.manifest.variants}
    assert kept >= {"fp32", "fp16", "int8"}
    left = {entry["id"]: entry for entry in made.outcome.left_out}
    assert ("int8-cpu" in kept) != ("int8-cpu" in left)
    assert all("parity" in entry and "faster" not in entry["why"] for entry in left.values())
    again = build(str(squares), tmp_path / "again", options)
    assert again.bundle.manifest.digest == made.bundle.manifest.digest


def test_int8_of_an_old_opset_is_left_out(built, squares, frames, tmp_path):
    """With the opset that it needs; the reason names no folder of the build."""
    model = onnx.load(built.bundle.root / "model/fp32.onnx")
    model.opset_import[0].version = 12
    onnx.save(model, tmp_path / "old.onnx")
    options = BuildOptions(reference_data=frames, precisions=("int8",), prove="never")
    made = build(str(tmp_path / "old.onnx"), tmp_path / "bundle", options)
    (entry,) = made.bundle.manifest.document["left_out"]
    assert entry["why"].startswith("the graph has opset 12; int8 needs 13")


def test_reasons_hold_no_folder_of_the_build(tmp_path):
    """What the runtime says of a file is cut to one line inside the bundle."""
    from builder.reason import reason

    error = ModelError(f"{tmp_path}/model/int8.onnx: cannot be loaded\nand 40 lines")
    assert reason(error, tmp_path) == "model/int8.onnx: cannot be loaded"


def test_labels_want_reference_data(squares, tmp_path):
    """They belong to its pictures."""
    with pytest.raises(UsageError, match="give --reference-data too"):
        build(str(squares), tmp_path / "b", BuildOptions(labels=tmp_path, prove="never"))


def test_weights_that_are_no_numbers_have_one_precision(tmp_path, frames):
    """A bundle for tests of devices is fp32."""
    from tests.builder.squares import write_squares

    bad = write_squares(tmp_path / "nan.pt", nan=True)
    options = BuildOptions(allow_nonfinite=True, precisions=("fp16",), prove="never")
    with pytest.raises(UsageError, match="only fp32"):
        build(str(bad), tmp_path / "b", options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fp32", ()),
        ("fp32,fp16,int8", ("fp16", "int8")),
        ("int8, fp32 ,int8", ("int8",)),
        ("auto", ("auto",)),
    ],
)
def test_precisions(text, expected):
    """fp32 is always there."""
    assert parse_precisions(text) == expected


def test_a_precision_that_is_not_known():
    """Which ones are."""
    with pytest.raises(UsageError, match="precision 'fp8': there are fp32, fp16"):
        parse_precisions("fp32,fp8")


def test_the_manifest_follows_the_schema(built):
    """With variants, their profiles and the saliency."""
    document = json.loads((built.bundle.root / "manifest.json").read_text())
    assert faults("manifest", document) == []


def test_the_manifest_is_json_that_people_can_read(built):
    """No number with twenty digits in it."""
    text = (built.bundle.root / "manifest.json").read_text()
    parities = json.loads(text)["variants"][1]["parity"]
    assert all(len(repr(value)) <= 8 for value in parities.values() if isinstance(value, float))
