"""MQTT against real brokers: hello, goodbye, will, and nothing lost when a broker dies."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from deploy.demo import broker as demo_broker
from edge_agent.config import parse
from edge_agent.errors import BrokerError, UsageError
from edge_agent.metrics import EVENTS, INFO, METRICS_SYSTEM, Message, Reader, event
from edge_agent.sinks import SinkContext, make_sink
from edge_agent.sinks.delivery import Limits
from edge_agent.telemetry.broker import MQTT_3_1_1, MQTT_5, address
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry
from tests.brokers import MOSQUITTO, Amqtt, Listener, Mosquitto, free_port
from tests.voices import DEVICE, Voice, settings, window


def states(heard):
    return [json.loads(message.payload)["state"] for message in heard.on("up/status")]


def test_birth_state_metrics_and_goodbye(broker, voice):
    """The whole life on both kinds of broker, in order, with retain and QoS as documented."""
    with Listener(broker.url) as heard:
        one = voice(broker.url)
        one.telemetry.send([Message(INFO, {"agent": "x"}, retain=True, durable=False)])
        one.telemetry.send([window(1), event("agent.started", "info", "here")], model_version=4)
        heard.wait(lambda messages: len(messages) >= 4)
        one.close()
        heard.wait(lambda _: states(heard) == ["online", "offline"])
    with Listener(broker.url) as late:
        late.wait(lambda messages: len(messages) >= 2)
        kept = {m.topic.split("/", 3)[3]: json.loads(m.payload) for m in late.messages if m.retain}
    assert kept["up/status"]["state"] == "offline" and kept["up/status"]["reason"] == "stopped"
    assert kept["up/info"]["agent"] == "x"
    metric, news = heard.on(METRICS_SYSTEM)[0], heard.on(EVENTS)[0]
    assert (metric.qos, news.qos, metric.retain) == (1, 1, False)
    envelope = json.loads(metric.payload)
    assert envelope.items() >= {"v": 1, "boot": "b1", "seq": 1, "model_version": 4}.items()


def test_a_broker_that_dies_costs_nothing_but_duplicates(broker, voice):
    """Produced before, during and after the outage: all arrive, in order, once per number."""
    reader = Reader()
    got = []
    # amqtt takes five seconds to refuse MQTT 5; the test above shows that we get over it
    one = voice(broker.url, protocol=MQTT_3_1_1 if isinstance(broker, Amqtt) else MQTT_5)
    with Listener(broker.url, pattern="outpost/v1/+/up/metrics/#") as heard:
        one.telemetry.send([window(n) for n in range(10)])
        heard.wait(lambda messages: len(messages) >= 10)
        before = list(heard.messages)
    broker.kill()
    one.telemetry.send([window(n) for n in range(10, 60)])
    broker.start()
    with Listener(broker.url, pattern="outpost/v1/+/up/metrics/#") as heard:
        one.telemetry.send([window(n) for n in range(60, 70)])
        heard.wait(lambda messages: any(json.loads(m.payload)["number"] == 69 for m in messages))
        after = list(heard.messages)
    for message in before + after:
        document = reader.accept(DEVICE, message.payload)
        if document is not None:
            got.append(document["number"])
    # The listener of the second life may connect after the sink did; mosquitto then has passed
    # some on to nobody. What the sink owes is that the broker acknowledged each of them.
    assert got == sorted(got)
    assert got[:10] == list(range(10)) and got[-10:] == list(range(60, 70))
    one.wait("connected")
    deadline = time.monotonic() + 5
    while len(one.outbox) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(one.outbox) == 0


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_every_window_arrives_through_five_broker_restarts(tmp_path, voice):
    """A subscriber with a lasting session, a broker that writes down: nothing at all is missing."""
    with Mosquitto(tmp_path) as broker, Listener(broker.url) as heard:
        one = voice(broker.url)
        for life in range(5):
            one.telemetry.send([window(100 * life + n) for n in range(100)])
            broker.stop()
            broker.start()
        heard.wait(lambda _: len({m.payload for m in heard.on(METRICS_SYSTEM)}) == 500, 30.0)
    reader = Reader()
    accepted = [reader.accept(DEVICE, message.payload) for message in heard.on(METRICS_SYSTEM)]
    assert [d["number"] for d in accepted if d] == list(range(500))
    assert reader.gaps(DEVICE, "b1") == []


def test_nothing_is_lost_when_nobody_answers_at_first(tmp_path, voice):
    """A device that starts before its broker says so, and delivers later."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    one = voice(f"mqtt://127.0.0.1:{port}")
    one.telemetry.send([window(1)])
    one.wait("unreachable: ")
    assert len(one.outbox) == 1
    with Mosquitto(tmp_path, port):
        one.wait("connected")
        one.drained()
    assert (len(one.outbox), one.outbox.dropped) == (0, 0)


