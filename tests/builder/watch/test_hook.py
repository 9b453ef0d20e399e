"""Webhooks: only what the registry signed wakes the watcher."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
import urllib.error
import urllib.request

import pytest

from builder.watch.hook import listening, parse_address, refusal
from edge_agent.errors import UsageError

SECRET = b"a secret of this test"
BODY = b'{"entity": "model_version_alias", "action": "created"}'


def headers(body=BODY, *, secret=SECRET, stamp=None, delivery="d-1", version="v1"):
    """What MLflow would send (webhooks/delivery.py)."""
    stamp = str(int(time.time()) if stamp is None else stamp)
    mac = hmac.new(secret, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "X-MLflow-Signature": f"{version},{base64.b64encode(mac).decode()}",
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Delivery-Id": delivery,
    }


def test_equal_to_mlflow_itself():
    """The signature is the one that MLflow's own code makes."""
    delivery = pytest.importorskip("mlflow.webhooks.delivery")
    signature = delivery._generate_hmac_signature(
        SECRET.decode(), "d-1", "1800000000", BODY.decode()
    )
    assert headers(stamp=1_800_000_000)["X-MLflow-Signature"] == signature


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (headers, ""),
        (lambda: headers(secret=b"another secret"), "not signed"),
        (lambda: headers(b"other body"), "not signed"),
        (lambda: headers(version="v2"), "not signed"),
        (lambda: headers(stamp=time.time() // 1 - 1000), "no timestamp"),
        (lambda: {**headers(), "X-MLflow-Delivery-Id": "d-2"}, "not signed"),
        (lambda: {**headers(), "X-MLflow-Timestamp": "soon"}, "no timestamp"),
        (lambda: {**headers(), "X-MLflow-Signature": "v1,ü"}, "not signed"),
        (dict, "no timestamp"),
    ],
)
def test_refusals(given, reason):
    """Wrong secret, body, version, delivery; old or none at all."""
    message = given()  # made now: a long suite outlives a stamp
    assert refusal(message, BODY, SECRET, time.time()).startswith(reason)
    assert bool(refusal(message, BODY, SECRET, time.time())) == bool(reason)


def post(address, given, body=BODY):
    """The status that a message gets."""
    request = urllib.request.Request(f"http://{address[0]}:{address[1]}/", body, given)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_signed_message_wakes():
    """Over a real socket; a foreign one gets 401, a huge one 413, and neither wakes."""
    woken = threading.Event()
    with listening(("127.0.0.1", 0), SECRET, woken.set) as address:
        assert post(address, headers(secret=b"wrong")) == 401
        assert post(address, headers(), b"x" * 70_000) == 413
        assert not woken.is_set()
        assert post(address, headers()) == 204
        assert woken.is_set()
        with (
            pytest.raises(UsageError, match="choose another"),
            listening(address, SECRET, woken.set),
        ):
            pass


@pytest.mark.parametrize("text", ["8017", "host:", ":80", "host:port", "host:99999"])
def test_addresses(text):
    """What is no address gets an example."""
    assert parse_address("127.0.0.1:8017") == ("127.0.0.1", 8017)
    with pytest.raises(UsageError, match="like 127"):
        parse_address(text)
