"""What a broker or a link can do to a device: each has a name, none makes it spin or lose."""

from __future__ import annotations

import json
import socket
import time

import pytest

from edge_agent.metrics import INFO, METRICS_INPUT, METRICS_SYSTEM, STATUS, Message, event
from edge_agent.sinks import Hooks
from edge_agent.sinks.delivery import Limits
from edge_agent.telemetry.broker import MQTT_3_1_1, MQTT_5
from tests.brokers import MOSQUITTO, Listener, Mosquitto
from tests.voices import DEVICE, Link, window

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
QUICK = Limits(answer_s=0.3, unanswered_s=1.0, settle_s=0.2, denied_hold_s=0.05)
BUSY = 0.1  # share of one core that a state may cost, the test's own process included


def cost(seconds):
    """Share of one core that this process uses while nothing is asked of it."""
    before, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - before) / (time.monotonic() - began)


def acl(folder, *lines):
    rules = folder / "acl"
    rules.write_text("\n".join(lines) + "\n")
    rules.chmod(0o644)
    return ("allow_anonymous true", f"acl_file {rules}")


def test_one_topic_that_is_denied_does_not_hold_up_the_others(tmp_path, voice):
    """It is named, counted and set aside after three tries; the rest arrives, in order."""
    rules = acl(
        tmp_path,
        f"topic write outpost/v1/{DEVICE}/up/status",
        f"topic write outpost/v1/{DEVICE}/up/metrics/system",
        "topic read outpost/v1/#",
    )
    with Mosquitto(tmp_path, extra=rules) as broker, Listener(broker.url) as heard:
        one = voice(broker.url, limits=QUICK)
        for number in range(40):
            one.telemetry.send([Message(METRICS_INPUT, {"n": number}), window(number)])
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) >= 40)
        one.drained()
        assert one.sink.state == f"denied: not authorized: {METRICS_INPUT}"
        assert one.outbox.aside == len(one.outbox) == 40
        assert one.outbox.counts()["denied"] == 40 and one.outbox.dropped == 0
        assert cost(1.0) < BUSY
        got = [json.loads(message.payload)["number"] for message in heard.on(METRICS_SYSTEM)]
        assert got == sorted(got)
        # The operator corrects the ACL: what was set aside follows the next message.
        acl(tmp_path, "topic readwrite outpost/v1/#")
        broker.process.send_signal(1)
        sent = 40
        while one.outbox.aside and sent < 400:
            one.telemetry.send([Message(METRICS_INPUT, {"n": sent})])
            sent += 1
            one.sink.stopping.wait(0.05)
        heard.wait(lambda _: len({m.payload for m in heard.on(METRICS_INPUT)}) == sent)
        one.wait("connected")


@pytest.mark.parametrize("what", [STATUS, INFO, "homeassistant/device/x/config"])
def test_a_retained_state_that_is_denied_is_named(tmp_path, voice, what):
    """What does not go through the outbox is heard of as well; metrics go on meanwhile."""
    own = [f"topic write outpost/v1/{DEVICE}/{suffix}" for suffix in (STATUS, INFO, METRICS_SYSTEM)]
    rules = acl(
        tmp_path,
        *(line for line in own if not line.endswith(what)),
        "topic read outpost/v1/#",
    )
    hooks = Hooks(announcements=() if what in (STATUS, INFO) else ((what, b"{}"),))
    with Mosquitto(tmp_path, extra=rules) as broker, Listener(broker.url) as heard:
        one = voice(broker.url, limits=QUICK, hooks=hooks)
        one.telemetry.send([Message(INFO, {"n": 1}, retain=True, durable=False), window(1)])
        heard.wait(lambda _: heard.on(METRICS_SYSTEM))
        one.wait(f"denied: not authorized: {what}")
        one.telemetry.send([window(2)])
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) == 2)
        one.drained()
        assert one.sink.state == f"denied: not authorized: {what}"
        assert cost(0.5) < BUSY


