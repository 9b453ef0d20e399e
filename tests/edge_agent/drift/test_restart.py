"""A device that loses its power says what it would have said, within one block."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_agent.drift.camera import KEEP_S
from edge_agent.drift.grouping import BLOCK
from tests.edge_agent.drift.killed import shown
from tests.edge_agent.drift.watched import Held, camera_of, glance, run, watch_of

ROOT = Path(__file__).resolve().parents[3]
END = 3400


def alarms(judged):
    """At which frame an alarm began, and what it named."""
    return [
        (seq, one.after.raised) for seq, one in judged if one.after.raised and not one.before.raised
    ]


def until_killed(folder, frames):
    """Show so many frames in another process; it is killed without a word."""
    command = [sys.executable, "-m", "tests.edge_agent.drift.killed", str(folder), str(frames)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if int(line) >= frames:
                    break
        finally:
            process.kill()
    assert process.returncode == -9


@pytest.mark.parametrize("frames", [2180, 2470])
def test_the_verdict_after_sigkill_is_the_same_within_one_block(tmp_path, frames):
    """Killed before, and just after scores fell: the same alarm, and at most a minute is lost."""
    whole = alarms(shown(watch_of(tmp_path / "whole"), 0, END))
    until_killed(tmp_path / "cut", frames)
    again = watch_of(tmp_path / "cut")
    camera = again.cameras["top"]
    assert frames - KEEP_S - 10 <= 100 * camera.history.blocks + camera.waiting <= frames
    cut = alarms(shown(again, frames, END - frames))
    assert len(whole) == len(cut) == 1 and whole[0][1] == cut[0][1] == {"score"}
    assert whole[0][0] <= cut[0][0] <= whole[0][0] + BLOCK


def test_the_filling_block_is_written_once_a_minute_and_at_the_end(tmp_path):
    """Each writing costs the flash a little; an end that is asked for loses nothing."""
    watch, written = watch_of(tmp_path), []
    kept = tmp_path / "block-abababababababab.json"
    for ten in range(0, 1000, 10):
        run(watch, 10, np.random.default_rng(ten), begin=ten)
        if kept.exists():
            written.append(kept.stat().st_mtime_ns)
    assert 10 <= len(set(written)) <= 17
    run(watch, 37, np.random.default_rng(1), begin=1000)
    watch.keep(at_once=True)
    assert json.loads(kept.read_text())["block"]["hours"][0]["frames"] == 37
    again = watch_of(tmp_path)
    camera = again.cameras["top"]
    assert camera.progress == (1037, 2000)
    for seq in range(101):  # as many frames as before, of the next block
        again._clock.now += 1.0
        again.look("top", glance(seq, np.random.default_rng(seq)))
    again.settle()
    again.keep(at_once=True)
    document = json.loads(kept.read_text())
    assert document["after_blocks"] == 11
    assert document["block"]["hours"][0]["frames"] == camera.waiting == 37


def test_no_frame_counts_right_after_a_restart(tmp_path):
    """The one before it may be a moment old: a spacing passes first."""
    watch = watch_of(tmp_path, spacing_s=7.0)
    run(watch, 71, np.random.default_rng(2))
    watch.keep(at_once=True)
    again = watch_of(tmp_path, spacing_s=7.0)
    run(again, 7, np.random.default_rng(3))
    assert again.cameras["top"].progress[0] == watch.cameras["top"].progress[0] == 11
    run(again, 1, np.random.default_rng(4))
    assert again.cameras["top"].progress[0] == 12


def test_a_disk_that_does_not_answer_gets_the_newest_of_both_files(tmp_path):
    """The loop writes nothing; what is written later is as it was when it was handed over."""
    disk = Held()
    watch = watch_of(tmp_path, disk=disk)
    run(watch, 337, np.random.default_rng(6))
    watch.keep(at_once=True)
    assert not list(tmp_path.iterdir()) and len(disk.waiting) == 2
    run(watch, 5, np.random.default_rng(7), begin=337)
    disk.let_go()
    again = camera_of(tmp_path)
    assert (again.history.blocks, again.waiting) == (3, 37)


def test_a_block_whose_history_is_not_written_yet_is_left_aside(tmp_path):
    """Killed between the two errands: no frame counts twice, one block at most is lost."""
    disk = Held()
    watch = watch_of(tmp_path, disk=disk)
    run(watch, 150, np.random.default_rng(8))
    disk.let_go()
    run(watch, 100, np.random.default_rng(9), begin=150)
    watch.keep(at_once=True)
    (block,) = [errand for name, errand in disk.waiting.items() if "block-" in name]
    block()
    again = camera_of(tmp_path)
    assert (again.history.blocks, again.waiting) == (1, 0)
