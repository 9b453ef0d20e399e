"""A camera's life: silence, hangs, kills and returns, with real servers and capture processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from edge_agent.backoff import Backoff
from edge_agent.errors import SourceError
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame, open_source
from edge_agent.sources.state import DOWN, UP
from edge_agent.telemetry.payloads import camera_message
from tests.bundles import frame, make_bundle, write_frames
from tests.devices import Device
from tests.edge_agent.sources.cameras import MjpegCamera, RtspCamera, needs_rtsp_server
from tests.edge_agent.sources.test_process import gone, wait_for


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("life") / "v1", reference=False)


class Life:
    """A worker on one source; keeps what it told, and the sources that it opened."""

    def __init__(self, folder, bundle, source: str, opener=None, **camera):
        config = Device(folder).config
        self.holder = Holder()
        self.holder.swap(load_release(config, config.models[0], bundle.root))
        section = replace(config.cameras[0], source=source, queue=2, **camera)
        self.events = []
        self.changed = threading.Event()
        self.opened = []
        self._opener = opener or (lambda text, name: open_source(text, name))
        judge = Judge(section, config.gate, self.holder, self._hear)
        self.worker = CameraWorker(
            section, judge, self.holder.wait, self._hear,
            opener=self._open, backoff=Backoff(0.02, 0.05),
        )  # fmt: skip

    def _hear(self, message, version):
        self.events.append(message.payload)

    def _open(self, text, name):
        self.opened.append(self._opener(text, name))
        return self.opened[-1]

    def kinds(self):
        return [event["kind"] for event in self.events]

    def metrics(self):
        return camera_message(self.worker.report()).payload

    def __enter__(self):
        self.worker.start()
        return self

    def __exit__(self, *_):
        self.worker.stop()
        self.worker.join(10)
        assert all(gone(source.pid) for source in self.opened if hasattr(source, "pid"))


def test_a_stream_that_hangs_is_killed_and_comes_back(tmp_path, bundle):
    """degraded at half of stall_s, lost at stall_s, restored by a new process."""
    pytest.importorskip("av")
    with MjpegCamera() as camera, Life(tmp_path, bundle, camera.url, stall_s=1.0) as life:
        wait_for(lambda: life.worker.counts.inferred >= 5)
        assert life.metrics()["camera_up"] == 1
        inferred = life.worker.counts.inferred
        camera.flow.clear()
        wait_for(lambda: "source.lost" in life.kinds())
        assert life.kinds()[:2] == ["source.degraded", "source.lost"]
        assert "no frame for" in life.events[0]["text"] and life.events[0]["state"] == "degraded"
        assert life.events[1]["severity"] == "error" and life.worker.state == DOWN
        assert life.metrics()["camera_up"] == 0
        # nothing is made up: at most what was in the queue was judged
        assert life.worker.counts.inferred <= inferred + 5
        wait_for(lambda: gone(life.opened[0].pid))
        camera.flow.set()
        wait_for(lambda: "source.restored" in life.kinds())
        assert life.worker.state == UP and life.metrics()["openings_total"] >= 2
    counts = life.worker.counts
    assert counts.captured == counts.inferred + counts.dropped + counts.errors + counts.skipped


def test_a_killed_capture_process_is_replaced(tmp_path, bundle):
    """kill -9: told with the signal's name, and frames go on from a new process."""
    source = f"dir:{_frames(tmp_path)}?loop=1&fps=100"

    def opener(text, name):
        return open_source(text, name, capture="process")

    with Life(tmp_path, bundle, source, opener) as life:
        wait_for(lambda: life.worker.counts.inferred >= 3)
        os.kill(life.opened[0].pid, signal.SIGKILL)
        wait_for(lambda: life.kinds() == ["source.lost", "source.restored"])
        assert "SIGKILL" in life.events[0]["text"]
        before = life.worker.counts.inferred
        wait_for(lambda: life.worker.counts.inferred > before)
    assert len(life.opened) == 2


def test_a_hung_capture_process_is_ended_by_the_watchdog(tmp_path, bundle):
    """SIGSTOP is a driver that does not return; recordings are watched when stall_s is set."""
    source = f"dir:{_frames(tmp_path)}?loop=1&fps=100"

    def opener(text, name):
        return open_source(text, name, capture="process")

    with Life(tmp_path, bundle, source, opener, stall_s=0.5) as life:
        wait_for(lambda: life.worker.counts.inferred >= 3)
        hung = life.opened[0].pid
        os.kill(hung, signal.SIGSTOP)
        wait_for(lambda: gone(hung))
        wait_for(lambda: "source.restored" in life.kinds())
    assert life.kinds()[-2:] == ["source.lost", "source.restored"]