def test_a_message_that_the_broker_finds_too_large_is_set_aside(tmp_path, voice):
    """MQTT 5 tells the limit beforehand, so the message is not even sent."""
    extra = ("allow_anonymous true", "max_packet_size 3000")
    with Mosquitto(tmp_path, extra=extra) as broker, Listener(broker.url) as heard:
        one = voice(broker.url, limits=QUICK)
        one.telemetry.send([window(1), event("x", "info", "y" * 5000), window(2)])
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) == 2)
        one.wait("oversize: up/events of 5")
        assert (one.outbox.aside, one.outbox.counts()["oversize"]) == (1, 1)
        assert cost(0.5) < BUSY


def test_another_client_of_our_name_is_named_and_no_message_is_suspected(tmp_path, voice):
    """A copied memory card: the two throw each other out, which no message is to blame for."""
    answers = bytes([0x20, 3, 0, 0, 0]), bytes([0xE0, 2, 0x8E, 0])
    with socket.create_server(("127.0.0.1", 0)) as broker:
        broker.settimeout(15)
        one = voice(f"mqtt://127.0.0.1:{broker.getsockname()[1]}", limits=QUICK)
        one.telemetry.send([window(1)])
        for _ in range(8):
            link, _ = broker.accept()
            link.recv(4096)
            link.sendall(answers[0])
            link.recv(4096)
            time.sleep(0.15)
            link.sendall(answers[1])
            one.wait("lost: session taken over")
            link.close()
        assert (len(one.outbox), one.outbox.aside) == (1, 0)


def test_nothing_but_oversize_is_named_too(voice):
    """Where no message is taken, no acknowledgement comes after which the state would be told."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        one = voice(f"mqtt://127.0.0.1:{broker.getsockname()[1]}", limits=QUICK)
        one.telemetry.send([window(1)])
        link, _ = broker.accept()
        link.recv(4096)
        link.sendall(bytes([0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 1]))  # packets of 1 byte at most
        one.wait("oversize: up/metrics/system of")
        link.close()


@pytest.mark.slow
def test_a_broker_that_hangs_up_on_a_message_gets_the_others(tmp_path, voice):
    """MQTT 3.1.1 has no words for too large: the suspect is sent alone, then set aside."""
    extra = ("allow_anonymous true", "max_packet_size 3000")
    with Mosquitto(tmp_path, extra=extra) as broker, Listener(broker.url) as heard:
        one = voice(broker.url, limits=QUICK, protocol=MQTT_3_1_1)
        messages = [window(number) for number in range(30)]
        messages[10] = event("x", "info", "y" * 5000)
        one.telemetry.send(messages)
        heard.wait(lambda _: len({m.payload for m in heard.on(METRICS_SYSTEM)}) == 29)
        one.wait("hung-up: up/events of 5")
        one.drained()
        assert (one.outbox.aside, one.outbox.counts()["hung-up"]) == (1, 1)


@pytest.mark.parametrize("protocol", [MQTT_5, MQTT_3_1_1])
def test_a_half_open_link_is_noticed_and_left(tmp_path, voice, protocol):
    """Nothing comes through and nobody says so: named after the keepalive, mended later."""
    with Mosquitto(tmp_path) as broker, Listener(broker.url) as heard:
        link = Link(broker.port)
        one = voice(link.url, limits=Limits(settle_s=0.2), protocol=protocol, keepalive_s=1)
        one.wait("connected")
        link.cut()
        one.telemetry.send([window(1)])
        one.wait("half-open: nothing heard for 1 s")
        link.mend()
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) >= 1)
        one.drained()
        one.wait("connected")
        assert len(one.outbox) == 0
        link.close()


def test_a_message_that_nobody_acknowledges_ends_the_connection(tmp_path, voice):
    """The link swallows what we send although the other direction still answers."""
    with Mosquitto(tmp_path) as broker:
        link = Link(broker.port)
        one = voice(link.url, limits=QUICK, keepalive_s=60)
        one.wait("connected")
        link.cut()
        one.telemetry.send([window(1)])
        one.wait("no answer: 1 s after a message")
        assert len(one.outbox) == 1
        link.close()


def test_deaf_brokers_cost_no_processor_time(voice):
    """The port is open and nobody speaks, in the clear and with TLS."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        one = voice(f"mqtt://127.0.0.1:{port}", limits=QUICK)
        one.wait("no answer: 0.3 s after CONNECT")
        assert cost(1.0) < BUSY
        one.close()
        other = voice(f"mqtts://127.0.0.1:{port}", limits=QUICK)
        other.wait("no answer: the connection was not made in time")


