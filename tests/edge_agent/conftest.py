"""Brokers for the agent's tests, and permissions that bind root too."""

from __future__ import annotations

import pytest

from tests.brokers import MOSQUITTO, Amqtt, Mosquitto
from tests.rights import without_override


def _broker(kind, folder):
    if kind == "amqtt":
        pytest.importorskip("amqtt", reason="amqtt is not installed")
        return Amqtt(folder)
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    return Mosquitto(folder)


@pytest.fixture
def permissions_bind():
    """Root's tests meet `permission denied` as everybody's do."""
    with without_override():
        yield


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory):
    """One mosquitto for the whole session; use device ids of your own."""
    with _broker("mosquitto", tmp_path_factory.mktemp("shared")) as broker:
        yield broker


@pytest.fixture
def mosquitto(tmp_path):
    """A mosquitto of one's own, to be killed."""
    with _broker("mosquitto", tmp_path) as broker:
        yield broker


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request, tmp_path):
    """Both kinds: MQTT 5 with memory, and 3.1.1 without."""
    with _broker(request.param, tmp_path) as broker:
        yield broker
