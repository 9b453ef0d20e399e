"""The layers below the head: one small function per module class.

To teach the graph writer a new layer, write its function and add a line to :data:`LAYERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

import numpy as np

from builder.checkpoint import Module
from builder.errors import GraphError
from builder.graph.activations import (
    draw_hardswish,
    draw_identity,
    draw_leaky_relu,
    draw_mish,
    draw_relu,
    draw_relu6,
    draw_silu,
)
from builder.graph.attention import draw_position, draw_transformer_layer
from builder.graph.canvas import ADVICE, WORK_PER_NUMBER, Canvas, Feature
from builder.graph.convolution import doubles, draw_convolution, scale_and_shift
from builder.graph.joins import add, join
from builder.graph.sampling import (
    draw_contract,
    draw_expand,
    draw_max_pool,
    draw_transposed,
    draw_upsample,
    draw_zero_pad,
)

Layer = Callable[[Canvas, Module, str, list[Feature]], Feature]


def draw(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw `module` with the function for its class.

    Args:
        canvas: to draw on.
        module: the part of the network.
        place: its dotted place, for example ``model.4.cv1``.
        inputs: what it sees; all but Concat and Sum see one feature map.

    Raises:
        GraphError: the class is not in :data:`LAYERS`, or the part does not fit its inputs.
    """
    canvas.enter(place)
    layer = LAYERS.get(module.class_name)
    if layer is None:
        raise GraphError(
            f"{place}: the graph writer does not know {module.kind}; it knows "
            f"{', '.join(sorted(LAYERS))}; {ADVICE}"
        )
    if len(inputs) != 1 and layer not in (_concat, _sum):
        raise GraphError(f"{place}: {module.kind} takes one input, not {len(inputs)}")
    feature = layer(canvas, module, place, inputs)
    canvas.work(place, WORK_PER_NUMBER * feature.numbers)
    return feature


def draw_part(canvas: Canvas, owner: Module, name: str, place: str, image: Feature) -> Feature:
    """Draw the submodule `name` of `owner`, which lies at `place`."""
    return draw(canvas, owner.child(name), f"{place}.{name}", [image])


