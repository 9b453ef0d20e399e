"""The agent as a process with capture processes, several cameras and several models."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import psutil
import pytest

from edge_agent.slots import Slot, State
from tests.brokers import Listener
from tests.bundles import make_bundle, write_clip, write_frames
from tests.devices import MODEL, Device
from tests.edge_agent.sources.test_process import gone, wait_for

OTHER = "other"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("cameras")
    return make_bundle(root / "a"), make_bundle(root / "b", name=OTHER, version=7)


def documents(heard, suffix):
    return [json.loads(message.payload) for message in heard.on(suffix)]


def install(device, bundle):
    """A second model on a test device, which knows only of one."""
    digest = bundle.manifest.digest
    shutil.copytree(bundle.root, device.layout.release(OTHER, digest))
    device.layout.current(OTHER).symlink_to(f"releases/{digest}")
    device.journal.transition(Slot(OTHER, State.COMMITTED, committed=digest), reason="by the test")


def capture_pids(pid: int) -> list[int]:
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if "edge_agent.sources.child" in child.cmdline()]


def test_two_models_and_three_cameras(tmp_path, bundles, shared_broker):
    """In processes and threads; each camera's frames go to its own model, each has its metric."""
    clip = write_clip(tmp_path / "clip.avi", 30)
    more = (
        f'[[model]]\nname = "{OTHER}"\nthreads = 1\n'
        f'[[camera]]\nid = "left"\nsource = "file:{clip}?loop=1&fps=20"\nmodel = "{OTHER}"\n'
        f'capture = "process"\n'
        f'[[camera]]\nid = "right"\nsource = "dir:{write_frames(tmp_path / "r")}?loop=1&fps=20"\n'
        f'model = "{OTHER}"\n'
    )
    device = Device(
        tmp_path, url=shared_broker.url, device="many-1", camera='capture = "process"', more=more
    )
    device.commit(device.add(bundles[0]))
    install(device, bundles[1])
    with Listener(shared_broker.url, "outpost/v1/many-1/#") as heard, device.agent() as agent:
        device.wait_health(lambda model: len(model.windows) >= 2)
        heard.wait(lambda _: _all_up(documents(heard, "up/metrics/camera")))
        pids = capture_pids(agent.process.pid)
        began = time.monotonic()
        assert agent.stop() == 0, agent.text()
        assert time.monotonic() - began < 4.0
        heard.wait(lambda _: "agent.stopped" in _kinds(heard))
    assert len(pids) == 2 and all(gone(pid) for pid in pids)
    seen = {(d["model"], d["camera"]) for d in documents(heard, "up/metrics/input") if d["frames"]}
    assert seen == {(MODEL, "top"), (OTHER, "left"), (OTHER, "right")}
    assert not {"source.lost", "source.degraded"} & set(_kinds(heard))
    for document in documents(heard, "up/metrics/camera"):
        assert all(isinstance(v, (int, float)) for k, v in document.items() if k not in TEXTS)


TEXTS = {"boot", "camera"}


def _kinds(heard):
    return [document["kind"] for document in documents(heard, "up/events")]


def _all_up(metrics) -> bool:
    return {d["camera"] for d in metrics if d.get("camera_up") == 1} == {"top", "left", "right"}


def test_kill_nine_of_the_agent_leaves_no_capture_process(tmp_path, bundles):
    """Nor shared memory; and the next agent starts on the same cameras."""
    shared = set(os.listdir("/dev/shm"))
    device = Device(tmp_path, camera='capture = "process"')
    device.commit(device.add(bundles[0]))
    with device.agent() as agent:
        device.wait_health(lambda model: model.windows and model.windows[-1].inferred > 0)
        pids = capture_pids(agent.process.pid)
        agent.kill()
        wait_for(lambda: all(gone(pid) for pid in pids))
    assert len(pids) == 1 and set(os.listdir("/dev/shm")) <= shared
    Path(device.layout.health).unlink()
    with device.agent() as agent:
        device.wait_health(lambda model: model.windows and model.windows[-1].inferred > 0)
        assert agent.stop() == 0


def test_a_lost_camera_is_zero_in_its_metric(tmp_path, bundles, shared_broker):
    """Before it ever gave a frame, and with the reason in the event; the password is not in it."""
    device = Device(
        tmp_path, url=shared_broker.url, device="down-1", source="rtsp://me:pw@127.0.0.1:1/x"
    )
    device.commit(device.add(bundles[0]))
    with Listener(shared_broker.url, "outpost/v1/down-1/#") as heard, device.agent() as agent:
        heard.wait(lambda _: any("camera_up" in d for d in documents(heard, "up/metrics/camera")))
        heard.wait(lambda _: "source.lost" in _kinds(heard))
        assert agent.stop() == 0
    metric = next(d for d in documents(heard, "up/metrics/camera") if "camera_up" in d)
    assert metric["camera_up"] == 0 and metric["captured_total"] == 0
    lost = next(d for d in documents(heard, "up/events") if d["kind"] == "source.lost")
    assert lost["camera"] == "top" and "127.0.0.1:1" in lost["text"] and "pw" not in lost["text"]
    assert "pw" not in agent.text()
