"""USB cameras: what can be checked without one. No machine of ours has a V4L2 device."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.v4l2 import V4l2Source


class Device:
    """OpenCV's capture with the V4L2 backend: takes what it can, reports what it has."""

    def __init__(self, size=(640, 480), sizes=((640, 480), (1280, 720)), frames=3):
        self.size = size
        self.sizes = sizes
        self.frames = frames
        self.released = False
        self.asked = {}

    def isOpened(self):
        return self.frames >= 0

    def set(self, what, value):
        self.asked[what] = value
        for width, height in self.sizes:
            wanted = self.asked.get(cv2.CAP_PROP_FRAME_WIDTH, width)
            if (wanted, self.asked.get(cv2.CAP_PROP_FRAME_HEIGHT, height)) == (width, height):
                self.size = (width, height)
        return True

    def get(self, what):
        return float(self.size[0] if what == cv2.CAP_PROP_FRAME_WIDTH else self.size[1])

    def grab(self):
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self, target):
        if target.shape[:2] != self.size[::-1]:
            target = np.empty((*self.size[::-1], 3), np.uint8)
        target[:] = 7
        return True, target

    def release(self):
        self.released = True


def test_frames_go_where_they_are_wanted():
    """OpenCV decodes into the memory that it is given."""
    device = Device()
    source = V4l2Source("/dev/video0", "cam", opener=lambda path: device)
    memory = np.zeros((480, 640, 3), np.uint8)
    source.buffers = lambda height, width: memory
    item = source.read()
    assert item.image is memory and (memory == 7).all() and item.seq == 1


def test_a_new_size_in_mid_stream():
    """The picture is given as it comes, and the next memory fits it."""
    device = Device()
    source = V4l2Source("/dev/video0", "cam", opener=lambda path: device)
    asked = []
    source.buffers = lambda height, width: (
        asked.append((height, width)) or np.empty((height, width, 3), np.uint8)
    )
    source.read()
    device.size = (1280, 720)
    assert [source.read().image.shape for _ in range(1)] == [(720, 1280, 3)]
    with pytest.raises(SourceError, match="unplugged"):
        [source.read() for _ in range(2)]
    assert asked[0] == (480, 640) and device.released


def test_settings_are_asked_of_the_driver():
    """Format before size, as drivers want it."""
    device = Device()
    V4l2Source(
        "/dev/video0", "cam", width=1280, height=720, fps=30, fourcc="MJPG",
        opener=lambda path: device,
    )  # fmt: skip
    assert list(device.asked) == [
        cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS,
    ]  # fmt: skip


def test_a_size_that_the_camera_does_not_have_is_refused():
    """It lies about its size, or was set to another one: nothing is scaled in silence."""
    with pytest.raises(SourceError, match="gives 640 x 480 instead of 1920 x 1080; see v4l2-ctl"):
        V4l2Source("/dev/video0", "cam", width=1920, height=1080, opener=lambda path: Device())


def test_a_busy_device():
    """OpenCV only says no; the message says how to find out."""
    with pytest.raises(SourceError, match="fuser -v /dev/video0"):
        V4l2Source("/dev/video0", "cam", opener=lambda path: Device(frames=-1))


@pytest.mark.parametrize("capture", ["thread", "process"])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("v4l2:99", "/dev/video99: No such file or directory; plug the camera in"),
        ("v4l2:/dev/null", "cannot be opened as a camera"),
        ("v4l2:{folder}", "is not a device"),
        ("v4l2:0?fourcc=JPEGS", "four letters"),
        ("v4l2:0?width=wide", "whole number"),
        ("v4l2:0?hight=9", 'did you mean "height"'),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path, text, word, capture):
    """One line each, through OpenCV's real backend where it comes so far."""
    source = None
    with pytest.raises(SourceError, match=word) as caught:
        source = open_source(text.format(folder=tmp_path), "cam", capture=capture)
        source.read()
    assert "\n" not in str(caught.value)
    if source is not None:
        source.close()
