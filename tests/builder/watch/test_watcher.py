"""The watcher in a simulated world: no sleeping, every pause moves the clock."""

from __future__ import annotations

import pytest

from builder.watch.rules import MOST_ATTEMPTS
from builder.watch.watcher import TAG_ERROR, TAG_LINK, TAG_STATUS
from edge_agent.errors import ModelError, StorageError
from tests.builder.watch.simulator import World


@pytest.fixture
def world(tmp_path):
    """A world in which nothing is promoted yet."""
    return World(tmp_path)


def test_promotion_becomes_a_release(world):
    """Built once, published, tagged with status, digest and link; then it rests."""
    world.run(until=200)
    assert world.built == [] and world.kinds() == ["alias.missing"]
    world.alias = 1
    world.run(until=1000)
    assert world.built == [1] and world.releases == {1: "digest-1"}
    assert world.kinds()[1:] == ["build.started", "release.published"]
    tags = world.tags[1]
    assert (tags[TAG_STATUS], tags["outpost.release"]) == ("published", "defects/1")
    assert (tags["outpost.digest"], tags[TAG_LINK]) == ("digest-1", "https://site/1")
    assert not world.left_over


def test_a_warning_is_told_once(world):
    """The publication says what is new since the build, and repeats nothing."""
    world.made_warnings = ("other classes", "no reference")
    world.shipped_warnings = ("other classes", "late news")
    world.alias = 1
    world.run(until=100)
    told = [(kind, facts["text"]) for kind, facts in world.events if kind.endswith("warning")]
    assert told == [
        ("build.warning", "other classes"),
        ("build.warning", "no reference"),
        ("release.warning", "late news"),
    ]


def test_restart_builds_nothing_twice(world):
    """A new process knows what is done."""
    world.alias = 1
    world.run(until=100)
    world.restart()
    world.run(until=2000)
    assert world.built == [1]


def test_failed_build_is_a_tag_and_an_event_not_a_loop(world):
    """The version is left alone for a day and after restarts; the next one is built."""
    world.alias = 3
    world.build_errors[3] = ModelError("best.pt: its weights are not finite; train it again")
    for hours in range(1, 25):
        world.run(until=3600 * hours)
        world.restart()
    assert world.built == [3] and world.releases == {}
    assert world.tags[3][TAG_STATUS] == "failed"
    assert "not finite" in world.tags[3][TAG_ERROR]
    assert world.kinds().count("build.failed") == 1
    world.alias = 4
    world.run(until=3600 * 24 + 200)
    assert world.releases == {4: "digest-4"}


def test_retry_forgets_a_failure(world):
    """A person repaired something: the same version once more, and its tags are corrected."""
    world.alias = 3
    world.build_errors[3] = [ModelError("no reference images")]
    world.run(until=100)
    world.watcher.retry()
    world.run(until=300)
    assert world.built == [3, 3]
    assert world.tags[3][TAG_STATUS] == "published" and world.tags[3][TAG_ERROR] == ""
    world.watcher.retry()
    world.run(until=600)
    assert world.built == [3, 3]


def test_registry_down_for_an_hour(world):
    """Two events, ever rarer looks, and the promotion of that hour is found after it."""
    world.alias = 1
    world.run(until=100)
    world.down_until = world.now - world.start + 3600
    first = len(world.looks)
    world.run(until=world.down_until - 1)
    looks = len(world.looks) - first
    assert 4 <= looks <= 14
    world.alias = 2
    world.restart()
    world.run(until=world.down_until + 1000)
    assert world.releases == {1: "digest-1", 2: "digest-2"}
    kinds = world.kinds()
    assert kinds.count("registry.lost") == 1 and kinds.count("registry.restored") == 1


def test_registry_that_goes_down_during_a_build(world):
    """Published all the same; the tags follow when it is back, also from another process."""
    world.alias = 1
    world.during_build = lambda version: setattr(world, "down_until", 1800)
    world.run(until=900)
    assert world.releases == {1: "digest-1"} and world.tags == {}
    assert "tags.waiting" in world.kinds()
    world.restart()
    world.run(until=4000)
    assert world.tags[1][TAG_STATUS] == "published"
    assert world.built == [1]


