"""Network cameras: real servers that are cut, stalled and changed in mid-stream."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import open_source
from edge_agent.sources.base import redacted
from edge_agent.sources.screen import DAMAGED
from tests.edge_agent.sources.cameras import MjpegCamera, RtspCamera, needs_rtsp_server

pytest.importorskip("av")


@pytest.fixture(params=["thread", "process"])
def capture(request):
    return request.param


@pytest.fixture(params=["http", pytest.param("rtsp", marks=needs_rtsp_server)])
def camera(request):
    with {"http": MjpegCamera, "rtsp": RtspCamera}[request.param]() as made:
        yield made


@pytest.fixture
def opened(capture):
    """Opens sources and closes them."""
    sources = []

    def open_one(text: str):
        sources.append(open_source(text, "cam", capture=capture))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


def read_until(source, condition, most: int = 500):
    for _ in range(most):
        item = source.read()
        if condition(item):
            return item
    raise AssertionError(f"not in {most} frames")


def resize(camera, width: int, height: int) -> None:
    if isinstance(camera, RtspCamera):
        camera.say(f"size {width} {height}")
    else:
        camera.size = (width, height)


def cut(camera) -> None:
    if isinstance(camera, RtspCamera):
        camera.say("cut")
    else:
        camera.cut()


def test_frames_of_a_stream(camera, opened):
    """Numbered BGR pictures; the first one is whole, not what a decoder guesses."""
    source = opened(camera.url)
    frames = [source.read() for _ in range(20)]
    assert [item.seq for item in frames] == sorted({item.seq for item in frames})
    assert all(item.image.shape == (240, 320, 3) for item in frames)
    assert all(item.image.dtype == np.uint8 and item.image.max() > 40 for item in frames)
    assert not source.finished


def test_the_size_changes_in_mid_stream(camera, opened):
    """The next pictures have the new size; nothing is scaled to the old one."""
    source = opened(camera.url)
    assert source.read().image.shape == (240, 320, 3)
    resize(camera, 640, 480)
    assert read_until(source, lambda item: item.image.shape == (480, 640, 3)).seq > 1


def test_a_stream_that_is_cut_is_lost_with_a_reason(camera, opened):
    """An error after its last frame, never a frame that was not sent; it can be opened again."""
    source = opened(camera.url)
    source.read()
    cut(camera)
    with pytest.raises(SourceError, match=r"ended|connection was closed|[Ee]rror") as caught:
        read_until(source, lambda item: False)
    assert "127.0.0.1" in str(caught.value)
    assert opened(camera.url).read().seq == 1


def oversized(data: bytes) -> bytes:
    """A JPEG that says it is 65500 x 65500."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65500, 65500) + data[at + 4 :]


@pytest.mark.parametrize(
    "spoil", [oversized, lambda data: b"rubbish" * 30, lambda data: data[:400]]
)
def test_damaged_pictures_are_counted_and_the_stream_goes_on(spoil):
    """Rubbish, half of a picture, a header that asks for all memory: none is given."""
    with MjpegCamera() as camera:
        source = open_source(camera.url, "cam", capture="thread")
        before = source.read()
        camera.spoil = spoil
        for _ in range(500):
            source.picture()
            if source.skipped.get(DAMAGED, 0) >= 3:
                break
        camera.spoil = lambda data: data
        after = read_until(source, lambda item: item.seq > before.seq + 3)
        assert source.skipped[DAMAGED] >= 3 and after.image.shape == (240, 320, 3)
        source.close()


def test_a_stream_that_stalls_is_given_up(opened):
    """Nothing for `timeout_s`; it says so."""
    with MjpegCamera() as camera:
        source = opened(f"{camera.url}#timeout_s=0.5")
        source.read()
        camera.flow.clear()
        with pytest.raises(SourceError, match=r"no answer for 0\.5 s"):
            read_until(source, lambda item: False)


def test_closing_wakes_a_reader_of_a_stalled_stream(opened, capture):
    """At once where it is a process of its own; a thread waits for the stream's time-out."""
    with MjpegCamera() as camera:
        source = opened(f"{camera.url}#timeout_s=1")
        source.read()
        camera.flow.clear()
        ended = []

        def read():
            try:
                while source.read() is not None:
                    pass
            except SourceError as error:
                ended.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        source.close()
        thread.join(10)
        assert not thread.is_alive() and (capture == "thread" or not ended)


@pytest.mark.parametrize(("status", "word"), [(404, "404"), (401, "401|[Uu]nauthorized")])
def test_a_refusal_is_told_with_its_code(opened, status, word):
    """And without the password that was refused."""
    with MjpegCamera() as camera:
        camera.status = status
        with pytest.raises(SourceError, match=word) as caught:
            opened(camera.url.replace("//", "//user:secret@")).read()
    assert "secret" not in str(caught.value)


def test_nobody_at_the_address(opened):
    """The system's own words, in one line."""
    with pytest.raises(SourceError, match="Connection refused") as caught:
        opened("rtsp://127.0.0.1:1/x").read()
    assert "\n" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing(opened):
    """Opening has the same limit as reading."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with pytest.raises(SourceError, match=r"no answer for 0\.3 s"):
            opened(f"rtsp://127.0.0.1:{port}/x#timeout_s=0.3").read()


def test_without_pyav_the_way_out_is_told():
    """An extra that is not installed: which one, and what does without."""
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from edge_agent.sources import open_here\n"
        "open_here('rtsp://h/x', 'cam')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "SourceError: camera cam: network cameras need PyAV: pip install" in done.stderr


@needs_rtsp_server
def test_udp_is_an_option(opened):
    """`transport` is FFmpeg's rtsp_transport; any other option of it is passed on."""
    with RtspCamera() as camera:
        source = opened(f"{camera.url}#transport=udp&ffmpeg.reorder_queue_size=1&threads=2")
        assert source.read().image.shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("rtsp://h/x#transport=tpc", "should be one of tcp, udp"),
        ("http://h/x#transport=tcp", '"transport" is not an option'),
        ("rtsp://h/x#timeout_s=0", "seconds between 0.1 and 3600"),
        ("rtsp://h/x#threads=many", 'whole number, is "many"'),
        ("rtsp://127.0.0.1:1/x#hwaccel=magic", "magic is not one of .*cuda"),
    ],
)
def test_options_are_checked(text, word):
    """Each with what it should be."""
    with pytest.raises(SourceError, match=word):
        open_source(text, "cam", capture="thread")


def test_an_address_keeps_its_own_query():
    """Options of ours come after the last #, and are not sent to the camera."""
    with MjpegCamera() as camera:
        assert "?channel=1" in camera.url
        source = open_source(camera.url + "#timeout_s=3", "cam", capture="thread")
        assert source.read().seq == 1
        source.close()


def test_passwords_are_taken_out_of_texts():
    """Of addresses inside pipelines, too."""
    text = "rtspsrc location=rtsp://me:pw@h/x user-pw=pw2 ! decodebin"
    assert redacted(text) == "rtspsrc location=rtsp://***@h/x user-pw=*** ! decodebin"
