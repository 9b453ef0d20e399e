"""Pipelines of GStreamer, through its C library."""

from __future__ import annotations

import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.base import Spec
from edge_agent.sources.gst import csi_pipeline
from edge_agent.sources.screen import SIZE_LIE
from tests.edge_agent.sources.cameras import (
    MjpegCamera,
    RtspCamera,
    needs_gstreamer,
    needs_rtsp_server,
)

RED = "gst:videotestsrc is-live=true pattern=red ! video/x-raw,width={},height={},framerate=50/1"


@pytest.fixture(params=["thread", "process"])
def opened(request):
    """Opens sources and closes them, as their reader does."""
    sources = []

    def open_one(text: str):
        sources.append(open_source(text, "cam", capture=request.param))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()
        source.read()


@needs_gstreamer
@pytest.mark.parametrize("size", [(320, 240), (321, 243)])
@pytest.mark.parametrize("format_", ["BGR", "BGRx", "I420", "GRAY8"])
def test_any_format_and_width(opened, size, format_):
    """BGR comes out, also where GStreamer pads its rows or does not give BGR itself."""
    source = opened(RED.format(*size) + f",format={format_}")
    frames = [source.read() for _ in range(5)]
    assert [item.seq for item in frames] == sorted({item.seq for item in frames})
    for item in frames:
        assert item.image.shape == (size[1], size[0], 3)
        corner, end = item.image[0, 0].tolist(), item.image[-1, -1].tolist()
        assert corner == end
        blue, green, red = corner
        grey = format_ == "GRAY8"
        assert (abs(red - blue) < 9 and 50 < red < 110) if grey else (red > 240 and blue < 9)
        assert grey or green < 9


@needs_gstreamer
def test_a_source_that_lies_about_its_size():
    """It says 640 x 640 and gives 64 x 64: counted, and nothing beyond its bytes is read."""
    lie = "caps=video/x-raw,format=BGR,width=640,height=640,framerate=30/1"
    truth = "videotestsrc is-live=true ! video/x-raw,format=BGR,width=64,height=64,framerate=30/1"
    source = open_source(f"gst:{truth} ! capssetter join=false {lie}", "cam", capture="thread")
    taken = [source.picture() for _ in range(10)]
    assert source.skipped[SIZE_LIE] >= 3 and taken == [None] * 10
    source.close()
    source.read()


@needs_gstreamer
def test_the_end_of_a_pipeline_is_a_loss(opened):
    """A camera does not end; a recording is played by file:."""
    source = opened("gst:videotestsrc num-buffers=3")
    with pytest.raises(SourceError, match="the pipeline ended"):
        for _ in range(9):
            source.read()


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "word"),
    [
        ("nosuchelement ! x", 'no element "nosuchelement"'),
        ("videotestsrc pattern=nonsense", "could not set property"),
        ("filesrc location=/nowhere ! decodebin", "No such file"),
        ("videotestsrc ! fakesink", "could not link"),
        ("v4l2src device=/dev/video-none", "/dev/video-none"),
    ],
)
def test_what_is_wrong_is_in_gstreamers_words(opened, pipeline, word):
    """At the opening or at the first read, in one line."""
    with pytest.raises(SourceError, match=word) as caught:
        opened(f"gst:{pipeline}").read()
    assert "\n" not in str(caught.value)


@needs_gstreamer
def test_a_pipeline_over_http(opened):
    """Cut in mid-stream, it is lost with a reason; size changes come through."""
    with MjpegCamera() as camera:
        source = opened(f"gst:souphttpsrc location={camera.url} ! multipartdemux ! jpegdec")
        assert source.read().image.shape == (240, 320, 3)
        camera.size = (640, 480)
        sizes = {source.read().image.shape for _ in range(30)}
        assert sizes >= {(480, 640, 3)}
        camera.cut()
        with pytest.raises(SourceError, match="pipeline"):
            for _ in range(100):
                source.read()


@needs_gstreamer
@needs_rtsp_server
def test_a_pipeline_over_rtsp(opened):
    """The way to a hardware decoder: rtspsrc and whatever decodebin finds."""
    with RtspCamera() as camera:
        text = f"gst:rtspsrc location={camera.url} protocols=tcp latency=0 ! decodebin"
        if not _decodes_h264():
            pytest.skip("no H.264 decoder in this GStreamer")
        source = opened(text)
        assert source.read().image.shape == (240, 320, 3)


def _decodes_h264() -> bool:
    import subprocess

    names = ("avdec_h264", "openh264dec", "nvv4l2decoder", "vah264dec")
    return any(
        subprocess.run(["gst-inspect-1.0", "--exists", name]).returncode == 0 for name in names
    )


def test_csi_is_a_preset():
    """nvarguscamerasrc, scaled and converted by the Jetson's own hardware."""
    text = csi_pipeline(Spec.parse("csi:1?width=1280&height=720&fps=60&flip=2"))
    assert text.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1280,")
    assert "framerate=60/1 ! nvvidconv flip-method=2" in text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("csi:front", "by number"),
        ("csi:0?flip=8", "between 0 and 7"),
        ("csi:0?wdth=9", 'did you mean "width"'),
        ("gst: ", "should look like"),
    ],
)
def test_options_are_checked(text, word):
    """Before anything is opened."""
    with pytest.raises(SourceError, match=word):
        open_source(text, "cam", capture="thread")
