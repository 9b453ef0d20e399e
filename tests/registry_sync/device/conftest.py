"""The site and the device that the updater's tests share; made once, copied for each test."""

from __future__ import annotations

import pytest

from tests.registry_sync.simulator import Device, Site, states


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A site with releases 1, 2 and 3, and rollout of 1; copied for each test."""
    site = Site(tmp_path_factory.mktemp("site"))
    for version in (1, 2, 3):
        site.publish(version, golden_frames=1, profile=False)
    site.roll_out(1)
    return site


@pytest.fixture(scope="module")
def installed(published, tmp_path_factory):
    """The same site with a device on which version 1 is committed."""
    site = published.copy(tmp_path_factory.mktemp("installed") / "site")
    device = Device(site)
    device.settle()
    assert device.way(1) == states("COMMITTED")
    return site


@pytest.fixture
def site(installed, tmp_path):
    """A fresh copy of both."""
    return installed.copy(tmp_path / "site")


@pytest.fixture
def device(site):
    """The device, half an hour later."""
    device = Device(site)
    device.now += 1800.0
    device.wait(40)
    assert device.version == 1
    yield device
    device.check_invariants()
