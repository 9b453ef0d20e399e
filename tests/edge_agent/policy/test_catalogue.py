"""The metrics that rules may name are those that are sent."""

from __future__ import annotations

from edge_agent.monitors.system import SystemReader
from edge_agent.policy.catalogue import CAMERA, DEVICE, MODEL, SELDOM, catalogue, kind_of
from edge_agent.policy.expression import names, parse
from edge_agent.policy.rules import DEFAULTS
from tests.bundles import make_bundle
from tests.devices import Device
from tests.edge_agent.loop.test_captures import heard, wait_for

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


def test_readings_that_a_machine_may_lack_are_still_read_somewhere(tmp_path):
    """The one list that is written by hand names nothing that every machine has."""
    everywhere = {"rss_mb", "uptime_s", "disk_free_mb", "cpu_percent"}
    assert everywhere <= set(SystemReader(tmp_path).read()) and not everywhere & set(SELDOM)


def test_every_metric_of_a_real_agent_may_be_named(tmp_path):
    """No builder sends a number that the catalogue does not know."""
    device = Device(
        tmp_path, more="[drift]\nspacing_s = 0\nprofile_frames = 20\n[capture]\nenabled = true\n"
    )
    device.commit(device.add(make_bundle(tmp_path / "v1")))
    with device.agent() as agent:
        wait_for(lambda: any("psi_score" in d for d in heard(device, "metrics/output")))
        assert agent.stop() == 0, agent.text()
    for topic in ("system", "output", "input", "camera"):
        sent = {name for d in heard(device, f"metrics/{topic}") for name in d} - ENVELOPE
        named = {name for name in sent if not name.startswith("class_")}
        assert named and named <= set(catalogue()), topic
