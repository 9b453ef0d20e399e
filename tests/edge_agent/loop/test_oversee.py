"""The policy in the agent's process: alerts, golden frames, withheld detections, captures."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.line import baseline
from tests.bundles import frame, make_bundle
from tests.devices import MODEL, Device
from tests.edge_agent.loop.test_captures import events, heard, wait_for

OWN = """
[policy]
selftest_s = 1
defaults = false
[[rule]]
name = "busy"
when = "detections > 0"
hold_off_s = 0
"""


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("policy")
    return make_bundle(root / "a"), make_bundle(root / "b", version=2, nan=True)


def alerts(device, *arguments):
    command = [sys.executable, "-m", "edge_agent", "alerts", *arguments]
    command += ["-c", str(device.config_path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_broken_engine_asks_for_a_rollback(tmp_path, bundles):
    """NaN on live and golden frames: the request stands in the journal, once, with its cause."""
    device = Device(tmp_path)
    good, bad = (device.add(bundle) for bundle in bundles)
    device.commit(bad, previous=good)
    with device.agent() as agent:
        wait_for(lambda: "rollback.requested" in events(device))
        asked = device.journal.history(MODEL)[-1]
        assert (asked.target, asked.digest) == ("ROLLBACK_REQUESTED", bad)
        assert asked.data == {"by": "agent", "cause": "engine"}
        device.commit(good)  # the updater's part
        wait_for(lambda: events(device).count("alert.cleared") >= 2)
        assert agent.stop() == 0, agent.text()
    told = events(device)
    assert told.count("rollback.requested") == 1 and told.count("selftest.failed") == 1
    assert heard(device, "alerts/active")[-1]["count"] == 0
    assert "ROLLBACK_WITHDRAWN" not in [row.target for row in device.journal.history(MODEL)]


def test_withheld_detections(tmp_path, bundles):
    """Frames are judged and counted, their boxes are not sent; a restart changes nothing."""
    text = OWN + 'actions = ["stop"]\n'
    device = Device(tmp_path, more=f"detections = true\n{text}")
    device.commit(device.add(bundles[0]))
    with device.agent() as agent:
        wait_for(lambda: "output.withheld" in events(device))
        wait_for(lambda: any(d.get("withheld") for d in heard(device, "metrics/output")))
        before = len(heard(device, "up/detections/top"))
        counted = len(heard(device, "metrics/output"))
        wait_for(lambda: len(heard(device, "metrics/output")) >= counted + 2)
        assert heard(device, "metrics/output")[-1]["inferred"] > 0
        assert len(heard(device, "up/detections/top")) == before
        assert agent.stop() == 0, agent.text()
    with device.agent() as agent:
        wait_for(lambda: events(device).count("output.withheld") == 2)
        assert events(device).count("alert.raised") == 1
        assert agent.stop() == 0, agent.text()


SWITCH = """
[policy]
selftest_s = 0
defaults = false
[[rule]]
name = "dusk"
when = "luminance > 0.01 for 2 windows"
clear_when = "rejected_share > 0.9"
clear_after = 2
hold_off_s = 3600
actions = ["reference"]
reference = "night"
"""


def calibrated(device, *names):
    """What the device's camera was calibrated with: its own picture by day, a darker one else."""
    made = None
    for name in names:
        light = 1.0 if name == "day" else 0.4
        shown = [np.clip(frame(n) * light, 0, 255).astype(np.uint8) for n in range(12)]
        learnt = baseline(shown, "top")
        (one,) = learnt.references
        one = replace(one, name=name)
        made = replace(learnt, references=(one,)) if made is None else made.with_reference(one)
    made.write(device.layout.baseline("top"))