def test_a_restart_of_the_agent_sends_what_the_last_one_left(tmp_path, mosquitto):
    """The outbox outlives the process; the boot tells the two apart."""
    first = Voice(tmp_path / "device", f"mqtt://127.0.0.1:{free_port()}", boot="b1")
    first.telemetry.send([window(1), window(2)])
    first.close()
    with Listener(mosquitto.url) as heard:
        second = Voice(tmp_path / "device", mosquitto.url, boot="b2")
        second.telemetry.send([window(3)])
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) == 3)
        second.close()
    documents = [json.loads(message.payload) for message in heard.on(METRICS_SYSTEM)]
    assert [(d["boot"], d["seq"]) for d in documents] == [("b1", 1), ("b1", 2), ("b2", 1)]


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_wrong_password_is_a_named_state(tmp_path, voice):
    """The operator reads `refused`, not a timeout; the right password file is then enough."""
    import subprocess

    passwords = tmp_path / "passwords"
    passwd = MOSQUITTO.replace("/sbin/", "/bin/") + "_passwd"
    subprocess.run([passwd, "-c", "-b", str(passwords), DEVICE, "right"], check=True)
    passwords.chmod(0o644)
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    extra = ("allow_anonymous false", f"password_file {passwords}")
    with Mosquitto(tmp_path, extra=extra) as broker:
        one = voice(broker.url, username=DEVICE, password_file=secret)
        one.telemetry.send([window(1)])
        one.wait("refused: not authorized")
        assert len(one.outbox) == 1
        secret.write_text("right\n")
        one.wait("connected")
        one.drained()
        assert len(one.outbox) == 0


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_publish_that_the_broker_denies_stays_in_the_outbox(tmp_path, voice):
    """MQTT 5 says that the ACL refused; nothing is deleted and nothing spins."""
    rules = tmp_path / "acl"
    rules.write_text(f"topic write outpost/v1/{DEVICE}/up/status\n")
    rules.chmod(0o644)
    with Mosquitto(tmp_path, extra=("allow_anonymous true", f"acl_file {rules}")) as broker:
        one = voice(broker.url)
        one.telemetry.send([window(1)])
        one.wait("denied: not authorized")
        assert len(one.outbox) == 1


def test_a_broker_that_accepts_and_never_answers_is_a_named_state(voice):
    """Half a broker: the port is open, nobody speaks."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"mqtt://127.0.0.1:{deaf.getsockname()[1]}"
        one = voice(url, limits=Limits(answer_s=0.2))
        one.telemetry.send([window(1)])
        one.wait("no answer: 0.2 s after CONNECT")
        assert len(one.outbox) == 1


def test_a_broker_that_waits_for_more_of_mqtt_5_gets_3_1_1(tmp_path, voice):
    """amqtt with a password takes MQTT 5's CONNECT for an unfinished one and never answers."""
    pytest.importorskip("amqtt", reason="amqtt is not installed")
    broker = demo_broker.start(tmp_path / "broker", "amqtt")
    try:
        one = voice(
            broker.url,
            limits=Limits(answer_s=1.0),
            username=demo_broker.USERNAME,
            password_file=broker.password_file,
        )
        one.telemetry.send([window(1)])
        one.wait("connected")
        one.drained()
        assert len(one.outbox) == 0
    finally:
        broker.stop()


