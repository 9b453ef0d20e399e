"""The agent as a process, with a real bundle, real frames and a real broker."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from contextlib import contextmanager

import cv2
import pytest

from edge_agent.health import Health
from edge_agent.metrics import Reader
from edge_agent.slots import MAX_STARTS, State
from edge_agent.telemetry.outbox import Outbox
from tests.brokers import Listener
from tests.bundles import frame, make_bundle, write_frames
from tests.devices import MODEL, Device


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Two healthy versions, one with NaN, one that is damaged."""
    root = tmp_path_factory.mktemp("bundles")
    made = {
        "v1": make_bundle(root / "v1"),
        "v2": make_bundle(root / "v2", version=2),
        "nan": make_bundle(root / "nan", version=3, nan=True),
        "broken": make_bundle(root / "broken", version=4),
    }
    made["broken"].path("model/fp32.onnx").write_bytes(b"not a graph")
    return made


def documents(heard, suffix):
    return [json.loads(message.payload) for message in heard.on(suffix)]


def kinds(heard):
    return [document["kind"] for document in documents(heard, "up/events")]


def totals(heard):
    return documents(heard, "up/metrics/system")[-1]


def test_birth_metrics_events_and_a_clean_end(tmp_path, bundles, shared_broker):
    """Everything that a consumer may rely on in one short life."""
    device = Device(tmp_path, url=shared_broker.url, device="life-1")
    device.commit(device.add(bundles["v1"]))
    with Listener(shared_broker.url, "outpost/v1/life-1/#") as heard:
        with device.agent() as agent:
            heard.wait(lambda _: len(heard.on("up/metrics/output")) >= 3)
            began = time.monotonic()
            assert agent.stop() == 0, agent.text()
            assert time.monotonic() - began < 2.0
            assert Health.read(device.layout.health).models[MODEL].state == "stopped"
        heard.wait(lambda _: documents(heard, "up/status")[-1]["state"] == "offline")
    assert [d["state"] for d in documents(heard, "up/status")] == ["online", "offline"]
    info = documents(heard, "up/info")[-1]["models"][MODEL]
    assert (info["version"], info["provider"], info["variant"]) == (1, "cpu", "fp32")
    assert kinds(heard) == ["agent.started", "transition", "model.loaded", "agent.stopped"]
    reported = documents(heard, "up/reported")[-1]["models"][MODEL]
    assert (reported["state"], reported["active_version"]) == ("COMMITTED", 1)
    check_metrics(heard)
    reader = Reader()
    accepted = [reader.accept("life-1", message.payload) for message in heard.messages]
    boot = accepted[0]["boot"]
    assert None not in accepted and reader.gaps("life-1", boot) == []


def check_metrics(heard):
    """Flat, numeric, complete; frames add up."""
    system = totals(heard)
    assert {"latency_p50_ms", "latency_p95_ms", "throughput_fps", "disk_free_mb"} <= set(system)
    assert {"uptime_s", "cpu_percent", "memory_percent", "rss_mb"} <= set(system)
    assert {"end_to_end_p99_ms", "latency_p99_ms"} <= set(system)
    for suffix in ("system", "camera", "input", "output", "classes"):
        assert documents(heard, f"up/metrics/{suffix}")[-1]["model_version"] == 1
    assert system["agent_starts_total"] >= 1 and system["agent_unclean_ends_total"] >= 0
    golden, in_flight = 4, 2  # the live self-test runs the network too
    calls = system["inference_calls_total"]
    assert 0 < calls <= system["frames_inferred_total"] + golden + in_flight
    outcomes = ("inferred", "skipped", "dropped", "errors")
    counted = sum(system[f"frames_{name}_total"] for name in outcomes)
    # up to a queue of frames is captured and not judged when the agent ends
    assert 0 <= system["frames_captured_total"] - counted <= 9
    output = documents(heard, "up/metrics/output")[1]
    assert {"detections_per_frame", "near_threshold_share", "class_red"} <= set(output)
    seen = documents(heard, "up/metrics/input")[1]
    assert seen["camera"] == "top" and 0 < seen["ssim_min"] <= seen["ssim_p50"] <= 1
    tags = {"boot", "camera", "model"}
    for suffix in ("system", "input", "output"):
        for document in documents(heard, f"up/metrics/{suffix}"):
            assert all(isinstance(v, (int, float)) for k, v in document.items() if k not in tags)


