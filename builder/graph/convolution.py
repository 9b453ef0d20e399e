"""Convolutions with their batch norm folded in, in float64."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from builder.checkpoint import Module
from builder.errors import GraphError
from builder.graph.canvas import Canvas, Feature

MAX_TENSOR = 1 << 25
"""Numbers in one tensor of weights. The largest of a yolov5x6 has a third of it."""

Doubles = npt.NDArray[np.float64]


def scale_and_shift(norm: Module) -> tuple[Doubles, Doubles]:
    """Return a batch norm in evaluation mode as ``y = scale * x + shift``, each (channels,).

    scale = gamma / sqrt(var + eps), shift = beta - mean * scale (Ioffe and Szegedy, 2015, arXiv
    1502.03167, algorithm 2). The stored half or single precision is exact in float64.
    """
    mean, variance = doubles(norm, "running_mean", 1), doubles(norm, "running_var", 1)
    if mean.shape != variance.shape:
        raise GraphError(f"{norm.kind} has statistics of {mean.size} and {variance.size} channels")
    scale = 1.0 / np.sqrt(variance + norm.number("eps"))
    shift = np.zeros_like(scale)
    if norm.get("weight") is not None:
        scale = scale * doubles(norm, "weight", 1)
        shift = doubles(norm, "bias", 1)
    return scale, shift - mean * scale


def doubles(module: Module, name: str, dims: int) -> Doubles:
    """Return the tensor `name` of `module` in float64, shape of `dims` dimensions; `GraphError`."""
    array = module.array(name, dims=dims)
    if array.size > MAX_TENSOR:
        raise GraphError(f"{module.kind} has {array.size} numbers in {name} (limit {MAX_TENSOR})")
    return array.astype(np.float64)


def draw_convolution(
    canvas: Canvas,
    conv: Module,
    place: str,
    image: Feature,
    *,
    norm: Module | None = None,
    unfold: bool = False,
) -> Feature:
    """Draw a ``Conv2d``, with the batch norm that follows it folded into its weights.

    Args:
        canvas: to draw on.
        conv: the ``Conv2d``.
        place: dotted, of the ``Conv2d``.
        image: what it sees.
        norm: the ``BatchNorm2d`` after it, where there is one.
        unfold: the input of the convolution is space-to-depth of `image` (see `_over_pixels`).
    """
    weight = doubles(conv, "weight", 4)
    bias = doubles(conv, "bias", 1) if conv.get("bias") is not None else np.zeros(len(weight))
    with np.errstate(all="ignore"):  # broken weights stay as they are: the self-test judges them
        if norm is not None:
            scale, shift = scale_and_shift(norm)
            if scale.size != len(weight):
                raise GraphError(f"{place}: {len(weight)} channels meet a norm of {scale.size}")
            weight *= scale[:, None, None, None]
            bias = bias * scale + shift
        if unfold:
            weight = _over_pixels(weight)
        pairs = (("weight", weight), ("bias", bias))
        names = [canvas.weight(f"{place}.{name}", one) for name, one in pairs]
    return _place(canvas, conv, place, image, weight.shape, names, factor=2 if unfold else 1)


def draw_matrix(
    canvas: Canvas, place: str, image: Feature, weight: Doubles, bias: Doubles | None = None
) -> Feature:
    """Draw a linear map of each cell's channels, as a 1 x 1 convolution.

    Args:
        canvas: to draw on.
        place: dotted, of the linear map.
        image: what it sees.
        weight: (channels out, channels in).
        bias: (channels out,), or None.
    """
    names = [canvas.weight(f"{place}.weight", weight[:, :, None, None])]
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise GraphError(f"{place}: {bias.size} biases for {len(weight)} channels")
        names.append(canvas.weight(f"{place}.bias", bias))
    name = canvas.node("Conv", place, [image.name, *names], kernel_shape=[1, 1])
    canvas.work(place, image.height * image.width * weight.size)
    return Feature(name, len(weight), image.height, image.width)


def _over_pixels(weight: Doubles) -> Doubles:
    """Turn weights over space-to-depth of an image into weights over the image itself.

    The first layer of YOLOv5 releases 1 to 5 (Focus) puts the pixels of each 2x2 square into
    channels, ordered (top left, bottom left, top right, bottom right), and convolves those. A
    convolution with twice the kernel, stride and padding on the image is the same sum.
    """
    out, channels, height, width = weight.shape
    squares = weight.reshape(out, 2, 2, channels // 4, height, width)  # horizontal, vertical offset
    return squares.transpose(0, 3, 4, 2, 5, 1).reshape(out, channels // 4, 2 * height, 2 * width)


def _place(
    canvas: Canvas,
    conv: Module,
    place: str,
    image: Feature,
    shape: tuple[int, ...],
    names: list[str],
    factor: int,
) -> Feature:
    """Draw the Conv node itself, after checking that it fits what it sees."""
    groups = conv.integer("groups")
    strides, pads, gaps = conv.pair("stride"), conv.pair("padding"), conv.pair("dilation")
    strides, pads = (strides[0] * factor, strides[1] * factor), (pads[0] * factor, pads[1] * factor)
    if conv.text("padding_mode", "zeros") != "zeros":
        raise GraphError(f"{place}: padding other than zeros; train with the standard layers")
    if groups < 1 or shape[0] % groups or shape[1] * groups != image.channels:
        raise GraphError(
            f"{place}: weights for {shape[1]} x {groups} channels meet {image.channels} channels; "
            "the checkpoint contradicts itself"
        )
    size = [
        (length + 2 * pad - gap * (kernel - 1) - 1) // max(stride, 1) + 1
        for length, kernel, stride, pad, gap in zip(
            (image.height, image.width), shape[2:], strides, pads, gaps, strict=True
        )
    ]
    if min(*size, *strides, *gaps) < 1:
        raise GraphError(f"{place}: nothing is left of a {image.height}x{image.width} image")
    output = canvas.node(
        "Conv",
        place,
        [image.name, *names],
        kernel_shape=shape[2:],
        strides=strides,
        pads=[*pads, *pads],
        dilations=gaps,
        group=groups,
    )
    feature = Feature(output, shape[0], *size)
    canvas.work(place, feature.numbers * prod(shape[1:]))
    return feature
