"""``gst:PIPELINE`` and ``csi:SENSOR?width=1920&height=1080&fps=30``: cameras through GStreamer.

The pipeline is written as for ``gst-launch-1.0``, without a sink; ours is put behind it. It is
asked for BGR or BGRx, so that a hardware decoder or scaler can give what the agent needs. ``csi:``
is a preset for the CSI cameras of a Jetson (nvarguscamerasrc); ``flip`` is nvvidconv's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.errors import SourceError
from edge_agent.sources.base import Spec, redacted
from edge_agent.sources.gst_library import SINK, Pipeline, Sample
from edge_agent.sources.live import LiveSource
from edge_agent.sources.screen import EMPTY, SIZE_LIE

if TYPE_CHECKING:
    from edge_agent.detection.preprocess import Image

WAIT_S = 0.2
# The sink drops nothing: what is let go is counted further on, with a reason.
_SINK = (
    " ! videoconvert ! video/x-raw,format=(string){BGR,BGRx}"
    f" ! appsink name={SINK} sync=false max-buffers=2"
)
_CSI = (
    "nvarguscamerasrc sensor-id={sensor}"
    " ! video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
    " ! nvvidconv flip-method={flip} ! video/x-raw,format=BGRx"
)
_PIXEL_BYTES = {"BGR": 3, "BGRx": 4}


class GstSource(LiveSource):
    """Frames of a GStreamer pipeline.

    Args:
        pipeline: as for ``gst-launch-1.0``, without a sink.
        camera: id for the frames.

    Raises:
        SourceError: GStreamer is missing, or the pipeline cannot be made or started.
    """

    def __init__(self, pipeline: str, camera: str) -> None:
        super().__init__(camera)
        self._text = pipeline
        try:
            self._pipeline = Pipeline(pipeline + _SINK)
        except SourceError as error:
            raise self._lost(str(error)) from None

    def picture(self) -> tuple[Image, float] | None:
        """The next picture of the pipeline (see `LiveSource.picture`)."""
        sample = self._pipeline.pull(WAIT_S)
        if sample is None:
            if reason := self._pipeline.error():
                raise self._lost(reason)
            if self._pipeline.ended:
                raise self._lost("the pipeline ended; is the camera switched off?")
            return None
        taken_at = time.time()
        try:
            image = self._bgr(sample)
        finally:
            sample.release()
        return None if image is None else (image, taken_at)

    def _bgr(self, sample: Sample) -> Image | None:
        """The picture in memory of ours; rows in GStreamer's are padded to 4 bytes."""
        width, height = sample.width, sample.height
        channels = _PIXEL_BYTES.get(sample.format, 0)
        stride = (width * channels + 3) // 4 * 4
        if not width or not height or not channels:
            self.skipped.add(EMPTY)
            return None
        if len(sample.data) < stride * height:
            self.skipped.add(SIZE_LIE)
            return None
        rows = np.frombuffer(sample.data, np.uint8, stride * height).reshape(height, stride)
        given = rows[:, : width * channels].reshape(height, width, channels)
        image = self.buffers(height, width)
        if channels == 3:
            np.copyto(image, given)
        else:
            cv2.cvtColor(given, cv2.COLOR_BGRA2BGR, dst=image)
        return image

    def let_go(self) -> None:
        """Stop the pipeline."""
        self._pipeline.close()

    def _lost(self, reason: str) -> SourceError:
        return SourceError(redacted(f'pipeline "{self._text}": {reason}'))


def open_spec(spec: Spec, camera: str) -> GstSource:
    """The factory of both kinds (see `edge_agent.sources.open_source`)."""
    if spec.scheme == "gst":
        return GstSource(spec.path.strip(), camera)
    return GstSource(csi_pipeline(spec), camera)


def csi_pipeline(spec: Spec) -> str:
    """The pipeline of a Jetson's CSI camera: ``csi:0?width=…&height=…&fps=…&flip=…``."""
    spec.allow(("width", "height", "fps", "flip"))
    if not (spec.path.isascii() and spec.path.isdigit()):
        raise SourceError(f'source "{spec.text}": should name the sensor by number, e.g. csi:0')
    return _CSI.format(
        sensor=int(spec.path),
        width=spec.whole("width", 1920, most=16384),
        height=spec.whole("height", 1080, most=16384),
        fps=spec.whole("fps", 30, most=1000),
        flip=spec.whole("flip", 0, least=0, most=7),
    )