def test_a_broker_that_never_answers_delays_neither_frames_nor_the_end(tmp_path, bundles):
    """The port is open and silent: windows close, SIGTERM ends within two seconds, nothing lost."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        device = Device(tmp_path, url=f"mqtt://127.0.0.1:{deaf.getsockname()[1]}")
        device.commit(device.add(bundles["v1"]))
        with device.agent() as agent:
            model = device.wait_health(lambda model: len(model.windows) >= 3)
            began = time.monotonic()
            assert agent.stop() == 0, agent.text()
            assert time.monotonic() - began < 2.0
    assert sum(window.dropped for window in model.windows) == 0
    outbox = Outbox(device.layout.outbox, 1 << 20)
    kept = [json.loads(item.parcel.payload) for item in outbox.waiting(1000)]
    assert [document["seq"] for document in kept] == list(range(1, len(kept) + 1))
    assert kept[-1]["kind"] == "agent.stopped"


def test_the_will_tells_of_a_kill(tmp_path, bundles, shared_broker):
    """SIGKILL: the broker says offline for the device, with the boot that died."""
    device = Device(tmp_path, url=shared_broker.url, device="will-1")
    device.commit(device.add(bundles["v1"]))
    with Listener(shared_broker.url, "outpost/v1/will-1/#") as heard, device.agent() as agent:
        heard.wait(lambda _: len(heard.on("up/metrics/system")) >= 1)
        agent.kill()
        heard.wait(lambda _: documents(heard, "up/status")[-1]["state"] == "offline")
    birth, death = documents(heard, "up/status")
    assert birth["boot"] == death["boot"] and death["reason"] == "connection lost"


def test_a_swap_between_two_frames_drops_none(tmp_path, bundles, shared_broker):
    """v1 serves until v2 is warm; no frame is dropped, skipped or counted for the wrong one."""
    device = Device(tmp_path, url=shared_broker.url, device="swap-1")
    v1, v2 = device.add(bundles["v1"]), device.add(bundles["v2"])
    device.commit(v1)
    with Listener(shared_broker.url, "outpost/v1/swap-1/#") as heard, device.agent() as agent:
        device.wait_health(lambda model: model.release == v1 and model.windows)
        device.put_on_trial(v2, previous=v1)
        model = device.wait_health(lambda model: model.release == v2 and len(model.windows) > 1)
        assert {window.release for window in model.windows} == {v2}
        assert device.journal.slot(MODEL).starts == 1
        device.commit(v2, previous=v1)
        heard.wait(lambda _: kinds(heard).count("transition") == 4)
        assert agent.stop() == 0
        heard.wait(lambda _: "agent.stopped" in kinds(heard))
    system = totals(heard)
    assert system["swaps_total"] == 1
    assert system["frames_dropped_total"] == system["frames_dropped_during_swap_total"] == 0
    assert system["frames_errors_total"] == 0
    steps = [d for d in documents(heard, "up/events") if d["kind"] == "transition"]
    assert [step["to"] for step in steps] == ["COMMITTED", "SWITCHING", "TRIAL", "COMMITTED"]
    assert [step["audit_seq"] for step in steps] == [1, 2, 3, 4]
    assert steps[1]["release"] == v2 and steps[1]["version"] == 2


def test_a_candidate_that_kills_the_agent_is_left_after_three_starts(tmp_path, bundles):
    """Each start is counted before the load; the fourth process runs the committed release."""
    device = Device(tmp_path)
    v1, v2 = device.add(bundles["v1"]), device.add(bundles["v2"])
    device.commit(v1)
    device.put_on_trial(v2, previous=v1)
    for start in range(1, MAX_STARTS + 1):
        with device.agent() as agent:
            device.wait_health(lambda model: model.release == v2)
            agent.kill()
        device.layout.health.unlink()
        assert device.journal.slot(MODEL).starts == start
    with device.agent():
        model = device.wait_health(lambda model: model.release == v1)
    assert "3 starts without a commit" in model.error and model.failed == v2
    last = device.journal.history(MODEL)[-1]
    assert (last.target, last.digest) == ("AGENT_FELL_BACK", v2)


def test_a_candidate_that_cannot_be_loaded_leaves_the_old_one_serving(tmp_path, bundles):
    """The health file says what failed and why, while frames go on; a rollback clears it."""
    device = Device(tmp_path)
    v1, broken = device.add(bundles["v1"]), device.add(bundles["broken"])
    device.commit(v1)
    with device.agent() as agent:
        device.wait_health(lambda model: model.windows)
        device.put_on_trial(broken, previous=v1)
        model = device.wait_health(lambda model: model.failed == broken)
        assert (model.state, model.release) == ("running", v1)
        assert "cannot be loaded" in model.error
        device.link(v1)
        slot = device.journal.slot(MODEL)
        device.commit(slot.committed)
        model = device.wait_health(lambda model: not model.error)
        assert model.release == v1 and model.windows[-1].inferred > 0
        assert agent.stop() == 0


def test_a_committed_release_that_is_damaged_falls_back_to_the_previous(tmp_path, bundles):
    """After a disk fault the device still sees something."""
    device = Device(tmp_path)
    v1, broken = device.add(bundles["v1"]), device.add(bundles["broken"])
    device.commit(broken, previous=v1)
    with device.agent():
        model = device.wait_health(lambda model: model.release == v1)
    assert model.failed == broken and "model/fp32.onnx" in model.error


def test_without_a_release_it_waits_and_captures_nothing(tmp_path, bundles):
    """An enrolled device before its first rollout; then the release comes."""
    device = Device(tmp_path)
    with device.agent():
        model = device.wait_health(lambda model: model.state == "waiting")
        assert (model.release, model.windows) == ("", ())
        v1 = device.add(bundles["v1"])
        device.commit(v1)
        model = device.wait_health(lambda model: model.release == v1 and model.windows)
    first = model.windows[0]
    assert 0 <= first.captured - first.inferred - first.skipped <= 9


def test_nan_is_counted_and_the_loop_goes_on(tmp_path, bundles):
    """The updater reads it from the windows; the agent does not fall over."""
    device = Device(tmp_path)
    device.commit(device.add(bundles["nan"]))
    with device.agent():
        model = device.wait_health(lambda model: len(model.windows) >= 2)
    window = model.windows[-1]
    assert window.nonfinite == window.inferred > 0
    assert window.errors == 0


def test_a_folder_without_loop_ends_the_agent(tmp_path, bundles):
    """Every picture once, exit code 0, all in the last window: good for trying a bundle."""
    frames = write_frames(tmp_path / "frames", 7)
    device = Device(tmp_path, source=f"dir:{frames}", camera='policy = "wait"')
    with device.agent("--bundle", str(bundles["v1"].root), "--telemetry", "log") as agent:
        assert agent.process.wait(15) == 0, agent.text()
    lines = (device.layout.data / "telemetry.jsonl").read_text().splitlines()
    systems = [json.loads(line)["payload"] for line in lines if "metrics/system" in line]
    assert systems[-1]["frames_captured_total"] == systems[-1]["frames_inferred_total"] == 7
    assert systems[-1]["swaps_total"] == 0
    assert not any("Traceback" in line for line in agent.text().splitlines())


def test_a_lost_camera_is_told_and_found_again(tmp_path, bundles, shared_broker):
    """One event when it goes, one when it is back; meanwhile no frames are invented."""
    folder = tmp_path / "camera"
    device = Device(
        tmp_path, url=shared_broker.url, device="lost-1", source=f"dir:{folder}?fps=40&loop=1"
    )
    device.commit(device.add(bundles["v1"]))
    with Listener(shared_broker.url, "outpost/v1/lost-1/#") as heard, device.agent():
        heard.wait(lambda _: "source.lost" in kinds(heard))
        heard.wait(lambda _: len(heard.on("up/metrics/system")) >= 2)
        assert totals(heard)["frames_captured_total"] == 0
        write_frames(folder)
        heard.wait(lambda _: "source.restored" in kinds(heard))
    assert kinds(heard).count("source.lost") == 1


def test_drift_is_one_event_and_is_not_blamed_on_the_gate(tmp_path, bundles, shared_broker):
    """Three squares in every picture, where the profile has none to three: the scene changed."""
    folder = tmp_path / "busy"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02d}.png"), frame(number, squares=3))
    device = Device(
        tmp_path,
        url=shared_broker.url,
        device="drift-1",
        source=f"dir:{folder}?fps=100&loop=1",
        more="[drift]\nspacing_s = 0\nprofile_frames = 60\npsi_max = 1.0\n",
    )
    device.commit(device.add(bundles["v1"]))
    named = "psi_detections_per_frame"
    with Listener(shared_broker.url, "outpost/v1/drift-1/#") as heard, device.agent():
        heard.wait(lambda _: "drift.suspected" in kinds(heard))
        heard.wait(
            lambda _: "psi_detections_per_frame" in documents(heard, "up/metrics/output")[-1]
        )
    news = next(d for d in documents(heard, "up/events") if d["kind"] == "drift.suspected")
    assert news[named] > 1.0 and "PSI of detections_per_frame" in news["text"]
    assert kinds(heard).count("drift.suspected") == 1 and "gate.rejecting" not in kinds(heard)


def test_two_cameras_share_one_model(tmp_path, bundles):
    """Each has its own input metrics; the model's window counts both."""
    frames = [write_frames(tmp_path / name, 30) for name in ("a", "b")]
    second = f'policy = "wait"\n[[camera]]\nid = "side"\nsource = "dir:{frames[1]}"\n'
    device = Device(
        tmp_path,
        source=f"dir:{frames[0]}",
        camera=second + f'model = "{MODEL}"\npolicy = "wait"\n',
    )
    device.commit(device.add(bundles["v1"]))
    with device.agent() as agent:
        assert agent.process.wait(20) == 0, agent.text()
    lines = (device.layout.data / "telemetry.jsonl").read_text().splitlines()
    seen = {"top": 0, "side": 0}
    for line in lines:
        if "metrics/input" in line:
            payload = json.loads(line)["payload"]
            seen[payload["camera"]] += payload["frames"]
    assert seen == {"top": 30, "side": 30}


