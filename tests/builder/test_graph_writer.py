"""What the graph looks like, and what it refuses; no PyTorch needed."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import GraphError
from builder.graph import serialized, write_onnx
from tests.builder.forge import (
    New,
    Raw,
    Tensor,
    attention,
    conv,
    conv2d,
    dump,
    encode,
    head,
    module,
    network,
    pool,
    sequence,
    transposed,
    write_archive,
)
from tests.builder.parity import difference, infer

onnx = pytest.importorskip("onnx", reason="needs the builder extra")
pytest.importorskip("onnxruntime", reason="needs the cpu extra")

DATA = Path(__file__).parent.parent / "data" / "classic_yolov5"


@pytest.fixture(scope="module")
def classic():
    """The shared classic checkpoint."""
    return read_checkpoint(DATA / "classic_n.pt")


def forged(tmp_path, model):
    """Write `model` as a checkpoint and read it back."""
    return read_checkpoint(write_archive(tmp_path / "best.pt", dump({"model": model})))


def test_classic_fixture_matches_its_recorded_output(classic):
    """The output that the original code gave, within 1e-5 relative."""
    recorded = np.load(DATA / "classic_n.npz")
    model = write_onnx(classic, height=128, width=128)
    ours = infer(b"".join(serialized(model)), recorded["x"].astype(np.float32))
    assert difference(ours, recorded["y"], anchors=True) <= 1e-5


def test_model_passes_the_checker(classic):
    """Valid ONNX with inferred shapes, opset 17, IR 8, named as ultralytics names it."""
    model = write_onnx(classic, height=128, width=192)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17 and model.ir_version == 8
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["output0"]


def test_output_shapes(tmp_path, classic):
    """Rows first for anchors, classes first for YOLOv5u; a free batch has a name."""
    anchors = write_onnx(classic, height=128, width=192).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in anchors.dim] == [1, 1512, 8]
    modern = write_onnx(forged(tmp_path, network()), height=64, width=64, batch="dynamic")
    dims = modern.graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch" and [dim.dim_value for dim in dims[1:]] == [6, 64]


def test_bytes_are_the_same_every_time_and_to_every_reader(classic):
    """Reproducible bundles need reproducible graphs; the pieces are one ordinary ONNX file."""
    first = write_onnx(classic, height=128, width=128)
    second = write_onnx(read_checkpoint(DATA / "classic_n.pt"), height=128, width=128)
    data = b"".join(serialized(first))
    assert data == b"".join(serialized(second))
    assert onnx.load_from_string(data) == first


def test_metadata_is_what_ultralytics_reads(classic):
    """Its keys as Python literals, our own author."""
    model = write_onnx(classic, height=128, width=192, batch=4)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert ast.literal_eval(entries["names"]) == {0: "class0", 1: "class1", 2: "class2"}
    assert ast.literal_eval(entries["imgsz"]) == [128, 192]
    assert (entries["stride"], entries["task"], entries["batch"]) == ("32", "detect", "4")
    assert ast.literal_eval(entries["args"])["dynamic"] is False
    assert entries["author"] == "Outpost builder"
    assert entries["outpost.checkpoint_sha256"] == classic.sha256


@pytest.mark.parametrize(
    ("size", "advice"),
    [
        ((100, 128), "height 100 .*use 96"),
        ((128, 0), "width 0 .*use 32"),
        ((128, 9000), "use 8192"),
    ],
)
def test_sizes_that_do_not_fit(classic, size, advice):
    """A size must be a multiple of the stride; the nearest right one is named."""
    with pytest.raises(GraphError, match=advice):
        write_onnx(classic, height=size[0], width=size[1])


def test_batch_must_be_positive(classic):
    """No image is no batch."""
    with pytest.raises(GraphError, match="batch 0"):
        write_onnx(classic, height=128, width=128, batch=0)


def test_broken_weights_pass_through(tmp_path):
    """NaN in the weights is for the device's self-test to judge; the graph shows it as it is."""
    layers = [conv(3, 4, 3, 2), conv(4, 8, 3, 4)]
    layers[0].state["_modules"]["conv"].state["_parameters"]["bias"] = Tensor(
        np.full(4, np.nan, "<f4")
    )
    model = write_onnx(forged(tmp_path, network(layers)), height=32, width=32)
    assert np.isnan(infer(model.SerializeToString(), np.zeros((1, 3, 32, 32), np.float32))).all()


def layer(kind: str, **changes) -> New:
    """Return an odd part: a class that nobody knows, or a known one with odd settings."""
    return module(kind, changes.pop("children", {}), **changes)