def tls(certificates, server="server"):
    return (
        f"cafile {certificates / 'ca.pem'}",
        f"certfile {certificates / f'{server}.pem'}",
        f"keyfile {certificates / f'{server}.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    )


def test_expired_certificates_are_named(tmp_path, voice, certificates):
    """The broker's and the device's own, each with what is wrong; nothing spins."""
    ca = certificates / "ca.pem"
    mine = {"cert": certificates / "device.pem", "key": certificates / "device.key"}
    old = {"cert": certificates / "old-device.pem", "key": certificates / "old-device.key"}
    with Mosquitto(tmp_path, listener=tls(certificates, "old-server")) as broker:
        one = voice(broker.url.replace("mqtt:", "mqtts:"), ca=ca, **mine)
        one.wait("tls: certificate has expired")
        assert cost(0.5) < BUSY
        one.close()
    with Mosquitto(tmp_path, listener=tls(certificates)) as broker:
        one = voice(broker.url.replace("mqtt:", "mqtts:"), ca=ca, **old)
        one.wait(f"tls: {old['cert']}: expired on ")


def test_tls_and_an_acl_by_the_certificates_name(tmp_path, voice, certificates):
    """What a site sets up: a device writes below its own name only, and hears its commands."""
    rules = tmp_path / "rules"
    rules.write_text("pattern write outpost/v1/%u/up/#\npattern read outpost/v1/%u/dn/#\n")
    rules.chmod(0o644)
    keys = {"cert": certificates / "device.pem", "key": certificates / "device.key"}
    extra = ("allow_anonymous false", f"acl_file {rules}")
    with Mosquitto(tmp_path, listener=tls(certificates), extra=extra) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        one = voice(url, ca=certificates / "ca.pem", limits=QUICK, **keys)
        one.telemetry.send([window(1)])
        one.wait("connected")
        one.drained()
        assert one.outbox.counts().get("denied", 0) == 0 and one.outbox.aside == 0
        one.close()
        other = voice(url, device="cell-4", ca=certificates / "ca.pem", limits=QUICK, **keys)
        other.telemetry.send([window(2)])
        other.wait("denied: not authorized")
        assert len(other.outbox) == 1


def test_a_fault_in_the_connections_thread_does_not_end_it(tmp_path, voice):
    """A hook that raises (a bug of ours) is logged and told once; then everything arrives."""
    calls = []

    def hear(message, version):
        calls.append(message)

    class Fragile(dict):
        """Announcements that cannot be read at first."""

        def __iter__(self):
            if not calls:
                raise RuntimeError("a bug")
            return iter(())

    with Mosquitto(tmp_path) as broker, Listener(broker.url) as heard:
        hooks = Hooks(tell=hear, announcements=Fragile())
        one = voice(broker.url, limits=QUICK, hooks=hooks)
        one.telemetry.send([window(1)])
        heard.wait(lambda _: len(heard.on(METRICS_SYSTEM)) >= 1)
        one.wait("connected")
    assert [message.payload["kind"] for message in calls] == ["telemetry.failed"]
    assert "RuntimeError: a bug" in calls[0].payload["text"]


def test_metrics_expire_at_the_broker_and_events_do_not(tmp_path, voice):
    """Somebody who was away for longer gets what still matters (MQTT 5)."""
    with Mosquitto(tmp_path) as broker:
        with Listener(broker.url, protocol=MQTT_3_1_1) as heard:
            identity = heard
        one = voice(broker.url, hooks=Hooks(expiry_s=1.0), limits=QUICK)
        one.telemetry.send([window(1), event("x", "info", "stays")])
        one.drained()
        time.sleep(2.1)  # the broker's clock has whole seconds
        with identity as heard:
            heard.wait(lambda _: len(heard.on("up/events")) == 1)
        assert heard.on(METRICS_SYSTEM) == []
