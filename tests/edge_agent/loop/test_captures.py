"""Hard frames in the agent's process: kept, and never at the cost of a frame."""

from __future__ import annotations

import json
import os
import subprocess
import time

import cv2
import pytest

from edge_agent.captures.recorder import Recorder
from edge_agent.captures.shelf import Wanted, read
from edge_agent.captures.store import Store
from edge_agent.captures.writer import WAITING_FRAMES
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame
from tests.bundles import dirty, frame, make_bundle
from tests.devices import Device
from tests.edge_agent.captures.simulator import SimulatedDisk

OFTEN = "enabled = true\nspacing_s = 0.2\nper_minute = 1000\nbaseline_per_hour = 3600\n"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("captures-agent") / "v1")


def make_device(folder, bundle, capture):
    """A camera whose lens is dirty for a while, again and again."""
    frames = folder / "frames"
    frames.mkdir()
    for number in range(24):
        picture = dirty(frame(number)) if number % 12 < 4 else frame(number)
        cv2.imwrite(str(frames / f"{number:02}.png"), picture)
    device = Device(folder, source=f"dir:{frames}?fps=40&loop=1", more=f"[capture]\n{capture}")
    device.commit(device.add(bundle))
    return device


def heard(device, topic):
    """Payloads of a topic in the telemetry log."""
    path = device.layout.data / "telemetry.jsonl"
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # the agent may be writing the next line
    documents = [json.loads(line) for line in whole.splitlines()]
    return [d["payload"] for d in documents if d["topic"].endswith(topic)]


def events(device):
    return [payload["kind"] for payload in heard(device, "up/events")]


def wait_for(condition, timeout_s=20.0):
    """Until another process has done its part; files are polled."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_hard_frames_are_kept_and_counted(tmp_path, bundle):
    """Files, counters in up/metrics/system, one event; all of it whole after the end."""
    device = make_device(tmp_path, bundle, OFTEN)
    with device.agent() as agent:
        wait_for(lambda: any(m["captures_kept"] >= 4 for m in heard(device, "metrics/system")))
        assert agent.stop() == 0, agent.text()
    shelf = read(device.config.captures, Wanted())
    last = heard(device, "metrics/system")[-1]
    taken = sum(v for k, v in last.items() if k.startswith("captures_taken_"))
    assert shelf.damaged == () and 4 <= taken <= len(shelf.captures)
    assert {capture.record.reason for capture in shelf.captures} >= {"check"}
    assert "capture.taken" in events(device)
    assert all(isinstance(v, (int, float)) for k, v in last.items() if k.startswith("captures"))


def test_a_hanging_disk_holds_no_frame(tmp_path, bundle):
    """The judge goes on as fast as without captures, to the last of 200 hard frames."""
    device = Device(tmp_path, more=f"[capture]\n{OFTEN.replace('0.2', '0')}")
    holder = Holder()
    holder.swap(load_release(device.config, device.config.models[0], bundle.root))
    disk = SimulatedDisk()
    store = Store(disk, most_bytes=10**9, reserve_bytes=0)
    recorder = Recorder(device.config.capture, store, lambda *_: None, device="d", boot="b")

    def judge_s(listeners):
        settings = device.config
        judge = Judge(
            settings.cameras[0], settings.gate, holder, lambda *_: None, listeners=listeners
        )
        began = time.perf_counter()
        for number in range(200):
            judge.frame(Frame(dirty(frame(number)), float(number), number, "top"))
        assert (judge.skipped, judge.errors) == (200, 0)
        return time.perf_counter() - began

    alone_s = judge_s([])
    with disk.hanging():
        recorder.start()
        disk.entered.acquire()
        hanging_s = judge_s([recorder.listener("top")])
        refused = recorder.totals()["captures_refused_busy_total"]
    recorder.close(20.0)
    assert refused == 200 - WAITING_FRAMES
    assert recorder.totals()["captures_taken_check_total"] == WAITING_FRAMES
    assert hanging_s < 2 * alone_s + 0.5


def test_nothing_of_it_unless_asked_for(tmp_path, bundle):
    """No folder, no counter."""
    device = make_device(tmp_path, bundle, "enabled = false\n")
    with device.agent() as agent:
        device.wait_health(lambda model: len(model.windows) >= 2)
        assert agent.stop() == 0
    assert not device.config.captures.exists()
    assert not any(k.startswith("captures") for k in heard(device, "metrics/system")[-1])


def check_the_loop_goes_on(device, agent, kind, counter):
    """The event, the counter, frames that are judged as if nothing was, a quick end."""
    wait_for(lambda: kind in events(device))
    windows = device.wait_health(lambda model: len(model.windows) >= 4).windows
    wait_for(lambda: any(m[counter] > 1 for m in heard(device, "metrics/system")))
    began = time.monotonic()
    assert agent.stop() == 0, agent.text()
    assert time.monotonic() - began < 2.0
    assert events(device).count(kind) == 1
    for window in windows[1:]:
        assert window.errors == 0 and window.inferred + window.skipped > 0


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 64 kB."""
    folder = tmp_path / "card"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_capture_disk(tmp_path, bundle, tiny_disk):
    """Somebody else's file has filled it."""
    (tiny_disk / "film.mp4").write_bytes(bytes(64 * 1024))
    device = make_device(tmp_path, bundle, f'{OFTEN}folder = "{tiny_disk}"\nreserve_mb = 0\n')
    with device.agent() as agent:
        check_the_loop_goes_on(device, agent, "capture.full", "captures_refused_full_total")


def test_a_small_capture_disk_is_used_and_never_filled(tmp_path, bundle, tiny_disk):
    """The ring turns inside what the reserve leaves."""
    limits = f'folder = "{tiny_disk}"\nreserve_mb = 0.02\nreason_share = 1.0\n'
    device = make_device(tmp_path, bundle, OFTEN + limits)
    with device.agent() as agent:
        wait_for(
            lambda: any(
                m["captures_taken_check_total"] > 8 for m in heard(device, "metrics/system")
            )
        )
        assert agent.stop() == 0
    assert os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_frsize >= 20_000
    shelf = read(tiny_disk, Wanted())
    assert shelf.damaged == () and 1 <= len(shelf.captures) <= 5
    assert "capture.full" not in events(device)


def test_a_capture_folder_that_cannot_be(tmp_path, bundle):
    """A file is in its place: another event than full, and the loop goes on."""
    (tmp_path / "file").write_text("")
    device = make_device(tmp_path, bundle, f'{OFTEN}folder = "{tmp_path}/file"\nreserve_mb = 0\n')
    with device.agent() as agent:
        check_the_loop_goes_on(device, agent, "capture.failing", "captures_refused_failed_total")
    text = next(e["text"] for e in heard(device, "up/events") if e["kind"] == "capture.failing")
    assert "a part of this path is a file" in text


def test_after_kill_9_every_capture_is_whole(tmp_path, bundle):
    """And the next process goes on with the numbers."""
    device = make_device(tmp_path, bundle, OFTEN.replace("0.2", "0"))
    for _ in range(3):
        with device.agent() as agent:
            device.wait_health(lambda model: model.windows)
            agent.kill()
        device.layout.health.unlink()
        assert read(device.config.captures, Wanted()).damaged == ()
    numbers = [capture.number for capture in read(device.config.captures, Wanted()).captures]
    assert len(numbers) > 3 and numbers == sorted(set(numbers))
