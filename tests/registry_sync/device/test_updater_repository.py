"""The updater when the repository is away, damaged or hostile."""

from __future__ import annotations

import json
import shutil

from edge_agent.checked import canonical_json
from edge_agent.slots import State
from registry_sync.device.steps import World
from registry_sync.device.updater import Updater
from registry_sync.fleet import rollouts
from tests.registry_sync.simulator import GROUP


def test_repository_away(site, device):
    """Away: said once, the device keeps running; back: it goes on by itself."""
    site.roll_out(2)
    away = site.folder / "away"
    shutil.move(site.repo, away)
    device.live(300)
    assert device.version == 1
    assert sum("away" in text for text in device.said) == 1
    shutil.move(away, site.repo)
    device.live(200)
    assert device.version == 2
    events = [row.target for row in device.journal.history()]
    assert events.count("SYNC_ERROR") == events.count("SYNC_RECOVERED") == 1


def test_commit_needs_no_repository(site, device):
    """Once switched, the trial ends and commits although the repository is gone."""
    site.roll_out(2)
    while device.slot.state is not State.TRIAL:
        device.wait(device.runner.tick())
    shutil.rmtree(site.repo)
    device.restart()
    device.settle()
    assert (device.version, device.slot.state) == (2, State.COMMITTED)


def test_a_damaged_blob(site, device):
    """A damaged blob is never installed; repaired, the back-off tries again; no ban."""
    manifest = site.repository.release("tiny", 2)
    blob = site.repo / "blobs" / "sha256" / manifest.entry("model/fp32.onnx").sha256
    good = blob.read_bytes()
    blob.write_bytes(good[:-1])
    site.roll_out(2)
    device.live(60)
    assert device.version == 1
    assert "ends after" in device.slot.reason
    assert device.slot.attempts >= 2
    blob.write_bytes(good)
    device.live(120)
    assert (device.version, device.journal.bans()) == (2, [])


class Hostile:
    """A `Source` whose signed manifest wants to write outside the bundle."""

    def __init__(self, honest: bytes) -> None:
        document = json.loads(honest)
        document["files"][0]["path"] = "../../../../escaped"
        self.data = canonical_json(document)
        self.asked = 0

    def manifest(self, model, version, digest):
        """The hostile bytes."""
        self.asked += 1
        return self.data

    def fetch(self, entries):
        """Never reached."""
        raise AssertionError(entries)


def test_a_manifest_that_leaves_its_folder(site, device):
    """`../` in a manifest, however well signed: refused by name, nothing fetched or written."""
    source = Hostile(site.repository.release("tiny", 2).to_bytes())
    world = World(device.config, device.journal, source, device.said.append)
    updater = Updater(world, device.config.models[0])
    site.roll_out(2)
    updater.drive(rollouts.existing(site.repository, GROUP))
    assert source.asked == 1
    assert device.slot.state is State.FAILED
    assert "'../../../../escaped' leaves the bundle" in device.slot.reason
    assert not list(site.folder.rglob("escaped"))
    assert device.version == 1
