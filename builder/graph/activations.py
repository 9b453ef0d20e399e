"""Activation functions: one small function per class."""

from __future__ import annotations

from builder.checkpoint import Module
from builder.graph.canvas import Canvas, Feature


def draw_identity(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw nothing: Identity, and Dropout once training is over."""
    return inputs[0]


def draw_silu(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``x * sigmoid(x)``."""
    gate = canvas.node("Sigmoid", place, [inputs[0].name])
    return inputs[0].renamed(canvas.node("Mul", place, [inputs[0].name, gate]))


def draw_hardswish(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``x * clip(x / 6 + 1/2, 0, 1)``; parsers older than HardSwish itself read this."""
    gate = canvas.node("HardSigmoid", place, [inputs[0].name], alpha=1.0 / 6.0, beta=0.5)
    return inputs[0].renamed(canvas.node("Mul", place, [inputs[0].name, gate]))


def draw_relu(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``max(x, 0)``."""
    return inputs[0].renamed(canvas.node("Relu", place, [inputs[0].name]))


def draw_leaky_relu(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``x`` above zero and ``negative_slope * x`` below."""
    slope = module.number("negative_slope")
    return inputs[0].renamed(canvas.node("LeakyRelu", place, [inputs[0].name], alpha=slope))


def draw_relu6(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``x`` cut to 0..6."""
    limits = [canvas.weight(f"{place}.{name}", value) for name, value in (("min", 0), ("max", 6))]
    return inputs[0].renamed(canvas.node("Clip", place, [inputs[0].name, *limits]))


def draw_mish(canvas: Canvas, module: Module, place: str, inputs: list[Feature]) -> Feature:
    """Draw ``x * tanh(ln(1 + e^x))``."""
    gate = canvas.node("Tanh", place, [canvas.node("Softplus", place, [inputs[0].name])])
    return inputs[0].renamed(canvas.node("Mul", place, [inputs[0].name, gate]))
