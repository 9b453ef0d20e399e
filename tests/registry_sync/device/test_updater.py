"""Whole updates on a simulated device: install, refuse, roll back, ban, wait, recover."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from edge_agent.slots import State
from registry_sync.device import operate
from registry_sync.fleet import rollouts
from tests.registry_sync.simulator import GATE, GROUP, Behaviour, Device, states

BACK = states("ROLLING_BACK", "ROLLED_BACK")


def test_first_install_and_update(site, device):
    """A rollout is installed, put on trial and committed; so is the next."""
    site.roll_out(2)
    device.settle()
    assert device.way(2) == states("COMMITTED")
    assert (device.slot.state, device.version) == (State.COMMITTED, 2)
    assert device.slot.previous == site.digests[1]


def test_old_releases_are_collected(site, device):
    """Only the release in use and the one before stay on disk."""
    for version in (2, 3):
        site.roll_out(version)
        device.settle()
    folder = device.config.layout.model("tiny") / "releases"
    assert {path.name for path in folder.iterdir()} == {site.digests[2], site.digests[3]}


def test_refused_by_the_self_test(site, device):
    """A release that fails its self-test is banned and never goes live."""
    device.tester.failures[2] = "NaN on 4 of 4 golden frames"
    site.roll_out(2)
    device.settle(600)
    assert device.way(2) == ["RESOLVED", "DOWNLOADED", "VERIFIED", "FAILED"]
    assert device.version == 1
    assert [ban.reason for ban in device.journal.bans()] == ["NaN on 4 of 4 golden frames"]


def test_a_threshold_for_a_class_that_the_release_lacks(site):
    """Never goes live and is not banned: when the configuration is right, it is installed."""
    good = site.config_path.read_text()
    site.config_path.write_text(f"{good}thresholds = {{ gren = 0.5 }}\n")
    device = Device(site)
    site.roll_out(2)
    device.settle(600)
    assert "FAILED" in device.way(2) and device.version == 1
    assert 'did you mean "green"?' in device.slot.reason
    assert device.journal.bans() == [] and device.tester.tested == []
    site.config_path.write_text(good)
    device = Device(site)
    device.settle(3600)
    assert device.version == 2


def test_too_slow_in_the_self_test(site, device):
    """Five times slower than the release in use is refused; a busy moment is measured again."""
    device.tester.latency_ms[2] = 104.0
    site.roll_out(2)
    device.settle()
    assert device.slot.reason.startswith("5.2x slower than the release in use")
    assert device.tester.tested.count(2) == 2


@pytest.mark.parametrize(
    ("behaviour", "part"),
    [
        (Behaviour(detections=9.0), "detections per frame"),
        (Behaviour(nonfinite=1), "NaN or Inf"),
        (Behaviour(latency_ms=200.0), "5.0x slower"),
        (Behaviour(errors=4), "ended in an error"),
        (Behaviour(provider_ok=False), "provider"),
        (Behaviour(rss_mb=2000.0), "2000 MB"),
        (Behaviour(box_bin=9), "box_area"),
        (Behaviour(crashes=True), "crash loop: 3 starts"),
        (Behaviour(refuses="no such operator"), "no such operator"),
    ],
)
def test_bad_on_live_frames(site, device, behaviour, part):
    """Each misbehaviour is rolled back with its reason, banned, and not tried again."""
    device.agent.behaviour[2] = behaviour
    site.roll_out(2)
    device.settle()
    assert device.way(2) == BACK
    assert device.version == 1
    assert part in device.slot.reason
    device.live(30)
    device.restart()
    device.live(30)
    assert device.way(2) == BACK


def test_a_dead_agent_is_rolled_back(site, device):
    """A release that kills the agent for good, with nobody to restart it."""
    device.agent.behaviour[2] = Behaviour(crashes=True)
    device.agent.restarts = False
    site.roll_out(2)
    device.settle()
    assert device.way(2) == BACK
    assert "silent" in device.slot.reason


def test_a_power_cut_on_trial_is_not_the_agents_silence(site, device):
    """After a reboot the updater may be up first, and health (in tmpfs) gone: no one to blame."""
    site.roll_out(2)
    while device.slot.state is not State.TRIAL or not device.slot.starts:
        device.wait(device.runner.tick())
    device.config.layout.health.unlink()
    device.now += 60.0
    device.restart()
    assert device.runner.tick() > 0
    assert device.slot.state is State.TRIAL
    device.settle()
    assert (device.version, device.slot.state) == (2, State.COMMITTED)


def test_unban_and_a_new_runtime(site, device):
    """A ban ends when it is lifted, and does not hold on another runtime."""
    device.agent.behaviour[2] = Behaviour(nonfinite=1)
    site.roll_out(2)
    device.settle()
    device.agent.behaviour.clear()
    ban = device.journal.bans()[0]
    device.journal.unban("tiny", ban.digest)
    device.journal.ban(replace(ban, fingerprint="another runtime"))
    device.settle()
    assert device.version == 2


def test_dirty_lens_on_trial(site, device):
    """The lens gets dirty during the trial: it waits far past the deadline; wiped, it passes."""
    device.agent.behaviour[2] = Behaviour(skipped=1.0)
    site.roll_out(2, replace(GATE, deadline_s=30.0))
    device.settle(120)
    assert (device.slot.state, device.version) == (State.TRIAL, 2)
    device.agent.behaviour.clear()
    device.settle()
    assert device.slot.state is State.COMMITTED
    assert device.way(2) == states("COMMITTED")


def test_input_missing_for_days_blames_nobody(site, device):
    """After the longest wait it goes back unbanned, and is tried again by a new revision only."""
    device.agent.behaviour[2] = Behaviour(skipped=1.0)
    site.roll_out(2, replace(GATE, deadline_s=30.0, wait_s=60.0))
    device.settle(200)
    assert device.way(2) == BACK
    assert device.journal.bans() == []
    device.agent.behaviour.clear()
    device.live(30)
    assert device.version == 1
    site.roll_out(2)
    device.settle()
    assert device.version == 2


def test_nothing_before(published, tmp_path):
    """A first install that fails leaves nothing running, and a ban."""
    device = Device(published.copy(tmp_path / "site"))
    device.agent.behaviour[1] = Behaviour(nonfinite=2)
    device.settle()
    assert device.way(1) == states("ROLLING_BACK", "FAILED")
    assert device.version == 0
    assert not device.config.layout.current("tiny").is_symlink()
    assert len(device.journal.bans()) == 1


def test_superseded_and_aborted_on_trial(site, device):
    """A newer document ends a trial without blame: another release, or an abort."""
    device.agent.behaviour[2] = Behaviour(skipped=1.0)
    site.roll_out(2)
    device.settle(60)
    site.roll_out(3)
    device.settle()
    assert device.way(2) == BACK
    assert device.version == 3
    device.agent.behaviour[1] = Behaviour(skipped=1.0)
    site.roll_out(1)
    device.settle(60)
    rollouts.change_state(site.repository, GROUP, "aborted", "wrong group")
    device.settle()
    assert (device.version, device.journal.bans()) == (3, [])


def test_paused(site, device):
    """A paused rollout begins nowhere; resumed, it does."""
    site.roll_out(2)
    rollouts.change_state(site.repository, GROUP, "paused", "night shift")
    device.settle()
    assert device.way(2) == []
    rollouts.change_state(site.repository, GROUP, "running", "morning")
    device.settle()
    assert device.version == 2


def test_fleet_rollback(site, device):
    """The operator's signed rollback brings the release before back, through a trial."""
    site.roll_out(2)
    device.settle()
    site.roll_back()
    device.settle()
    assert (device.version, device.slot.state) == (1, State.COMMITTED)
    assert device.way(1) == states("COMMITTED") * 2
    assert device.slot.revision == 3


