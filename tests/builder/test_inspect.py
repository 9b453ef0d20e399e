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
        "squares 1", bundle.manifest.digest, "3: red, green, blue", "64 x 64 RGB",
        "12 frames, reference fp32-graph", "squares.pt", "fp32", "not compared with PyTorch",
    ):  # fmt: skip
        assert part in text, part


def test_describe_is_the_manifest_and_two_figures(bundle):
    """For scripts: everything of the manifest, the digest and the size."""
    document = describe(bundle)
    assert document["digest"] == bundle.manifest.digest
    assert document["size"] == sum(path.stat().st_size for path in bundle.root.rglob("*")
                                   if path.is_file() and path.name != "manifest.json")  # fmt: skip
    assert document["classes"] == ["red", "green", "blue"]


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
    assert proof_text(variant) == "99.7% of 658 boxes agree with fp32"
    parity |= {"map50_95": 0.5653, "map50_95_loss_points": 0.4}
    assert proof_text(variant).endswith("; mAP50-95 0.565, loses 0.4")


def test_human():
    """Bytes in powers of ten."""
    assert [human(size) for size in (0, 999, 1000, 4_522_853, 7e9, 3e13)] == [
        "0 B", "999 B", "1.0 kB", "4.5 MB", "7.0 GB", "30000.0 GB"
    ]  # fmt: skip
