"""The layers below the head: one small function per module class.

To teach the graph writer a new layer, write its function and add a line to :data:`LAYERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from builder.checkpoint import Module
from builder.checkpoint.refusal import shorten
from builder.errors import GraphError
from builder.graph.activations import (
    draw_hardswish,
    draw_identity,
    draw_leaky_relu,
    draw_relu,
    draw_silu,
)
from builder.graph.canvas import Canvas, Feature
from builder.graph.convolution import draw_convolution, scale_and_shift

ADVICE = "train with the standard YOLOv5 layers, or build with --exporter ultralytics"

Layer = Callable[[Canvas, Module, str, list[Feature]], Feature]


def draw(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw `module` with the function for its class.

    Args:
        canvas: to draw on.
        module: the part of the network.
        place: its dotted place, for example ``model.4.cv1``.
        inputs: what it sees; all but Concat see one feature map.

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
    if len(inputs) != 1 and layer is not _concat:
        raise GraphError(f"{place}: {module.kind} takes one input, not {len(inputs)}")
    return layer(canvas, module, place, inputs)


def draw_part(canvas: Canvas, owner: Module, name: str, place: str, image: Feature) -> Feature:
    """Draw the submodule `name` of `owner`, which lies at `place`."""
    return draw(canvas, owner.child(name), f"{place}.{name}", [image])


def join(canvas: Canvas, place: str, features: list[Feature]) -> Feature:
    """Concatenate feature maps along their channels."""
    sizes = {(feature.height, feature.width) for feature in features}
    if len(sizes) != 1:
        raise GraphError(f"{place}: joins feature maps of different sizes {sorted(sizes)}")
    name = canvas.node("Concat", place, [feature.name for feature in features], axis=1)
    channels = sum(feature.channels for feature in features)
    return Feature(name, channels, features[0].height, features[0].width)


def _add(canvas: Canvas, place: str, one: Feature, other: Feature) -> Feature:
    if (one.channels, one.height, one.width) != (other.channels, other.height, other.width):
        raise GraphError(f"{place}: adds feature maps of different sizes")
    name = canvas.node("Add", place, [one.name, other.name])
    return Feature(name, one.channels, one.height, one.width)


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
    return _add(canvas, place, inputs[0], feature) if module.flag("add") else feature


def _c3(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    main = draw_part(canvas, module, "cv1", place, inputs[0])
    main = draw_part(canvas, module, "m", place, main)
    side = draw_part(canvas, module, "cv2", place, inputs[0])
    return draw_part(canvas, module, "cv3", place, join(canvas, place, [main, side]))


def _ghost_conv(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    half = draw_part(canvas, module, "cv1", place, inputs[0])
    return join(canvas, place, [half, draw_part(canvas, module, "cv2", place, half)])


def _ghost_bottleneck(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    main = draw_part(canvas, module, "conv", place, inputs[0])
    return _add(canvas, place, main, draw_part(canvas, module, "shortcut", place, inputs[0]))


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
    return _add(canvas, place, feature, inputs[0]) if module.flag("add") else feature


def _concat(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    if module.integer("d", 1) != 1:
        raise GraphError(f"{place}: joins along dimension {module.integer('d')}, not the channels")
    return join(canvas, place, inputs)


def _upsample(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    factor, mode, image = module.number("scale_factor"), module.text("mode"), inputs[0]
    if mode != "nearest" or factor not in (1.0, 2.0, 4.0, 8.0):
        raise GraphError(f"{place}: upsamples in mode {shorten(mode)} by {factor}; {ADVICE}")
    scales = canvas.weight(f"{place}.scales", [1.0, 1.0, factor, factor])
    name = canvas.node(
        "Resize",
        place,
        [image.name, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    scale = int(factor)
    return Feature(name, image.channels, image.height * scale, image.width * scale)


def _max_pool(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    kernel, pads = module.pair("kernel_size"), module.pair("padding")
    same = all(size == 2 * pad + 1 for size, pad in zip(kernel, pads, strict=True))
    if not same or module.pair("stride") != (1, 1) or module.pair("dilation") != (1, 1):
        raise GraphError(f"{place}: a pooling that changes the size; no YOLOv5 has one")
    name = canvas.node(
        "MaxPool", place, [inputs[0].name], kernel_shape=kernel, pads=[*pads, *pads], strides=[1, 1]
    )
    return Feature(name, inputs[0].channels, inputs[0].height, inputs[0].width)


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
    "C3x": _c3,
    "Concat": _concat,
    "Conv": _conv,
    "Conv2d": _plain_conv,
    "CrossConv": _bottleneck,
    "DWConv": _conv,
    "Dropout": draw_identity,
    "Focus": _focus,
    "GhostBottleneck": _ghost_bottleneck,
    "GhostConv": _ghost_conv,
    "Hardswish": draw_hardswish,
    "Identity": draw_identity,
    "LeakyReLU": draw_leaky_relu,
    "MaxPool2d": _max_pool,
    "ReLU": draw_relu,
    "SPP": _spp,
    "SPPF": _sppf,
    "Sequential": _sequential,
    "SiLU": draw_silu,
    "Upsample": _upsample,
}
"""By the class's own name: both training codes use the same names for the same layers."""
