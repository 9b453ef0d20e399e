"""The other side of the parity tests: the same networks in PyTorch.

Import it after ``pytest.importorskip``: it needs the `reference` extra.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")

import numpy as np
import torch
from torch import nn
from torch.nn.modules import linear
from ultralytics.nn.modules import Conv
from ultralytics.nn.tasks import DetectionModel, yaml_model_load

torch.set_num_threads(1)  # small networks: threads only wait for each other


def yaml_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return the ultralytics description `name`, with some entries changed."""
    return yaml_model_load(name) | changes


def build(description: str | dict[str, Any], classes: int = 3) -> nn.Module:
    """Return a network with seeded weights, batch statistics and biases, in evaluation mode."""
    activation = Conv.default_act  # a description with an activation changes it for all to come
    try:
        torch.manual_seed(7)
        model = DetectionModel(description, nc=classes, verbose=False).eval()
    finally:
        Conv.default_act = activation
    settle(model)
    model.names = {index: f"class{index}" for index in range(classes)}
    return model


def settle(model: nn.Module) -> None:
    """Give a network what training would: nothing stays at zero, attention is not even."""
    torch.manual_seed(9)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        elif isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.normal_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=4 * module.embed_dim**-0.5)
            nn.init.normal_(module.in_proj_bias)


def save(model: nn.Module, path: Path, dtype: torch.dtype = torch.float16) -> Path:
    """Save `model` as training does at its end."""
    top = {
        "epoch": -1,
        "best_fitness": np.float64(0.5),
        "model": copy.deepcopy(model).to(dtype),
        "ema": None,
        "optimizer": None,
        "train_args": {"imgsz": 128, "project": path.parent},
        "date": "2026-11-23T12:00:00",
    }
    torch.save(top, path)
    return path


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """Return what PyTorch gives for `images` in float32 with the checkpoint's weights."""
    top = torch.load(path, weights_only=False)
    return forward((top.get("ema") or top["model"]).float().eval(), images)


def forward(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the raw output of `model` for `images`."""
    with torch.no_grad():
        output = model(torch.from_numpy(images))
    return (output[0] if isinstance(output, tuple) else output).numpy()


class Detect(nn.Module):
    """The anchor head of the original repository, written from its formula.

    Centre = (2 s - 1/2 + cell) * stride, size = (2 s)^2 * anchor, with s after the sigmoid.
    """

    def __init__(
        self,
        inputs: list[int],
        anchors: torch.Tensor,
        strides: list[float],
        classes: int,
        old: bool,
    ) -> None:
        super().__init__()
        self.nc, self.no = classes, classes + 5
        self.stride = torch.tensor(strides)
        self.register_buffer("anchors", anchors / self.stride.view(-1, 1, 1))
        if old:
            self.register_buffer("anchor_grid", anchors.view(len(inputs), 1, -1, 1, 1, 2).clone())
        rows = anchors.shape[1] * self.no
        self.m = nn.ModuleList(nn.Conv2d(channels, rows, 1) for channels in inputs)

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Return (batch, rows, 5 + classes)."""
        pixels = self.anchors * self.stride.view(-1, 1, 1)
        if "anchor_grid" in self._buffers:
            pixels = self.anchor_grid.view(pixels.shape)
        rows = []
        for branch, level, stride, boxes in zip(self.m, levels, self.stride, pixels, strict=True):
            batch, _, height, width = level.shape
            s = branch(level).view(batch, len(boxes), self.no, height, width).sigmoid()
            s = s.permute(0, 1, 3, 4, 2)
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            centre = (s[..., :2] * 2 - 0.5 + torch.stack([x, y], -1)) * stride
            size = (s[..., 2:4] * 2) ** 2 * boxes.view(1, -1, 1, 1, 2)
            rows.append(torch.cat([centre, size, s[..., 4:]], -1).view(batch, -1, self.no))
        return torch.cat(rows, 1)


Detect.__module__ = "models.yolo"


def with_anchors(model: nn.Module, *, anchors_per_level: int, old: bool) -> nn.Module:
    """Replace the head of `model` by an anchor head with anchors of its own."""
    modern = model.model[-1]
    inputs = [branch[0].conv.in_channels for branch in modern.cv2]
    strides = modern.stride.tolist()
    torch.manual_seed(8)
    anchors = torch.rand(len(inputs), anchors_per_level, 2) * 40 + 5
    classic = Detect(inputs, anchors, strides, modern.nc, old)
    classic.f, classic.i, classic.type = modern.f, modern.i, "models.yolo.Detect"
    model.model[-1] = classic
    model.names = list(model.names.values())
    return model


class _LinearWithBias(nn.Linear):
    """The last layer of attention, as PyTorch called it up to 1.8."""


_LinearWithBias.__module__ = "torch.nn.modules.linear"
ABSENT_BEFORE_2021 = (
    "recompute_scale_factor", "inplace", "_is_full_backward_hook", "batch_first",
)  # fmt: skip


@contextmanager
def original_repository(model: nn.Module, *, old: bool = False) -> Iterator[nn.Module]:
    """Give a copy of `model` whose classes are those of the original code, while it is saved.

    `old` takes away the attributes that PyTorch and the original code had not yet before 2021.
    """
    names = ("models", "models.common", "models.experimental", "models.yolo")
    homes = {name: ModuleType(name) for name in names}
    known = {name: sys.modules.get(name) for name in homes}
    model = copy.deepcopy(model)
    for part in model.modules():
        kind = type(part)
        if kind.__module__.startswith("ultralytics"):
            top = part is model
            home, name = ("models.yolo", "Model") if top else ("models.common", kind.__name__)
            classes = vars(homes[home])
            if name not in classes:
                classes[name] = type(name, (kind,), {"__module__": home, "__qualname__": name})
            part.__class__ = classes[name]
        elif kind.__module__ in homes:
            setattr(homes[kind.__module__], kind.__name__, kind)
        if old:
            for attribute in ABSENT_BEFORE_2021:
                part.__dict__.pop(attribute, None)
            if isinstance(part, nn.MultiheadAttention):
                part.out_proj.__class__ = linear._LinearWithBias = _LinearWithBias
    sys.modules.update(homes)
    try:
        yield model
    finally:
        vars(linear).pop("_LinearWithBias", None)
        for name, before in known.items():
            sys.modules.pop(name)
            if before is not None:
                sys.modules[name] = before
