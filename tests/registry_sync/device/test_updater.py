"""The way of a release onto a simulated device: install, refuse, roll back, ban, unban."""

from __future__ import annotations

import pytest

from edge_agent.slots import State
from tests.registry_sync.simulator import Behaviour, Device, Site, states


@pytest.fixture
def site(tmp_path):
    """A site with releases 1 and 2 published."""
    site = Site(tmp_path)
    for version in (1, 2):
        site.publish(version)
    return site


@pytest.fixture
def device(site):
    """A device on which version 1 is committed."""
    site.roll_out(1)
    device = Device(site)
    device.settle()
    assert device.version == 1
    return device


def test_first_install_and_update(site, device):
    """A rollout is installed, put on trial and committed; so is the next."""
    assert device.way(1) == states("COMMITTED")
    site.roll_out(2)
    device.settle()
    assert device.way(2) == states("COMMITTED")
    assert (device.slot.state, device.version) == (State.COMMITTED, 2)
    assert device.slot.previous == site.digests[1]
    device.check_invariants()


def test_refused_by_the_self_test(site, device):
    """A release that fails its self-test is banned and never goes live."""
    device.tester.failures[2] = "NaN on 4 of 4 golden frames"
    site.roll_out(2)
    device.settle()
    assert device.way(2) == ["RESOLVED", "DOWNLOADED", "VERIFIED", "FAILED"]
    assert device.version == 1
    assert [ban.reason for ban in device.journal.bans()] == ["NaN on 4 of 4 golden frames"]


def test_bad_on_live_frames(site, device):
    """A release that misbehaves live is rolled back, banned, and not tried again until unbanned."""
    device.agent.behaviour[2] = Behaviour(detections=9.0)
    site.roll_out(2)
    device.settle()
    assert device.way(2) == states("ROLLING_BACK", "ROLLED_BACK")
    assert device.version == 1
    device.settle(1000)
    device.restart()
    device.settle(1000)
    assert device.way(2).count("RESOLVED") == 1
    device.agent.behaviour.clear()
    device.journal.unban("tiny", site.digests[2])
    device.settle()
    assert device.version == 2
    device.check_invariants()
