"""Layers of the original code, to put one by one into a small detector: `CASES`.

Layers that ultralytics has are its own. The others are written here from what they compute, with
plain operations where the graph has one operator, so that the two sides share nothing. Import it
after ``pytest.importorskip``: it needs the `reference` extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from ultralytics.nn import modules
from ultralytics.nn.modules import C3, SPP, Bottleneck, BottleneckCSP, Conv

from tests.builder import reference

SIZE, CHANNELS = 64, 16


class CrossConv(nn.Module):
    """A convolution along rows, then one along columns; what it saw is added if it fits."""

    def __init__(self, inputs: int, outputs: int, step: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.cv1 = Conv(inputs, outputs, (1, 3), (1, step))
        self.cv2 = Conv(outputs, outputs, (3, 1), (step, 1))
        self.add = shortcut and inputs == outputs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made = self.cv2(self.cv1(image))
        return image + made if self.add else made


class C3SPP(C3):
    """C3 with pools of several sizes in the middle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.m = SPP(outputs // 2, outputs // 2, (3, 5, 9))


class MixConv2d(nn.Module):
    """Convolutions with kernels of 1, 3 and 5, side by side, one norm for all.

    With `old`, as up to release 6.0: dense, LeakyReLU, what it saw is added.
    """

    def __init__(self, channels: int, old: bool) -> None:
        super().__init__()
        sizes = {1: channels // 4, 3: channels // 4, 5: channels // 2}
        self.m = nn.ModuleList(
            nn.Conv2d(channels, out, k, 1, k // 2, groups=1 if old else out, bias=False)
            for k, out in sizes.items()
        )
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.LeakyReLU(0.1) if old else nn.SiLU()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made = self.act(self.bn(torch.cat([one(image) for one in self.m], 1)))
        return image + made if self.m[0].groups == 1 else made


class Contract(nn.Module):
    """Pixel (i, j) of each square of every channel, for i, then j: channels."""

    def __init__(self, gain: int) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        s = self.gain
        return torch.cat([image[:, :, i::s, j::s] for i in range(s) for j in range(s)], 1)


class Expand(nn.Module):
    """Channels to pixel (i, j) of each square."""

    def __init__(self, gain: int) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        s, (batch, channels, height, width) = self.gain, image.shape
        large = image.new_empty(batch, channels // s**2, height * s, width * s)
        places = [(i, j) for i in range(s) for j in range(s)]
        for (i, j), part in zip(places, image.chunk(s**2, 1), strict=True):
            large[:, :, i::s, j::s] = part
        return large


class Sum(nn.Module):
    """The first input and the others, with weights between 0 and 2 where it has them."""

    def __init__(self, inputs: int, weight: bool) -> None:
        super().__init__()
        self.weight, self.iter = weight, range(inputs - 1)
        if weight:
            self.w = nn.Parameter(torch.tensor([-0.5, 1.5]))

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        factors = [1.0, *(2 * self.w.sigmoid() if self.weight else [1.0] * len(self.iter))]
        return sum(factor * one for factor, one in zip(factors, inputs, strict=True))


class CrossCSP(BottleneckCSP):
    """What models.experimental called C3 up to release 3: CSP around cross convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.m = nn.Sequential(CrossConv(outputs // 2, outputs // 2))
        self.act = nn.LeakyReLU(0.1)


CrossCSP.__name__ = CrossCSP.__qualname__ = "C3"
for _kind in (CrossConv, C3SPP, Contract, Expand):
    _kind.__module__ = "models.common"
for _kind in (MixConv2d, Sum, CrossCSP):
    _kind.__module__ = "models.experimental"


def _shifted(layer: nn.Module) -> nn.Module:
    """Another layer in front, so that `layer` sees negative numbers and not one batch norm's."""
    return nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), layer)


def _pool(*arguments: Any, **given: Any) -> nn.Module:
    return _shifted(nn.MaxPool2d(*arguments, **given))


CASES: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(CHANNELS),
    "Bottleneck": lambda: Bottleneck(CHANNELS, CHANNELS),
    "Bottleneck, no way around": lambda: Bottleneck(CHANNELS, 24),
    "BottleneckCSP": lambda: BottleneckCSP(CHANNELS, 24, 2),
    "C3": lambda: C3(CHANNELS, 24, 2),
    "C3 of release 3": lambda: CrossCSP(CHANNELS, 24),
    "C3Ghost": lambda: modules.C3Ghost(CHANNELS, 32),
    "C3SPP": lambda: C3SPP(CHANNELS, 24),
    "C3TR": lambda: modules.C3TR(CHANNELS, 32, 2),
    "C3x": lambda: modules.C3x(CHANNELS, 24),
    "Concat": lambda: modules.Concat(1),
    "Contract": lambda: Contract(2),
    "Conv": lambda: Conv(CHANNELS, 24, 3, 2),
    "Conv, with gaps": lambda: Conv(CHANNELS, 24, 3, 1, d=2),
    "Conv2d": lambda: nn.Conv2d(CHANNELS, 24, (3, 1), padding=(1, 0), groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(CHANNELS, 24, 2, 2),
    "ConvTranspose2d, uneven": lambda: nn.ConvTranspose2d(
        CHANNELS, 8, (3, 4), 2, 1, (1, 0), groups=4, bias=False
    ),
    "CrossConv": lambda: CrossConv(CHANNELS, CHANNELS),
    "CrossConv, smaller": lambda: CrossConv(CHANNELS, 24, 2),
    "DWConv": lambda: modules.DWConv(CHANNELS, 32, 5),
    "DWConvTranspose2d": lambda: modules.DWConvTranspose2d(CHANNELS, CHANNELS, 4, 2, 1),
    "Dropout": lambda: nn.Dropout(0.5),
    "Expand": lambda: Expand(2),
    "Focus": lambda: modules.Focus(CHANNELS, 24, 3),
    "GhostBottleneck": lambda: modules.GhostBottleneck(CHANNELS, CHANNELS),
    "GhostBottleneck, smaller": lambda: modules.GhostBottleneck(CHANNELS, 24, 3, 2),
    "GhostConv": lambda: modules.GhostConv(CHANNELS, 24, 3),
    "Hardswish": lambda: _shifted(nn.Hardswish()),
    "Identity": lambda: nn.Identity(),
    "LeakyReLU": lambda: _shifted(nn.LeakyReLU(0.1)),
    "MaxPool2d": lambda: _pool(5, 1, 2),
    "MaxPool2d, smaller": lambda: _pool(2),
    "MaxPool2d, uneven": lambda: _pool((3, 2), 2, (1, 0)),
    "Mish": lambda: _shifted(nn.Mish()),
    "MixConv2d": lambda: MixConv2d(CHANNELS, old=False),
    "MixConv2d up to 6.0": lambda: MixConv2d(CHANNELS, old=True),
    "ReLU": lambda: _shifted(nn.ReLU()),
    "ReLU6": lambda: _shifted(nn.ReLU6()),
    "SPP": lambda: SPP(CHANNELS, 24, (3, 5)),
    "SPPF": lambda: modules.SPPF(CHANNELS, 24),
    "Sequential": lambda: nn.Sequential(Conv(CHANNELS, 24), Conv(24, 8)),
    "SiLU": lambda: _shifted(nn.SiLU()),
    "Sum": lambda: Sum(3, weight=False),
    "Sum, weighted": lambda: Sum(3, weight=True),
    "TransformerBlock": lambda: modules.transformer.TransformerBlock(CHANNELS, 24, 4, 2),
    "Upsample": lambda: nn.Upsample(None, 2, "nearest"),
    "Upsample, bilinear": lambda: nn.Upsample(None, 2, "bilinear"),
    "Upsample, bilinear, corners": lambda: nn.Upsample(None, 4, "bilinear", True),
    "ZeroPad2d": lambda: _shifted(
        nn.Sequential(nn.ZeroPad2d([0, 1, 2, 3]), nn.MaxPool2d((6, 2), 1))
    ),
}
"""Name of the class, comma or blank, what is special -> makes the layer, from CHANNELS."""


def detector(layer: nn.Module) -> nn.Module:
    """A classic detector of one level around `layer`, its weights exact in half precision."""
    size = SIZE // 4
    small = [[-1, 1, "Conv", [CHANNELS]]] * 4
    backbone = [[-1, 1, "Conv", [CHANNELS, 6, 4, 1]], *small]
    model = reference.build({"nc": 3, "backbone": backbone, "head": [[[4], 1, "Detect", ["nc"]]]})
    image = torch.zeros(1, CHANNELS, size, size)
    several = isinstance(layer, (Sum, modules.Concat))
    with torch.no_grad():
        made = layer.eval()([image] * 3 if several else image)
    layer.f, layer.i, layer.type = [0, 1, 2] if several else -1, 3, "models.common.Layer"
    last = Conv(made.shape[1], CHANNELS).eval()
    last.f, last.i, last.type = -1, 4, "models.common.Conv"
    model.model[3], model.model[4] = layer, last
    model.save = [0, 1, 2, 4]
    model.model[-1].stride = torch.tensor([float(SIZE // made.shape[2])])
    reference.settle(model)
    return reference.with_anchors(model, anchors_per_level=3, old=False).half().float()