def test_two_agents_do_not_share_a_folder(tmp_path, bundles):
    """The second says so in one line and exit code 8."""
    device = Device(tmp_path)
    device.commit(device.add(bundles["v1"]))
    with device.agent():
        device.wait_health(lambda model: True)
        with device.agent() as second:
            assert second.process.wait(15) == 8
            assert "another edge-agent runs" in second.text()


def test_the_state_machine_of_the_test_device_is_the_updaters(tmp_path, bundles):
    """`put_on_trial` leaves the journal as `slots.choose` expects it."""
    device = Device(tmp_path)
    v1, v2 = device.add(bundles["v1"]), device.add(bundles["v2"])
    device.commit(v1)
    device.put_on_trial(v2, previous=v1)
    slot = device.journal.slot(MODEL)
    assert (slot.state, slot.committed, slot.candidate) == (State.TRIAL, v1, v2)
    assert device.layout.linked(MODEL) == v2


@contextmanager
def spoilt(path, how):
    """An outbox's file that cannot be opened."""
    if how == "folder":
        path.mkdir()
        yield
        return
    Outbox(path, 1 << 20).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.close()


@pytest.mark.parametrize("how", ["folder", "locked"])
def test_an_outbox_that_cannot_be_opened_keeps_nobody_from_judging(
    tmp_path, bundles, shared_broker, how
):
    """A full disk, or a file that another program holds: frames and telemetry go on, in memory."""
    name = f"no-outbox-{how}"
    device = Device(tmp_path, url=shared_broker.url, device=name)
    v1 = device.add(bundles["v1"])
    device.commit(v1)
    with (
        spoilt(device.layout.outbox, how),
        Listener(shared_broker.url, f"outpost/v1/{name}/#") as heard,
        device.agent() as agent,
    ):
        device.wait_health(lambda model: model.windows and model.windows[-1].inferred, 30)
        heard.wait(lambda _: len(heard.on("up/metrics/output")) >= 3)
        device.put_on_trial(device.add(bundles["v2"]), previous=v1)
        heard.wait(lambda _: kinds(heard).count("transition") == 2)
        assert agent.stop() == 0, agent.text()
    events = documents(heard, "up/events")
    (failed,) = [document for document in events if document["kind"] == "outbox.failed"]
    assert failed["severity"] == "error" and "outbox.sqlite" in failed["text"]
    # what the journal held before is not told: the file, once it can be read, knows how far it was
    assert [d["to"] for d in events if d["kind"] == "transition"] == ["SWITCHING", "TRIAL"]
