"""Layers that change the size of a feature map, or look at windows of it, without weights to learn.

The transposed convolution, which has weights, is here too: it enlarges.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from builder.checkpoint import Module
from builder.checkpoint.refusal import shorten
from builder.errors import GraphError
from builder.graph.canvas import ADVICE, MAX_SIDE, Canvas, Feature
from builder.graph.convolution import doubles

_FACTORS = (1.0, 2.0, 4.0, 8.0)


def draw_upsample(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Repeat pixels, or draw lines between them, by a whole factor."""
    factor, mode, image = module.number("scale_factor"), module.text("mode"), inputs[0]
    if mode not in ("nearest", "bilinear") or factor not in _FACTORS:
        raise GraphError(f"{place}: upsamples in mode {shorten(mode)} by {factor}; {ADVICE}")
    scales = canvas.weight(f"{place}.scales", [1.0, 1.0, factor, factor])
    how: dict[str, Any] = {"mode": "nearest", "nearest_mode": "floor"}
    how["coordinate_transformation_mode"] = "asymmetric"
    if mode == "bilinear":
        corners = "align_corners" if module.flag("align_corners") else "half_pixel"
        how = {"mode": "linear", "coordinate_transformation_mode": corners}
    name = canvas.node("Resize", place, [image.name, "", scales], **how)
    scale = int(factor)
    return _sized(place, name, image.channels, image.height * scale, image.width * scale)


def draw_max_pool(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """The largest of each window."""
    image = inputs[0]
    kernel, pads, strides = (module.pair(name) for name in ("kernel_size", "padding", "stride"))
    if module.pair("dilation") != (1, 1) or module.flag("ceil_mode"):
        raise GraphError(f"{place}: a pooling with gaps or with windows beyond the edge; {ADVICE}")
    if min(*kernel, *strides) < 1 or any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise GraphError(f"{place}: pools {kernel} by {strides} with {pads} around")
    height, width = (
        (length + 2 * pad - size) // step + 1
        for length, pad, size, step in zip(
            (image.height, image.width), pads, kernel, strides, strict=True
        )
    )
    name = canvas.node(
        "MaxPool", place, [image.name], kernel_shape=kernel, pads=[*pads, *pads], strides=strides
    )
    feature = _sized(place, name, image.channels, height, width)
    canvas.work(place, feature.numbers * kernel[0] * kernel[1])
    return feature


def draw_zero_pad(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Zeros around the map: (left, right, top, bottom) pixels."""
    value, image = module.state.get("padding"), inputs[0]
    sides = value if isinstance(value, (tuple, list)) else (value,) * 4
    if len(sides) != 4 or not all(type(one) is int and 0 <= one < 2**15 for one in sides):
        raise GraphError(f"{place}: pads by {shorten(value)}, not by four numbers of pixels")
    left, right, top, bottom = sides
    pads = canvas.weight(f"{place}.pads", [0, 0, top, left, 0, 0, bottom, right], "<i8")
    name = canvas.node("Pad", place, [image.name, pads])
    height, width = image.height + top + bottom, image.width + left + right
    return _sized(place, name, image.channels, height, width)


def draw_contract(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Put the pixels of each square into channels, rows of the square outermost."""
    side, image = module.integer("gain"), inputs[0]
    if not 0 < side < 2**10 or image.height % side or image.width % side:
        raise GraphError(f"{place}: squares of {side} in {image.height} x {image.width} pixels")
    name = canvas.node("SpaceToDepth", place, [image.name], blocksize=side)
    channels = image.channels * side**2
    return _sized(place, name, channels, image.height // side, image.width // side)


def draw_expand(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """The way back from `draw_contract`."""
    side, image = module.integer("gain"), inputs[0]
    if not 0 < side < 2**10 or image.channels % side**2:
        raise GraphError(f"{place}: squares of {side} from {image.channels} channels")
    name = canvas.node("DepthToSpace", place, [image.name], blocksize=side, mode="DCR")
    channels = image.channels // side**2
    return _sized(place, name, channels, image.height * side, image.width * side)


@np.errstate(all="ignore")  # broken weights stay as they are
def draw_transposed(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Convolution from few pixels to many; depthwise where ``groups`` says so."""
    image, weight = inputs[0], doubles(module, "weight", 4)
    groups = module.integer("groups")
    strides, pads, gaps, more = (
        module.pair(name) for name in ("stride", "padding", "dilation", "output_padding")
    )
    if groups < 1 or image.channels % groups or weight.shape[0] != image.channels:
        raise GraphError(
            f"{place}: weights for {weight.shape[0]} channels in {groups} groups meet "
            f"{image.channels} channels; the checkpoint contradicts itself"
        )
    if module.text("padding_mode", "zeros") != "zeros" or min(*strides, *gaps) < 1:
        raise GraphError(f"{place}: a transposed convolution with {strides} strides, {gaps} gaps")
    height, width = (
        (length - 1) * step - 2 * pad + gap * (size - 1) + extra + 1
        for length, step, pad, gap, size, extra in zip(
            (image.height, image.width), strides, pads, gaps, weight.shape[2:], more, strict=True
        )
    )
    names = [canvas.weight(f"{place}.weight", weight)]
    if module.get("bias") is not None:
        names.append(canvas.weight(f"{place}.bias", doubles(module, "bias", 1)))
    name = canvas.node(
        "ConvTranspose", place, [image.name, *names], kernel_shape=weight.shape[2:],
        strides=strides, pads=[*pads, *pads], dilations=gaps, output_padding=more, group=groups,
    )  # fmt: skip
    canvas.work(place, image.numbers * prod(weight.shape[1:]))
    return _sized(place, name, weight.shape[1] * groups, height, width)


def _sized(place: str, name: str, channels: int, height: int, width: int) -> Feature:
    """The feature map, if it is one."""
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise GraphError(f"{place}: gives a map of {height} x {width} pixels")
    return Feature(name, channels, height, width)
