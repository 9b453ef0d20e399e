"""ONNX files in the place of a checkpoint: taken when they are what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from builder.build import build
from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
from builder.graph import write_onnx
from builder.graph.ready import read_ready
from builder.graph.ready_check import run_once
from builder.options import BuildOptions
from edge_agent.detection import selftest
from edge_agent.detection.golden import Golden
from edge_agent.errors import ModelError, UsageError
from tests.builder.evil import product

CLASSIC = Path(__file__).parent.parent / "data" / "classic_yolov5" / "classic_n.pt"


@pytest.fixture(scope="module")
def graph(squares):
    """The graph of the hand-made checkpoint, 64 x 64."""
    return write_onnx(read_checkpoint(squares), height=64, width=64)


def save(model, folder, name="squares.onnx"):
    """A model as a file."""
    onnx.save(model, folder / name)
    return folder / name


def copy(model):
    """A copy to change."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


def test_bundle_of_a_graph_detects_the_same(bundle, graph, frames, tmp_path):
    """Taken byte for byte in its weights; the reference is the graph, and the manifest says so."""
    options = BuildOptions(
        reference_data=frames, reference_image=frames / "0000.png", name="squares"
    )
    built = build(str(save(graph, tmp_path)), tmp_path / "b", options)
    manifest = built.bundle.manifest
    assert manifest.classes == bundle.manifest.classes and manifest.head == "yolov5u"
    assert manifest.golden.reference == "fp32-graph" and built.proof is None
    assert manifest.source["checkpoint"] == "squares.onnx"
    assert selftest.run(built.bundle).ok
    expected, found = Golden.read(bundle), Golden.read(built.bundle)
    for ours, theirs in zip(found.frames, expected.frames, strict=True):
        np.testing.assert_allclose(ours.detections, theirs.detections, atol=1e-4)


def test_proof_cannot_be_required(graph, frames, tmp_path):
    """PyTorch has nothing to compare with; another exporter makes no sense either."""
    path = save(graph, tmp_path)
    with pytest.raises(UsageError, match="came without its checkpoint"):
        build(str(path), tmp_path / "b", BuildOptions(reference_data=frames, prove="require"))
    with pytest.raises(ModelError, match=r"takes 64 x 64 pixels.*not 32 x 32; leave --imgsz"):
        build(str(path), tmp_path / "b", BuildOptions(reference_data=frames, size=(32, 32)))
    assert [one.name for one in tmp_path.iterdir()] == ["squares.onnx"]


def test_classic_head(tmp_path):
    """The anchor head is known by the shape of its output."""
    model = write_onnx(read_checkpoint(CLASSIC), height=64, width=96)
    ready = read_ready(save(model, tmp_path))
    assert (ready.head, ready.sides) == ("yolov5-anchor", (64, 96))
    assert ready.names == read_checkpoint(CLASSIC).names


def test_free_size_is_fixed(squares, graph, tmp_path):
    """A graph with a free batch gives the single-image graph that devices run."""
    free = write_onnx(read_checkpoint(squares), height=64, width=64, batch="dynamic")
    ready = read_ready(save(free, tmp_path))
    fixed = ready.graph(height=64, width=64)
    assert [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 64]
    assert ready.graph(height=64, width=64, batch="dynamic") is not None
    with pytest.raises(ModelError, match="one image a run"):
        read_ready(save(graph, tmp_path)).graph(height=64, width=64, batch="dynamic")


def test_weights_beside_the_graph(graph, tmp_path):
    """As MLflow's onnx flavour writes them: taken in, hashed, and refused through a link."""
    plain = read_ready(save(graph, tmp_path))
    (tmp_path / "two").mkdir()
    path = tmp_path / "two" / "squares.onnx"
    onnx.save(copy(graph), path, save_as_external_data=True, location="w.data", size_threshold=200)
    ready = read_ready(path)
    ours, theirs = (one.graph(height=64, width=64).graph.initializer for one in (ready, plain))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))
    weights = path.with_name("w.data")
    weights.write_bytes(b"\0\0\0\0" + weights.read_bytes()[4:])
    assert read_ready(path).sha256 != ready.sha256
    weights.write_bytes(b"short")
    with pytest.raises(CheckpointError, match="weights cannot be read"):
        read_ready(path)
    weights.unlink()
    weights.symlink_to("/etc/passwd")
    with pytest.raises(CheckpointError, match="copy both files"):
        read_ready(path)


