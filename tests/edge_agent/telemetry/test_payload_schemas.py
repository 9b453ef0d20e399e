"""Every payload that a real agent sends is what the shipped schemas say."""

from __future__ import annotations

import json
import shutil
import subprocess

import cv2
import pytest

from edge_agent.metrics import Reader
from tests.brokers import Listener
from tests.bundles import frame, make_bundle
from tests.devices import MODEL, Device
from tests.schemas import faults

DEVICE = "schemas-1"
SUB = shutil.which("mosquitto_sub")


def schema_of(topic):
    """The schema of a topic: its second level, or the third of the metrics."""
    levels = topic.split("/", 3)[3].split("/")
    return "_".join(levels[1:3]) if levels[1] == "metrics" else levels[1]


def documents(heard):
    return [(schema_of(m.topic), json.loads(m.payload)) for m in heard.messages]


@pytest.fixture(scope="module")
def life(tmp_path_factory, shared_broker):
    """All that one agent says: two releases, a failure, drift, a lost camera, boxes, its end."""
    tmp_path = tmp_path_factory.mktemp("life")
    folder = tmp_path / "busy"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02d}.png"), frame(number, squares=3))
    device = Device(
        tmp_path,
        url=shared_broker.url,
        device=DEVICE,
        source=f"dir:{folder}?fps=100&loop=1",
        more="detections = true\n[drift]\nspacing_s = 0\nprofile_frames = 60\npsi_max = 1.0\n",
    )
    v1 = device.add(make_bundle(tmp_path / "v1", embedding=True))
    v2 = device.add(make_bundle(tmp_path / "v2", version=2))
    device.commit(v1)
    with Listener(shared_broker.url, f"outpost/v1/{DEVICE}/#") as heard:
        with device.agent() as agent:
            heard.wait(lambda _: b"drift.suspected" in b"".join(m.payload for m in heard.messages))
            device.put_on_trial(v2, previous=v1)
            device.wait_health(lambda model: model.release == v2)
            shutil.move(folder, tmp_path / "gone")
            heard.wait(lambda _: b"source.lost" in b"".join(m.payload for m in heard.messages))
            assert agent.stop() == 0
        heard.wait(lambda _: json.loads(heard.on("up/status")[-1].payload)["state"] == "offline")
        with device.agent() as agent:
            heard.wait(lambda _: sum(b"agent.started" in m.payload for m in heard.messages) >= 2)
            agent.kill()
        heard.wait(lambda _: json.loads(heard.on("up/status")[-1].payload)["state"] == "offline")
        yield heard


def test_every_payload_is_what_its_schema_says(life):
    """All topics but answers to commands and performance, which have tests of their own."""
    wrong = [(name, f) for name, document in documents(life) for f in faults(name, document)]
    assert wrong == []
    names = {name for name, _ in documents(life)}
    assert names == {
        *("status", "info", "reported", "events", "detections", "alerts"),
        *("metrics_system", "metrics_input", "metrics_camera", "metrics_output"),
        "metrics_classes",
    }
    assert MODEL in documents(life)[-1][1].get("models", {MODEL: 1})


def test_the_input_is_told_in_numbers(life):
    """Colour, the embedding of the release that has one, outliers, and skew of this camera."""
    told = [document for name, document in documents(life) if name == "metrics_input"]
    first = [document for document in told if document["model_version"] == 1]
    assert {"warmth", "chroma", "embedding_distance", "embedding_4", "outlier_share"} <= set(
        first[0]
    )
    # every frame has three squares; the profile's pictures have none to three
    assert any("psi_embedding_distance" in document for document in first)
    assert not any("embedding_distance" in d for d in told if d["model_version"] == 2)
    info = [document for name, document in documents(life) if name == "info"]
    states = {one["version"]: one["embedding"] for d in info for one in d["models"].values()}
    assert states == {1: "given", 2: ""}


def test_the_outputs_of_a_camera_are_told_in_numbers(life):
    """Class mix, scores, boxes, and how many are near the threshold, per camera."""
    told = [document for name, document in documents(life) if name == "metrics_classes"]
    busy = next(document for document in told if document["detections"])
    assert {
        *("empty_share", "detections_per_frame", "near_threshold_share", "class_red", "score_red"),
        *("box_area", "box_aspect", "box_x", "box_y"),
    } <= set(busy)
    assert busy["box_aspect"] == pytest.approx(1.0, abs=0.05)
    assert any("psi_box_area" in document for document in told)


def test_the_schemas_refuse_what_is_wrong(life):
    """A schema that takes everything proves nothing."""
    for name, document in documents(life)[:60]:
        without = {key: value for key, value in document.items() if key != "boot"}
        assert faults(name, without) and faults(name, document | {"v": 2})
        assert faults(name, document | {"seq": 0})
        if name.startswith("metrics"):
            assert faults(name, document | {"note": "a text among numbers"})


def test_the_next_life_tells_where_the_last_one_ended(life):
    """A reader that misses the end of a life learns that it does."""
    started = [d for n, d in documents(life) if n == "events" and d["kind"] == "agent.started"]
    first, second = started
    assert "previous_boot" not in first and second["previous_boot"] == first["boot"]
    reader, deaf = Reader(), Reader()
    for message in life.messages:
        document = json.loads(message.payload)
        reader.accept(DEVICE, message.payload)
        if not (document["boot"] == first["boot"] and document.get("kind") == "agent.stopped"):
            deaf.accept(DEVICE, message.payload)
    assert reader.gaps(DEVICE, first["boot"]) == []
    assert deaf.gaps(DEVICE, first["boot"]) == [second["previous_seq"]]


@pytest.mark.skipif(SUB is None, reason="mosquitto_sub is not installed (mosquitto-clients)")
def test_mosquitto_sub_is_enough_to_read_a_payload(life, shared_broker):
    """The retained state of a device, by a stranger's program."""
    port = shared_broker.url.rpartition(":")[2]
    topic = f"outpost/v1/{DEVICE}/up/info"
    command = [SUB, "-h", "127.0.0.1", "-p", port, "-t", topic, "-C", "1", "-W", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["models"][MODEL]["version"] == 2
