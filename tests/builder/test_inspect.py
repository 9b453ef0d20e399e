"""What a person sees of a bundle."""

from __future__ import annotations

import json

from builder.inspect import describe, human, proof_text, render
from edge_agent.bundle import Variant
from tests.builder.test_page import changed
from tests.schemas import faults


def test_render_says_what_a_person_asks(bundle):
    """Release, digest, classes, input, golden set, variants."""
    text = render(bundle)
    for part in (
        "squares 1", bundle.manifest.digest, "3: red, green, blue", "64 x 64 RGB (height x width)",
        "12 frames of the reference images, reference fp32-graph", "fp32 IoU 0.99, score ± 0.001",
        "squares.pt", "fp32", "not compared with PyTorch",
    ):  # fmt: skip
        assert part in text, part


def test_describe_is_the_manifest_and_two_figures(bundle):
    """For scripts: everything of the manifest, the digest and the size."""
    document = describe(bundle)
    assert document["digest"] == bundle.manifest.digest
    assert document["size"] == sum(path.stat().st_size for path in bundle.root.rglob("*")
                                   if path.is_file() and path.name != "manifest.json")  # fmt: skip
    assert document["classes"] == ["red", "green", "blue"]


def test_synthetic_frames_are_called_so(bundle, tmp_path):
    """They prove less, so the first look says it."""
    golden = {**bundle.manifest.document["golden"], "synthetic": True}
    assert "12 synthetic frames (drawings" in render(changed(bundle, tmp_path / "b", golden=golden))


LOOKS = {
    "classes": {
        "red": {"objects": 4, "on_object": 0.9, "stability": 0.8},
        "green": {"objects": 2, "on_object": 0.55, "stability": 0.314},
        "blue": {"objects": 1, "on_object": 0.5},
    },
    "previous": {"version": 7, "digest": "5" * 64},
}


def rows_of(text, first):
    """The rows of the table whose head begins so, as lists of words."""
    lines = text[text.index(first) :].partition("\n\n")[0].splitlines()
    return [line.split() for line in lines[2:]]


def test_what_other_builds_know_in_words(bundle, tmp_path):
    """Left out and why, drift per class, what the classes look at; the worst first."""
    document = bundle.manifest.document
    drift = {"red": 0.001, "green": -0.0302, "blue": -0.00001}
    variants = [{**document["variants"][0], "parity": {"agreement": 1.0, "score_drift": drift}}]
    left = [{"id": "int8", "why": "loses 3.10 points of mAP50-95 (at most 1)"}]
    text = render(changed(bundle, tmp_path / "b", variants=variants, left_out=left, saliency=LOOKS))
    assert "int8      loses 3.10 points of mAP50-95 (at most 1)" in text
    assert rows_of(text, "class  score drift of fp32") == [
        ["green", "-0.0302"], ["red", "+0.0010"], ["blue", "+0.0000"]
    ]  # fmt: skip
    assert "like version 7 (1: the same)" in text
    assert rows_of(text, "class  objects") == [
        ["green", "2", "55%", "0.31"], ["red", "4", "90%", "0.80"], ["blue", "1", "50%", "new"]
    ]  # fmt: skip
    alone = changed(bundle, tmp_path / "c", saliency={"classes": LOOKS["classes"]})
    assert rows_of(render(alone), "class  objects")[0] == ["green", "2", "55%"]


def test_hundreds_of_classes_are_cut_short(bundle, tmp_path):
    """The twelve that matter most, and where the others are."""
    classes = {f"c{n}": {"objects": 1, "on_object": 1, "stability": n / 100} for n in range(90)}
    looks = {"classes": classes, "previous": {"version": 1}}
    text = render(changed(bundle, tmp_path / "b", saliency=looks))
    assert "c11 " in text and "c12 " not in text and "and 78 more classes: see --json" in text


def test_nonsense_is_left_out(bundle, tmp_path):
    """Nothing checks these parts of a manifest when it is read."""
    document = bundle.manifest.document
    parity = {"agreement": "all", "map50_95": [], "score_drift": {"red": "much", "blue": True}}
    odd = changed(
        bundle, tmp_path / "b", variants=[{**document["variants"][0], "parity": parity}],
        left_out=[{}, "int8", {"id": 5}],
        saliency={"classes": {"red": 5, "blue": {"objects": "x"}}, "previous": []},
    )  # fmt: skip
    text = render(odd)
    assert "all of ? boxes agree" in text and "drift" not in text and "objects" not in text


def test_origin_in_words(bundle, tmp_path):
    """Training, commit, metrics and data where a manifest has them."""
    source = {
        **bundle.manifest.source, "git": {"commit": "c0ffee", "branch": "main"},
        "metrics": {"mAP50": 0.75, "odd": "text"}, "trained_with": "8.4",
        "reference_data": {"name": "val", "images": 9, "sha256": "5" * 64,
                           "dvc": {"file": "val.dvc", "hash": "22a1.dir"}},
    }  # fmt: skip
    text = render(changed(bundle, tmp_path / "b", source=source))
    for part in ("2026-11-01T00:00:00 with 8.4", "c0ffee on main", "mAP50 0.75\n",
                 "9 images of val, SHA-256 555555555555…", "22a1.dir (val.dvc)"):  # fmt: skip
        assert part in text, part


def test_built_bundles_follow_the_schemas(bundle):
    """What the builder writes is what the shipped JSON Schemas describe."""
    manifest = bundle.manifest
    places = {"profile": manifest.profile, "golden": manifest.golden.path}
    for name, path in ({"manifest": "manifest.json"} | places).items():
        document = json.loads((bundle.root / path).read_text())
        assert faults(name, document) == []


def test_proof_in_words():
    """The figures of a proof are shown."""
    parity = {
        "reference": "pytorch", "frames": 12, "max_relative_box_difference": 3e-7,
        "max_score_difference": 1e-7,
    }  # fmt: skip
    text = proof_text(Variant("fp32", "fp32", "model/fp32.onnx", 17, parity))
    assert text == "PyTorch on 12 frames: boxes 3e-07, scores 1e-07"


def test_proof_of_a_variant_in_words():
    """How many boxes agree, and what it costs in mAP."""
    parity = {"reference": "fp32-graph", "boxes": 658, "agreement": 0.997}
    variant = Variant("int8", "int8", "model/int8.onnx", 17, parity)
    assert proof_text(variant) == "99.7% of 658 boxes agree with the fp32 graph"
    parity |= {"map50_95": 0.5653, "map50_95_loss_points": 0.4}
    assert proof_text(variant).endswith("loses 0.4 points of 100 against the fp32 graph")
    parity["detections_reference"] = "pytorch"
    assert "658 boxes agree with PyTorch; mAP50-95 0.565" in proof_text(variant)
    assert proof_text(variant).endswith("loses 0.4 points of 100 against PyTorch")


def test_human():
    """Bytes in powers of ten."""
    assert [human(size) for size in (0, 999, 1000, 4_522_853, 7e9, 3e13)] == [
        "0 B", "999 B", "1.0 kB", "4.5 MB", "7.0 GB", "30000.0 GB"
    ]  # fmt: skip
