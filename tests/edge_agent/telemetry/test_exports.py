"""Telemetry in other programs' words: real peers read what a real agent gives."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from edge_agent.config import parse
from edge_agent.errors import ConfigError
from edge_agent.health import Health
from edge_agent.metrics import INFO, METRICS_OUTPUT, METRICS_SYSTEM, Message, Reader
from edge_agent.telemetry.ecs import EcsFormatter
from edge_agent.telemetry.exposition import samples, text
from edge_agent.telemetry.homeassistant import announcement
from edge_agent.telemetry.scrape import Scrape
from tests.brokers import Listener, free_port
from tests.bundles import make_bundle
from tests.devices import AgentProcess, Device

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
VICTORIA = shutil.which("victoria-metrics")
DEVICE = f"exports-{secrets.token_hex(3)}"


def get(url, data=None):
    with urllib.request.urlopen(url, data, timeout=5) as answer:
        return answer.read().decode()


def until(condition, timeout_s=30.0):
    """Poll another program until it says so."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


@contextmanager
def program(*command, log):
    """Another program, killed at the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(url):
    try:
        return get(url)
    except OSError:
        return None


class Scraped(NamedTuple):
    """A running agent: where it is asked, what it says, and which boot it is."""

    url: str
    heard: Listener
    home: Listener
    agent: AgentProcess
    boot: str


@pytest.fixture(scope="module")
def scraped(tmp_path_factory, shared_broker):
    """An agent with `/metrics`, JSON logs and Home Assistant's announcement, once it answers.

    Its boot is the one of its own health file; what another boot published is not counted.
    """
    tmp_path = tmp_path_factory.mktemp("exports")
    port = free_port()
    more = (
        f'[prometheus]\naddress = "127.0.0.1:{port}"\n[log]\nformat = "json"\n'
        "[homeassistant]\nenabled = true\n"
    )
    device = Device(tmp_path, url=shared_broker.url, device=DEVICE, more=more)
    device.commit(device.add(make_bundle(tmp_path / "v1", version=7)))
    with (
        Listener(shared_broker.url, f"outpost/v1/{DEVICE}/#") as heard,
        Listener(shared_broker.url, f"homeassistant/device/{DEVICE}/#") as home,
        device.agent() as agent,
    ):
        url = f"http://127.0.0.1:{port}/metrics"
        until(lambda: answers(url))
        boot = until(lambda: Health.read(device.layout.health)).boot
        heard.wait(lambda _: boots(heard).count(boot) >= 3)
        yield Scraped(url, heard, home, agent, boot)


def boots(heard):
    """Who closed the windows that were heard."""
    return [json.loads(one.payload)["boot"] for one in heard.on("up/metrics/system")]


def test_names_units_and_labels():
    """Base units, counters, labels where a name held one; nothing that is not a number."""
    payload = {
        "v": 1, "seq": 3, "ts": 5.0, "boot": "b", "model_version": 4, "model": "defects",
        "infer_ms": 12.5, "near_threshold_share": 0.25, "psi_score": 0.1, "psi_limit_score": 0.2,
        "psi_frames": 300, "class_open circuit": 3, "nan": float("nan"), "flag": True,
    }  # fmt: skip
    lines = text(samples(METRICS_OUTPUT, payload, {"version": '4"\\'}, ts=7.25)).splitlines()
    values = [line for line in lines if not line.startswith("#")]
    label = 'model="defects",version="4\\"\\\\"'
    assert values == [
        f'outpost_output_class_detections{{{label},class="open circuit"}} 3.0 7250',
        f"outpost_output_infer_seconds{{{label}}} 0.0125 7250",
        f"outpost_output_near_threshold_ratio{{{label}}} 0.25 7250",
        f'outpost_output_psi{{{label},feature="score"}} 0.1 7250',
        f"outpost_output_psi_frames{{{label}}} 300.0 7250",
        f'outpost_output_psi_limit{{{label},feature="score"}} 0.2 7250',
    ]
    system = {"swaps_total": 2, "disk_free_mb": 3, "cpu_percent": 50, "temperature_c": 40}
    shown = text(samples(METRICS_SYSTEM, system, {}))
    assert "# TYPE outpost_swaps_total counter" in shown
    assert "outpost_disk_free_bytes{} 3000000.0" in shown and "outpost_cpu_ratio{} 0.5" in shown
    camera = text(samples("up/metrics/camera", {"camera": "top", "camera_up": 0.5}, {}))
    assert 'outpost_camera_up{camera="top"} 0.5' in camera
    assert samples("up/events", {"value": 1}, {}) == []


def test_the_version_comes_from_what_runs():
    """A label that follows a swap; the sink's state is a label, not a number."""
    scrape = Scrape(lambda: "denied: not authorized", clock=lambda: 9.0)
    scrape(Message(INFO, {"models": {"m": {"version": 3}}}))
    scrape(Message(METRICS_OUTPUT, {"model": "m", "detections": 5}))
    shown = scrape.exposition()
    assert 'outpost_output_detections{model="m",version="3"} 5.0' in shown
    assert 'outpost_telemetry_state_info{state="denied"} 1' in shown
    assert "outpost_telemetry_up{} 0.0" in shown


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (prometheus)")
def test_promtool_finds_nothing_to_complain_about(scraped):
    """Names, types, help and units, by Prometheus' own linter."""
    shown = get(scraped.url)
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=shown, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert 'model="tiny",version="7"' in shown and 'camera="top"' in shown
    assert "outpost_telemetry_up{} 1.0" in shown


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed")
def test_prometheus_scrapes_the_agent(scraped, tmp_path):
    """A real server, its own query language."""
    target = scraped.url.removeprefix("http://").removesuffix("/metrics")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: edge, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    port = free_port()
    command = [PROMETHEUS, f"--config.file={tmp_path}/prometheus.yml"]
    command += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
    query = f"http://127.0.0.1:{port}/api/v1/query?query=outpost_frames_captured_total"
    with program(*command, log=tmp_path / "prometheus.log"):
        found = until(
            lambda: ((shown := answers(query)) and json.loads(shown)["data"]["result"]) or None
        )
    assert float(found[0]["value"][1]) > 0 and found[0]["metric"]["job"] == "edge"