def test_newest_of_two_promotions_wins(world):
    """What was promoted during a build is built next; the older one is never published."""
    world.alias = 1

    def promote(version):
        world.alias = 2

    world.during_build = promote
    world.run(until=300)
    assert world.built == [1, 2] and world.releases == {2: "digest-2"}
    assert world.tags[1][TAG_STATUS] == "superseded" and "version 2" in world.tags[1][TAG_ERROR]
    assert world.tags[2][TAG_STATUS] == "published"


def test_withdrawn_promotion_is_not_published(world):
    """The alias was taken away during the build."""
    world.alias = 1
    world.during_build = lambda version: setattr(world, "alias", None)
    world.run(until=300)
    assert world.releases == {} and world.tags[1][TAG_STATUS] == "superseded"


def test_promoting_back_publishes_nothing_twice(world):
    """The older version is released already: only its tags are written."""
    for version in (1, 2, 1):
        world.alias = version
        world.run(until=world.now - world.start + 200)
    assert world.built == [1, 2]
    assert [facts["version"] for kind, facts in world.events if kind == "release.published"] == [
        1, 2, 1
    ]  # fmt: skip


def test_full_disk_is_tried_again_and_then_given_up(world):
    """Pauses grow; after the last attempt it is a failure like any other."""
    world.alias = 5
    world.build_errors[5] = StorageError("/data: the disk is full; free space")
    world.run(until=6 * 3600)
    assert len(world.built) == MOST_ATTEMPTS
    assert world.tags[5][TAG_STATUS] == "failed"
    assert "given up after 8 attempts: /data: the disk is full" in world.tags[5][TAG_ERROR]
    waits = [facts["retry_in_s"] for kind, facts in world.events if kind == "build.postponed"]
    assert waits[-1] > 4 * waits[0]


def test_disk_with_room_again(world):
    """A fault that passes ends in a release."""
    world.alias = 5
    world.build_errors[5] = [StorageError("full"), OSError(5, "Input/output error")]
    world.run(until=3600)
    assert world.built == [5, 5, 5] and world.tags[5][TAG_STATUS] == "published"


def test_process_that_is_killed_in_each_build(world):
    """Each kill counts before the build, so a build that kills its process ends as failed."""

    class Killed(BaseException):
        """kill -9: nothing of ours runs after it."""

    world.alias = 6
    world.build_errors[6] = Killed()
    for _ in range(200):
        try:
            world.run(until=world.now - world.start + 600)
        except Killed:
            world.restart()
    assert len(world.built) == MOST_ATTEMPTS
    assert "each was cut short" in world.tags[6][TAG_ERROR]


def test_ctrl_c_is_no_attempt(world):
    """Somebody stopped the service in a build; the next start begins at once."""
    world.alias = 1
    world.build_errors[1] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.run(until=100)
    assert world.watcher.memory.attempts == 0 and not world.left_over
    world.restart().step()
    assert world.releases == {1: "digest-1"}


def test_bug_of_ours_is_no_crash_loop(world):
    """An exception that nobody expected is a failed build with its name."""
    world.alias = 1
    world.build_errors[1] = ZeroDivisionError("division by zero")
    world.run(until=7200)
    assert world.built == [1]
    assert "internal error, ZeroDivisionError" in world.tags[1][TAG_ERROR]


def test_once(world):
    """For cron: works until there is nothing to do, and says how that was."""
    assert world.watcher.run_once() == 0
    world.alias = 1
    assert world.restart().run_once() == 0 and world.releases == {1: "digest-1"}
    world.alias = 2
    world.build_errors[2] = ModelError("no")
    assert world.restart().run_once() == 5
    assert world.restart().run_once() == 0  # told once, not every minute
    world.alias = 3
    world.build_errors[3] = [StorageError("full")]
    assert world.restart().run_once() == 8
    world.events.clear()
    assert world.restart().run_once() == 1  # still to be tried again, and says so
    assert [(kind, facts["error"]) for kind, facts in world.events] == [("build.waiting", "full")]
    world.down_until = 1e9
    assert world.restart().run_once() == 10
