"""One camera's worker with a real tiny bundle and a source that a test scripts."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from edge_agent.backoff import Backoff
from edge_agent.errors import BundleError, SourceError
from edge_agent.loop.camera import CameraWorker, FrameCounts
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame
from edge_agent.sources.screen import NO_PICTURE
from tests.bundles import dirty, frame, make_bundle
from tests.devices import Device

CLEAN, DIRTY = "clean", "dirty"
FLAG = 'action = "flag"'


class Script:
    """A source that gives these pictures, one after another, then ends or is lost."""

    def __init__(self, pictures, *, lost=""):
        self.finished = False
        self.skipped = {}
        self._pictures = list(pictures)
        self._lost = lost
        self._seq = 0

    def read(self):
        if self._seq == len(self._pictures):
            if self._lost:
                raise SourceError(self._lost)
            self.finished = True
            return None
        self._seq += 1
        return Frame(self._pictures[self._seq - 1], time.time(), self._seq, "top")

    def close(self):
        pass


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("camera") / "v1")


def pictures(*kinds):
    made = {CLEAN: lambda n: frame(n), DIRTY: lambda n: dirty(frame(n))}
    return [made[kind](number) for number, kind in enumerate(kinds)]


class Scene:
    """A worker whose sources come from a list; runs to the end and keeps what was told."""

    def __init__(self, folder, bundle, *sources, gate="", detections=False):
        device = Device(folder, camera='policy = "wait"\n[gate]\n' + gate)
        self.config = device.config
        self.holder = Holder()
        self.loaded = load_release(self.config, self.config.models[0], bundle.root)
        self.holder.swap(self.loaded)
        self.told = []
        self.sources = list(sources)
        camera = self.config.cameras[0]
        judge = Judge(camera, self.config.gate, self.holder, self._hear, detections=detections)
        self.worker = CameraWorker(
            camera,
            judge,
            self.holder.wait,
            self._hear,
            opener=self._open,
            backoff=Backoff(0.01, 0.02),
        )

    def _hear(self, message, version):
        self.told.append(message)

    def _open(self, spec, camera):
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source

    def play(self):
        self.worker.start()
        self.worker.join(20)
        assert self.worker.finished
        return self.loaded.window.close()

    @property
    def events(self):
        return [message.payload for message in self.told if message.suffix == "up/events"]

    def kinds(self):
        return [payload["kind"] for payload in self.events]


def test_clean_frames_are_inferred(tmp_path, bundle):
    """Captured equals inferred, and the squares are found."""
    scene = Scene(tmp_path, bundle, Script(pictures(*[CLEAN] * 12)))
    report = scene.play()
    assert scene.worker.counts == FrameCounts(captured=12, inferred=12)
    assert report.inferred == 12 and report.detections > 5 and scene.told == []


def test_a_dirty_lens_is_one_event_that_blames_the_camera(tmp_path, bundle):
    """Raised once after five, cleared once after ten, with camera, SSIM and threshold."""
    kinds = [CLEAN] * 4 + [DIRTY] * 12 + [CLEAN] * 3 + [DIRTY] + [CLEAN] * 14
    scene = Scene(tmp_path, bundle, Script(pictures(*kinds)))
    report = scene.play()
    assert scene.kinds() == ["gate.rejecting", "gate.cleared"]
    raised = scene.events[0]
    assert "input problem, not the model" in raised["text"] and "lens" in raised["text"]
    assert (raised["camera"], raised["cause"], raised["severity"]) == ("top", "camera", "warning")
    assert raised["ssim"] < raised["threshold"] < 1
    assert (report.skipped, report.inferred) == (13, 21)
    assert scene.worker.counts == FrameCounts(captured=34, inferred=21, skipped=13)


def test_a_short_disturbance_is_no_event(tmp_path, bundle):
    """Four bad frames in a row are a hand in front of the lens."""
    scene = Scene(tmp_path, bundle, Script(pictures(*([DIRTY] * 4 + [CLEAN]) * 3)))
    assert scene.play().skipped == 12
    assert scene.told == []


def test_flag_lets_the_model_judge(tmp_path, bundle):
    """The alarm comes all the same, and the frames stay out of the distributions."""
    scene = Scene(tmp_path, bundle, Script(pictures(*[DIRTY] * 8)), gate=FLAG)
    report = scene.play()
    assert scene.kinds() == ["gate.rejecting"]
    assert (report.inferred, report.skipped, report.merged().frames) == (8, 0, 0)


def test_the_gate_can_be_off(tmp_path, bundle):
    """Then nothing is looked at and nothing is skipped."""
    scene = Scene(tmp_path, bundle, Script(pictures(*[DIRTY] * 8)), gate="enabled = false")
    report = scene.play()
    assert (report.inferred, scene.told, report.cameras["top"].seen) == (8, [], 0)


def test_a_frame_that_is_no_picture_is_counted_and_the_loop_goes_on(tmp_path, bundle, caplog):
    """By name, and not against the release: the window of a trial holds no error of it."""
    odd = np.zeros((4, 4), np.float64)
    good = pictures(CLEAN)[0]
    scene = Scene(tmp_path, bundle, Script([good, odd, odd, good, odd]))
    with caplog.at_level(logging.WARNING):
        report = scene.play()
    assert (report.inferred, report.errors) == (2, 0)
    assert scene.worker.counts == FrameCounts(captured=5, inferred=2, errors=3)
    assert scene.worker.report().outcomes == {NO_PICTURE: 3}
    assert len([r for r in caplog.records if "first frame no_picture" in r.message]) == 1


def test_a_lost_source_is_one_event_until_it_is_back(tmp_path, bundle):
    """Lost while reading, not to be opened twice, then frames again: two events."""
    scene = Scene(
        tmp_path,
        bundle,
        Script(pictures(CLEAN, CLEAN), lost="cable pulled"),
        SourceError("no such device"),
        OSError("driver trouble"),
        Script(pictures(CLEAN)),
    )
    scene.play()
    assert scene.kinds() == ["source.lost", "source.restored"]
    assert "cable pulled" in scene.events[0]["text"]
    assert scene.worker.counts == FrameCounts(captured=3, inferred=3)


def test_boxes_are_told_per_frame_when_asked(tmp_path, bundle):
    """`[metrics] detections = true`: not durable, one message per frame."""
    scene = Scene(tmp_path, bundle, Script([frame(0, squares=2)]), detections=True)
    scene.play()
    (message,) = scene.told
    assert message.suffix == "up/detections/top" and not message.durable
    assert len(message.payload["detections"]) >= 2
    assert len(message.payload["detections"][0]) == 6


def test_nothing_is_captured_before_there_is_a_release(tmp_path, bundle):
    """The source is not even opened."""
    scene = Scene(tmp_path, bundle, Script(pictures(CLEAN)))
    scene.holder.swap(None)
    scene.worker.start()
    assert len(scene.sources) == 1 and scene.worker.state == "waiting"
    scene.holder.swap(scene.loaded)
    scene.worker.join(20)
    assert scene.worker.counts.inferred == 1


def test_stopping_does_not_wait_for_a_slow_camera(tmp_path, bundle):
    """A source that waits for its turn is woken by `close`."""
    closed = threading.Event()

    class Slow(Script):
        def read(self):
            closed.wait(30)
            return None

        def close(self):
            closed.set()

    scene = Scene(tmp_path, bundle, Slow([]))
    scene.worker.start()
    while scene.sources:
        time.sleep(0.001)
    began = time.monotonic()
    scene.worker.stop()
    scene.worker.join(5)
    assert time.monotonic() - began < 1.5


def test_a_release_folder_with_another_bundle_in_it_is_refused(tmp_path, bundle):
    """The folder's name is the digest that was verified; something else must not run."""
    device = Device(tmp_path)
    with pytest.raises(BundleError, match="install it again"):
        load_release(device.config, device.config.models[0], bundle.root, "0" * 64)


def test_a_frames_number_is_its_own_also_after_the_source_came_back(tmp_path, bundle):
    """Sources count anew when they are opened; who names a frame must find the one he meant."""
    lost, whole = Script(pictures(CLEAN, CLEAN), lost="the cable"), Script(pictures(*[CLEAN] * 3))
    scene = Scene(tmp_path, bundle, lost, whole, detections=True)
    scene.play()
    told = [message.payload["frame"] for message in scene.told if "frame" in message.payload]
    assert told == [1, 2, 3, 4, 5]