def test_a_missing_certificate_is_a_named_state(tmp_path, voice):
    """The file's name is in the state."""
    one = voice("mqtts://127.0.0.1:1", ca=tmp_path / "no-ca.pem")
    one.wait("misconfigured: ")
    assert "no-ca.pem" in one.sink.state


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_mutual_tls(tmp_path, voice, certificates):
    """With the device's certificate it connects; without one, or to a stranger, it does not."""
    listener = (
        f"cafile {certificates / 'ca.pem'}",
        f"certfile {certificates / 'server.pem'}",
        f"keyfile {certificates / 'server.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    with Mosquitto(tmp_path, listener=listener, extra=("allow_anonymous false",)) as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        ca, cert, key = (certificates / n for n in ("ca.pem", "device.pem", "device.key"))
        one = voice(url, ca=ca, cert=cert, key=key)
        one.wait("connected")
        one.close()
        stranger = voice(url, ca=None, cert=cert, key=key)
        stranger.wait("tls: ")
        assert "certificate" in stranger.sink.state
        stranger.close()
        nobody = voice(url, ca=ca)
        nobody.wait("refused: ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", ("broker", 1883)),
        ("mqtts://broker", ("broker", 8883)),
        ("mqtt://[::1]:99", ("::1", 99)),
    ],
)
def test_addresses(url, expected):
    """The usual ports when none is written."""
    assert address(settings(url)) == expected


@pytest.mark.parametrize("url", ["mqtt://", "mqtt://host:notaport", "mqtt://host:99999"])
def test_a_url_without_an_address_is_one_clear_line(url):
    """No traceback from the URL parser."""
    with pytest.raises(BrokerError, match="no broker's address"):
        address(settings(url))


def test_the_table_refuses_an_unknown_kind_and_a_missing_section(tmp_path):
    """One line each."""
    config = parse(
        {"device": {"id": DEVICE, "data": str(tmp_path)}, "model": [{"name": "m"}]},
        tmp_path / "agent.toml",
    )
    box = Outbox(tmp_path / "outbox.sqlite", 1 << 20)
    context = SinkContext(config, box, "b1", lambda payload, version: b"{}")
    with pytest.raises(UsageError, match="'kafka' is not one of mqtt, log"):
        make_sink("kafka", context)
    with pytest.raises(BrokerError, match=r"needs a \[mqtt\] section"):
        make_sink("mqtt", context)


def test_the_log_sink_writes_lines_and_empties_the_outbox(tmp_path):
    """Without a broker the same messages become JSON lines."""
    config = parse(
        {"device": {"id": DEVICE, "data": str(tmp_path)}, "model": [{"name": "m"}]},
        tmp_path / "agent.toml",
    )
    box = Outbox(tmp_path / "outbox.sqlite", 1 << 20)
    telemetry = Telemetry(box, "b1")
    target = tmp_path / "lines.jsonl"
    context = SinkContext(config, box, "b1", telemetry.stamp_live)
    telemetry.attach(make_sink(f"log:{target}", context))
    telemetry.send([window(1), window(2)])
    telemetry.send([Message(INFO, {"agent": "x"}, retain=True, durable=False)])
    telemetry.close(5.0)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(line["topic"].split("/", 3)[3] for line in lines) == [
        "up/info",
        "up/metrics/system",
        "up/metrics/system",
    ]
    assert len(box) == 0


def test_sending_never_waits_for_the_broker(voice):
    """The frame loop's thread is free although the broker's port swallows everything."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        before = threading.active_count()  # other tests leave some
        one = voice(f"mqtt://127.0.0.1:{deaf.getsockname()[1]}")
        began = time.perf_counter()
        for number in range(50):
            one.telemetry.send([Message("up/detections/c", {"n": number}, durable=False)])
        assert time.perf_counter() - began < 0.5
        assert threading.active_count() < before + 10
