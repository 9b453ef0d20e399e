"""`edge-agent run --page` as a process: it serves, starts only safely, never holds a frame."""

from __future__ import annotations

import json
import os
import socket
import time

import cv2
import numpy as np
import psutil
import pytest

from edge_agent.page.pictures import FRAME_HEADER
from tests.bundles import HEIGHT, WIDTH, write_frames
from tests.devices import Device
from tests.pages import get, page_of, raw, wait_state

TOKEN = "0123456789abcdef"


@pytest.fixture
def device(tmp_path, bundle):
    """A device with a committed release."""
    device = Device(tmp_path)
    device.commit(device.add(bundle))
    return device


def judges(state):
    return state["cameras"][0]["frames"]["inferred"] > 3


def listens(agent):
    """The TCP ports on which a process listens."""
    connections = psutil.Process(agent.process.pid).net_connections("tcp")
    return [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]


def test_a_viewer_sees_state_pictures_and_releases(device):
    """Everything the page asks for, from a real agent; it ends as quickly as without a page."""
    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        state = wait_state(
            url, lambda state: judges(state) and state["system"].get("api_calls_total", 0) > 0
        )
        assert (state["device"], state["sentence"]["level"]) == (device.id, "fine")
        assert state["models"][0]["version"] == 1 and state["cameras"][0]["state"] == "up"
        live = get(url, "/cameras/top/live.jpg")
        picture = cv2.imdecode(np.frombuffer(live.body, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        number = json.loads(live.headers[FRAME_HEADER])["number"]
        newer = get(url, f"/cameras/top/live.jpg?after={number}")
        assert json.loads(newer.headers[FRAME_HEADER])["number"] > number
        assert get(url, "/cameras/top/map.png").body.startswith(b"\x89PNG")
        assert get(url, "/cameras/top/reference.jpg").body.startswith(b"\xff\xd8")
        (model,) = get(url, "/api/releases").document["models"]
        assert (model["state"], model["history"][0]["to"]) == ("COMMITTED", "COMMITTED")
        began = time.monotonic()
        assert agent.stop() == 0, agent.text()
        assert time.monotonic() - began < 2.0
    assert "Traceback" not in agent.text()


def test_what_is_masked_is_not_on_the_page(tmp_path, bundle):
    """Live picture, reference and map of a real agent; also where captures are off."""
    masks = "[capture.masks]\ntop = [[0.0, 0.0, 0.5, 1.0]]\n"
    device = Device(tmp_path, more=masks)
    device.commit(device.add(bundle))
    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        wait_state(url, judges)
        for name in ("live.jpg", "reference.jpg"):
            body = get(url, f"/cameras/top/{name}").body
            picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
            assert picture[:, : WIDTH // 2 - 8].max() < 12, name
            assert picture[:, WIDTH // 2 + 8 :].mean() > 30, name
        body = get(url, "/cameras/top/map.png").body
        painted = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
        assert not painted[:, : WIDTH // 2].any()
        assert agent.stop() == 0, agent.text()


def test_there_is_no_page_unless_it_is_asked_for(device):
    """No port is opened by default; `[page] address` asks for one as well."""
    with device.agent() as agent:
        device.wait_health(lambda model: model.windows)
        assert listens(agent) == []
    with device.config_path.open("a") as file:
        file.write('[page]\naddress = "127.0.0.1:0"\n')
    with device.agent() as agent:
        url = page_of(agent)
        assert listens(agent) == [int(url.rpartition(":")[2])]


def test_a_port_that_is_in_use_is_said_at_the_start(device):
    """Exit code 3, one line with the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with device.agent("--page", address) as agent:
            assert agent.process.wait(20) == 3
    last = agent.text().strip().splitlines()[-1]
    assert f"page on {address}: Address already in use; end what uses it" in last
    assert "Traceback" not in agent.text()


@pytest.mark.parametrize(
    ("arguments", "more", "code", "words"),
    [
        (["--page", "0.0.0.0:0"], "", 3, "needs a token; set [page] token_file"),
        (["--page", "[::]:0"], "", 3, "needs a token; set [page] token_file"),
        ([], '[page]\naddress = "0.0.0.0:0"\n', 3, "needs a token"),
        (["--page", "0.0.0.0:0"], '[page]\ntoken_file = "none"\n', 3, "openssl rand"),
        (["--page", "127.0.0.1:0"], '[page]\ntoken_file = "open"\n', 3, "mode is 0644"),
        (["--page", "cell-3:80"], "", 2, '--page "cell-3:80" should be ADDRESS:PORT'),
        (["--page", "203.0.113.7:0"], '[page]\ntoken_file = "token"\n', 3, "no interface"),
    ],
)
def test_a_page_that_would_be_unsafe_does_not_start(device, arguments, more, code, words):
    """Before anything else has begun, in one line."""
    with device.config_path.open("a") as file:
        file.write(more)
    for name, mode in (("open", 0o644), ("token", 0o600)):
        path = device.root / name
        path.write_text(TOKEN)
        os.chmod(path, mode)
    with device.agent(*arguments) as agent:
        assert agent.process.wait(20) == code
    assert words in agent.text().strip().splitlines()[-1], agent.text()


def test_on_all_interfaces_with_a_token(device):
    """The door, then the page; the cookie is good after a restart of the agent too."""
    path = device.root / "page.token"
    path.write_text(TOKEN + "\n")
    os.chmod(path, 0o600)
    with device.config_path.open("a") as file:
        file.write('[page]\naddress = "0.0.0.0:0"\ntoken_file = "page.token"\n')
    with device.agent() as agent:
        url = page_of(agent).replace("0.0.0.0", "127.0.0.1")
        assert get(url, "/api/state").status == 401
        cookie = get(url, f"/?token={TOKEN}").headers["Set-Cookie"].partition(";")[0]
        state = wait_state(url, judges, Cookie=cookie)
        assert state["device"] == device.id
        assert agent.stop() == 0
    assert TOKEN not in agent.text()


def test_hanging_clients_hold_no_frame(device):
    """They ask nothing, or half, or never read; frames go on, and so does a stop."""
    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        before = wait_state(url, judges)["cameras"][0]["frames"]
        ask = b"GET /cameras/top/live.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        clients = [raw(url, data) for data in (b"", b"GET /api", ask * 500) for _ in range(8)]
        enough = before["inferred"] + 60
        after = wait_state(url, lambda one: one["cameras"][0]["frames"]["inferred"] > enough)
        assert after["cameras"][0]["frames"]["dropped"] == before["dropped"]
        assert after["cameras"][0]["frames"]["errors"] == 0
        began = time.monotonic()
        assert agent.stop() == 0, agent.text()
        assert time.monotonic() - began < 2.0
    for client in clients:
        client.close()


def test_a_camera_that_goes_and_comes_back(tmp_path, bundle):
    """The sentence has the source's reason; the picture is there again afterwards."""
    folder = tmp_path / "camera"
    device = Device(tmp_path, source=f"dir:{folder}?fps=40&loop=1")
    device.commit(device.add(bundle))
    with device.agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        state = wait_state(url, lambda state: state["cameras"][0]["state"] == "down"
                           and state["sentence"]["for_s"] is not None)  # fmt: skip
        assert state["sentence"]["text"].startswith("Camera top gives no frames: ")
        assert str(folder) in state["sentence"]["text"]
        write_frames(folder)
        state = wait_state(url, judges)
        assert state["cameras"][0]["state"] == "up"
        assert "source.restored" in [one["kind"] for one in state["events"]]


def test_a_device_without_a_release(tmp_path):
    """It says so, and shows nothing else."""
    with Device(tmp_path).agent("--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        state = get(url, "/api/state").document
        assert "has no release yet" in state["sentence"]["text"]
        assert get(url, "/cameras/top/live.jpg").status == 204
        assert get(url, "/api/releases").document["models"][0]["state"] == "IDLE"


def test_a_bundle_without_a_journal_and_two_cameras(tmp_path, bundle):
    """Each camera has its own pictures; there is no history to show."""
    frames = write_frames(tmp_path / "side", 5)
    for path in frames.iterdir():  # what the other camera never shows
        cv2.imwrite(str(path), cv2.flip(cv2.imread(str(path)), 0))
    second = f'[[camera]]\nid = "side"\nsource = "dir:{frames}?fps=20&loop=1"\nmodel = "tiny"\n'
    device = Device(tmp_path, camera=second)
    with device.agent("--bundle", str(bundle.root), "--page", "127.0.0.1:0") as agent:
        url = page_of(agent)
        state = wait_state(url, lambda one: all(camera["last"] for camera in one["cameras"]))
        assert [camera["id"] for camera in state["cameras"]] == ["top", "side"]
        assert get(url, "/cameras/side/live.jpg").body != get(url, "/cameras/top/live.jpg").body
        assert get(url, "/api/releases").document == {"v": 1, "models": []}
