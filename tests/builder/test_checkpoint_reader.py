"""What is read from honest checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
from tests.builder.forge import (
    Call,
    Global,
    New,
    Raw,
    Tensor,
    conv,
    dump,
    head,
    network,
    write_archive,
)

CLASSIC = Path(__file__).parent.parent / "data" / "classic_yolov5" / "classic_n.pt"

HALF = np.float64(0.5).tobytes()
SIMPLE = Global("argparse", "Namespace")


def read(tmp_path, top, **options):
    """Write `top` as a checkpoint and read it back."""
    return read_checkpoint(write_archive(tmp_path / "best.pt", dump(top), **options))


def test_classic_checkpoint_is_described():
    """Head, classes, strides, size and precision of the shared classic fixture."""
    checkpoint = read_checkpoint(CLASSIC)
    assert checkpoint.head == "yolov5-anchor"
    assert checkpoint.names == ("class0", "class1", "class2")
    assert checkpoint.strides == (8, 16, 32) and checkpoint.stride == 32
    assert checkpoint.precision == "float16" and checkpoint.weights == "model"
    assert checkpoint.date == "2023-01-01T00:00:00" and checkpoint.image_size == 128
    assert len(checkpoint.layers) == 25 and len(checkpoint.sha256) == 64


def test_stored_tensors_are_views_of_the_file():
    """Nothing is copied, and nobody can write into the mapped file."""
    weight = read_checkpoint(CLASSIC).layers[0].child("conv").array("weight", dims=4)
    assert weight.shape == (16, 3, 6, 6) and not weight.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        weight[0] = 0


def test_ema_goes_before_model(tmp_path):
    """Both training codes deploy the averaged weights when they are there."""
    top = {"model": network(names=["a", "b"]), "ema": network(names=["c", "d"]), "updates": 7}
    checkpoint = read(tmp_path, top)
    assert checkpoint.weights == "ema" and checkpoint.names == ("c", "d")


@pytest.mark.parametrize("missing", [None, {}])
def test_model_is_used_without_ema(tmp_path, missing):
    """A stripped checkpoint has its weights under model."""
    assert read(tmp_path, {"ema": missing, "model": network()}).weights == "model"


def test_whole_model_is_read(tmp_path):
    """MLflow's pytorch flavour saves the network itself, without a dictionary around it."""
    assert read(tmp_path, network()).weights == "whole file"


@pytest.mark.parametrize(
    "names", [["scratch", "dent"], ("scratch", "dent"), {1: "dent", 0: "scratch"}]
)
def test_names_as_list_or_dictionary(tmp_path, names):
    """Older releases have a list, newer ones a dictionary by number."""
    assert read(tmp_path, {"model": network(names=names)}).names == ("scratch", "dent")


@pytest.mark.parametrize(
    "names", [["one"], {1: "a", 2: "b"}, "ab", None, [None, "b"], {"a": 0, "b": 1}]
)
def test_names_that_do_not_fit_are_refused(tmp_path, names):
    """A class without a name would be reported under a wrong one."""
    with pytest.raises(CheckpointError, match="class names"):
        read(tmp_path, {"model": network(names=names)})


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("HalfStorage", np.array([1.5, -2.0], "<f2")),
        ("FloatStorage", np.array([1.5, -2.0], "<f4")),
        ("DoubleStorage", np.array([1.5, -2.0], "<f8")),
        ("LongStorage", np.array([1, -2], "<i8")),
        ("IntStorage", np.array([1, -2], "<i4")),
        ("ShortStorage", np.array([1, -2], "<i2")),
        ("CharStorage", np.array([1, -2], "<i1")),
        ("ByteStorage", np.array([1, 2], "<u1")),
        ("BoolStorage", np.array([True, False])),
    ],
)
def test_each_storage_class(tmp_path, kind, values):
    """Every kind of number that a checkpoint may hold arrives unchanged."""
    checkpoint = read(tmp_path, {"model": network(extra=Tensor(values, kind=kind))})
    read_back = checkpoint.model.array("extra", dims=1)
    assert read_back.dtype == values.dtype and (read_back == values).all()