UPSAMPLE = "torch.nn.modules.upsampling.Upsample"
PADDING = "torch.nn.modules.padding"


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (layer("models.common.Mystery"), r"model\.0: .* does not know models\.common\.Mystery"),
        (conv(3, 4), r"model\.1\.conv: weights for 5 x 1 channels meet 4 channels"),
        (conv(1, 5), r"model\.0\.conv: weights for 1 x 1 channels meet 3 channels"),
        (conv(3, 5, 3, 2), "the head expects levels of .*, but gets"),
        (layer("models.common.Conv"), "has no part 'conv'"),
        (layer(UPSAMPLE, scale_factor=2.0, mode="bicubic"), "upsamples in mode bicubic by 2"),
        (layer(UPSAMPLE, scale_factor=1.5, mode="bilinear"), "upsamples in mode bilinear by 1.5"),
        (layer(UPSAMPLE, scale_factor=None, mode="nearest"), "scale_factor = None, not a number"),
        (pool(kernel_size=2, ceil_mode=True), "windows beyond the edge"),
        (pool(kernel_size=3, dilation=2), "a pooling with gaps"),
        (pool(kernel_size=2, padding=2), r"pools \(2, 2\) by \(2, 2\) with \(2, 2\) around"),
        (pool(kernel_size=65), "gives a map of 0 x 0 pixels"),
        (
            layer(f"{PADDING}.ZeroPad2d", padding=(0, -1, 0, 1)),
            "pads by a tuple, not by four numbers",
        ),
        (layer(f"{PADDING}.ZeroPad2d", padding=(2**14,) * 4), "map of 32832 x 32832"),
        (layer("models.common.Contract", gain=3), "squares of 3 in 64 x 64 pixels"),
        (layer("models.common.Expand", gain=2), "squares of 2 from 3 channels"),
        (transposed(4), "weights for 4 channels in 1 groups meet 3 channels"),
        (transposed(3, groups=2), "weights for 3 channels in 2 groups meet 3 channels"),
        (transposed(3, stride=0), r"transposed convolution with \(0, 0\) strides"),
        (layer("models.experimental.Sum", weight=False, iter=2), "adds other than the 1 feature"),
        (attention(num_heads=2), "3 channels for 2 heads"),
        (attention(channels=4), r"Linear has weights of \(4, 4\) for 3 channels"),
        (attention(bias_k=Tensor(np.ones((1, 1, 3), "<f4"))), "a learned key and value"),
        (attention(batch_first=True), "other settings than YOLOv5's"),
        (layer("models.common.Concat", d=2), "joins along dimension 2"),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, first, reason):
    """The place in the network, what was found, and for unknown classes what to do."""
    checkpoint = forged(tmp_path, network([first, conv(5, 8, 3, 8)]))
    with pytest.raises(GraphError, match=reason) as caught:
        write_onnx(checkpoint, height=64, width=64)
    assert str(caught.value).startswith(str(checkpoint.path))


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (head(8, 2, f=[5]), "takes its input from layer 5"),
        (head(8, 2, f=["x"]), "takes its input from layer x"),
        (head(8, 2, f=[1, 1]), "the head expects levels"),
        (head(8, 2, reg_max=8), "64 channels where 32 are due"),
        (head(8, 2, stride=Tensor(np.array([16.0], "<f4"))), "the head expects levels"),
        (layer("models.yolo.RTDETRDecoder", nc=2, stride=Tensor(np.ones(1, "<f4")), f=[1]), "head"),
    ],
)
def test_heads_that_do_not_fit_are_named(tmp_path, last, reason):
    """Inputs from nowhere, wrong numbers of channels, other heads."""
    with pytest.raises(GraphError, match=reason):
        write_onnx(forged(tmp_path, network(last=last)), height=64, width=64)


def test_networks_without_end_are_refused(tmp_path):
    """Parts inside themselves, and parts that are repeated ten to the ninth times."""
    home = b"ctorch.nn.modules.container\nSequential\n)\x81"
    inner = encode("_modules", {}) + b"}" + encode("0", {}) + b"h\x00ss"
    endless = Raw(home + b"q\x00}" + inner + encode("f", {}) + encode(-1, {}) + b"sb")
    with pytest.raises(GraphError, match="more than 16 levels"):
        write_onnx(forged(tmp_path, network([conv2d(3, 8, 3, 8), endless])), height=64, width=64)
    part = module("torch.nn.modules.linear.Identity")
    for level in range(1, 9):
        key = bytes([level])
        again = [Raw(encode(part, {}) + b"q" + key), *[Raw(b"h" + key)] * 9]
        part = Raw(encode(sequence("Sequential", again), {}))
    model = network([conv2d(3, 8, 3, 8), sequence("Sequential", [part])])
    with pytest.raises(GraphError, match="20000 parts"):
        write_onnx(forged(tmp_path, model), height=64, width=64)


def _shared(times):
    """One convolution of 1,024 x 1,024 weights over a single stored number, many times."""
    weight = Tensor(np.ones(1, "<f4"), shape=(1024, 1024, 1, 1), strides=(0, 0, 0, 0))
    one = conv2d(1024, 1024)
    one.state["_parameters"] = {"weight": weight}
    return sequence("Sequential", [one] * times)


@pytest.mark.parametrize(
    ("layers", "size", "reason"),
    [
        ([conv(3, 8, 3, 1)], 8192, "a feature map of 3 x 8192 x 8192 numbers"),
        ([conv(3, 1024), _shared(20)], 8, "this file cannot hold so many"),
        ([pool(kernel_size=4000, stride=1, padding=2000)] * 2, 512, "multiplications"),
        ([attention()], 256, r"ma.shares: a feature map of 1 x 65536 x 65536"),
    ],
)
def test_small_files_cannot_ask_for_a_lot(tmp_path, layers, size, reason):
    """Feature maps, weights and the time of a picture are bounded."""
    path = write_archive(tmp_path / "best.pt", dump({"model": network(layers)}))
    with pytest.raises(GraphError, match=reason):
        write_onnx(read_checkpoint(path), height=size, width=size)
