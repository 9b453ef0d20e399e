"""Commands to a real agent by a real broker: what happens, and what is answered."""

from __future__ import annotations

import json
import os
import time

import cv2
import paho.mqtt.client as mqtt
import pytest

from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.store import Store
from edge_agent.slots import State
from tests.brokers import Listener
from tests.bundles import make_bundle
from tests.devices import MODEL, Device
from tests.schemas import faults

DEVICE = "obey-1"


class Fleet:
    """Somebody who sends commands and waits for their results."""

    def __init__(self, url, heard):
        self.heard = heard
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        host, port = url.split("//")[1].split(":")
        self.client.connect(host, int(port))
        self.client.loop_start()

    def send(self, name, kind, *, retain=False, **fields):
        now = time.time()
        document = {"v": 1, "command": kind, "issued": now, "expires": now + 60, **fields}
        path = f"outpost/v1/{DEVICE}/dn/cmd/{name}"
        self.client.publish(path, json.dumps(document), 1, retain).wait_for_publish(10)

    def ask(self, name, kind, **fields):
        """Send and return the result."""
        self.send(name, kind, **fields)
        self.heard.wait(lambda _: self.heard.on(f"up/result/{name}"))
        document = json.loads(self.heard.on(f"up/result/{name}")[0].payload)
        assert faults("result", document) == []
        return document


@pytest.fixture
def world(tmp_path, shared_broker):
    more = "detections = true\n[capture.masks]\ntop = [[0.0, 0.0, 0.5, 1.0]]\n"
    device = Device(tmp_path, url=shared_broker.url, device=DEVICE, window_s=2.0, more=more)
    v1 = device.add(make_bundle(tmp_path / "v1"))
    device.commit(v1)
    with Listener(shared_broker.url, f"outpost/v1/{DEVICE}/#") as heard, device.agent():
        fleet = Fleet(shared_broker.url, heard)
        heard.wait(lambda _: heard.on("up/metrics/system"))
        yield device, fleet, heard
        fleet.client.loop_stop()


def test_each_command_does_what_it_says(world):
    """A picture on disk, a camera opened anew, the updater's flag, faster windows."""
    device, fleet, heard = world
    picture = fleet.ask("p1", "snapshot", camera="top")
    assert picture["state"] == "done", picture
    image = cv2.imread(picture["data"]["path"])
    assert image.shape[:2] == (picture["data"]["height"], picture["data"]["width"])
    assert os.path.getsize(picture["data"]["path"]) == picture["data"]["size"]
    middle = image.shape[1] // 2
    assert image[:, : middle - 8].max() < 12 and image[:, middle + 8 :].mean() > 30  # the mask
    frames = device.wait_health(lambda model: model.windows).windows[-1].seq
    assert fleet.ask("r1", "restart-source", camera="top")["state"] == "done"
    device.wait_health(lambda m: m.windows[-1].seq > frames + 1 and m.windows[-1].inferred > 0)
    assert fleet.ask("s1", "sync")["state"] == "done"
    assert device.layout.look_now.read_text() == "s1\n"
    assert fleet.ask("i1", "set-interval", window_s=1, for_s=30)["state"] == "done"
    heard.wait(lambda _: json.loads(heard.on("up/metrics/system")[-1].payload)["window_s"] < 1.5)
    assert device.health().error == "" and json.loads(heard.on("up/status")[-1].payload)


def test_an_inspector_far_away(world):
    """A verdict about a frame that was heard of: kept, answered, and told as performance."""
    device, fleet, heard = world
    classes = device.health() and make_bundle(device.root / "again").manifest.classes
    heard.wait(lambda _: found(heard))
    document = found(heard)
    frame = f"top/{document['boot']}/{document['frame']}"
    x0, y0, x1, y1, _, kind = document["detections"][0]
    named = {"frame": frame, "class": classes[int(kind)], "box": [x0, y0, x1, y1]}
    kept = fleet.ask("f1", "feedback", verdict="right", by="ann", **named)
    assert kept["state"] == "done" and kept["data"]["frame"] == frame, kept
    heard.wait(lambda _: heard.on("up/metrics/performance"), timeout_s=30)
    told = [json.loads(message.payload) for message in heard.on("up/metrics/performance")]
    assert [faults("metrics_performance", one) for one in told] == [[]] * len(told)
    whole = next(one for one in told if one["dimension"] == "all")
    assert (whole["right"], whole["wrong"], whole["precision"]) == (1, 0, 1.0)
    assert (whole["model"], whole["model_version"], whole["precision_least"] > 0.2) == (
        MODEL,
        1,
        True,
    )
    store = Store(device.layout.feedback)
    (judgement,) = store.judgements()
    store.close()
    assert (str(judgement.frame), judgement.by, judgement.verdict) == (frame, "ann", "right")


def test_verdicts_that_are_not_kept(world):
    """Another device's camera, a class that is none, nonsense, a second time: nothing is kept."""
    device, fleet, heard = world
    heard.wait(lambda _: found(heard))
    document = found(heard)
    frame = f"top/{document['boot']}/{document['frame']}"
    store = Store(device.layout.feedback)
    deadline = time.monotonic() + 20
    while store.recent(FrameKey.parse(frame)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    attic = fleet.ask("g1", "feedback", frame="attic/ab/1", verdict="right")
    assert attic["state"] == "failed" and "not a camera of this device: top" in attic["text"]
    rust = fleet.ask("g2", "feedback", frame=frame, verdict="missed", **{"class": "rust"})
    assert rust["state"] == "failed" and '"rust" is not a class of tiny 1' in rust["text"]
    odd = fleet.ask("g3", "feedback", frame=frame, verdict="perhaps")
    assert odd["state"] == "refused" and "is not one of right, wrong, missed" in odd["text"]
    assert fleet.ask("g4", "feedback", frame=frame, verdict="right")["state"] == "done"
    fleet.send("g4", "feedback", frame=frame, verdict="wrong")
    assert fleet.ask("g5", "sync")["state"] == "done"
    assert [one.verdict for one in store.judgements()] == ["right"]
    store.close()


def found(heard):
    """The newest frame in which something was reported, as it was told."""
    frames = [json.loads(message.payload) for message in heard.on("up/detections/top")]
    return next((one for one in reversed(frames) if reported(one)), None)


def reported(document):
    return bool(document["detections"]) and document["detections"][0][4] > 0.5


def test_a_message_can_never_deploy_or_repeat(world):
    """Unknown kinds, a repeated id and a retained command change nothing."""
    device, fleet, heard = world
    slot = device.journal.slot(MODEL)
    refused = fleet.ask("x1", "deploy", release="f" * 64)
    assert refused["state"] == "refused" and "release: is not a known key" in refused["text"]
    assert fleet.ask("s1", "sync")["state"] == "done"
    device.layout.look_now.unlink()
    fleet.send("s1", "sync")
    assert fleet.ask("s2", "snapshot", camera="nowhere")["text"] == (
        "there is no camera nowhere, but top"
    )
    assert not device.layout.look_now.exists() and len(heard.on("up/result/s1")) == 1
    too_long = fleet.ask("i1", "set-interval", window_s=60)
    assert too_long["state"] == "failed" and "longer than [metrics] window_s" in too_long["text"]
    assert device.journal.slot(MODEL) == slot and slot.state is State.COMMITTED
