"""The JSON Schemas agree with the readers: what a reader refuses, they refuse."""

from __future__ import annotations

import copy
import json
import math

import pytest

from edge_agent.bundle import HEADS, INTERPOLATIONS, PRECISIONS, REFERENCES, Manifest
from edge_agent.detection.golden import Golden
from edge_agent.errors import BundleError
from edge_agent.monitors.profile import Profile
from tests.bundles import make_bundle
from tests.schemas import faults

GONE = object()

MANIFEST = [
    *[([name], GONE) for name in ("schema_version", "name", "version", "created", "classes", "head",
                                  "input", "decode", "variants", "golden", "files")],
    *[(["input", name], GONE) for name in ("width", "layout", "scale", "scaleup", "rounding")],
    *[(["decode", name], GONE) for name in ("confidence", "iou", "max_detections", "floor")],
    *[(["variants", 0, name], GONE) for name in ("id", "precision", "path", "opset")],
    *[(["golden", name], GONE) for name in ("path", "reference", "frames", "synthetic",
                                            "tolerance")],
    *[(["files", 0, name], GONE) for name in ("path", "size", "sha256")],
    *[(["profile"], path) for path in ("../x", "/x", "a//b", "a/../b", "./a", "a/", "", "a\\b",
                                       "..", "x" * 513, "a\nb", 7)],
    (["reference_image"], "../reference.png"), (["files", 0, "path"], "a/./b"),
    (["files", 0, "path"], "manifest.json"), (["variants", 0, "path"], "/etc/passwd"),
    (["golden", "path"], "../golden"), (["variants", 0, "path"], ""),
    (["schema_version"], 2), (["schema_version"], "1"),
    (["name"], ""), (["name"], "a b"), (["name"], "../a"), (["name"], "x" * 129), (["name"], 3),
    (["version"], 0), (["version"], "1"), (["version"], 1.5), (["version"], True),
    (["version"], 10**30), (["created"], 5), (["classes"], []), (["classes"], [1]),
    (["classes"], "ab"), (["head"], "yolov9"), (["license"], 5), (["source"], []),
    (["input", "width"], 31), (["input", "height"], 8193), (["input", "colour"], "GRAY"),
    (["input", "layout"], "NHWC"), (["input", "scale"], 0), (["input", "scale"], 2),
    (["input", "scale"], "1"), (["input", "pad_value"], 256), (["input", "pad_value"], -1),
    (["input", "interpolation"], "lanczos"), (["input", "scaleup"], 1),
    (["input", "rounding"], "floor"), (["input"], []), (["decode", "confidence"], 1.5),
    (["decode", "iou"], -0.1), (["decode", "max_detections"], 0), (["decode", "floor"], None),
    (["variants"], []), (["variants"], {}), (["variants", 0], "fp32"),
    (["variants", 0, "id"], "fp 32"), (["variants", 0, "precision"], "fp8"),
    (["variants", 0, "opset"], 6), (["variants", 0, "parity"], []),
    (["variants", 0, "parity", "reference"], "opinion"),
    (["variants", 0, "parity", "detections_reference"], "opinion"),
    (["variants", 0, "parity", "detections_reference"], 1),
    (["variants", 0, "profile"], "../p.json"), (["golden", "reference"], "opinion"),
    (["golden", "synthetic"], "no"), (["golden", "synthetic"], 0),
    (["golden", "frames"], 0), (["golden", "tolerance"], []),
    (["golden", "tolerance", "fp32"], {"iou": 0.9}), (["golden", "tolerance", "fp32", "iou"], 2),
    (["files"], []), (["files", 0, "size"], -1), (["files", 0, "size"], 1.5),
    (["files", 0, "sha256"], "A" * 64), (["files", 0, "sha256"], "a" * 63),
]  # fmt: skip
KEPT = [
    (["profile"], None), (["reference_image"], None), (["license"], GONE), (["license"], None),
    (["source"], GONE), (["variants", 0, "parity"], GONE), (["unknown"], {"kept": True}),
    (["variants", 0, "parity"], {"reference": "pytorch", "detections_reference": "fp32-graph"}),
    (["variants", 0, "parity"], {"detections_reference": None, "unknown": 1}),
    (["input", "batch"], "dynamic"), (["left_out"], []), (["variants", 0, "profile"], None),
]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A real bundle."""
    return make_bundle(tmp_path_factory.mktemp("schemas") / "v1")


def mutated(document, place, value):
    """A copy of a document with one value replaced, or taken away."""
    changed = copy.deepcopy(document)
    table = changed
    for key in place[:-1]:
        table = table[key]
    if value is GONE:
        table.pop(place[-1], None)
    else:
        table[place[-1]] = value
    return changed


def read(path):
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_real_documents_pass(bundle):
    """Manifest, profile and golden set of a bundle as it is."""
    assert faults("manifest", read(bundle.root / "manifest.json")) == []
    assert faults("profile", read(bundle.path(bundle.manifest.profile))) == []
    assert faults("golden", read(bundle.path(bundle.manifest.golden.path))) == []


@pytest.mark.parametrize(("place", "value"), MANIFEST, ids=lambda part: str(part)[:40])
def test_manifests_that_both_refuse(bundle, place, value):
    """One mutation each: the reader refuses it, and so does the schema."""
    document = mutated(read(bundle.root / "manifest.json"), place, value)
    with pytest.raises(BundleError):
        Manifest.from_document(document)
    assert faults("manifest", document)


@pytest.mark.parametrize(("place", "value"), KEPT, ids=lambda part: str(part)[:40])
def test_manifests_that_both_take(bundle, place, value):
    """What may be absent, null or unknown."""
    document = mutated(read(bundle.root / "manifest.json"), place, value)
    Manifest.from_document(document)
    assert faults("manifest", document) == []


def test_choices_are_the_same():
    """The closed sets of the reader are those of the schema."""
    from importlib.resources import files

    schema = json.loads((files("edge_agent") / "schemas/manifest.schema.json").read_text())
    assert schema["properties"]["head"]["enum"] == list(HEADS)
    assert schema["$defs"]["precision"]["enum"] == list(PRECISIONS)
    assert schema["$defs"]["reference"]["enum"] == list(REFERENCES)
    interpolation = schema["$defs"]["input"]["properties"]["interpolation"]["enum"]
    assert interpolation == list(INTERPOLATIONS)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["schema_version"], 2), (["classes"], 0), (["frames"], -1), (["counts"], GONE),
        (["counts", "score"], GONE), (["counts", "score"], [1, 2]), (["counts", "ssim", 0], -1),
        (["counts", "ssim", 0], 0.5), (["counts", "class", 0], "1"), (["source"], 5),
        (["counts", "class"], []),
    ],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_profiles_that_both_refuse(bundle, place, value):
    """Counts that are none, bins that are missing."""
    document = mutated(read(bundle.path(bundle.manifest.profile)), place, value)
    with pytest.raises(BundleError):
        Profile.parse(json.dumps(document).encode())
    assert faults("profile", document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["schema_version"], GONE), (["frames"], []), (["frames", 0, "file"], "../0.png"),
        (["frames", 0, "file"], GONE), (["frames", 0, "detections"], GONE),
        (["frames", 0, "detections"], [[0, 0, 1, 1, 0.5]]),
        (["frames", 0, "detections"], [[0, 0, 1, 1, 1.5, 0]]),
        (["frames", 0, "detections"], [[0, 0, 1, 1, 0.5, 0.5]]),
        (["frames", 0, "detections"], [[0, 0, 1, 1, 0.5, -1]]),
        (["frames", 0, "detections"], [[0, 0, 1, "1", 0.5, 0]]),
    ],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_golden_sets_that_both_refuse(bundle, place, value):
    """Rows that are no detections, files that leave the bundle."""
    document = mutated(read(bundle.path(bundle.manifest.golden.path)), place, value)
    with pytest.raises(BundleError):
        Golden.parse(json.dumps(document).encode(), classes=3)
    assert faults("golden", document)


@pytest.mark.parametrize(
    ("place", "value"),
    [(["decode", "floor"], 0.9), (["golden", "tolerance"], {}), (["profile"], "not/listed.json")],
    ids=str,
)
def test_what_only_the_reader_knows(bundle, place, value):
    """Rules over two fields are the reader's alone; the schema's comment says which."""
    document = mutated(read(bundle.root / "manifest.json"), place, value)
    with pytest.raises(BundleError):
        Manifest.from_document(document)
    assert faults("manifest", document) == []


def test_numbers_that_are_none(bundle):
    """NaN and Infinity, which JSON's readers in Python let through."""
    for value in (math.nan, math.inf):
        document = mutated(read(bundle.root / "manifest.json"), ["decode", "iou"], value)
        with pytest.raises(BundleError):
            Manifest.from_document(document)
