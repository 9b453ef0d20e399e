"""Rollout documents as the operator makes them."""

from __future__ import annotations

import pytest

from edge_agent.errors import RepositoryError, UsageError
from registry_sync.fleet import rollouts
from registry_sync.rollout import Gate, Pin, Wave
from tests.registry_sync.simulator import GROUP, MODEL, Site


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository with releases 1 to 3."""
    site = Site(tmp_path_factory.mktemp("fleet"))
    for version in (1, 2, 3):
        site.publish(version, golden_frames=1, profile=False)
    return site


@pytest.fixture
def site(published, tmp_path):
    """A fresh copy."""
    return published.copy(tmp_path / "site")


def start(site, version, **more):
    """Start a rollout to line-1."""
    return rollouts.start(site.repository, MODEL, version, GROUP, **more)


def test_revisions_grow_and_digests_are_pinned(site):
    """Each document is one revision above the last and names the release before."""
    first, second = start(site, 1), start(site, 2, reason="better")
    assert (first.revision, second.revision) == (1, 2)
    assert first.previous is None
    assert second.previous == Pin(1, site.digests[1])
    assert second.digest == site.digests[2]
    assert rollouts.existing(site.repository, GROUP) == second
    assert start(site, 2).previous == Pin(1, site.digests[1])


def test_nobody_goes_back_to_what_was_aborted(site):
    """After 1 and an aborted 2, the release before 3 is 1; the one before 1 again is not known."""
    start(site, 1)
    start(site, 2)
    rollouts.change_state(site.repository, GROUP, "aborted", "smells")
    assert start(site, 3).previous == Pin(1, site.digests[1])
    start(site, 2)
    rollouts.change_state(site.repository, GROUP, "aborted", "still smells")
    assert start(site, 3).previous is None


def test_rollback(site):
    """Back is the release before; from there no further back is guessed, --to says where."""
    gate = Gate(trial_s=8.0, deadline_s=60.0)
    start(site, 1)
    start(site, 2, gate=gate, waves=rollouts.parse_waves("10%,100%", "30m"))
    back = rollouts.roll_back(site.repository, GROUP)
    assert (back.release, back.revision, back.open_share) == (1, 3, 1.0)
    assert back.gate == gate
    assert back.reason == "rollback from version 2"
    with pytest.raises(UsageError, match="give --to"):
        rollouts.roll_back(site.repository, GROUP)
    with pytest.raises(UsageError, match="version 1 already"):
        rollouts.roll_back(site.repository, GROUP, to=1)
    assert rollouts.roll_back(site.repository, GROUP, to=3).digest == site.digests[3]


def test_states_and_waves(site):
    """Pause, resume, advance, abort; what makes no sense is refused in words."""
    start(site, 1, waves=rollouts.parse_waves("10%, 1", "30m"))
    repository = site.repository
    assert rollouts.change_state(repository, GROUP, "paused", "night").state == "paused"
    with pytest.raises(UsageError, match="is paused"):
        rollouts.advance(repository, GROUP)
    with pytest.raises(UsageError, match="paused already"):
        rollouts.change_state(repository, GROUP, "paused", "")
    rollouts.change_state(repository, GROUP, "running", "")
    assert rollouts.advance(repository, GROUP).open_share == 1.0
    with pytest.raises(UsageError, match="last wave"):
        rollouts.advance(repository, GROUP)
    assert rollouts.change_state(repository, GROUP, "aborted", "wrong").revision == 5
    with pytest.raises(UsageError, match="start a new one"):
        rollouts.change_state(repository, GROUP, "running", "")


def test_what_is_not_there(site):
    """No such release, no such group: named, with what there is."""
    with pytest.raises(RepositoryError, match=r"tiny 9 is not published.*tiny 1, tiny 2, tiny 3"):
        start(site, 9)
    start(site, 1)
    with pytest.raises(UsageError, match=r"'line-9' has no rollout; .* line-1"):
        rollouts.existing(site.repository, "line-9")


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: rollouts.parse_waves("10,lots", "0"), "'lots' is not a share"),
        (lambda: rollouts.parse_waves("10%", "soon"), "'soon' is not a time"),
        (lambda: rollouts.parse_gate(["trial_s"]), "name=number"),
        (lambda: rollouts.parse_gate(["trail_s=5"]), 'did you mean "trial_s"'),
        (lambda: rollouts.parse_gate(["trial_s=-5"]), "trial_s"),
        (lambda: rollouts.parse_selector(["hall"]), "tag=value"),
    ],
)
def test_options_that_make_no_sense(call, part):
    """Each bad option is one line that says what is meant."""
    with pytest.raises(UsageError, match=part):
        call()


def test_nothing_senseless_is_signed(site):
    """Shares above 100 % are refused before anything is signed."""
    with pytest.raises(UsageError, match="nothing was signed"):
        start(site, 1, waves=(Wave(1.5),))
    assert rollouts.current(site.repository, GROUP) is None


def test_options():
    """Times, shares, gates and selectors as people write them."""
    assert [rollouts.parse_seconds(t) for t in ("90", "90s", "30m", "2h", "1d")] == [
        90.0, 90.0, 1800.0, 7200.0, 86400.0,
    ]  # fmt: skip
    assert rollouts.parse_waves("10%,0.5,100%", "1h") == (
        Wave(0.1, 3600.0),
        Wave(0.5, 3600.0),
        Wave(1.0, 3600.0),
    )
    assert rollouts.parse_gate([]) is None
    assert rollouts.parse_gate(["trial_s=8", "deadline_s=60"]) == Gate(trial_s=8.0, deadline_s=60.0)
    assert rollouts.parse_selector(["site=a", "site=b", "x=1"]) == {"site": ["a", "b"], "x": ["1"]}
