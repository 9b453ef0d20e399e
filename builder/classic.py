"""Forward passes of the original repository's layers that ultralytics' package does not have.

Each is written from what the layer computes. The layers themselves are made empty and given the
attributes that a checkpoint has for them.
"""

from __future__ import annotations

from math import gcd
from typing import Any


def classic_parts() -> dict[str, Any]:
    """Classes for the names of the original repository, by name. PyTorch must be installed."""
    from torch import nn
    from ultralytics.nn.modules import C3, Bottleneck

    own = {
        name: type(name, (nn.Module,), {"forward": forward}) for name, forward in _FORWARD.items()
    }
    network = own["Network"]
    return own | {
        "C3SPP": C3,  # another middle, the same walk
        "CrossConv": Bottleneck,  # their kernels differ, which is in the weights
        "DetectionModel": network,
        "Model": network,
        "Wrapper": type("Wrapper", (nn.Module,), {}),
        "_LinearWithBias": nn.Linear,  # in attention, up to PyTorch 1.8
    }


def experimental_parts() -> dict[str, Any]:
    """What ``models.experimental`` called by a name that is another layer's since release 4."""
    from ultralytics.nn.modules import BottleneckCSP

    return {"C3": BottleneckCSP}


def _network(self: Any, image: Any) -> Any:
    """Walk the layers; each names its inputs in ``f``, -1 is the layer before."""
    done: list[Any] = []
    for layer in self.model:
        names = layer.f if isinstance(layer.f, list) else [layer.f]
        inputs = [done[at] if done else image for at in names]
        done.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
    return done[-1]


def _detect(self: Any, levels: list[Any]) -> Any:
    """Centre (2 s - 1/2 + cell) * stride, size (2 s)^2 * anchor, s after the sigmoid."""
    import torch

    rows = []
    for index, (branch, level) in enumerate(zip(self.m, levels, strict=True)):
        stride, pixels = float(self.stride[index]), _pixels(self, index)
        batch, _, height, width = level.shape
        s = branch(level).view(batch, len(pixels), self.nc + 5, height, width).sigmoid()
        s = s.permute(0, 1, 3, 4, 2)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = (s[..., :2] * 2 + (torch.stack([x, y], -1) - 0.5)) * stride
        size = (s[..., 2:4] * 2) ** 2 * pixels[:, None, None, :]
        rows.append(torch.cat([centre, size, s[..., 4:]], -1).flatten(1, 3))
    return torch.cat(rows, 1)


def _pixels(head: Any, index: int) -> Any:
    """The level's anchors in pixels; releases before 6 keep them as a buffer."""
    if "anchor_grid" in head._buffers:
        return head.anchor_grid[index].view(-1, 2)
    return head.anchors[index] * float(head.stride[index])


def _contract(self: Any, image: Any) -> Any:
    """Squares of ``gain`` pixels to channels, the place in the square before the channel."""
    side = self.gain
    squares = image.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    return squares.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def _expand(self: Any, image: Any) -> Any:
    """The way back from `_contract`."""
    squares = image.unflatten(1, (self.gain, self.gain, -1))
    return squares.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)


def _sum(self: Any, inputs: list[Any]) -> Any:
    """The first input and the others, each times twice a sigmoid where there are weights."""
    total = inputs[0]
    for index in self.iter:
        factor = 2 * self.w[index].sigmoid() if self.weight else 1
        total = total + factor * inputs[index + 1]
    return total


def _mix_conv(self: Any, image: Any) -> Any:
    """Kernels of several sizes side by side; up to release 6.0 dense, with a way around."""
    import torch

    made = self.act(self.bn(torch.cat([one(image) for one in self.m], 1)))
    new = all(one.groups == gcd(one.in_channels, one.out_channels) for one in self.m)
    return made if new else image + made


_FORWARD = {
    "Contract": _contract,
    "Detect": _detect,
    "Expand": _expand,
    "MixConv2d": _mix_conv,
    "Network": _network,
    "Sum": _sum,
}
