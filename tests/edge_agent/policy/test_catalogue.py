"""The metrics that rules may name are those that are sent."""

from __future__ import annotations

import re

import psutil
import pytest

from edge_agent.monitors.system import SELDOM, SystemReader
from edge_agent.monitors.system.nvml import Nvml
from edge_agent.policy.catalogue import CAMERA, DEVICE, MODEL, catalogue, kind_of, unknown
from edge_agent.policy.expression import names, parse
from edge_agent.policy.rules import DEFAULTS
from tests.bundles import make_bundle
from tests.devices import Device
from tests.edge_agent.loop.test_captures import heard, wait_for
from tests.edge_agent.monitors.system.boards import NAMES, plant
from tests.edge_agent.monitors.system.pretend_nvml import PretendNvml
from tests.edge_agent.monitors.system.test_nvml import CARD

ENVELOPE = {"v", "ts", "boot", "seq", "model_version", "camera", "model"}


def test_the_default_rules_name_known_metrics():
    """A renamed metric must not leave a default rule behind."""
    for rule in DEFAULTS:
        assert set(names(rule.when.condition)) <= set(catalogue()), rule.name


def test_what_a_rule_is_about():
    """The most particular metric decides."""
    known = catalogue()
    kinds = {rule.name: kind_of(rule.when.condition, known) for rule in DEFAULTS}
    assert kinds["camera-lost"] == kinds["picture-rejected"] == CAMERA
    assert kinds["output-drift"] == kinds["selftest-failed"] == MODEL
    assert kinds["disk-low"] == DEVICE
    both = parse("cpu_percent > 90 and camera_up < 1").condition
    assert kind_of(both, known) == CAMERA
    assert kind_of(parse("class_scratch > 5").condition, known) == MODEL


def read_somewhere(tmp_path):
    """What the boards of the tests and a card with everything say."""
    read = set()
    for name in NAMES:
        root = plant(name, tmp_path / name)
        for nvml in (lambda: None, lambda: Nvml(PretendNvml(CARD))):
            read |= set(SystemReader(tmp_path, root=root, nvml=nvml).read())
    return read


def test_what_is_written_down_is_what_some_machines_say(tmp_path, monkeypatch):
    """The one list that is kept by hand has neither too much nor too little."""
    monkeypatch.setattr(psutil, "sensors_temperatures", dict)
    bare = set(SystemReader(tmp_path, root=tmp_path, nvml=lambda: None).read())
    named_by_a_sensor = re.compile(r"temperature_.+_c|power_.+_w|throttle_oc\d+_total")
    seldom = {
        name for name in read_somewhere(tmp_path) - bare if not named_by_a_sensor.fullmatch(name)
    }
    assert seldom == set(SELDOM)
    assert seldom <= set(catalogue())


def test_every_metric_of_a_real_agent_may_be_named(tmp_path):
    """The catalogue knows every number that is sent, and none of the device that is not."""
    device = Device(
        tmp_path, more="[drift]\nspacing_s = 0\nprofile_frames = 20\n[capture]\nenabled = true\n"
    )
    device.commit(device.add(make_bundle(tmp_path / "v1")))
    with device.agent("--page", "127.0.0.1:0") as agent:
        wait_for(lambda: any("psi_score" in d for d in heard(device, "metrics/output")))
        assert agent.stop() == 0, agent.text()
    for topic in ("system", "output", "input", "camera"):
        sent = {name for d in heard(device, f"metrics/{topic}") for name in d} - ENVELOPE
        named = {name for name in sent if not name.startswith("class_")}
        assert named and named <= set(catalogue()), topic
        if topic == "system":
            of_device = {name for name, kind in catalogue().items() if kind == DEVICE}
            assert of_device - named <= set(SELDOM)


@pytest.mark.parametrize(
    "name",
    [
        "performance_precision",
        "performance_precision_most",
        "performance_recall_least",
        "performance_recall_independent",
        "performance_precision_of_dent",
        "performance_recall_most_of_broken_edge",
        "performance_missed_of_dent",
        "performance_taken_dent_for_scratch",
    ],
)
def test_what_inspectors_say_may_be_named(name):
    """Of the whole release, of a class that only the model knows, of a mistake."""
    assert unknown(name, catalogue()) == ""
    assert kind_of(parse(f"{name} < 0.8").condition, catalogue()) == MODEL


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("performance_precison", "performance_precision"),
        ("performance_recall_lest", "performance_recall_least"),
        ("performance_precison_of_dent", "performance_precision_of_dent"),
        ("performance_independent_of_dent", ""),
        ("performance_precision_of_", ""),
        ("precision", "performance_precision"),
    ],
)
def test_what_inspectors_do_not_say_is_refused(name, right):
    """With the nearest right name, the class kept."""
    assert f'"{name}" is not a metric' in (why := unknown(name, catalogue()))
    assert not right or f'did you mean "{right}"?' in why
