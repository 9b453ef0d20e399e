"""The agent as a process: providers that are not there, no room for a swap, thresholds, NaN."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edge_agent.engines import modules
from tests.bundles import make_bundle
from tests.devices import MODEL, Device


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Two healthy versions, and one whose outputs are NaN."""
    root = tmp_path_factory.mktemp("bundles")
    return {
        "v1": make_bundle(root / "v1"),
        "v2": make_bundle(root / "v2", version=2),
        "nan": make_bundle(root / "nan", version=3, nan=True),
    }


def payloads(device, suffix):
    """What was sent under a suffix, from the log sink."""
    lines = (device.layout.data / "telemetry.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    return [one["payload"] for one in documents if one["topic"].endswith(suffix)]


def events(device, kind):
    """Events of this kind."""
    return [one for one in payloads(device, "up/events") if one["kind"] == kind]


@pytest.mark.skipif(modules.this_gpu() is not None, reason="this machine has a GPU")
def test_a_fallback_is_a_degraded_state_with_its_reason(tmp_path, bundles):
    """In the health file, in `status`, in an event and in info; frames go on."""
    device = Device(tmp_path, model='providers = ["cuda", "cpu"]\nfallback = "allow"')
    device.commit(device.add(bundles["v1"]))
    with device.agent() as agent:
        model = device.wait_health(lambda model: any(w.inferred for w in model.windows))
        command = [sys.executable, "-m", "edge_agent", "status", "-c", str(device.config_path)]
        status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert agent.stop() == 0
    assert (model.provider, model.state) == ("cpu", "running")
    assert not any(window.provider_ok for window in model.windows)
    assert model.fallback_reason.startswith("cuda: ")
    assert model.fallback_reason in status
    (news,) = events(device, "provider.fallback")
    assert news["severity"] == "warning" and news["reason"] == model.fallback_reason
    info = payloads(device, "up/info")[-1]["models"][MODEL]
    assert (info["provider"], info["wanted_provider"]) == ("cpu", "cuda")
    assert info["fallback_reason"] == model.fallback_reason


@pytest.mark.skipif(modules.this_gpu() is not None, reason="this machine has a GPU")
def test_a_fallback_may_be_refused(tmp_path, bundles):
    """Nothing runs; the reason is in the health file and in an event."""
    device = Device(tmp_path, model='providers = ["tensorrt-native"]\nfallback = "refuse"')
    device.commit(device.add(bundles["v1"]))
    with device.agent() as agent:
        model = device.wait_health(lambda model: model.state == "failed")
        assert agent.stop() == 0
    assert "fp32.onnx: tensorrt-native: " in model.error
    assert 'set fallback = "allow"' in model.error
    assert events(device, "model.failed")


def test_no_room_for_a_second_release(tmp_path, bundles):
    """The old one serves on, the reason is told once, and no start is counted."""
    device = Device(tmp_path, model="reserve_mb = 1e9")
    v1, v2 = device.add(bundles["v1"]), device.add(bundles["v2"])
    device.commit(v1)
    with device.agent() as agent:
        device.wait_health(lambda model: model.release == v1 and model.windows)
        device.put_on_trial(v2, previous=v1)
        model = device.wait_health(lambda model: model.failed == v2)
        after = len(model.windows)
        model = device.wait_health(lambda model: len(model.windows) > after)
        assert agent.stop() == 0
    assert (model.release, model.state) == (v1, "running")
    assert "beside the release in use" in model.error and "reserve_mb" in model.error
    assert device.journal.slot(MODEL).starts == 0
    (news,) = events(device, "model.held")
    assert news["severity"] == "warning" and news["release"] == v2


def test_a_threshold_for_a_class_that_is_not_there(tmp_path, bundles):
    """A refusal that names the nearest class."""
    device = Device(tmp_path, model="thresholds = { blu = 0.4 }")
    device.commit(device.add(bundles["v1"]))
    with device.agent() as agent:
        model = device.wait_health(lambda model: model.state == "failed")
        assert agent.stop() == 0
    assert '"blu" is not a class of tiny 1; did you mean "blue"?' in model.error


def test_a_class_that_is_never_reported(tmp_path, bundles):
    """Its threshold is 1: it is absent from the counts, the others are not."""
    device = Device(tmp_path, model="thresholds = { red = 1.0 }")
    device.commit(device.add(bundles["v1"]))
    with device.agent() as agent:
        device.wait_health(lambda model: len(model.windows) >= 3)
        assert agent.stop() == 0
    output = payloads(device, "up/metrics/output")
    assert sum(one["class_red"] for one in output) == 0
    assert sum(one["class_green"] + one["class_blue"] for one in output) > 0


def test_outputs_that_are_no_numbers_are_one_event(tmp_path, bundles):
    """Counted per window, told when it begins; an end comes with a release that is well."""
    device = Device(tmp_path)
    nan, v1 = device.add(bundles["nan"]), device.add(bundles["v1"])
    device.commit(nan)
    with device.agent() as agent:
        device.wait_health(lambda model: len(model.windows) >= 3)
        device.commit(v1, previous=nan)
        device.wait_health(lambda model: model.release == v1 and len(model.windows) >= 3)
        assert agent.stop() == 0
    (news,) = events(device, "output.nonfinite")
    assert news["severity"] == "error" and news["nonfinite"] > 0
    (end,) = events(device, "output.finite")
    assert end["model_version"] == 1
    assert all(
        one["nonfinite"] == one["inferred"]
        for one in payloads(device, "up/metrics/output")
        if one["model_version"] == 3
    )
