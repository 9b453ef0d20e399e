"""The second output from the graph writer to the verdict about a camera."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from builder.build import build
from builder.checkpoint import read_checkpoint
from builder.graph import serialized, write_onnx
from builder.options import BuildOptions
from deploy.demo.line.dataset import pictures
from edge_agent.bundle import EmbeddingSpec, Manifest
from edge_agent.detection import selftest
from edge_agent.detection.detector import Detector
from edge_agent.drift.history import Block, History
from edge_agent.drift.layout import Layout
from edge_agent.drift.skew import judge
from edge_agent.errors import BundleError, ModelError, UsageError
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.histogram import EMBEDDING_FEATURES, Histograms
from edge_agent.monitors.observe import observe_input
from edge_agent.monitors.profile import Profile
from tests.bundles import WIDTH, frame, write_frames
from tests.schemas import faults

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy/demo/models/defects-v2.pt"
CLASSIC = ROOT / "tests/data/classic_yolov5/classic_n.pt"


@pytest.fixture(scope="module")
def embedded(squares, frames, tmp_path_factory):
    """The squares with an embedding, in three precisions."""
    options = BuildOptions(
        reference_data=frames, precisions=("fp16", "int8"), prove="never", embedding=True
    )
    return build(str(squares), tmp_path_factory.mktemp("embedded") / "bundle", options).bundle


@pytest.mark.parametrize("checkpoint", [DEMO, CLASSIC], ids=["yolov5u", "classic"])
def test_it_is_the_mean_of_the_coarsest_features(checkpoint):
    """Of the layer that the head lists last, over all cells; the raw output stays as it is."""
    read = read_checkpoint(checkpoint)
    model = write_onnx(read, height=128, width=192, embedding=True)
    onnx.checker.check_model(model, full_check=True)
    pool = next(node for node in model.graph.node if node.name.startswith("/embedding/Glob"))
    source = read.layers[-1].get("f")[-1]
    assert pool.input[0].startswith(f"/model/{source}/")
    assert [one.name for one in model.graph.output] == ["output0", "embedding"]
    model.graph.output.append(onnx.ValueInfoProto(name=pool.input[0]))
    picture = np.random.default_rng(0).random((1, 3, 128, 192), np.float32)
    raw, embedding, features = _run(model, picture)
    assert np.abs(embedding - features.mean((2, 3))).max() < 1e-5
    assert np.array_equal(raw, _run(write_onnx(read, height=128, width=192), picture)[0])


def _run(model, picture):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"images": picture})


def test_a_free_batch_has_one_for_each_picture():
    """(batch, channels)."""
    model = write_onnx(read_checkpoint(DEMO), height=64, width=64, batch="dynamic", embedding=True)
    pair = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    both, one = _run(model, pair)[1], _run(model, pair[1:])[1]
    assert both.shape == (2, 128) and np.abs(both[1] - one[0]).max() < 1e-5


def test_nobody_asked_and_nothing_changes(bundle, squares):
    """One output, no field, no file, no counts."""
    assert bundle.manifest.embedding is None and "embedding" not in bundle.manifest.document
    assert not bundle.path("embedding.json").exists() and Projection.of(bundle) is None
    profile = Profile.of(bundle)
    assert not any(profile.histograms.counts[name].any() for name in EMBEDDING_FEATURES)
    detector = Detector.load(bundle)
    assert detector.embeds is False and detector.detect(frame(1)).embedding is None


def test_the_bundle_says_what_it_gives(embedded):
    """Manifest and projection follow their schemas, and the device's self-test passes."""
    document = json.loads(embedded.path("manifest.json").read_bytes())
    assert faults("manifest", document) == []
    channels = embedded.manifest.embedding.channels
    assert embedded.manifest.embedding == EmbeddingSpec("embedding", channels, "embedding.json")
    assert faults("embedding", json.loads(embedded.path("embedding.json").read_bytes())) == []
    assert Projection.of(embedded).pictures == 24
    embedded.verify()
    assert selftest.run(embedded).ok


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_every_variant_gives_it_and_counts_its_own(embedded, variant):
    """In float32 at the end; the profile has each picture once."""
    detector, projection = Detector.load(embedded, variant=variant), Projection.of(embedded)
    assert detector.embeds
    found = detector.detect(frame(3)).embedding
    exact = Detector.load(embedded).detect(frame(3)).embedding
    assert found.dtype == np.float32 and found.shape == exact.shape
    ours, theirs = (np.asarray([*projection.features(one).values()]) for one in (found, exact))
    assert np.abs(ours - theirs).max() < (0.05 if variant == "fp16" else 0.5)
    counts = Profile.of(embedded, variant).histograms.counts
    assert [int(counts[name].sum()) for name in EMBEDDING_FEATURES] == [24] * 5


def test_the_same_input_makes_the_same_bytes(squares, frames, tmp_path, embedded):
    """Projection and counts included."""
    options = BuildOptions(
        reference_data=frames, precisions=("fp16", "int8"), prove="never", embedding=True
    )
    again = build(str(squares), tmp_path / "again", options).bundle
    assert again.manifest.digest == embedded.manifest.digest


