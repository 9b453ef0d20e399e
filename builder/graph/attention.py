"""Self-attention over the cells of a feature map, as in C3TR.

The tokens stay where they are, in a map of (batch, channels, height, width): each linear layer is a
1 x 1 convolution, which the int8 rewriter and every GPU know. Only the two products of attention
itself are matrix products.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from builder.checkpoint import Module
from builder.errors import GraphError
from builder.graph.canvas import WORK_PER_NUMBER, Canvas, Feature
from builder.graph.convolution import Doubles, doubles, draw_matrix
from builder.graph.joins import add


@np.errstate(all="ignore")  # broken weights stay as they are
def draw_transformer_layer(
    canvas: Canvas, module: Module, place: str, inputs: list[Feature]
) -> Feature:
    """Attention and two linear layers without activation, each with a way around, no norms.

    The two linear layers are one matrix (Dosovitskiy et al., 2020, An Image is Worth 16x16 Words,
    arXiv 2010.11929, less its norms).
    """
    seen = inputs[0]
    seen = add(canvas, place, _attention(canvas, module, place, seen), seen)
    first, second = (_square(module.child(name), seen.channels) for name in ("fc1", "fc2"))
    return add(canvas, place, draw_matrix(canvas, f"{place}.fc", seen, second @ first), seen)


@np.errstate(all="ignore")  # broken weights stay as they are
def draw_position(canvas: Canvas, module: Module, place: str, image: Feature) -> Feature:
    """Add to each cell a linear map of itself: what YOLOv5 calls its position embedding."""
    weight = _square(module, image.channels)
    bias = doubles(module, "bias", 1)
    return add(canvas, place, image, draw_matrix(canvas, place, image, weight, bias))


def _attention(canvas: Canvas, module: Module, place: str, image: Feature) -> Feature:
    """softmax(Q^T K / sqrt(d)) V for each head (Vaswani et al., 2017, arXiv 1706.03762)."""
    inner, place = module.child("ma"), f"{place}.ma"
    heads, cells = inner.integer("num_heads"), image.height * image.width
    _check(place, inner, image.channels, heads)
    size = image.channels // heads
    Feature(f"{place}.shares", heads, cells, cells)  # refused if it does not fit into memory
    canvas.work(place, 2 * cells**2 * image.channels + WORK_PER_NUMBER * heads * cells**2)
    mixed = draw_matrix(canvas, f"{place}.in", image, *_in_projection(module, inner, image, size))
    shape = canvas.weight(f"{place}.split", [0, 3 * heads, size, cells], "<i8")
    name = canvas.node("Reshape", place, [mixed.name, shape])
    parts = canvas.weight(f"{place}.parts", [heads] * 3, "<i8")
    query, key, value = canvas.split(place, name, parts, axis=1, count=3)
    query, value = (_turned(canvas, place, name) for name in (query, value))
    shares = canvas.node("Softmax", place, [canvas.node("MatMul", place, [query, key])], axis=3)
    name = _turned(canvas, place, canvas.node("MatMul", place, [shares, value]))
    merge = canvas.weight(f"{place}.merge", [0, image.channels, image.height, image.width], "<i8")
    joined = image.renamed(canvas.node("Reshape", place, [name, merge]))
    last = inner.child("out_proj")
    bias = doubles(last, "bias", 1) if last.get("bias") is not None else None
    return draw_matrix(canvas, f"{place}.out", joined, _square(last, image.channels), bias)


def _in_projection(
    module: Module, inner: Module, image: Feature, size: int
) -> tuple[Doubles, Doubles]:
    """Weight and bias that give queries, keys and values in one product.

    The layer has a linear map before each of attention's own, and queries are divided by the root
    of their length: nothing lies between these, so they are one matrix.
    """
    channels = image.channels
    own = doubles(inner, "in_proj_weight", 2)
    bias = np.zeros(3 * channels)
    if inner.get("in_proj_bias") is not None:
        bias = doubles(inner, "in_proj_bias", 1)
    if own.shape != (3 * channels, channels) or bias.size != 3 * channels:
        raise GraphError(f"{inner.kind} has weights of {own.shape} for {channels} channels")
    before = [_square(module.child(name), channels) for name in "qkv"]
    weight = np.concatenate(
        [one @ other for one, other in zip(np.split(own, 3), before, strict=True)]
    )
    scale = np.repeat([1 / sqrt(size), 1.0, 1.0], channels)
    return weight * scale[:, None], bias * scale


def _check(place: str, inner: Module, channels: int, heads: int) -> None:
    """Refuse what PyTorch's MultiheadAttention can do and no YOLOv5 does."""
    if heads < 1 or channels % heads:
        raise GraphError(f"{place}: {channels} channels for {heads} heads")
    if any(inner.get(name) is not None for name in ("bias_k", "bias_v")):
        raise GraphError(f"{place}: attention with a learned key and value; no YOLOv5 has them")
    if inner.flag("add_zero_attn") or inner.flag("batch_first"):
        raise GraphError(f"{place}: attention with other settings than YOLOv5's")


def _square(module: Module, channels: int) -> Doubles:
    """The weight of a Linear that keeps the number of channels."""
    weight = doubles(module, "weight", 2)
    if weight.shape != (channels, channels):
        raise GraphError(f"{module.kind} has weights of {weight.shape} for {channels} channels")
    return weight


def _turned(canvas: Canvas, place: str, name: str) -> str:
    """Swap the last two of four dimensions."""
    return canvas.node("Transpose", place, [name], perm=[0, 1, 3, 2])
