"""The one that acts: takes the steps that registry_sync/device/transaction.py names.

The order of a step is always: do what can be repeated, then write the transition. Only the switch
is the other way round, because an intent must be in the journal before the world changes:

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
    ROLLED_BACK 11. the old release is the proven one again

SIGKILL between any two instructions: the next start reads the slot, and repeats the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from edge_agent.atomic import fsync_dir, make_dirs, replace_symlink
from edge_agent.bundle import FileEntry, Manifest
from edge_agent.config import Config, Model
from edge_agent.errors import BundleError, OutpostError, storage_errors
from edge_agent.slots import Ban, Journal, Slot, State
from registry_sync.device.clock import Moment
from registry_sync.device.fingerprint import fingerprint
from registry_sync.device.selftest import Tester, run_selftest, slower
from registry_sync.device.store import Store
from registry_sync.device.transaction import (
    ANSWERED,
    INSTALLING,
    RESTING,
    Action,
    Do,
    Facts,
    Request,
    allowed,
    decide,
    facts_for,
)
from registry_sync.device.trial import Outcome
from registry_sync.device.watch import Watch
from registry_sync.rollout import Rollout

WAITS = frozenset({Do.REST, Do.WATCH})


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


class Updater:
    """The transaction of one model."""

    def __init__(self, world: World, model: Model) -> None:
        self.world = world
        self.model = model
        self.fingerprint = fingerprint(model)
        self.waiting = ""
        self._watch = Watch(world.config, model, world.moment)
        self._steps: Mapping[Do, Callable[[Slot, Action, Rollout | None], None]] = {
            Do.RESOLVE: self._resolve,
            Do.DOWNLOAD: self._download,
            Do.VERIFY: self._verify,
            Do.PREPARE: self._prepare,
            Do.SWITCH: self._switch,
            Do.LINK: self._link,
            Do.CALL_OFF: self._call_off,
            Do.ACKNOWLEDGE: self._acknowledge,
            Do.REPAIR: self._repair,
            Do.ROLL_BACK: self._roll_back,
            Do.LINK_BACK: self._link_back,
            Do.ANSWER: self._answer,
        }

    def slot(self) -> Slot:
        """Where this model stands, as the journal has it."""
        return self.world.journal.slot(self.model.name)

    def drive(self, document: Rollout | None, request: Request | None = None) -> Action:
        """Take steps until there is nothing to do but wait.

        Args:
            document: the newest rollout document, None while unknown.
            request: an operator's unanswered request.

        Returns:
            The waiting action: `Do.REST`, or `Do.WATCH` while a trial goes on.

        Raises:
            StorageError: when not even the journal can be written.
        """
        while True:
            slot = self.slot()
            action = decide(slot, self._facts(document, request), self.world.moment().wall)
            if action.do is Do.WATCH:
                action = self._judge(slot)
            if action.do in WAITS:
                self.waiting = action.reason
                return action
            if action.do in (Do.ROLL_BACK, Do.ANSWER):
                request = None
            self._take(slot, action, document)

    def _facts(self, document: Rollout | None, request: Request | None) -> Facts:
        device = self.world.config.device
        return facts_for(
            device.id,
            device.tags,
            document,
            linked=self.world.config.layout.linked(self.model.name),
            banned=self.banned(document.digest) if document else "",
            request=request,
            agent_alive=self._watch.alive(),
        )

    def banned(self, digest: str) -> str:
        """Why a release is banned on this device's present runtime, or ""."""
        for ban in self.world.journal.bans(self.model.name):
            if ban.digest == digest and ban.fingerprint == self.fingerprint:
                return ban.reason
        return ""

    def _take(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        try:
            self._steps[action.do](slot, action, document)
        except Refused as error:
            self._refuse(slot, str(error))
        except OutpostError as error:
            # After the switch there is only forward or back; the next look decides which.
            if slot.state not in INSTALLING | RESTING:
                raise
            self._fail(slot, action, document, str(error))

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
    def _resolve(self, slot: Slot, action: Action, document: Rollout | None) -> None:
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
    def _download(self, slot: Slot, action: Action, document: Rollout | None) -> None:
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
    def _verify(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        manifest = self.world.store.verify(self.model.name, slot.candidate, self.model.variant)
        self._go(slot, State.VERIFIED, f"{len(manifest.files)} files match their hashes")

    # 4. The self-test passed on this device, in a child process.
    def _prepare(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        limits, layout = self.world.config.selftest, self.world.config.layout
        folder = layout.release(self.model.name, slot.candidate)
        report = self.world.tester(folder, self.model, limits)
        if not report.ok:
            raise Refused("; ".join(report.failures))
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
    def _switch(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        if not self.world.store.complete(self.model.name, slot.candidate):
            raise BundleError("the release folder is gone; it is fetched again")
        data = {**slot.data, "incumbent": self._watch.incumbent(slot.committed)}
        came = self.world.journal.version_of(slot.committed)
        self._go(slot, State.SWITCHING, f"from version {came} to the candidate", data=data)

    # 6. `current` is replaced in one step, durably.
    def _link(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        self._point(slot.candidate)
        data = {**slot.data, "switched": self.world.moment().to_document()}
        self._go(slot, State.TRIAL, "live, on trial", data=data)

    # 7. Live health decides.
    def _judge(self, slot: Slot) -> Action:
        verdict = self._watch.judge(slot)
        if verdict.outcome is Outcome.FAIL:
            return Action(
                Do.ROLL_BACK,
                verdict.reason,
                ban=verdict.blame,
                target=slot.committed,
                leaving=slot.candidate,
            )
        if verdict.outcome is Outcome.PASS:
            self._commit(slot, verdict.reason)
            return Action(Do.REST, "committed")
        return Action(Do.WATCH, verdict.reason)

    # 8. The candidate is the proven release; only then is anything collected.
    def _commit(self, slot: Slot, reason: str) -> None:
        self._go(
            slot,
            State.COMMITTED,
            reason,
            committed=slot.candidate,
            previous=slot.committed,
            candidate="",
            attempts=0,
            data={},
        )
        self.collect()

    # 9. Intent: where to, and whether the release that is left is banned.
    def _roll_back(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        data = {"target": action.target, "ban": action.ban}
        self._go(slot, State.ROLLING_BACK, action.reason, candidate=action.leaving, data=data)

    # 10. `current` goes back, then the ban; the transition comes last, so both are repeated.
    def _link_back(self, slot: Slot, action: Action, document: Rollout | None) -> None:
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

    def _refuse(self, slot: Slot, reason: str) -> None:
        self._ban(slot.candidate, reason)
        self._go(slot, State.FAILED, reason, data={})

    def _fail(self, slot: Slot, action: Action, document: Rollout | None, reason: str) -> None:
        self._go(slot, State.FAILED, reason, attempts=slot.attempts + 1, data={})

    def _ban(self, digest: str, reason: str) -> None:
        at = self.world.moment().wall
        self.world.journal.ban(Ban(self.model.name, digest, self.fingerprint, reason, at))

    def _call_off(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        revision = document.revision if document else slot.revision
        self._go(slot, State.IDLE, action.reason, revision=revision, data={})

    def _acknowledge(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        assert document is not None
        changes = {"revision": document.revision, "rollout": document.rollout, "candidate": ""}
        self._go(slot, State.COMMITTED, action.reason, **changes)

    def _repair(self, slot: Slot, action: Action, document: Rollout | None) -> None:
        """Somebody edited `current`: the journal wins, and says so."""
        self._point(slot.committed)
        self.world.journal.note(self.model.name, slot.committed, "LINK_REPAIRED", action.reason)
        self.world.say(f"{self.model.name}: {action.reason}; put right")

    def _answer(self, slot: Slot, action: Action, document: Rollout | None) -> None:
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
        slot = self.slot()
        live = self.world.config.layout.linked(self.model.name)
        keep = {slot.committed, slot.previous, live}
        if slot.state not in RESTING:
            keep.add(slot.candidate)
        self.world.store.collect(self.model.name, keep - {""})
