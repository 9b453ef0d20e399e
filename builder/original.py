"""The original network in PyTorch, rebuilt from a checkpoint of either training code.

PyTorch reads the tensors itself, so that this side of the proof shares nothing with the graph
writer but the list of names (`builder.checkpoint.allowed`). YOLOv5u networks are those of the
installed ultralytics. The original repository's package is not needed: its layers are those of
ultralytics, the walk and the anchor head are written here from its formula.

Import torch and ultralytics in a process of their own (`builder.torch_worker`) and load only what
the restricted reader has accepted.
"""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from builder.checkpoint.allowed import find
from builder.checkpoint.values import WRAPPERS

CLASSIC = frozenset(["models.common", "models.experimental", "models.yolo", "utils.activations"])
_SETTINGS = ("Namespace", "SimpleNamespace", "IterableSimpleNamespace")
_UNUSED = ("ultralytics.utils.loss", "ultralytics.utils.tal")


def load_original(path: Path) -> Any:
    """The network of a checkpoint as a ``torch.nn.Module``: float32, CPU, evaluation mode.

    Its forward pass gives the raw output, alone or as the first of several.

    Raises:
        Refusal: the file names something that is not on the list.
        LookupError: a class of the original code that neither torch nor ultralytics has.
    """
    import torch

    top = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_reader())
    if isinstance(top, dict):
        top = top.get("ema") or top["model"]
    while type(top).__name__ == "Wrapper":
        top = top._modules.get("module", top._modules.get("model"))
    model = top.float().eval()
    for part in model.modules():
        _mend(part)
    return model


def _mend(part: Any) -> None:
    """Add what files of older releases lack and today's PyTorch asks for."""
    name = type(part).__name__
    if name == "Upsample":
        part.__dict__.setdefault("recompute_scale_factor", None)
    elif name in ("SiLU", "Hardswish", "LeakyReLU", "ReLU"):
        part.__dict__.setdefault("inplace", False)
    elif "conv" in part._modules and "act" in part._modules and "bn" not in part._modules:
        part.forward = part.forward_fuse
    if hasattr(part, "one2one_cv2"):
        part.end2end = False  # raw scores, as every release here is decoded and watched


def _reader() -> Any:
    """What ``torch.load`` takes for the pickle module: an unpickler that knows a closed list."""
    classic = _classic_parts()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            find(module, name)
            if name in WRAPPERS:
                return classic["Wrapper"]
            if module in CLASSIC:
                return _classic_part(classic, module, name)
            if module.startswith("pathlib"):
                return PurePosixPath
            if name in _SETTINGS or module in _UNUSED:
                return SimpleNamespace
            return super().find_class(module, name)

    return SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="outpost")


def _classic_part(own: dict[str, Any], module: str, name: str) -> Any:
    from torch import nn
    from ultralytics.nn import modules

    for place in (own, vars(modules), vars(nn)):
        if name in place:
            return place[name]
    raise LookupError(f"there is no {module}.{name} in torch, ultralytics or here")


def _classic_parts() -> dict[str, Any]:
    """The classes of the original repository that ultralytics does not have."""
    import torch
    from torch import nn
    from ultralytics.nn.modules import Bottleneck

    class Wrapper(nn.Module):  # type: ignore[misc]
        """Holds a network."""

    class Network(nn.Module):  # type: ignore[misc]
        """Walks the layers; each names its inputs in ``f``, -1 is the layer before."""

        def forward(self, image: Any) -> Any:
            done: list[Any] = []
            for layer in self.model:
                names = layer.f if isinstance(layer.f, list) else [layer.f]
                inputs = [done[at] if done else image for at in names]
                done.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
            return done[-1]

    class Detect(nn.Module):  # type: ignore[misc]
        """Centre (2 s - 1/2 + cell) * stride, size (2 s)^2 * anchor, s after the sigmoid."""

        def forward(self, levels: list[Any]) -> Any:
            rows = []
            for index, (branch, level) in enumerate(zip(self.m, levels, strict=True)):
                stride, pixels = float(self.stride[index]), self._pixels(index)
                batch, _, height, width = level.shape
                s = branch(level).view(batch, len(pixels), self.nc + 5, height, width).sigmoid()
                s = s.permute(0, 1, 3, 4, 2)
                y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
                centre = (s[..., :2] * 2 + (torch.stack([x, y], -1) - 0.5)) * stride
                size = (s[..., 2:4] * 2) ** 2 * pixels[:, None, None, :]
                rows.append(torch.cat([centre, size, s[..., 4:]], -1).flatten(1, 3))
            return torch.cat(rows, 1)

        def _pixels(self, index: int) -> Any:
            """The level's anchors in pixels; releases before 6 keep them as a buffer."""
            if "anchor_grid" in self._buffers:
                return self.anchor_grid[index].view(-1, 2)
            return self.anchors[index] * float(self.stride[index])

    parts = {"Detect": Detect, "CrossConv": Bottleneck}  # the latter differ in their kernels only
    return parts | {"Model": Network, "DetectionModel": Network, "Wrapper": Wrapper}
