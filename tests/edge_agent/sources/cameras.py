"""Cameras for tests: real servers on loopback that can be cut, stalled and changed in mid-stream.

::

    with RtspCamera() as camera:
        source = open_source(camera.url, "cam")
        camera.say("size 640 480")

    with MjpegCamera() as camera:
        camera.flow.clear()        # stalls
"""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
_PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst;"
    " Gst.init(None); assert Gst.ElementFactory.find('x264enc')"
)


def has_rtsp_server() -> bool:
    """Whether the system's Python has GStreamer's RTSP server and an H.264 encoder."""
    probe = subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True)
    return probe.returncode == 0


def has_gstreamer() -> bool:
    """Whether GStreamer and its usual plugins are installed."""
    if not shutil.which("gst-inspect-1.0"):
        return False
    found = [
        subprocess.run(["gst-inspect-1.0", "--exists", name]).returncode == 0
        for name in ("videotestsrc", "videoconvert", "appsink", "jpegdec")
    ]
    return all(found)


needs_rtsp_server = pytest.mark.skipif(
    not has_rtsp_server(),
    reason="needs gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -ugly, python3-gi",
)
needs_gstreamer = pytest.mark.skipif(
    not has_gstreamer(), reason="needs gstreamer1.0-tools, -plugins-base and -plugins-good"
)


class RtspCamera:
    """`rtsp_server.py` as a process."""

    def __init__(self, port: int = 0) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self._process.stdout.readline())
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"

    def say(self, order: str) -> None:
        """Give one order and wait until it was obeyed."""
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        """SIGKILL: connections are reset, the port is free again."""
        self._process.kill()
        self._process.wait(10)
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> RtspCamera:
        return self

    def __exit__(self, *_) -> None:
        self.kill()


class MjpegCamera:
    """Motion JPEG over HTTP: grey pictures whose level is the frame's number.

    Attributes:
        size: width and height of the next pictures.
        flow: while it is clear the connection stays and nothing comes.
        connected: set by each new client.
        spoil: what becomes of the next pictures' bytes.
        status: answered instead of a stream when it is not 200.
    """

    def __init__(self, fps: float = 50.0) -> None:
        camera = self
        self.size = (320, 240)
        self.status = 200
        self.spoil = lambda data: data
        self.flow, self.connected = threading.Event(), threading.Event()
        self.flow.set()
        self._generation = 0
        self._tick = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                if camera.status != 200:
                    self.send_error(camera.status)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                camera.connected.set()
                with suppress(OSError):
                    camera.stream(self.wfile, 1.0 / fps)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/video?channel=1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stream(self, out, period_s: float) -> None:
        generation, number = self._generation, 0
        while generation == self._generation:
            self.flow.wait()
            number += 1
            width, height = self.size
            picture = np.full((height, width, 3), 50 + number % 100, np.uint8)
            data = self.spoil(cv2.imencode(".jpg", picture)[1].tobytes())
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            out.write(head.encode() + data + b"\r\n")
            self._tick.wait(period_s)

    def cut(self) -> None:
        """Close the present connections."""
        self._generation += 1
        self.flow.set()

    def __enter__(self) -> MjpegCamera:
        return self

    def __exit__(self, *_) -> None:
        self.cut()
        self._server.shutdown()
        self._server.server_close()