@pytest.mark.parametrize(
    ("place", "value"),
    [("output", "../x"), ("output", 3), ("channels", 0), ("channels", 8193), ("path", "/abs"),
     ("path", "other.json"), ("path", None)],
)  # fmt: skip
def test_a_manifest_that_says_nonsense_is_refused(embedded, place, value):
    """Name, size and path are checked, and the path has to be a listed file."""
    document = json.loads(embedded.path("manifest.json").read_bytes())
    document["embedding"][place] = value
    with pytest.raises(BundleError, match=r"embedding|other\.json"):
        Manifest.from_document(document)
    assert faults("manifest", document) or value == "other.json"


def test_a_graph_without_it_is_refused(embedded, squares, tmp_path):
    """The manifest's promise holds for every variant."""
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(
        b"".join(serialized(write_onnx(read_checkpoint(squares), height=64, width=64)))
    )
    embedded_path = embedded.path("model/fp32.onnx")
    kept = embedded_path.read_bytes()
    embedded_path.write_bytes(plain.read_bytes())
    try:
        with pytest.raises(ModelError, match="gives no embedding, which the manifest promises"):
            Detector.load(embedded)
    finally:
        embedded_path.write_bytes(kept)


def test_what_it_cannot_be_made_of(squares, frames, tmp_path):
    """No reference pictures, too few of them, a graph of somebody else."""
    out = tmp_path / "b"
    with pytest.raises(UsageError, match="give --reference-data, 20 images or more"):
        build(str(squares), out, BuildOptions(prove="never", embedding=True))
    few = write_frames(tmp_path / "few", 8)
    options = BuildOptions(reference_data=few, prove="never", embedding=True)
    with pytest.raises(UsageError, match="8 reference images are too few"):
        build(str(squares), out, options)
    graph = tmp_path / "m.onnx"
    graph.write_bytes(
        b"".join(serialized(write_onnx(read_checkpoint(squares), height=64, width=64)))
    )
    options = BuildOptions(reference_data=frames, prove="never", embedding=True)
    with pytest.raises(UsageError, match="only Outpost's own graph writer gives one"):
        build(str(graph), out, options)
    assert not out.exists()


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """The demo's network with 40 reference pictures of the line, and what it sees of others.

    Returns:
        Profile, projection, and per kind of picture the (60, channels) embeddings.
    """
    root = tmp_path_factory.mktemp("line")
    for number, (picture, _) in enumerate(pictures("val", 40, 3)):
        cv2.imwrite(str(root / f"{number:04d}.png"), picture)
    options = BuildOptions(size=(256, 256), reference_data=root, prove="never", embedding=True)
    made = build(str(DEMO), tmp_path_factory.mktemp("demo") / "bundle", options).bundle
    live = [picture for picture, _ in itertools.islice(pictures("test", 60, 11), 60)]
    kinds = {
        "clean": live,
        "blurred": [cv2.GaussianBlur(one, (0, 0), 1.5) for one in live],
        "darker": [(one * 0.7).astype(np.uint8) for one in live],
        "upside down": [np.ascontiguousarray(one[::-1]) for one in live],
    }
    detector = Detector.load(made)
    found = {
        kind: np.stack([detector.detect(one).embedding for one in shown])
        for kind, shown in kinds.items()
    }
    return Profile.of(made), Projection.of(made), found


@pytest.mark.parametrize("kind", ["clean", "blurred", "darker", "upside down"])
def test_the_profile_knows_its_own_kind_of_picture(line, kind):
    """A real network: parts that it never saw look usual; other light or sharpness does not."""
    profile, projection, found = line
    counted = Histograms(profile.histograms.classes)
    for embedding in found[kind]:
        counted.frames += 1
        observe_input(counted, projection.features(embedding))
    verdict = judge(profile.histograms, counted, 0.25, EMBEDDING_FEATURES)
    assert set(verdict.psi) == set(EMBEDDING_FEATURES)
    assert ("embedding_distance" in verdict.differs) is (kind != "clean")
    if kind == "clean":
        assert verdict.differs == ()


@pytest.mark.parametrize("kind", ["clean", "blurred", "darker", "upside down"])
def test_a_camera_knows_its_own_past(line, kind):
    """Draws of clean frames never raise the alarm; three blocks of others do, by the embedding."""
    _, projection, found = line
    layout, rng = Layout(3, embedding=True), np.random.default_rng(1)
    history = History.begin(layout)
    values = {
        name: [projection.features(one) for one in embeddings] for name, embeddings in found.items()
    }

    def block(of: str) -> Block:
        counts = np.zeros(layout.size, np.int64)
        for index in rng.integers(0, 60, 100).tolist():
            counts[layout.indices(values[of][index])] += 1
        return Block({7: 100}, {7: counts}, 3600.0)

    def watch(of: str, blocks: int) -> None:
        for _ in range(blocks):
            if history.add(block(of), 0.0):
                history.conclude(1.0)

    watch("clean", 26)
    assert not history.learning and not history.standing.raised
    watch(kind, 6)
    raised = history.standing.raised
    assert raised <= set(EMBEDDING_FEATURES)
    assert ("embedding_distance" in raised) is (kind != "clean")


def test_the_size_of_a_picture_does_not_matter(embedded):
    """As many numbers for a picture of another size: the letterbox comes first."""
    detector = Detector.load(embedded)
    wide = cv2.resize(frame(1), (3 * WIDTH, 100))
    assert detector.detect(wide).embedding.shape == detector.detect(frame(1)).embedding.shape
