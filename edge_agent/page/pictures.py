"""The pictures of one camera, encoded when somebody asks: live, the reference, the SSIM map.

All of it happens in the server's threads. Two viewers do not cost twice: a picture is encoded at
most once per frame, and not again within `FRESH_S`.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.bundle import Bundle
from edge_agent.captures.masks import Mask, covered, visible
from edge_agent.detection.decode import above
from edge_agent.detection.preprocess import Image
from edge_agent.gate import Reference
from edge_agent.gate.view import reduce
from edge_agent.page.answer import NOTHING_NEW, Answer
from edge_agent.page.shown import Shown
from edge_agent.page.state import judged
from edge_agent.page.watch import CameraWatch, Look
from edge_agent.sources.folder import read_picture

FRAME_HEADER = "X-Outpost-Frame"
FRESH_S = 0.08
WAIT_S = 1.0
LOOK_S = 0.02
QUALITY = 80
BOXES_MOST = 60  # in a header; a picture with more boxes is unreadable anyway
WORST_SSIM, BEST_SSIM = 0.1, 0.85  # of the map's colours: red and transparent
MAP_OPACITY = 0.8

Painted = npt.NDArray[np.uint8]


class _Encoded(NamedTuple):
    """A frame that was encoded, by its number and time."""

    number: int
    at: float
    answer: Answer


class Pictures:
    """Encodes what one camera saw last.

    Args:
        watch: the camera's last frame.
        width: pixels, to which pictures are reduced.
        gate_width: of the input check, for the SSIM map.
        mask: what nobody is shown, None for nothing: black in both pictures and transparent in the
            map, which would else show what moves there; boxes whose centre lies there are left out.
        closing: set when the server ends, so that nobody waits for a frame.
        shown: keeps some of what was shown, for inspectors.
    """

    def __init__(
        self,
        watch: CameraWatch,
        *,
        width: int,
        gate_width: int,
        mask: Mask | None,
        closing: threading.Event,
        shown: Shown,
    ) -> None:
        self._shown = shown
        self._watch = watch
        self._width = width
        self._gate_width = gate_width
        self._mask = mask
        self._closing = closing
        self._encoding = threading.Lock()
        self._live: _Encoded | None = None
        self._comparing = threading.Lock()
        self._known = ("", "")
        self._picture: Image | None = None
        self._reference: Reference | None = None
        self._still: Image | None = None

    def live(self, after: int) -> Answer:
        """The newest frame as JPEG, with what became of it in the header `FRAME_HEADER`.

        Args:
            after: number of the frame that the viewer has; waits up to `WAIT_S` for another one.
        """
        waited_s = 0.0
        while (look := self._watch.last) is None or look.number == after:
            waited_s += LOOK_S
            if waited_s > WAIT_S or self._closing.wait(LOOK_S):
                return NOTHING_NEW
        with self._encoding:
            known = self._live
            if known is None or known.number == after or look.at - known.at >= FRESH_S:
                known = self._live = self._encode(look)
        return known.answer

    def reference(self) -> Answer:
        """The picture of the good view as JPEG; nothing where the release has none."""
        look = self._watch.last
        if look is None:
            return NOTHING_NEW
        with self._comparing:
            self._know(look)
            if self._picture is None:
                return NOTHING_NEW
            return _jpeg(fit(covered(self._picture, self._mask), self._width))

    def map(self) -> Answer:
        """Where the newest frame differs from the reference: a PNG to be laid over it.

        As large as the reference reduced for the input check; transparent where SSIM is above
        `BEST_SSIM`, from yellow to red below, and where the reference does not stand still: what
        moves there is not compared. Nothing where there is no reference.
        """
        look = self._watch.last
        if look is None:
            return NOTHING_NEW
        with self._comparing:
            self._know(look)
            if self._reference is None:
                return NOTHING_NEW
            height, width = self._reference.shape
            gray = reduce(look.frame.image, self._gate_width)
            if gray.shape != (height, width):
                gray = np.asarray(
                    cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8
                )
            values = self._reference.map(gray)
        painted = paint(values, (height, width))
        if self._still is not None:
            painted[self._still == 0] = 0
        return _encoded(".png", covered(painted, self._mask), "image/png", [])

    def _know(self, look: Look) -> None:
        """Take the reference that the frame was compared with: of the release or the camera."""
        release, name = look.release, look.verdict.reference if look.verdict is not None else ""
        if (release.digest, name) == self._known:
            return
        view = release.views.get(name)
        self._still = view.mask if view is not None else None
        if view is not None:
            gray: Image | None = view.gray
            self._picture = np.asarray(cv2.cvtColor(view.gray, cv2.COLOR_GRAY2BGR), np.uint8)
        else:
            self._picture = _bundled(release.bundle)
            gray = reduce(self._picture, self._gate_width) if self._picture is not None else None
        self._reference = Reference(gray) if gray is not None else None
        self._known = (release.digest, name)

    def _encode(self, look: Look) -> _Encoded:
        marked = boxes(look, self._mask)
        document = {**judged(look), "boxes": marked}
        if self._mask is not None:
            document["masked"] = True
        # Before it is reduced: reducing would mix hidden pixels into those at the mask's edge.
        picture = fit(covered(look.frame.image, self._mask), self._width)
        answer = _jpeg(picture, {FRAME_HEADER: json.dumps(document, separators=(",", ":"))})
        self._shown.keep(look, marked, answer.body)
        return _Encoded(look.number, look.at, answer)


def _bundled(bundle: Bundle) -> Image | None:
    name = bundle.manifest.reference_image
    return read_picture(bundle.path(name)) if name is not None else None


def boxes(look: Look, mask: Mask | None = None) -> list[list[float]]:
    """The reported boxes that may be shown, best first.

    Each is x0, y0, x1, y1 as shares of the picture, score, class id.
    """
    if look.result is None:
        return []
    height, width = look.frame.image.shape[:2]
    found = look.result.detections
    if mask is not None:
        found = visible(found, mask.of(height, width))
    return [
        [round(x0 / width, 4), round(y0 / height, 4), round(x1 / width, 4), round(y1 / height, 4),
         round(score, 3), int(number)]
        for x0, y0, x1, y1, score, number in above(found, look.release.limit)[
            :BOXES_MOST
        ].tolist()
    ]  # fmt: skip


def fit(image: Image, longest: int) -> Image:
    """The (H, W, 3) picture, reduced so that its longer side has at most so many pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def paint(values: npt.NDArray[np.float32], shape: tuple[int, int]) -> Painted:
    """SSIM per window as a (h, w, 4) BGRA picture of ``shape``.

    Args:
        values: (h - 6, w - 6), as `edge_agent.gate.ssim.Reference.map` gives them; the border
            that has no value is transparent.
        shape: h, w.
    """
    span = BEST_SSIM - WORST_SSIM
    wrong = np.clip((BEST_SSIM - values) / span, 0.0, 1.0)
    inner = np.zeros((*values.shape, 4), np.uint8)
    inner[..., 1] = 210 * (1.0 - wrong)  # yellow where little is wrong, red where all is
    inner[..., 2] = 230
    inner[..., 3] = 255 * MAP_OPACITY * np.sqrt(wrong)
    top, left = ((whole - part) // 2 for whole, part in zip(shape, values.shape, strict=True))
    painted = np.zeros((*shape, 4), np.uint8)
    painted[top : top + values.shape[0], left : left + values.shape[1]] = inner
    return painted


def _jpeg(picture: Image, headers: dict[str, str] | None = None) -> Answer:
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    return _encoded(".jpg", picture, "image/jpeg", settings, headers)


def _encoded(
    suffix: str,
    picture: Painted,
    kind: str,
    settings: list[int],
    headers: dict[str, str] | None = None,
) -> Answer:
    good, data = cv2.imencode(suffix, picture, settings)
    if not good:
        raise ValueError(f"OpenCV cannot write {suffix} of {picture.shape}")
    return Answer(HTTPStatus.OK, data.tobytes(), kind, headers or {})
