"""A message may ask for a look at the repository; it decides nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge_agent.atomic import write_atomic
from registry_sync.device.run import ASKED_S, Runner, make_client
from registry_sync.device.steps import World
from tests.registry_sync.simulator import Device


@pytest.fixture
def patient(site):
    """A device that looks once an hour by itself, just after a look."""
    text = site.config_path.read_text()
    site.config_path.write_text(text.replace("poll_s = 10.0", "poll_s = 3600.0"))
    assert "poll_s = 3600.0" in site.config_path.read_text()
    device = Device(site)
    device.live(60)
    return device


def ask(device, number):
    write_atomic(device.config.layout.look_now, f"{number}\n".encode())


def test_asked_it_looks_within_seconds(site, patient):
    """Without it, an hour; the rollout itself is the signed one."""
    site.roll_out(2)
    patient.live(60)
    assert patient.version == 1
    ask(patient, 1)
    patient.live(120)
    assert patient.version == 2


class Counting:
    """The real client, with the times at which it was asked to look."""

    def __init__(self, client, clock):
        self.client, self.clock, self.looks = client, clock, []

    def refresh(self):
        """A look."""
        self.looks.append(self.clock())
        self.client.refresh()

    def rollout(self, group):
        """As the client."""
        return self.client.rollout(group)


def test_asked_all_the_time_it_looks_no_more_often(patient):
    """A storm of messages costs the repository one look per ten seconds at most."""
    client = make_client(patient.config, patient.journal)
    counting = Counting(client, lambda: patient.now)
    world = World(patient.config, patient.journal, client, print, patient.tester, patient.moment)
    runner = Runner(counting, world, patient.wait, monotonic=lambda: patient.now)
    for number in range(200):
        ask(patient, number)
        patient.wait(runner.tick())
    assert len(counting.looks) > 3
    assert min(later - sooner for sooner, later in pairwise(counting.looks)) >= ASKED_S


def test_a_request_from_before_the_start_is_no_request(site, patient):
    """Every start looks anyway."""
    ask(patient, 1)
    patient.restart()
    patient.live(30)
    site.roll_out(2)
    patient.live(60)
    assert patient.version == 1