def _conv(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Convolution, batch norm (already folded by some savers), activation."""
    norm = module.children.get("bn")
    conv = module.child("conv")
    feature = draw_convolution(canvas, conv, f"{place}.conv", inputs[0], norm=norm)
    return draw_part(canvas, module, "act", place, feature)


def _focus(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """The first layer of older releases: space-to-depth and a Conv, drawn as one convolution."""
    inner, place = module.child("conv"), f"{place}.conv"
    feature = draw_convolution(
        canvas,
        inner.child("conv"),
        f"{place}.conv",
        inputs[0],
        norm=inner.children.get("bn"),
        unfold=True,
    )
    return draw_part(canvas, inner, "act", place, feature)


def _bottleneck(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    feature = draw_part(canvas, module, "cv1", place, inputs[0])
    feature = draw_part(canvas, module, "cv2", place, feature)
    return add(canvas, place, inputs[0], feature) if module.flag("add") else feature


def _c3(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    if "cv4" in module.children:  # up to release 3 another layer had this name
        return _bottleneck_csp(canvas, module, place, inputs)
    main = draw_part(canvas, module, "cv1", place, inputs[0])
    main = draw_part(canvas, module, "m", place, main)
    side = draw_part(canvas, module, "cv2", place, inputs[0])
    return draw_part(canvas, module, "cv3", place, join(canvas, place, [main, side]))


def _ghost_conv(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    half = draw_part(canvas, module, "cv1", place, inputs[0])
    return join(canvas, place, [half, draw_part(canvas, module, "cv2", place, half)])


def _ghost_bottleneck(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    main = draw_part(canvas, module, "conv", place, inputs[0])
    return add(canvas, place, main, draw_part(canvas, module, "shortcut", place, inputs[0]))


def _bottleneck_csp(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    main = draw_part(canvas, module, "cv1", place, inputs[0])
    main = draw_part(canvas, module, "m", place, main)
    main = draw_part(canvas, module, "cv3", place, main)
    side = draw_part(canvas, module, "cv2", place, inputs[0])
    both = join(canvas, place, [main, side])
    both = draw_part(canvas, module, "act", place, draw_part(canvas, module, "bn", place, both))
    return draw_part(canvas, module, "cv4", place, both)


def _spp(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    first = draw_part(canvas, module, "cv1", place, inputs[0])
    pools = module.child("m").children.items()
    pooled = [draw(canvas, pool, f"{place}.m.{key}", [first]) for key, pool in pools]
    return draw_part(canvas, module, "cv2", place, join(canvas, place, [first, *pooled]))


def _sppf(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    features = [draw_part(canvas, module, "cv1", place, inputs[0])]
    for _ in range(min(module.integer("n", 3), 16)):
        features.append(draw_part(canvas, module, "m", place, features[-1]))
    feature = draw_part(canvas, module, "cv2", place, join(canvas, place, features))
    return add(canvas, place, feature, inputs[0]) if module.flag("add") else feature


def _concat(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    if module.integer("d", 1) != 1:
        raise GraphError(f"{place}: joins along dimension {module.integer('d')}, not the channels")
    return join(canvas, place, inputs)


@np.errstate(all="ignore")  # broken weights stay as they are
def _sum(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """The first input and the others, each times twice a sigmoid where there are weights."""
    if module.state.get("iter") != range(len(inputs) - 1):
        raise GraphError(f"{place}: adds other than the {len(inputs)} feature maps that it sees")
    total, others = inputs[0], inputs[1:]
    if module.flag("weight"):
        factors = 2 / (1 + np.exp(-doubles(module, "w", 1)))
        if factors.size != len(others):
            raise GraphError(f"{place}: {factors.size} weights for {len(others)} feature maps")
        for index, (other, factor) in enumerate(zip(others, factors, strict=True)):
            name = canvas.weight(f"{place}.w.{index}", factor)
            others[index] = other.renamed(canvas.node("Mul", place, [other.name, name]))
    for other in others:
        total = add(canvas, place, total, other)
    return total


def _mix_conv(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Convolutions with kernels of several sizes, side by side.

    Up to release 6.0 they were dense, and the input was added at the end.
    """
    image, convolutions = inputs[0], module.child("m").children
    parts = [draw_part(canvas, module.child("m"), key, f"{place}.m", image) for key in convolutions]
    feature = draw_part(canvas, module, "bn", place, join(canvas, place, parts))
    feature = draw_part(canvas, module, "act", place, feature)
    depthwise = all(
        conv.integer("groups") == gcd(image.channels, part.channels)
        for conv, part in zip(convolutions.values(), parts, strict=True)
    )
    return feature if depthwise else add(canvas, place, image, feature)


def _transformer_block(
    canvas: Canvas, module: Module, place: str, inputs: list[Feature]
) -> Feature:
    image = inputs[0]
    if "conv" in module.children:
        image = draw_part(canvas, module, "conv", place, image)
    image = draw_position(canvas, module.child("linear"), f"{place}.linear", image)
    return draw_part(canvas, module, "tr", place, image)


def _sequential(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    feature = inputs[0]
    for name in module.children:
        feature = draw_part(canvas, module, name, place, feature)
    return feature


def _plain_conv(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    return draw_convolution(canvas, module, place, inputs[0])


def _batch_norm(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """A batch norm on its own: a multiplication and an addition per channel."""
    with np.errstate(all="ignore"):
        scale, shift = scale_and_shift(module)
        if scale.size != inputs[0].channels:
            raise GraphError(f"{place}: {inputs[0].channels} channels meet a norm of {scale.size}")
        factor = canvas.weight(f"{place}.scale", scale.reshape(1, -1, 1, 1))
        offset = canvas.weight(f"{place}.shift", shift.reshape(1, -1, 1, 1))
    name = canvas.node("Mul", place, [inputs[0].name, factor])
    name = canvas.node("Add", place, [name, offset])
    return Feature(name, inputs[0].channels, inputs[0].height, inputs[0].width)


LAYERS: dict[str, Layer] = {
    "BatchNorm2d": _batch_norm,
    "Bottleneck": _bottleneck,
    "BottleneckCSP": _bottleneck_csp,
    "C3": _c3,
    "C3Ghost": _c3,
    "C3SPP": _c3,
    "C3TR": _c3,
    "C3x": _c3,
    "Concat": _concat,
    "Contract": draw_contract,
    "Conv": _conv,
    "Conv2d": _plain_conv,
    "ConvTranspose2d": draw_transposed,
    "CrossConv": _bottleneck,
    "DWConv": _conv,
    "DWConvTranspose2d": draw_transposed,
    "Dropout": draw_identity,
    "Expand": draw_expand,
    "Focus": _focus,
    "GhostBottleneck": _ghost_bottleneck,
    "GhostConv": _ghost_conv,
    "Hardswish": draw_hardswish,
    "Identity": draw_identity,
    "LeakyReLU": draw_leaky_relu,
    "MaxPool2d": draw_max_pool,
    "Mish": draw_mish,
    "MixConv2d": _mix_conv,
    "ReLU": draw_relu,
    "ReLU6": draw_relu6,
    "SPP": _spp,
    "SPPF": _sppf,
    "Sequential": _sequential,
    "SiLU": draw_silu,
    "Sum": _sum,
    "TransformerBlock": _transformer_block,
    "TransformerLayer": draw_transformer_layer,
    "Upsample": draw_upsample,
    "ZeroPad2d": draw_zero_pad,
}
"""By the class's own name: both training codes use the same names for the same layers."""
