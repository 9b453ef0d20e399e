"""What the gate says of a calibrated camera, as events, actions and metrics."""

from __future__ import annotations

import json
import logging
import threading

import numpy as np
import pytest

from edge_agent.gate.baseline import FILE, Baseline
from edge_agent.loop.judge import Judge
from edge_agent.loop.loaded import Holder, load_release
from edge_agent.sources import Frame
from edge_agent.telemetry.payloads import input_message
from tests.bundles import make_bundle
from tests.devices import Device
from tests.edge_agent.gate.scene import baseline, picture, reference


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("judge") / "v1")


class Bench:
    """A judge with a real release and a calibrated camera; frames are given one by one."""

    def __init__(self, folder, bundle, gate="", calibrated=True):
        device = Device(folder, camera="[gate]\n" + gate)
        self.config = device.config
        self.folder = self.config.layout.baseline("top")
        if calibrated:
            baseline().write(self.folder)
        self.bundle, self.told, self.seen, self.count = bundle, [], [], 0
        self.holder = Holder()
        self.load()
        camera = self.config.cameras[0]
        self.judge = Judge(camera, self.config.gate, self.holder, self._hear, listeners=[self._see])

    def load(self):
        self.loaded = load_release(self.config, self.config.models[0], self.bundle.root)
        self.holder.swap(self.loaded)

    def _hear(self, message, version):
        self.told.append(message.payload)

    def _see(self, seen):
        self.seen.append((seen.verdict, seen.result is not None))

    def show(self, count, **how):
        for _ in range(count):
            self.count += 1
            shot = picture(self.count, **how)
            self.judge.frame(Frame(shot, self.count / 10, self.count, "top"))
        assert self.judge.drain(10)

    def alarms(self):
        return [(event["kind"].removeprefix("gate."), event["check"]) for event in self.told]


def test_each_check_has_its_own_alarm(tmp_path, bundle):
    """Blurred, then also moved, then good again: raised and cleared by name, each once."""
    bench = Bench(tmp_path, bundle)
    bench.show(15)
    bench.show(10, blur=1.5)
    assert bench.judge.rejecting
    blurred = bench.alarms()
    assert ("rejecting", "blur") in blurred and ("rejecting", "displacement") not in blurred
    text = next(event["text"] for event in bench.told if event["check"] == "blur")
    assert "input problem, not the model: lens blurred: gradient energy" in text
    bench.show(15, blur=1.5, dx=6.0)
    bench.show(25)
    alarms = bench.alarms()
    raised = sorted(check for kind, check in alarms if kind == "rejecting")
    assert raised == sorted(check for kind, check in alarms if kind == "cleared")
    assert len(set(raised)) == len(raised) and {"blur", "displacement"} <= set(raised)
    assert not bench.judge.rejecting


def test_one_check_is_good_again_and_another_is_not(tmp_path, bundle):
    """The event of the first does not sound as if all was well, nor as if it was not."""
    bench = Bench(tmp_path, bundle)
    bench.show(15)
    bench.show(15, blur=1.5, dx=6.0)
    bench.show(25, blur=1.5)
    bench.show(25)
    texts = {event["check"]: event["text"] for event in bench.told if "cleared" in event["kind"]}
    assert "displacement is good again, but lens blurred: gradient" in texts["displacement"]
    assert "blur is good again (SSIM 0." in texts["blur"] or "(SSIM 1." in texts["blur"]


def test_events_carry_their_evidence(tmp_path, bundle):
    """The score, and for SSIM what was asked for."""
    bench = Bench(tmp_path, bundle)
    bench.show(12)
    bench.show(8, cover=(0, 0, 60, 120))
    events = {event["check"]: event for event in bench.told}
    assert events["occlusion"]["score"] > 1 and events["occlusion"]["cause"] == "camera"
    assert events["ssim"]["ssim"] < events["ssim"]["threshold"]
    assert "threshold" not in events["occlusion"]


@pytest.mark.parametrize(
    ("action", "inferred", "counted", "alarm"),
    [("skip", 12, 12, True), ("flag", 20, 12, True), ("pass", 20, 20, False)],
)
def test_actions_per_check(tmp_path, bundle, action, inferred, counted, alarm):
    """Kept from the model; judged but kept out of the statistics; as good as any."""
    others = "\n".join(f'{name} = "pass"' for name in ("ssim", "blur", "noise", "occlusion"))
    bench = Bench(tmp_path, bundle, gate=f'[gate.checks]\nexposure = "{action}"\n{others}')
    bench.show(12)
    bench.show(8, light=1.4)
    report = bench.loaded.window.close()
    assert (report.inferred, report.merged().frames) == (inferred, counted)
    assert (bench.alarms() == [("rejecting", "exposure")]) == alarm
    assert report.cameras["top"].checks["exposure"].failed == 8


