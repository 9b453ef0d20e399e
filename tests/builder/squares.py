"""A checkpoint that finds the coloured squares of `tests.bundles`, made by hand without PyTorch.

Nothing in it is random or trained: two convolutions take each colour's mean minus the other two,
the head turns that into scores and puts a box of 16 pixels around each cell of 8. PyTorch and
ultralytics load and run it like any YOLOv5u checkpoint.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builder.forge import New, Tensor, dump, module, network, sequence, write_archive
from tests.bundles import CLASSES

IMAGE_SIZE = 64


def write_squares(
    path: Path, *, tilt: float = 0.0, nan: bool = False, names: tuple[str, ...] = CLASSES
) -> Path:
    """Write the checkpoint.

    Args:
        path: of the ``.pt`` file.
        tilt: added to every class score's logit, to make another version.
        nan: spoil one weight.
        names: of the three classes.
    """
    colour = np.full((3, 3, 4, 4), -5.0, "<f4")
    colour[range(3), range(3)] = 10.0
    if nan:
        colour[0, 0, 1, 1] = np.nan
    mean = np.zeros((3, 3, 2, 2), "<f4")
    mean[range(3), range(3)] = 1 / 4
    score = np.zeros((3, 3, 1, 1), "<f4")
    score[range(3), range(3)] = 1.4
    sides = np.zeros((64, 3, 1, 1), "<f4")
    bins = np.zeros(64, "<f4")
    bins[1::16] = 12.0  # nearly all of the distribution in bin 1: one cell to each side
    layers = [_conv(colour / 16), _conv(mean)]
    head = _head(_conv2d(sides, bins), _conv2d(score, np.full(3, tilt - 6.0, "<f4")))
    model = network(
        layers, last=head, names=dict(enumerate(names)), yaml={"nc": 3, "ch": 3}, save=[1]
    )
    record = {
        "epoch": -1,
        "model": None,
        "ema": _with_hooks(model),
        "train_args": {"imgsz": IMAGE_SIZE},
        "date": "2026-11-01T00:00:00",
        "version": "8.4.190",
    }
    return write_archive(path, dump(record))


def _with_hooks(part: New) -> New:
    """Every PyTorch module has these, empty once training is over."""
    for name in ("_backward_hooks", "_forward_hooks", "_forward_pre_hooks"):
        part.state[name] = {}
    for child in part.state["_modules"].values():
        _with_hooks(child)
    return part


def _conv2d(weight: np.ndarray, bias: np.ndarray | None = None) -> New:
    kernel = weight.shape[2:]
    tensors = {"weight": Tensor(weight.astype("<f4"))}
    tensors |= {} if bias is None else {"bias": Tensor(bias)}
    absent = {"bias": None} if bias is None else {}
    return module(
        "torch.nn.modules.conv.Conv2d",
        **tensors,
        **absent,
        in_channels=weight.shape[1],
        out_channels=weight.shape[0],
        kernel_size=kernel,
        stride=kernel,
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        padding_mode="zeros",
    )


def _conv(weight: np.ndarray) -> New:
    """YOLOv5's Conv: convolution, batch norm that changes nothing, SiLU."""
    channels = weight.shape[0]
    one, zero = (np.full(channels, value, "<f4") for value in (1.0, 0.0))
    norm = module(
        "torch.nn.modules.batchnorm.BatchNorm2d",
        weight=Tensor(one),
        bias=Tensor(zero),
        num_features=channels,
        eps=1e-3,
        momentum=0.03,
        affine=True,
        track_running_stats=True,
        num_batches_tracked=None,
    )
    norm.state["_buffers"] = {
        "running_mean": Tensor(zero),
        "running_var": Tensor(one - np.float32(1e-3)),
    }
    act = module("torch.nn.modules.activation.SiLU", inplace=True)
    return module(
        "ultralytics.nn.modules.conv.Conv", {"conv": _conv2d(weight), "bn": norm, "act": act}
    )


def _head(boxes: New, scores: New) -> New:
    """A Detect of one level with stride 8 that looks at layer 1."""
    project = module(
        "torch.nn.modules.conv.Conv2d",
        weight=Tensor(np.arange(16, dtype="<f4").reshape(1, 16, 1, 1)),
        bias=None,
        in_channels=16,
        out_channels=1,
        kernel_size=(1, 1),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        padding_mode="zeros",
    )
    children = {
        "cv2": sequence("ModuleList", [boxes]),
        "cv3": sequence("ModuleList", [scores]),
        "dfl": module("ultralytics.nn.modules.block.DFL", {"conv": project}, c1=16),
    }
    stride = Tensor(np.array([8.0], "<f4"))
    kind = "ultralytics.nn.modules.head.Detect"
    head = module(kind, children, nc=3, nl=1, no=67, reg_max=16, f=[1], i=2)
    head.state["stride"] = stride  # a plain attribute, not a parameter
    return head
