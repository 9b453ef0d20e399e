"""The steps of the device transaction, each safe to repeat.

The order of a step is always: do what can be repeated, then write the transition. Only the switch
and the way back are the other way round, because an intent must be in the journal before the world
changes:

    RESOLVED     1. the signed manifest pins every byte of the release
    DOWNLOADED   2. every blob is in the store, hashed
    VERIFIED     3. the release folder stands and was read back
    PREPARED     4. the self-test passed on this device, in a child process
    SWITCHING    5. intent: the journal says where we go and where we come from
                 6. `current` is replaced in one step, durably
    TRIAL        7. live health decides
    COMMITTED    8. the candidate is the proven release; only then is anything collected
    ROLLING_BACK 9. intent: where to, and whether the release that is left is banned
                10. `current` goes back, then the ban
    ROLLED_BACK 11. the old release is the proven one again (FAILED when there is none)

SIGKILL between any two instructions: the next start reads the slot, and repeats the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from edge_agent.atomic import fsync_dir, make_dirs, replace_symlink
from edge_agent.bundle import Bundle, FileEntry, Manifest
from edge_agent.config import Config, Model
from edge_agent.detection.thresholds import limit_of
from edge_agent.errors import BundleError, OutpostError, storage_errors
from edge_agent.slots import Ban, Journal, Slot, State
from registry_sync.device.clock import Moment
from registry_sync.device.fingerprint import fingerprint
from registry_sync.device.selftest import Tester, run_selftest, slower
from registry_sync.device.store import Store
from registry_sync.device.transaction import ANSWERED, INSTALLING, RESTING, Action, allowed
from registry_sync.device.watch import Watch
from registry_sync.rollout import Rollout


class Source(Protocol):
    """Where manifests and blobs come from; registry_sync.device.client has the real one."""

    def manifest(self, model: str, version: int, digest: str) -> bytes:
        """The signed manifest of a pinned release."""

    def fetch(self, entries: tuple[FileEntry, ...]) -> int:
        """Bring blobs into the store; returns the bytes that were missing."""


@dataclass(frozen=True)
class World:
    """Everything the updater touches, as parameters."""

    config: Config
    journal: Journal
    source: Source
    say: Callable[[str], None]
    tester: Tester = run_selftest
    moment: Callable[[], Moment] = Moment.now

    @property
    def store(self) -> Store:
        """Blobs and releases of this device."""
        return Store(self.config.layout)


class Refused(OutpostError):
    """The candidate is not fit for this device; it is banned, not retried."""


class Steps:
    """Takes the steps of one model.

    Args:
        world: what is touched.
        model: whose slot.
        watch: how the agent is seen.
    """

    def __init__(self, world: World, model: Model, watch: Watch) -> None:
        self.world = world
        self.model = model
        self.fingerprint = fingerprint(model)
        self._watch = watch

    def _go(self, slot: Slot, state: State, reason: str, **changes: Any) -> Slot:
        if not allowed(slot.state, state):
            raise AssertionError(f"{slot.state.value} -> {state.value} is not in the table")
        new = self.world.journal.transition(
            replace(slot, state=state, **changes), reason=reason, at=self.world.moment().wall
        )
        digest = new.candidate or new.committed
        version = self.world.journal.version_of(digest)
        self.world.say(f"{self.model.name} {version} {slot.state.value} -> {state.value}: {reason}")
        return new

    # 1. The signed manifest pins every byte of the release.
    def resolve(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Take on what the rollout asks for."""
        assert document is not None
        again = slot.candidate == document.digest
        changes = {
            "candidate": document.digest,
            "attempts": slot.attempts if again else 0,
            "revision": document.revision,
            "rollout": document.rollout,
            "data": {"version": document.release, "gate": asdict(document.gate)},
        }
        self.world.journal.remember_release(document.digest, self.model.name, document.release)
        self._go(slot, State.RESOLVED, action.reason, **changes)

    # 2. Every blob is in the store, hashed.
    def download(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Fetch what the store lacks, and make the release folder."""
        version = int(slot.data["version"])
        data = self.world.source.manifest(self.model.name, version, slot.candidate)
        manifest = Manifest.parse(data, where=f"{self.model.name} {version}")
        if (manifest.name, manifest.version) != (self.model.name, version):
            raise Refused(f"the release calls itself {manifest.name} {manifest.version}")
        if manifest.digest != slot.candidate:
            raise Refused("its manifest is not in the canonical form; publish it again")
        files = manifest.files_for(self.model.variant)
        fetched = self.world.source.fetch(files)
        self.world.store.assemble(self.model.name, manifest, files)
        self._go(slot, State.DOWNLOADED, f"{fetched} bytes fetched, {len(files)} files")

    # 3. The release folder was read back from disk.
    def verify(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Read the release back from disk."""
        manifest = self.world.store.verify(self.model.name, slot.candidate, self.model.variant)
        self._go(slot, State.VERIFIED, f"{len(manifest.files)} files match their hashes")

    # 4. The self-test passed on this device, in a child process.
    def prepare(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Run the self-test, beside that of the release in use."""
        limits, layout = self.world.config.selftest, self.world.config.layout
        folder = layout.release(self.model.name, slot.candidate)
        limit_of(Bundle.open(folder).manifest, self.model.thresholds)
        report = self.world.tester(folder, self.model, limits)
        if not report.ok:
            raise Refused(report.reason)
        text = f"self-test passed: {report.frames} golden frames, {report.latency_ms:.1f} ms"
        if slot.committed:
            incumbent = layout.release(self.model.name, slot.committed)
            before = self.world.tester(incumbent, self.model, limits).latency_ms
            if slower(report.latency_ms, before, limits.latency_ratio):
                # A busy moment is not a slow model: both are measured once more.
                report = self.world.tester(folder, self.model, limits)
                before = self.world.tester(incumbent, self.model, limits).latency_ms
            if reason := slower(report.latency_ms, before, limits.latency_ratio):
                raise Refused(reason)
            text += f" ({before:.1f} ms with the release in use)"
        self._go(slot, State.PREPARED, text)

    # 5. Intent: the journal says where we go and where we come from.
    def switch(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Write down the switch before it happens."""
        if not self.world.store.complete(self.model.name, slot.candidate):
            raise BundleError("the release folder is gone; it is fetched again")
        data = {**slot.data, "incumbent": self._watch.incumbent(slot.committed)}
        came = self.world.journal.version_of(slot.committed)
        self._go(slot, State.SWITCHING, f"from version {came} to the candidate", data=data)

    # 6. `current` is replaced in one step, durably.
    def link(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Point `current` at the candidate."""
        self._point(slot.candidate)
        data = {**slot.data, "switched": self.world.moment().to_document()}
        self._go(slot, State.TRIAL, "live, on trial", data=data)

    # 8. The candidate is the proven release; only then is anything collected.
    def commit(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Make the candidate the proven release."""
        self._go(
            slot,
            State.COMMITTED,
            action.reason,
            committed=slot.candidate,
            previous=slot.committed,
            candidate="",
            attempts=0,
            data={},
        )
        self.collect()

    # 9. Intent: where to, and whether the release that is left is banned.
    def roll_back(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Write down the way back before it is taken."""
        data = {"target": action.target, "ban": action.ban}
        self._go(slot, State.ROLLING_BACK, action.reason, candidate=action.leaving, data=data)

    # 10. `current` goes back, then the ban; the transition comes last, so both are repeated.
    def link_back(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Take the way back."""
        target = str(slot.data.get("target", slot.committed))
        self._point(target)
        blameless = not slot.data.get("ban", True)
        if not blameless:
            self._ban(slot.candidate, slot.reason)
        # 11. The old release is the proven one again.
        by_hand = slot.candidate == slot.committed
        self._go(
            slot,
            State.ROLLED_BACK if target else State.FAILED,
            slot.reason,
            committed=target,
            previous="" if by_hand else slot.previous,
            data={"blameless": True} if blameless and target else {},
        )

    def banned(self, digest: str) -> str:
        """Why a release is banned on this device's present runtime, or ""."""
        for ban in self.world.journal.bans(self.model.name):
            if ban.digest == digest and ban.fingerprint == self.fingerprint:
                return ban.reason
        return ""

    def refuse(self, slot: Slot, reason: str) -> None:
        """Ban a candidate that never went live."""
        self._ban(slot.candidate, reason)
        self._go(slot, State.FAILED, reason, data={})

    def fail(self, slot: Slot, reason: str) -> None:
        """Give up for now; the back-off says when it is tried again."""
        self._go(slot, State.FAILED, reason, attempts=slot.attempts + 1, data={})

    def _ban(self, digest: str, reason: str) -> None:
        at = self.world.moment().wall
        self.world.journal.ban(Ban(self.model.name, digest, self.fingerprint, reason, at))

    def call_off(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Drop a candidate that nobody asks for any more."""
        revision = document.revision if document else slot.revision
        self._go(slot, State.IDLE, action.reason, revision=revision, data={})

    def acknowledge(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Note that a newer document asks for what runs already."""
        assert document is not None
        changes = {"revision": document.revision, "rollout": document.rollout, "candidate": ""}
        self._go(slot, State.COMMITTED, action.reason, **changes)

    def repair(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Somebody edited `current`: the journal wins, and says so."""
        self._point(slot.committed)
        self.world.journal.note(self.model.name, slot.committed, "LINK_REPAIRED", action.reason)
        self.world.say(f"{self.model.name}: {action.reason}; put right")

    def answer(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Tell why a request changes nothing."""
        self.world.journal.note(self.model.name, slot.committed, ANSWERED, action.reason)
        self.world.say(f"{self.model.name}: request refused: {action.reason}")

    def _point(self, digest: str) -> None:
        link = self.world.config.layout.current(self.model.name)
        if digest:
            replace_symlink(link, f"releases/{digest}")
            return
        make_dirs(link.parent)
        with storage_errors(link):
            link.unlink(missing_ok=True)
            fsync_dir(link.parent)

    def collect(self) -> None:
        """Remove what no release needs any more, unless some model is being installed."""
        slots = [self.world.journal.slot(model.name) for model in self.world.config.models]
        if any(slot.state in INSTALLING for slot in slots):
            return
        slot = self.world.journal.slot(self.model.name)
        live = self.world.config.layout.linked(self.model.name)
        keep = {slot.committed, slot.previous, live}
        if slot.state not in RESTING:
            keep.add(slot.candidate)
        self.world.store.collect(self.model.name, keep - {""})