@needs_rtsp_server
def test_an_rtsp_camera_stalls_is_resized_dies_and_comes_back(tmp_path, bundle):
    """What happens to a camera in a hall: each time lost, told, and found again."""
    pytest.importorskip("av")
    with RtspCamera() as camera, Life(tmp_path, bundle, camera.url, stall_s=1.5) as life:
        wait_for(lambda: life.worker.counts.inferred >= 5)
        camera.say("size 640 480")
        wait_for(lambda: life.metrics().get("seen_resized_total"))
        camera.say("stall")
        wait_for(lambda: life.kinds()[-1:] == ["source.lost"])
        camera.say("flow")
        wait_for(lambda: life.kinds()[-1:] == ["source.restored"])
        camera.kill()
        wait_for(lambda: life.kinds()[-1:] == ["source.lost"])
        with RtspCamera(camera.port):
            wait_for(lambda: life.kinds()[-1:] == ["source.restored"])
    assert "source.degraded" in life.kinds() and life.metrics()["losses_recent"] == 2


def test_restarts_are_paced(tmp_path, bundle):
    """The first opening, a burst of eight more, and then nothing for an hour."""
    tried = []

    def opener(text, name):
        tried.append(name)
        raise SourceError("no such device")

    with Life(tmp_path, bundle, "shm:x", opener, restarts_per_hour=1.0) as life:
        wait_for(lambda: len(tried) == 9)
        since = time.monotonic()
        wait_for(lambda: time.monotonic() - since > 0.5)
        assert len(tried) == 9 and life.kinds() == ["source.lost"]


class Silent:
    """A source in this process that gives one frame and then hangs until it is closed."""

    def __init__(self):
        self.skipped = {}
        self.finished = False
        self.closed = threading.Event()
        self._given = False

    def read(self):
        if self._given:
            self.closed.wait(60)
            return None
        self._given = True
        return Frame(frame(0), time.time(), 1, "top")

    def close(self):
        self.closed.set()


def test_a_silent_thread_is_given_up_too(tmp_path, bundle):
    """Live sources that are read in this process have the same watchdog."""
    with Life(tmp_path, bundle, "shm:x", lambda *_: Silent(), stall_s=0.4) as life:
        wait_for(lambda: "source.restored" in life.kinds())
        assert life.kinds()[:2] == ["source.degraded", "source.lost"]
        assert "no frame for" in life.events[1]["text"]
        assert life.opened[0].closed.is_set() and len(life.opened) >= 2


def test_a_recording_may_be_silent(tmp_path, bundle):
    """A watched folder has nothing to say at night: no watchdog unless it is asked for."""
    with Life(tmp_path, bundle, f"dir:{tmp_path}?watch=1") as life:
        wait_for(lambda: life.opened)
        assert not life.events and life.metrics().get("camera_up") is None


def test_a_source_that_comes_and_goes_is_degraded(tmp_path, bundle):
    """After the third loss in ten minutes, once; the metric says one half."""
    losses = iter([SourceError("cable 1"), SourceError("cable 2"), SourceError("cable 3")])

    class Loose(Silent):
        def read(self):
            if self._given and (error := next(losses, None)) is not None:
                raise error
            return super().read()

    with Life(tmp_path, bundle, "shm:x", lambda *_: Loose()) as life:
        wait_for(lambda: "source.degraded" in life.kinds())
        assert life.metrics()["camera_up"] == 0.5 and life.metrics()["losses_recent"] == 3
    assert life.kinds() == [
        "source.lost", "source.restored", "source.lost", "source.restored", "source.lost",
        "source.degraded",
    ]  # fmt: skip


def test_frames_by_outcome_are_in_the_metric(tmp_path, bundle):
    """Dropped by reason, unusable by name, noteworthy by name; flat numbers."""
    images = [frame(n) for n in range(6)]
    odd = [images[0][:, :, 0], images[0][:3], None, images[0][:40]]

    class Mixed(Silent):
        def __init__(self):
            super().__init__()
            self._todo = images + odd

        def read(self):
            if self._todo:
                return Frame(self._todo.pop(0), time.time(), 1, "top")
            self.finished = True
            return None

    with Life(tmp_path, bundle, "x:", lambda *_: Mixed(), policy="wait") as life:
        life.worker.join(20)
        payload = life.metrics()
    assert payload == {
        "camera": "top", "captured_total": 10, "openings_total": 1, "losses_recent": 0,
        "dropped_total": 0, "unusable_total": 2, "unusable_too_small_total": 1,
        "unusable_no_picture_total": 1, "seen_grey_total": 1, "seen_resized_total": 1,
    }  # fmt: skip


def _frames(folder):
    return write_frames(folder / "frames", 6)


class Brief(Silent):
    """Three frames, then it is lost."""

    def __init__(self):
        super().__init__()
        self._left = 3

    def read(self):
        self._left -= 1
        if self._left < 0:
            raise SourceError("cable")
        return Frame(frame(0), time.time(), 3 - self._left, "top")


class Mute(Silent):
    """Opens and gives nothing."""

    def read(self):
        self.closed.wait(60)


def test_frames_before_a_loss_do_not_speak_for_the_next_opening(tmp_path, bundle):
    """Frames, a loss, an opening, silence: down until it gives a frame, not degraded."""
    sources = iter([Brief(), Mute()])
    with Life(tmp_path, bundle, "shm:x", lambda *_: next(sources), stall_s=0.6) as life:
        wait_for(lambda: len(life.opened) == 2)
        opened_at = time.monotonic()
        wait_for(lambda: time.monotonic() - opened_at > 0.8)
        assert life.kinds() == ["source.lost"] and life.worker.state == DOWN
