"""Voices of devices, ended after each test, and certificates."""

from __future__ import annotations

import pytest

from tests.certificates import make_certificates
from tests.voices import DEVICE, Voice


@pytest.fixture
def voice(tmp_path):
    voices = []

    def make(url, **keywords):
        voices.append(Voice(tmp_path / "device", url, **keywords))
        return voices[-1]

    yield make
    for made in voices:
        made.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A CA, a server's and a device's certificate, valid for an hour."""
    return make_certificates(tmp_path_factory.mktemp("tls"), device=DEVICE)