def test_bfloat16_is_widened(tmp_path):
    """bfloat16 is the upper half of a float32, so the conversion is exact."""
    raw = np.array([1.0, -3.25, 256.0], "<f4").view("<u4") >> 16
    extra = Tensor(raw.astype("<u2"), kind="BFloat16Storage")
    values = read(tmp_path, {"model": network(extra=extra)}).model.array("extra", dims=1)
    assert values.dtype == np.float32 and values.tolist() == [1.0, -3.25, 256.0]


def test_strides_and_offsets_are_respected(tmp_path):
    """A transposed view into the middle of a storage, and one that repeats its storage."""
    values = np.arange(10, dtype="<f4")
    turned = Tensor(values, shape=(2, 3), strides=(1, 2), offset=3)
    repeated = Tensor(values, shape=(4, 2), strides=(0, 1))
    model = read(tmp_path, {"model": network(turned=turned, repeated=repeated)}).model
    assert model.array("turned", dims=2).tolist() == [[3, 5, 7], [4, 6, 8]]
    assert model.array("repeated", dims=2).tolist() == [[0, 1]] * 4


def test_deflated_entries_are_read(tmp_path):
    """Tools that patch a checkpoint may pack it; a few megabytes of zeros are no bomb."""
    zeros = Tensor(np.zeros(2_000_000, "<f4"), key="zeros")
    model = read(tmp_path, {"model": network(extra=zeros)}, packed=("data/zeros", "data.pkl")).model
    assert model.array("extra", dims=1).shape == (2_000_000,)


def test_settings_become_plain_values(tmp_path):
    """Training arguments, paths and numpy numbers as later versions of the file hold them."""
    latin = Call(
        Global("_codecs", "encode"), (np.float64(0.5).tobytes().decode("latin1"), "latin1")
    )
    double = Call(
        Global("numpy", "dtype"), ("f8", False, True), (3, "<", None, None, None, -1, -1, 0)
    )
    fitness = Call(Global("numpy._core.multiarray", "scalar"), (double, latin))
    path = Call(Global("pathlib", "PosixPath"), ("runs", "train"))
    root = Call(Global("pathlib", "PosixPath"), ("/", "data", "val"))
    arguments = New(
        Global("ultralytics.utils", "IterableSimpleNamespace"),
        {"imgsz": 320, "dir": path, "data": root},
    )
    top = {
        "model": network(),
        "train_args": arguments,
        "train_metrics": {"fitness": fitness, "weights": Tensor(np.zeros(1, "<f4"))},
        "date": "2026-11-23",
        "version": "8.4.190",
        "license": "AGPL-3.0",
    }
    checkpoint = read(tmp_path, top)
    assert checkpoint.args == {"imgsz": 320, "dir": "runs/train", "data": "/data/val"}
    assert checkpoint.image_size == 320
    assert checkpoint.metrics == {"fitness": 0.5}
    assert (checkpoint.date, checkpoint.version) == ("2026-11-23", "8.4.190")
    assert checkpoint.licence == "AGPL-3.0"


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({"imgsz": 320}, 320),
        ({"img_size": [416, 416]}, 416),
        ({"imgsz": []}, None),
        ({"imgsz": True}, None),
        ({"imgsz": "640"}, None),
        ({}, None),
    ],
)
def test_image_size_of_every_release(tmp_path, arguments, size):
    """One number, or a pair under another name in older releases; nothing else counts."""
    checkpoint = read(tmp_path, {"model": network(), "opt": New(SIMPLE, arguments)})
    assert checkpoint.image_size == size


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("models.yolo.Segment", "a segmentation model"),
        ("ultralytics.nn.modules.head.Classify", "a classification model"),
        ("ultralytics.nn.modules.head.Pose", "a pose model"),
        ("ultralytics.nn.modules.head.OBB", "a model for rotated boxes"),
    ],
)
def test_other_tasks_are_named(tmp_path, kind, what):
    """A checkpoint for another task is refused with a sentence that says what it is."""
    last = head(8, 2)
    home, _, last.kind.name = kind.rpartition(".")
    last.kind.module = home
    with pytest.raises(CheckpointError, match=f"best.pt: is {what} .*detection models only"):
        read(tmp_path, {"model": network(last=last)})


