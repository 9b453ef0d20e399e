"""Variants of a bundle: each with its file and, where it has one, its own profile."""

from __future__ import annotations

import json
import shutil

import pytest

from edge_agent.bundle import Bundle, Manifest, hash_file
from edge_agent.config import parse
from edge_agent.errors import BundleError
from edge_agent.loop.loaded import load_release
from edge_agent.monitors.profile import Profile
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A bundle with a second variant whose own profile knows high scores only."""
    bundle = make_bundle(tmp_path_factory.mktemp("two") / "bundle")
    root = bundle.root
    (root / "profiles").mkdir()
    shutil.copy(root / "model/fp32.onnx", root / "model/fp16.onnx")
    profile = Profile.read(root / "profile.json")
    counts = profile.histograms.counts["score"]
    counts[:] = [0] * (len(counts) - 1) + [counts.sum()]
    (root / "profiles/fp16.json").write_bytes(profile.to_bytes())
    document = json.loads((root / "manifest.json").read_text())
    document["variants"].append(
        document["variants"][0]
        | {"id": "fp16", "precision": "fp16", "path": "model/fp16.onnx"}
        | {"profile": "profiles/fp16.json"}
    )
    document["golden"]["tolerance"]["fp16"] = {"iou": 0.9, "score": 0.05}
    for path in ("model/fp16.onnx", "profiles/fp16.json"):
        size = (root / path).stat().st_size
        document["files"].append({"path": path, "size": size, "sha256": hash_file(root / path)})
    manifest = Manifest.from_document(document)
    (root / "manifest.json").write_bytes(manifest.to_bytes())
    return Bundle.open(root)


def test_profile_of_a_variant(two):
    """Its own where it has one, the bundle's otherwise."""
    assert two.manifest.profile_for("fp16") == "profiles/fp16.json"
    assert two.manifest.profile_for("fp32") == "profile.json"
    assert two.manifest.profile_for() == "profile.json"


def test_a_device_downloads_what_its_variant_needs(two):
    """Not the other's model, and not the other's profile."""
    paths = {entry.path for entry in two.manifest.files_for("fp32")}
    assert {"model/fp32.onnx", "profile.json"} <= paths
    assert not paths & {"model/fp16.onnx", "profiles/fp16.json"}
    assert "model/fp32.onnx" not in {e.path for e in two.manifest.files_for("fp16")}
    assert two.manifest.files_for("auto") == two.manifest.files


@pytest.mark.parametrize(("variant", "differs"), [("fp16", True), ("fp32", False)])
def test_the_agent_compares_with_its_variants_profile(two, tmp_path, variant, differs):
    """An int8 model's scores would look like drift beside fp32's."""
    document = {
        "device": {"id": "one", "data": str(tmp_path), "run": str(tmp_path)},
        "model": [{"name": "tiny", "variant": variant}],
        "camera": [{"id": "c", "source": "dir:x", "model": "tiny"}],
        "drift": {"profile_frames": 30, "psi_max": 1.0},
    }
    config = parse(document, tmp_path / "agent.toml")
    loaded = load_release(config, config.models[0], two.root)
    block = Profile.read(two.root / "profile.json").histograms
    for _ in range(4):  # the same 40 frames sixteen times: far more than chance
        block.merge(block)
    verdict = loaded.drift.skew.update(block)
    assert verdict is not None and "score" in verdict.psi
    assert ("score" in verdict.differs) == differs
    loaded.detector.close()


def test_a_profile_that_is_not_listed_is_a_fault(two):
    """A manifest that exists is valid."""
    document = json.loads((two.root / "manifest.json").read_text())
    document["variants"][1]["profile"] = "profiles/other.json"
    with pytest.raises(BundleError, match=r"'profiles/other\.json' is named but not listed"):
        Manifest.from_document(document)
    document["variants"][1]["profile"] = "../other.json"
    with pytest.raises(BundleError, match="leaves the bundle"):
        Manifest.from_document(document)
