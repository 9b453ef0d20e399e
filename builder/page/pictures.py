"""The golden frames with what the reference finds on them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from builder.images import read_picture
from edge_agent.bundle import Bundle
from edge_agent.detection.decode import above
from edge_agent.detection.draw import colour, draw
from edge_agent.detection.golden import Golden
from edge_agent.detection.preprocess import Image

_MOST_PIXELS = 720
_LEAST_PIXELS = 320
_QUALITY = 82


def golden_figures(bundle: Bundle) -> str:
    """One figure per golden frame, boxes above the confidence drawn in."""
    manifest = bundle.manifest
    figures = []
    for frame in Golden.read(bundle).frames:
        picture = read_picture(bundle.path(frame.file))
        factor = _factor(picture)
        found = above(frame.detections, manifest.decode.confidence).copy()
        found[:, :4] *= factor
        drawn = draw(_resized(picture, factor), found, manifest.classes)
        height, width = picture.shape[:2]
        text = f"{frame.file.rpartition('/')[2]} · {width} x {height} · {_count(len(found))}"
        figures.append(
            f'<figure><img alt="{escape(text)}" src="{_data_url(drawn)}">'
            f"<figcaption>{escape(text)}</figcaption></figure>"
        )
    return "".join(figures)


def class_chips(classes: Sequence[str]) -> str:
    """The classes in the colours in which they are drawn."""
    chips = []
    for number, name in enumerate(classes):
        blue, green, red = colour(number)
        chips.append(
            f'<span class="chip"><i style="background:rgb({red},{green},{blue})"></i>'
            f"{number} {escape(name)}</span>"
        )
    return "".join(chips)


def _count(number: int) -> str:
    return "no detection" if not number else f"{number} detection{'s' if number > 1 else ''}"


def _factor(picture: Image) -> float:
    """Large pictures are made smaller, tiny ones larger, so that labels can be read."""
    longest = max(int(side) for side in picture.shape[:2])
    return min(1.0, _MOST_PIXELS / longest) * max(1.0, _LEAST_PIXELS / longest)


def _resized(picture: Image, factor: float) -> Image:
    if factor == 1.0:
        return picture
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    resized = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method)
    return np.asarray(resized, np.uint8)


def _data_url(picture: Image) -> str:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