@pytest.mark.parametrize(
    ("kind", "method", "what"),
    [
        ("models.yolo.Segment", "forward", "is a segmentation model .*detection models only"),
        ("models.yolo.Detect", "forward_fuse", "is fused: .*as training wrote it"),
    ],
)
def test_stored_methods_tell_what_the_model_is(tmp_path, kind, method, what):
    """Segmentation heads and fused networks keep a method; that is no attack."""
    home, _, name = kind.rpartition(".")
    owner = Global("models.yolo", "Detect")
    last = head(8, 2, stored=Call(Global("__builtin__", "getattr"), (owner, method)))
    last.kind = Global(home, name)
    with pytest.raises(CheckpointError, match=what):
        read(tmp_path, {"model": network(last=last)})


def test_sets_of_protocol_4(tmp_path):
    """They have instructions of their own there."""
    held = Raw(b"\x8f(K\x01K\x02\x90(K\x01\x91\x86")
    assert read(tmp_path, {"model": network(), "seen": held}).names == ("scratch", "dent")


def test_numpy_values_of_protocol_4(tmp_path):
    """Their bytes are bytes there, not text."""
    dtype = Call(Global("numpy", "dtype"), ("f8", False, True), (3, "<", None))
    half = Call(Global("numpy.core.multiarray", "scalar"), (dtype, Raw(b"C\x08" + HALF)))
    shell = Call(
        Global("numpy.core.multiarray", "_reconstruct"),
        (Global("numpy", "ndarray"), (0,), Raw(b"C\x01b")),
        (1, (2,), dtype, False, Raw(b"B\x10\x00\x00\x00" + HALF * 2)),
    )
    metrics = {"fitness": half, "each": shell}
    checkpoint = read(tmp_path, {"model": network(), "train_metrics": metrics})
    assert checkpoint.metrics == {"fitness": 0.5, "each": [0.5, 0.5]}


def test_unknown_head_is_still_read(tmp_path):
    """Another detector is read, so that the graph writer can name what it does not know."""
    last = head(8, 2)
    last.kind.name = "RTDETRDecoder"
    assert read(tmp_path, {"model": network(last=last)}).head == "other"


def test_strides_beside_the_head(tmp_path):
    """RT-DETR keeps them at the network; without any the file is damaged."""
    last = head(8, 2)
    last.kind.name = "RTDETRDecoder"
    del last.state["_parameters"]["stride"]
    with pytest.raises(CheckpointError, match="tensor 'stride'"):
        read(tmp_path, {"model": network(last=last)})
    outer = network(last=last, stride=Tensor(np.array([32.0], "<f4")))
    assert read(tmp_path, {"model": outer}).strides == (32,)


@pytest.mark.parametrize(
    ("top", "reason"),
    [
        ({"epoch": 3, "optimizer": {}}, "has no model .*it has epoch, optimizer"),
        ({"a.weight": Tensor(np.zeros(3, "<f4"))}, "only weights"),
        ({"model": {"a.weight": Tensor(np.zeros(3, "<f4"))}}, "only weights"),
        ([1, 2], "holds a list"),
        ({"model": conv(3, 4)}, "has no part 'model'"),
        ({"model": network([], last=conv(3, 4))}, "nc = None, not an integer"),
    ],
)
def test_files_without_a_model_say_what_they_hold(tmp_path, top, reason):
    """State dicts and half checkpoints are common in registries."""
    with pytest.raises(CheckpointError, match=reason):
        read(tmp_path, top)