def test_rollback_on_the_device(site, device):
    """An operator beside the machine: back at once, banned, and it stays so."""
    site.roll_out(2)
    device.settle()
    said = operate.roll_back(device.config, device.journal, "tiny", "smells wrong", print)
    assert said == "tiny: version 2 is banned here, version 1 runs again"
    device.restart()
    device.live(30)
    assert device.version == 1
    assert device.way(2)[-2:] == ["ROLLING_BACK", "ROLLED_BACK"]
    assert operate.unban(device.journal, "tiny", 2) == "tiny: version 2 may be installed again"
    device.settle()
    assert device.version == 2


def test_rollback_asked_of_a_running_updater(site, device):
    """A request in the journal is answered by the updater; one that is moot is refused."""
    site.roll_out(2)
    device.settle()
    device.journal.note("tiny", site.digests[2], "ROLLBACK_REQUESTED", "smells wrong")
    device.settle(10)
    assert device.version == 1
    device.journal.note("tiny", site.digests[1], "ROLLBACK_REQUESTED", "this one too")
    device.settle(10)
    assert device.version == 1
    assert device.journal.history()[-1].target == "REQUEST_ANSWERED"


def test_rollback_asked_by_the_agents_policy(site, device):
    """For a broken engine: back, audited, without a ban, and left alone until a new revision."""
    site.roll_out(2)
    device.settle()
    note = device.journal.note
    note("tiny", site.digests[2], "ROLLBACK_REQUESTED", "dirty", by="agent", cause="camera")
    device.settle(10)
    assert device.version == 2
    assert device.journal.history()[-1].target == "REQUEST_ANSWERED"
    note("tiny", site.digests[2], "ROLLBACK_REQUESTED", "NaN", by="agent", cause="engine")
    device.settle(10)
    assert device.version == 1 and device.journal.bans() == []
    assert device.way(2)[-2:] == ["ROLLING_BACK", "ROLLED_BACK"]
    device.live(30)
    assert device.version == 1


