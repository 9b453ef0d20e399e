"""From a camera's picture to the network's tensor, executed from the bundle's contract.

The arithmetic is that of the letterbox with which YOLOv5 models are deployed (ultralytics
`LetterBox`, ``auto=False``): the same rounding, the same filter, the same division, so that the
tensors are equal to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.bundle import InputSpec
from edge_agent.errors import SourceError

Image = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]

_FILTERS = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in the tensor: ``tensor = pixel * gain + pad``, per axis.

    The two gains differ by the rounding of the resized sides; thin pictures make that visible.

    Attributes:
        gain_x, gain_y: tensor pixels per picture pixel.
        pad_x, pad_y: left and top border in tensor pixels.
        width, height: of the picture in pixels.
    """

    gain_x: float
    gain_y: float
    pad_x: int
    pad_y: int
    width: int
    height: int


def place(spec: InputSpec, width: int, height: int) -> tuple[Placement, tuple[int, int]]:
    """Where a picture of this size goes.

    Returns:
        The placement, and (width, height) to which the picture is resized.
    """
    ratio = min(spec.height / height, spec.width / width)
    if not spec.scaleup:
        ratio = min(ratio, 1.0)
    new_width = max(round(width * ratio), 1)
    new_height = max(round(height * ratio), 1)
    placement = Placement(
        gain_x=new_width / width,
        gain_y=new_height / height,
        pad_x=round((spec.width - new_width) / 2 - 0.1),
        pad_y=round((spec.height - new_height) / 2 - 0.1),
        width=width,
        height=height,
    )
    return placement, (new_width, new_height)


def check_image(image: object) -> Image:
    """The picture, when it is what every stage expects: (H, W, 3) BGR uint8, at least 1x1.

    Raises:
        SourceError: saying what it is instead.
    """
    if not isinstance(image, np.ndarray):
        raise SourceError(f"a frame should be a picture, is {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SourceError(
            f"a frame should be height x width x 3 of uint8, is {_shape(image)} of {image.dtype};"
            " convert it to 8-bit BGR first"
        )
    if image.size == 0:
        raise SourceError(f"a frame of {_shape(image)} holds no pixels; check the source")
    return image


def _shape(image: npt.NDArray[Any]) -> str:
    return " x ".join(str(side) for side in image.shape) or "a scalar"


class Canvas:
    """One input of the network, and what its border fits.

    Attributes:
        tensor: (1, 3, h, w) float32.
    """

    def __init__(self, spec: InputSpec) -> None:
        self.tensor: Tensor = np.empty((1, 3, spec.height, spec.width), np.float32)
        self._border = np.float32(spec.pad_value) / np.float32(1.0 / spec.scale)
        self._order = (2, 1, 0) if spec.colour == "RGB" else (0, 1, 2)
        self._planes: list[Tensor] = []
        self._box = (0, 0, 0, 0)

    def planes(self, left: int, top: int, columns: int, rows: int) -> list[Tensor]:
        """Where blue, green and red of a picture go, (rows, columns) float32 each; the rest is
        border.
        """
        box = (left, top, columns, rows)
        if box != self._box:
            self.tensor.fill(self._border)
            inside = self.tensor[0, :, top : top + rows, left : left + columns]
            self._planes, self._box = [inside[channel] for channel in self._order], box
        return self._planes


class _Plan:
    """Everything that one picture size needs, made once: placement and buffers."""

    def __init__(self, spec: InputSpec, width: int, height: int) -> None:
        self.placement, self.size = place(spec, width, height)
        columns, rows = self.size
        self.resized = np.empty((rows, columns, 3), np.uint8)
        self.planes = [np.empty((rows, columns), np.uint8) for _ in range(3)]
        self.box = (self.placement.pad_x, self.placement.pad_y, columns, rows)
        self.whole = _whole_odd_ratio((width, height), self.size)


def _whole_odd_ratio(size: tuple[int, int], to: tuple[int, int]) -> int:
    """How many times smaller a picture becomes where that is 3, 5, 7 … in both directions, else 0.

    The linear filter then falls on the middle pixel of each square and takes nothing of its
    neighbours (1920 x 1080 to 640 x 360 is such a case), so picking that pixel is the same.
    """
    ratio = size[0] // to[0]
    exact = size == (to[0] * ratio, to[1] * ratio)
    return ratio if exact and ratio > 1 and ratio % 2 else 0


class Letterbox:
    """(H, W, 3) BGR uint8 -> ((1, 3, h, w) float32, placement), as an `InputSpec` says.

    Nothing is allocated per frame while the picture size stays the same. Use one instance per
    thread, and a canvas of your own for each tensor that is still needed when the next is made.
    """

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self._divisor = np.float32(1.0 / spec.scale)
        self._filter = _FILTERS[spec.interpolation]
        self._plan: _Plan | None = None

    @cached_property
    def _canvas(self) -> Canvas:
        return Canvas(self.spec)

    def __call__(self, image: Image, canvas: Canvas | None = None) -> tuple[Tensor, Placement]:
        """Fill a tensor from one picture.

        Args:
            image: the picture.
            canvas: whose tensor; without one it is a buffer that the next call overwrites.

        Raises:
            SourceError: when ``image`` is not (H, W, 3) uint8 with at least one pixel.
        """
        check_image(image)
        plan = self._plan_for(image.shape[1], image.shape[0])
        source: Any = image
        if plan.size != (image.shape[1], image.shape[0]):
            source = self._resize(image, plan)
        cv2.split(source, plan.planes)
        canvas = canvas or self._canvas
        for plane, target in zip(plan.planes, canvas.planes(*plan.box), strict=True):
            np.divide(plane, self._divisor, out=target)
        return canvas.tensor, plan.placement

    def _resize(self, image: Image, plan: _Plan) -> Image:
        if plan.whole and self._filter == cv2.INTER_LINEAR:
            step, middle = 1 / plan.whole, plan.whole // 2
            cv2.resize(
                image[middle:, middle:], None, plan.resized, step, step, cv2.INTER_NEAREST
            )  # half the time: most of the picture is never read from memory
        else:
            cv2.resize(image, plan.size, dst=plan.resized, interpolation=self._filter)
        return plan.resized

    def _plan_for(self, width: int, height: int) -> _Plan:
        plan = self._plan
        if plan is None or (plan.placement.width, plan.placement.height) != (width, height):
            plan = self._plan = _Plan(self.spec, width, height)
        return plan