@pytest.mark.skipif(VICTORIA is None, reason="victoria-metrics is not installed")
def test_a_backfill_lands_at_the_times_when_it_was_measured(scraped, tmp_path):
    """What came late over MQTT goes into VictoriaMetrics with its own timestamps."""
    reader, found = Reader(), []
    for message in scraped.heard.on("up/metrics/system"):
        document = reader.accept(DEVICE, message.payload)
        if document is not None:
            late = document["ts"] - 7200
            found += samples(METRICS_SYSTEM, document, {"device": DEVICE}, ts=late)
    port = free_port()
    command = [VICTORIA, f"-storageDataPath={tmp_path}/data", f"-httpListenAddr=127.0.0.1:{port}"]
    root = f"http://127.0.0.1:{port}"
    with program(*command, log=tmp_path / "victoria.log"):
        until(lambda: answers(f"{root}/health"))
        get(f"{root}/api/v1/import/prometheus", text(found).encode())
        export = f"{root}/api/v1/export?match[]=outpost_frames_captured_total"
        shown = until(lambda: get(f"{root}/internal/force_flush") == "" and get(export))
    series = json.loads(shown.splitlines()[0])
    wanted = {
        round(s.ts * 1e3): s.value for s in found if s.family == "outpost_frames_captured_total"
    }
    assert series["metric"]["device"] == DEVICE
    assert dict(zip(series["timestamps"], series["values"], strict=True)) == wanted


def test_home_assistant_gets_everything_in_one_retained_message(scraped):
    """Device-based discovery: each sensor reads a topic that is really published."""
    heard, home = scraped.heard, scraped.home
    home.wait(lambda messages: len(messages) >= 1)
    message = home.messages[0]
    assert message.topic == f"homeassistant/device/{DEVICE}/config"
    document = json.loads(message.payload)
    assert document["device"]["identifiers"] == [f"outpost_{DEVICE}"]
    assert document["availability_topic"] == f"outpost/v1/{DEVICE}/up/status"
    components = document["components"]
    assert {"throughput_fps", "tiny_version", "tiny_detections", "top_ssim"} <= set(components)
    assert len({one["unique_id"] for one in components.values()}) == len(components)
    assert {one["state_topic"] for one in components.values()} <= set(heard.topics())
    assert all(one["platform"] == "sensor" for one in components.values())


def test_templates_give_the_values(tmp_path):
    """As Home Assistant's own engine (Jinja) reads them; other models' messages change nothing."""
    jinja2 = pytest.importorskip("jinja2", reason="jinja2 is not installed")
    document = {
        "device": {"id": "cell-3"},
        "model": [{"name": "a"}, {"name": "b"}],
        "camera": [{"id": "top", "source": "dir:x", "model": "a"}],
    }
    topic, payload = announcement(parse(document, tmp_path / "agent.toml"))
    assert topic == "homeassistant/device/cell-3/config"
    components = json.loads(payload)["components"]

    def value(key, **message):
        template = components[key]["value_template"]
        return jinja2.Template(template).render(value_json=message)

    assert value("a_detections", model="a", detections_per_frame=1.5) == "1.5"
    assert value("a_detections", model="b", detections_per_frame=1.5) == ""
    assert value("top_ssim", camera="top", ssim_p50=0.9) == "0.9"
    assert value("temperature_c") == "" and value("cpu_percent", cpu_percent=12) == "12"
    assert value("b_version", models={"b": {"active_version": 4}}) == "4"
    assert value("event", text="x" * 300) == "x" * 255


def test_logs_are_json_in_ecs_names(scraped):
    """Every line of a real agent's stderr."""
    lines = [json.loads(line) for line in scraped.agent.text().splitlines()]
    assert lines and all(line["service.node.name"] == DEVICE for line in lines)
    assert {"@timestamp", "log.level", "message", "ecs.version", "log.logger"} <= set(lines[0])
    logged = {line["labels"]["boot"] for line in lines}
    assert logged == set(boots(scraped.heard)) == {scraped.boot}


def test_an_exception_is_one_line():
    """With its type and trace, so that a shipper does not cut it apart."""
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info()
        )
    line = EcsFormatter("cell-3", "b1").format(record)
    document = json.loads(line)
    assert "\n" not in line and document["message"] == "it broke"
    assert document["error.type"] == "ValueError" and "Traceback" in document["error.stack_trace"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"prometheus": {"address": "0.0.0.0:9464"}}, "can be reached from elsewhere"),
        ({"prometheus": {"address": "9464"}}, "should be ADDRESS:PORT"),
        ({"log": {"format": "jsn"}}, 'did you mean "json"'),
        ({"homeassistant": {"prefix": "a/#"}}, "does not have the form"),
    ],
)
def test_settings_that_cannot_be(section, words, tmp_path):
    """One line that says how it should be."""
    document = {"device": {"id": "a"}, "model": [{"name": "m"}], **section}
    with pytest.raises(ConfigError, match=words):
        parse(document, tmp_path / "agent.toml")