def test_no_switch_without_an_agent(site, device):
    """While the agent is stopped nothing is switched; when it is back, the update goes on."""
    device.agent.running = False
    device.wait(120)
    site.roll_out(2)
    device.settle(600)
    assert (device.slot.state, device.version) == (State.PREPARED, 1)
    device.agent.running = True
    device.settle()
    assert device.version == 2


def test_an_edited_link(site, device):
    """Somebody points `current` elsewhere: the journal wins, and the log says so."""
    link = device.config.layout.current("tiny")
    link.unlink()
    os.symlink("releases/" + "0" * 64, link)
    device.settle(30)
    assert device.version == 1
    assert device.journal.history()[-1].target == "LINK_REPAIRED"


def test_a_wave_that_opens(site, device):
    """Outside the open share nothing happens; the next wave takes the device in."""
    waves = rollouts.parse_waves("0%,100%", "30m")
    site.roll_out(2, waves=waves)
    device.settle()
    assert device.way(2) == []
    rollouts.advance(site.repository, GROUP)
    device.settle()
    assert device.version == 2
    site.roll_out(2, reason="once more")
    device.settle()
    assert device.way(2)[-1] == "COMMITTED"
    assert device.slot.revision == 4


def test_a_clock_that_steps(site, device):
    """The wall clock jumps by ten years during a trial: it is judged all the same."""
    site.roll_out(2)
    while device.slot.state is not State.TRIAL:
        device.wait(device.runner.tick())
    device.wall_offset = 10 * 365 * 86400.0
    device.settle()
    assert device.way(2) == states("COMMITTED")


class Killed(BaseException):
    """Stands for SIGKILL between two steps."""


@pytest.mark.parametrize("state", [*states("COMMITTED"), "ROLLING_BACK", "ROLLED_BACK"])
def test_killed_right_after_a_transition(site, device, state):
    """Ended at the very moment a state is in the journal, a second start converges."""
    bad = state.startswith("ROLL")
    if bad:
        device.agent.behaviour[2] = Behaviour(nonfinite=3)
    site.roll_out(2)

    def die(text: str) -> None:
        if f"-> {state}:" in text:
            raise Killed

    device.restart(say=die)
    with pytest.raises(Killed):
        device.settle()
    assert device.slot.state.value == state
    device.check_invariants()
    device.restart()
    device.settle()
    assert device.version == (1 if bad else 2)
    assert device.way(2) == (BACK if bad else states("COMMITTED"))