def test_names_can_be_missing(graph, tmp_path):
    """Then classes are numbers, and the build warns."""
    bare = copy(graph)
    del bare.metadata_props[:]
    ready = read_ready(save(bare, tmp_path))
    assert ready.names == ("0", "1", "2")
    assert "has no class names" in ready.notes[0]


def _without_sigmoid(model):
    for node in model.graph.node:
        if node.op_type == "Sigmoid" and "cv3" not in node.name and node is not None:
            last = node
    last.op_type = "Neg"


def _normalised(model):
    output = model.graph.node[-1].output[0]
    model.graph.node[-1].output[0] = "pixels"
    factors = np.array([1 / 64] * 4 + [1] * 3, np.float32).reshape(1, 7, 1)
    model.graph.initializer.append(numpy_helper.from_array(factors, "factors"))
    model.graph.node.append(helper.make_node("Mul", ["pixels", "factors"], [output]))


def _external(place):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)

    return change


def _half(model):
    tensor = model.graph.initializer[0]
    half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
    tensor.CopyFrom(half)


def _append(kind, **attributes):
    def change(model):
        model.graph.node.append(helper.make_node(kind, ["output0"], ["more"], **attributes))

    return change


def _branch(model):
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(
        helper.make_node("If", ["output0"], ["x"], then_branch=inner, else_branch=inner)
    )


def _classes(model):
    for entry in model.metadata_props:
        if entry.key == "names":
            entry.value = "{0: 'scratch', 1: 'hole'}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_sigmoid, "no probabilities"),
        (_normalised, "fractions of the picture"),
        (_external("../../etc/passwd"), r"keeps weights in \.\./\.\./etc/passwd"),
        (_external("/etc/passwd"), "does not lie beside it"),
        (_external("missing.data"), r"missing\.data are missing; copy both files"),
        (_half, "half-precision weights"),
        (_append("NonMaxSuppression"), "suppression belongs outside"),
        (_append("Shout", domain="com.example"), "operators of com.example"),
        (_append("RandomNormalLike"), "another answer each time"),
        (_append("QuantizeLinear"), "is quantized"),
        (_branch, "branches or loops"),
        (_classes, r"not the raw output of 2 classes"),
        (lambda m: m.graph.output.add(name="more"), "gives 2 outputs"),
        (lambda m: m.graph.input.add(name="more"), "takes 2 inputs"),
        (lambda m: setattr(m, "ir_version", 99), "IR version 99"),
        (lambda m: setattr(m.opset_import[0], "version", 30), "opset 30"),
        (lambda m: setattr(m.graph.node[0], "op_type", "Nonsense"), "not valid ONNX"),
    ],
)
def test_other_graphs_are_refused(graph, tmp_path, change, message):
    """What is not the raw float32 graph of a YOLOv5 is named, in one line."""
    wrong = copy(graph)
    change(wrong)
    path = tmp_path / "wrong.onnx"
    path.write_bytes(wrong.SerializeToString())
    with pytest.raises(CheckpointError, match=message) as caught:
        read_ready(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x08\x08\x12", None])
def test_damaged_files(graph, tmp_path, data):
    """Nothing, a text, half a file: each is refused."""
    path = tmp_path / "x.onnx"
    path.write_bytes(graph.SerializeToString()[:-500] if data is None else data)
    with pytest.raises(CheckpointError):
        read_ready(path)


def test_nonfinite_weights(graph, frames, tmp_path):
    """NaN is found in a graph as in a checkpoint."""
    bad = copy(graph)
    tensor = next(one for one in bad.graph.initializer if len(one.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(ModelError, match="not finite"):
        build(str(save(bad, tmp_path)), tmp_path / "b", BuildOptions(reference_data=frames))


def test_a_graph_without_end_is_stopped(tmp_path):
    """What takes hours on one picture is refused after the time that it is given."""
    with pytest.raises(CheckpointError, match=r"big\.onnx: gives no output within 2 s"):
        run_once(tmp_path / "big.onnx", product(20_000), timeout_s=2)


def test_a_graph_without_bounds_is_stopped(tmp_path):
    """What takes more memory than a yolov5x6 is refused, and the machine keeps its own."""
    with pytest.raises(CheckpointError, match="cannot run it on 64 x 64 pixels"):
        run_once(tmp_path / "big.onnx", product(30_000), timeout_s=30, most_bytes=3 * 1024**3)