def test_a_rule_switches_the_reference_and_back(tmp_path, bundles):
    """By day the night's reference fits no frame: the alert is cleared, and the gate is content."""
    device = Device(tmp_path, more=SWITCH)
    calibrated(device, "day", "night")
    device.commit(device.add(bundles[0]))
    with device.agent() as agent:
        wait_for(lambda: "reference.restored" in events(device))
        shown = len(heard(device, "metrics/input"))
        wait_for(lambda: len(heard(device, "metrics/input")) >= shown + 3)
        assert agent.stop() == 0, agent.text()
    wanted = ["alert.raised", "reference.switched", "alert.cleared", "reference.restored"]
    assert [kind for kind in events(device) if kind in wanted] == wanted
    shares = [d["rejected_share"] for d in heard(device, "metrics/input") if d["frames"]]
    assert shares[0] == 0.0 and max(shares) == 1.0 and shares[-1] == 0.0


def test_a_reference_that_is_not_there_is_told(tmp_path, bundles):
    """The gate goes on by its own choice."""
    device = Device(tmp_path, more=SWITCH)
    calibrated(device, "day")
    device.commit(device.add(bundles[0]))
    with device.agent() as agent:
        wait_for(lambda: "reference.unknown" in events(device))
        assert agent.stop() == 0, agent.text()
    (told,) = [d for d in heard(device, "up/events") if d["kind"] == "reference.unknown"]
    assert told["reference"] == "night" and "calibrate --name night" in told["text"]
    assert {d["rejected_share"] for d in heard(device, "metrics/input") if d["frames"]} == {0.0}


def test_an_alert_keeps_frames_and_is_acknowledged(tmp_path, bundles):
    """Pictures with the reason `alert`; the command reaches the running agent."""
    keep = "[capture]\nenabled = true\nreasons = ['alert']\nspacing_s = 0.1\n"
    device = Device(tmp_path, more=f'{OWN}actions = ["capture"]\n{keep}')
    device.commit(device.add(bundles[0]))
    assert "no alert is active" in alerts(device, "list").stdout
    with device.agent() as agent:
        wait_for(lambda: len(list(device.config.captures.glob("*_top_alert.jpg"))) == 3)
        listed = json.loads(alerts(device, "list", "--json").stdout)
        assert [a["rule"] for a in listed] == ["busy"] and listed[0]["actions"] == ["capture"]
        assert alerts(device, "ack", "9").returncode == 2
        done = alerts(device, "ack", "1", "--by", "ada")
        assert done.returncode == 0 and "acknowledged by ada" in done.stdout
        wait_for(lambda: "alert.acknowledged" in events(device))
        assert heard(device, "alerts/active")[-1]["alerts"][0]["acknowledged_by"] == "ada"
        assert "already" in alerts(device, "ack", "1").stdout
        assert agent.stop() == 0, agent.text()
    assert "acknowledged by ada" in " ".join(alerts(device, "list").stdout.split())


JUDGED = """
detections = true
[policy]
selftest_s = 0
defaults = false
[[rule]]
name = "poor-at-first-sight"
when = "performance.precision < 0.7"
[[rule]]
name = "surely-poor"
when = "performance.precision_most < 0.7"
"""


def test_rules_over_what_inspectors_say(tmp_path, bundles):
    """Words about a second of frames are one look: the figure is bad, its bound is not."""
    device = Device(tmp_path, more=JUDGED)
    device.commit(device.add(bundles[0]))
    with device.agent() as agent:
        wait_for(lambda: any(d["detections"] for d in heard(device, "up/detections/top")))
        shown = [d for d in heard(device, "up/detections/top") if d["detections"]]
        for one in shown[:3]:
            say(device, "wrong", "--frame", f"top/{one['boot']}/{one['frame']}")
        wait_for(lambda: "alert.raised" in events(device))
        seen = len(heard(device, "metrics/output"))
        wait_for(lambda: len(heard(device, "metrics/output")) >= seen + 3)
        assert agent.stop() == 0, agent.text()
    told = [d for d in heard(device, "up/events") if d["kind"] == "alert.raised"]
    assert [d["rule"] for d in told] == ["poor-at-first-sight"]
    assert told[0]["performance_precision"] == 0.0 and told[0]["about"] == "model"


def say(device, *arguments):
    """`edge-agent feedback`, as an inspector types it."""
    command = [sys.executable, "-m", "edge_agent", "feedback", *arguments]
    subprocess.run([*command, "-c", str(device.config_path)], check=True, capture_output=True)