def test_metrics_per_check(tmp_path, bundle):
    """Flat numbers: how many failed, and how near the others came."""
    bench = Bench(tmp_path, bundle)
    bench.show(30)
    bench.show(10, light=1.4)
    tally = bench.loaded.window.close().cameras["top"]
    payload = input_message("m", "top", tally).payload
    assert payload["exposure_rejected"] == 10 and payload["freeze_rejected"] == 0
    assert payload["exposure_score_p50"] < 1 < payload["exposure_score_p95"]
    assert payload["exposure_score_p95"] <= payload["exposure_score_max"] < 5
    assert payload["rejected_share"] == payload["skipped_share"] == 0.25
    json.dumps(dict(payload), allow_nan=False)


def test_who_listens_sees_pictures_only(tmp_path, bundle):
    """Kept from the model or judged, but never something that is no picture."""
    bench = Bench(tmp_path, bundle)
    bench.show(12)
    bench.show(2, light=1.6)
    bench.judge.frame(Frame(np.zeros((5, 5), np.uint8), 9.0, 99, "top"))
    assert [inferred for _, inferred in bench.seen] == [True] * 12 + [False] * 2
    assert bench.seen[-1][0].failed[0].name == "exposure"


def test_a_damaged_baseline_does_not_stop_the_device(tmp_path, bundle, caplog):
    """The bundle's reference judges, and the log says why."""
    bench = Bench(tmp_path, bundle)
    (bench.folder / FILE).write_bytes(b"{")
    with caplog.at_level(logging.ERROR):
        bench.load()
    assert "judged by the bundle's reference only" in caplog.text and "calibrate" in caplog.text
    assert bench.loaded.gates["top"].size is None


def test_a_camera_without_a_baseline_is_judged_by_the_bundle(tmp_path, bundle):
    """Nothing was learnt: SSIM by the profile's limit, and no more is claimed."""
    bench = Bench(tmp_path, bundle, calibrated=False)
    verdict = bench.loaded.gates["top"].check(picture(0))
    assert [check.name for check in verdict.checks] == ["freeze", "ssim"]


def test_an_alarm_of_a_check_that_is_gone_ends(tmp_path, bundle):
    """The baseline is removed and another release loaded while an alarm stands."""
    bench = Bench(tmp_path, bundle, gate="ssim_min = -1.0")
    bench.show(12)
    bench.show(8, light=1.4)
    assert ("rejecting", "exposure") in bench.alarms()
    (bench.folder / FILE).unlink()
    bench.load()
    bench.show(12)
    assert ("cleared", "exposure") in bench.alarms() and not bench.judge.rejecting


def test_a_release_that_is_swapped_keeps_the_cameras_baseline(tmp_path, bundle):
    """It belongs to the camera, not to the model."""
    bench = Bench(tmp_path, bundle)
    before = bench.loaded.gates["top"]
    bench.load()
    after = bench.loaded.gates["top"]
    assert after is not before and after.size == before.size == (160, 120)
    assert Baseline.read(bench.folder) is not None


def test_the_reference_is_switched_between_two_frames(tmp_path, bundle):
    """From any thread, at any moment, and whatever release comes: each frame has one of the two."""
    bench = Bench(tmp_path, bundle, 'action = "flag"')
    baseline(reference("day"), reference("night", seed=1)).write(bench.folder)
    bench.load()
    bench.show(3)
    bench.judge.reference = "night"
    bench.show(3)
    bench.load()
    bench.show(3)
    assert [v.reference for v, _ in bench.seen] == ["day"] * 3 + ["night"] * 6
    ended = threading.Event()

    def switch():
        while not ended.is_set():
            bench.judge.reference = "night" if bench.judge.reference == "day" else "day"

    thread = threading.Thread(target=switch)
    thread.start()
    bench.show(60)
    ended.set()
    thread.join()
    later = [v for v, _ in bench.seen[9:]]
    assert len(later) == 60 and {v.reference for v in later} == {"day", "night"}
    assert bench.judge.errors == 0
