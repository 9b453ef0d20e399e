"""What a checkpoint says about its model: head, classes, strides, settings, origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from builder.checkpoint.methods import other_task
from builder.checkpoint.names import MAX_CLASSES, checked_names
from builder.checkpoint.refusal import Refusal, shorten
from builder.checkpoint.settings import Settings, whole_text
from builder.checkpoint.values import Absent, Module

Head = Literal["yolov5-anchor", "yolov5u", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A YOLOv5 detection checkpoint that was read and makes sense.

    Attributes:
        path: the file it was read from.
        sha256: of the whole file, as hexadecimal digits.
        model: the network, as stand-in modules with numpy arrays.
        weights: where the network was: ``ema``, ``model`` or ``whole file``.
        head: ``yolov5-anchor`` (the original repository), ``yolov5u`` (the ultralytics package),
            or ``other`` for a detection head that the graph writer does not know.
        names: the classes in the order of the model's outputs.
        strides: pixels per cell of each output level, in the order of the levels.
        channels: of the input image.
        precision: of the stored weights: ``float16``, ``float32`` (bfloat16 counts as it),
            ``float64``.
        yaml: the network's own description; empty when the checkpoint has none.
        args: the training arguments; empty when the checkpoint has none.
        metrics: what training measured at this epoch; often empty.
        date: when training saved it, as written there (ISO 8601 in current releases).
        version: of the training package, where it says so.
        licence: of the weights, where the checkpoint says so.
        git: of the training code (``commit``, ``branch``, ``origin``); often empty.
    """

    path: Path
    sha256: str
    model: Module
    weights: str
    head: Head
    names: tuple[str, ...]
    strides: tuple[int, ...]
    channels: int
    precision: str
    yaml: Mapping[str, object]
    args: Mapping[str, object]
    metrics: Mapping[str, object]
    date: str | None
    version: str | None
    licence: str | None
    git: Mapping[str, object]

    @property
    def stride(self) -> int:
        """Pixels that height and width of an input must be a multiple of."""
        return max(self.strides)

    @property
    def layers(self) -> list[Module]:
        """The network's layers in the order of their indices; the last one is the head."""
        return list(self.model.child("model").children.values())

    @property
    def image_size(self) -> int | None:
        """The size in pixels that training used, where the checkpoint says so."""
        size = self.args.get("imgsz", self.args.get("img_size"))  # the latter before release 6
        size = size[0] if isinstance(size, list) and size else size
        return size if type(size) is int and 0 < size <= 8192 else None

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width in pixels of the training's pictures, where they are known."""
        return None if self.image_size is None else (self.image_size, self.image_size)


def describe(*, path: Path, sha256: str, model: Module, weights: str, top: object) -> Checkpoint:
    """Check what the model is and gather what the checkpoint says about it.

    Args:
        path: the file, for the record.
        sha256: of the file.
        model: the network that was picked, its tensors loaded.
        weights: where it was.
        top: everything in the file.

    Raises:
        Refusal: it is not a detection model, or contradicts itself.
        Absent: a part is missing.
    """
    head = _head(model)
    record = top if isinstance(top, dict) else {}
    settings = Settings()
    yaml = settings.mapping(model.get("yaml"))
    arguments = record.get("train_args") or record.get("opt") or model.get("args")
    return Checkpoint(
        path=path,
        sha256=sha256,
        model=model,
        weights=weights,
        head=_head_kind(head),
        names=_names(model, head),
        strides=_strides(model, head),
        channels=_channels(yaml),
        precision=_precision(model),
        yaml=yaml,
        args=settings.mapping(arguments),
        metrics=settings.mapping(record.get("train_metrics")),
        date=_text(record.get("date")),
        version=_text(record.get("version")),
        licence=_text(record.get("license")),
        git=settings.mapping(record.get("git")),
    )


def _head(model: Module) -> Module:
    layers = list(model.child("model").children.values())
    if not layers:
        raise Absent(f"{model.kind} has no layers")
    for module in (layers[-1], model):
        if refusal := other_task(module.kind):
            raise refusal
    return layers[-1]


def _head_kind(head: Module) -> Head:
    parts = head.children.keys()
    if head.class_name == "Detect" and "m" in parts:
        return "yolov5-anchor"
    anchor_free = {"cv2", "cv3", "dfl"} <= parts and "one2one_cv2" not in parts
    return "yolov5u" if head.class_name == "Detect" and anchor_free else "other"


def _names(model: Module, head: Module) -> tuple[str, ...]:
    value, count = model.get("names"), head.integer("nc")
    if not 0 < count <= MAX_CLASSES:
        raise Refusal(f"has a head for {count} classes")
    if isinstance(value, dict):
        value = [value.get(index) for index in range(len(value))]
    values = value if isinstance(value, (list, tuple)) else [None]
    names = [one for one in values if isinstance(one, (str, int))]
    if len(names) != len(values):
        raise Refusal("has class names that are neither a list nor numbered from 0")
    if len(values) != count:
        raise Refusal(f"has {len(values)} class names, but a head for {count} classes")
    return checked_names(names)


def _strides(model: Module, head: Module) -> tuple[int, ...]:
    holder = model if head.get("stride") is None else head  # RT-DETR's head has none of its own
    values = holder.array("stride", dims=1).astype(np.float64)
    if not 0 < values.size <= 8 or not all(1 <= v <= 1024 and v == int(v) for v in values):
        raise Refusal("has strides that are not whole pixels")
    return tuple(int(value) for value in values)


def _channels(yaml: Mapping[str, object]) -> int:
    channels = yaml.get("channels", yaml.get("ch", 3))
    if not isinstance(channels, int) or not 0 < channels <= 1024:
        raise Refusal(f"has {shorten(channels)} input channels")
    return channels


def _precision(model: Module) -> str:
    """Name the type of the first weights that the network has."""
    pending = [model]
    for _ in range(1000):
        module = pending.pop()
        if isinstance(weight := module.get("weight"), np.ndarray):
            return str(weight.dtype)
        pending.extend(reversed(module.children.values()))
        if not pending:
            break
    raise Refusal("has a network without weights")


def _text(value: object) -> str | None:
    return whole_text(value[:200]) if isinstance(value, str) else None
