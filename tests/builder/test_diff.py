"""What changed between two bundles, in words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from builder.build import build
from builder.cli import main
from builder.diff import difference, psi_words
from builder.options import BuildOptions
from tests.builder.squares import write_squares
from tests.builder.test_page import changed


@pytest.fixture(scope="module")
def tilted(frames, tmp_path_factory):
    """A version whose scores are higher, at another size, over fewer pictures."""
    folder = tmp_path_factory.mktemp("tilted")
    options = BuildOptions(reference_data=frames, prove="never", size=(48, 64), version=2)
    return build(str(write_squares(folder / "squares.pt", tilt=1.5)), folder / "b", options).bundle


def texts(first, second):
    """area -> its sentences, in one."""
    found = {}
    for change in difference(first, second).changes:
        found[change.area] = f"{found.get(change.area, '')}{change.text}\n"
    return found


def test_the_same_release(bundle, capsys):
    """Nothing changed, and the command says so."""
    assert difference(bundle, bundle).changes == ()
    assert main(["diff", str(bundle.root), str(bundle.root)]) == 0
    assert "are the same release" in capsys.readouterr().out


def test_another_version(bundle, tilted):
    """Version, size, graph, golden results, profile, reference picture, origin, files."""
    found = texts(bundle, tilted)
    assert found["release"] == "squares 1 became squares 2\n"
    assert found["input"] == "height 64, now 48\n"
    assert "fp32: another graph" in found["variants"]
    assert "other detections on" in found["golden"] or "pictures in both sets" in found["golden"]
    assert "score: PSI" in found["profile"]
    assert found["reference"] == "there is none any more\n"
    assert "checkpoint_sha256" in found["source"]
    assert "1 gone: reference.png" in found["files"] and "downloads" in found["files"]
    assert "classes" not in found and "head" not in found and "decode" not in found


def test_golden_results_of_common_pictures(bundle, squares, frames, tmp_path):
    """Only pictures that both hold are compared; their detections differ in words."""
    options = BuildOptions(reference_data=frames, prove="never", name="squares")
    other = write_squares(tmp_path / "other.pt", tilt=1.5)
    second = build(str(other), tmp_path / "b", options).bundle
    assert "other detections on" in texts(bundle, second)["golden"]


def test_classes(bundle, tmp_path):
    """Gone, new, and other numbers under which consumers would count them."""
    second = changed(bundle, tmp_path / "b", classes=["red", "blue", "violet"])
    found = texts(bundle, second)["classes"]
    assert found.splitlines() == [
        "no longer: green", "new: violet",
        "other numbers, on which consumers may depend: blue 2 -> 1",
    ]  # fmt: skip


def test_contracts_and_proof(bundle, tmp_path):
    """Tables key by key; absent and empty are the same."""
    document = bundle.manifest.document
    variants = [{**document["variants"][0], "parity": {"reference": "pytorch", "frames": 3}}]
    second = changed(
        bundle, tmp_path / "b", decode={**document["decode"], "iou": 0.5}, variants=variants,
        source={**document["source"], "git": {"commit": "c0ffee"}, "note": ""},
    )  # fmt: skip
    found = texts(bundle, second)
    assert found["decode"] == "iou 0.7, now 0.5\n"
    assert "fp32 proof: reference fp32-graph, now pytorch" in found["variants"]
    assert found["source"] == "git.commit absent, now c0ffee\n"


def looking(bundle, folder, previous=None, synthetic=False, **classes):
    """A copy that says what its classes look at: share on the object, likeness."""
    figures = {
        name: {"objects": 2, "on_object": share} | ({} if like is None else {"stability": like})
        for name, (share, like) in classes.items()
    }
    before = {"previous": {"version": 1, "digest": previous}} if previous else {}
    golden = {**bundle.manifest.document["golden"], "synthetic": synthetic}
    return changed(bundle, folder, golden=golden, saliency={"classes": figures, **before})


def test_what_classes_look_at(bundle, tmp_path):
    """Shares that moved, the most first; likeness only with what the second was compared with."""
    first = looking(bundle, tmp_path / "a", red=(0.9, None), green=(0.8, None), blue=(0.7, None))
    digest = first.manifest.digest
    now = {"red": (0.85, 0.41), "green": (0.5, 1.0), "blue": (0.7, None)}
    second = looking(bundle, tmp_path / "b", digest, **now)
    assert texts(first, second)["saliency"].splitlines() == [
        "share on the object: green 80% -> 50%, red 90% -> 85%",
        "looks like before (1: the same): red 0.41, blue new",
    ]
    other = looking(bundle, tmp_path / "c", "5" * 64, **now)
    assert "looks like" not in texts(first, other)["saliency"]
    assert texts(bundle, other)["saliency"] == "measured now\n"
    assert texts(other, bundle)["saliency"] == "not measured any more\n"


def test_synthetic_frames(bundle, tmp_path):
    """A version that was built without reference data proves less than the one before."""
    drawn = looking(bundle, tmp_path / "b", synthetic=True)
    assert "frames of the reference images, now synthetic frames" in texts(bundle, drawn)["golden"]


def test_json(bundle, tilted, capsys):
    """Both ends, every change with its area, PSI per feature."""
    assert main(["diff", str(bundle.root), str(tilted.root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["second"]["digest"] == tilted.manifest.digest and document["same"] is False
    assert {"area", "text"} == set(document["changes"][0])
    assert document["psi"]["score"] > 0 and document["psi"]["luminance"] == 0


def test_psi_in_words():
    """A few pictures prove nothing; many prove a small change to be one."""
    few, many = np.full(10, 2), np.full(10, 10_000)
    assert psi_words(0.5, few, few) == "no more than by chance"
    assert psi_words(0.05, many, many) == "the same"
    assert psi_words(0.2, many, many) == "moved"
    assert psi_words(0.3, many, many) == "another distribution"
