"""An RTSP camera for tests, run by the system's Python: ``python3 rtsp_server.py [PORT]``.

A white ball on black as H.264 at 25 frames per second under ``/cam``. Prints its port, then obeys
one line each on stdin and answers ``done``:

    size WIDTH HEIGHT    the picture changes its size in mid-stream
    stall, flow          no more packets, the connection stays; packets again
    cut                  every client's connection is closed
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CAPS = "video/x-raw,width={},height={},framerate=25/1"
LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! capsfilter name=caps caps={caps} ! valve name=valve"
    " ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=10"
    " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


class Camera:
    """The server and the pipelines of its clients."""

    def __init__(self, port):
        self.size = (320, 240)
        self.stalled = False
        self.pipelines = []
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address("127.0.0.1")
        self.server.set_service(port)
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(LAUNCH.format(caps=CAPS.format(*self.size)))
        factory.connect("media-configure", self.configure)
        self.server.get_mount_points().add_factory("/cam", factory)
        self.server.attach(None)

    def configure(self, factory, media):
        pipeline = media.get_element()
        self.pipelines.append(pipeline)
        self.set_up(pipeline)

    def set_up(self, pipeline):
        caps = Gst.Caps.from_string(CAPS.format(*self.size))
        pipeline.get_by_name("caps").set_property("caps", caps)
        pipeline.get_by_name("valve").set_property("drop", self.stalled)

    def obey(self, words):
        if words[0] == "size":
            self.size = (int(words[1]), int(words[2]))
        elif words[0] == "cut":
            self.server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        else:
            self.stalled = words[0] == "stall"
        for pipeline in self.pipelines:
            self.set_up(pipeline)
        print("done", flush=True)


def listen(camera, loop):
    for line in sys.stdin:
        GLib.idle_add(camera.obey, line.split())
    loop.quit()


Gst.init(None)
camera, loop = Camera(sys.argv[1] if len(sys.argv) > 1 else "0"), GLib.MainLoop()
threading.Thread(target=listen, args=(camera, loop), daemon=True).start()
print(camera.server.get_bound_port(), flush=True)
loop.run()
