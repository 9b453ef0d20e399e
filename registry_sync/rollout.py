"""The rollout document (schema 1): which release a group of devices should run, and under what.

The only home of the format (docs/formats.md). It is signed by the operator's key, so what it says
of gates is as trustworthy as what it says of releases. `takes_part` is the cohort rule; it needs
nothing but the device's own name, so no server has to know the fleet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edge_agent.bundle import NAME_PATTERN
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import RepositoryError

SCHEMA_VERSION = 1
MAX_BYTES = 256 * 1024
STATES = ("running", "paused", "aborted", "done")
_SHA256 = r"[0-9a-f]{64}"


def _limit(default: float, least: float, most: float) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True)
class Gate:
    """What a trial must show before a release is committed.

    Attributes:
        trial_s: shortest time on trial, in seconds.
        deadline_s: when there is still no verdict after this time, the release goes back.
        wait_s: how much longer it waits for frames that are fit to judge (lens, light, camera).
        min_frames: inferred frames without which there is no verdict.
        stale_s: age of the agent's health file that counts as a dead agent.
        latency_ratio: window medians above this multiple of the incumbent's are too slow.
        memory_ratio: the same for the agent's resident memory.
        max_nonfinite: frames with NaN or Inf that are tolerated.
        max_error_share: share of captured frames that may end in an error.
        detections_ratio: detections per frame may differ from the incumbent's by this factor.
        max_psi: population stability index (coarse bins) above which outputs are another world.
        correlated_frames: neighbouring frames that show the same thing; at least so many count as
            one, more when the incumbent's windows show it.
    """

    trial_s: float = _limit(300.0, 1.0, 604_800.0)
    deadline_s: float = _limit(1800.0, 2.0, 2_592_000.0)
    wait_s: float = _limit(86_400.0, 0.0, 2_592_000.0)
    min_frames: float = _limit(100.0, 1, 1_000_000)
    stale_s: float = _limit(30.0, 1.0, 3600.0)
    latency_ratio: float = _limit(2.0, 1.0, 1000.0)
    memory_ratio: float = _limit(2.0, 1.0, 1000.0)
    max_nonfinite: float = _limit(2.0, 0, 1_000_000)
    max_error_share: float = _limit(0.05, 0.0, 1.0)
    detections_ratio: float = _limit(3.0, 1.01, 1000.0)
    max_psi: float = _limit(1.0, 0.01, 100.0)
    correlated_frames: float = _limit(10.0, 1, 100_000)

    @classmethod
    def read(cls, table: Fields) -> Gate:
        """Read a gate table; absent parameters keep their defaults, unknown ones are faults."""
        values = {
            item.name: table.number(item.name, item.default, **item.metadata)
            for item in fields(cls)
        }
        gate = cls(**values)
        if gate.deadline_s <= gate.trial_s:
            table.fault("deadline_s", f"{gate.deadline_s:g} is not above trial_s, {gate.trial_s:g}")
        table.close()
        return gate


@dataclass(frozen=True)
class Pin:
    """One release, beyond doubt: its version for people and its digest."""

    release: int
    digest: str


@dataclass(frozen=True)
class Wave:
    """A share of the group, counted from the first device, and the time to watch it."""

    share: float
    soak_s: float = 0.0


@dataclass(frozen=True)
class Rollout:
    """One rollout document.

    Attributes:
        revision: grows with every document of the group; a lower one is a replay.
        rollout: name of this rollout; makes the cohort of each rollout a different one.
        previous: the release before, which `registry-sync rollback` goes back to.
        wave: index of the wave that is open.
        selector: tags that a device must have; a list means any of these.
        window: when devices may switch (kept; read by the maintenance windows).
        issued: ISO 8601 time at which the operator signed.
    """

    group: str
    revision: int
    rollout: str
    model: str
    release: int
    digest: str
    previous: Pin | None = None
    state: str = "running"
    waves: tuple[Wave, ...] = (Wave(1.0),)
    wave: int = 0
    selector: Mapping[str, Any] = field(default_factory=dict)
    gate: Gate = Gate()
    window: Mapping[str, Any] = field(default_factory=dict)
    issued: str = ""
    reason: str = ""

    @classmethod
    def parse(cls, data: bytes, *, where: str = "rollout") -> Rollout:
        """Read document bytes.

        Raises:
            RepositoryError: naming ``where`` and listing every fault.
        """
        if len(data) > MAX_BYTES:
            raise RepositoryError(f"{where}: {len(data)} bytes is too large for a rollout")
        try:
            document = Fields(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise RepositoryError(f"{where}: not JSON ({error}); sign it again") from None
        rollout = _read(document)
        if document.faults:
            raise RepositoryError(f"{where}: " + "; ".join(document.faults))
        return rollout

    def to_bytes(self) -> bytes:
        """The canonical bytes, as they are signed."""
        return canonical_json({"schema_version": SCHEMA_VERSION, **asdict(self)})

    @property
    def open_share(self) -> float:
        """Share of the group that may install now."""
        return self.waves[self.wave].share


def _read(document: Fields) -> Rollout:
    if document.integer("schema_version") != SCHEMA_VERSION:
        document.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
    rollout = Rollout(
        group=document.text("group", pattern=NAME_PATTERN),
        revision=document.integer("revision", least=1),
        rollout=document.text("rollout", pattern=NAME_PATTERN),
        model=document.text("model", pattern=NAME_PATTERN),
        release=document.integer("release", least=1),
        digest=document.text("digest", pattern=_SHA256),
        previous=_read_pin(document.table("previous")) if document.has("previous") else None,
        state=document.text("state", choices=STATES),
        waves=tuple(_read_wave(item) for item in document.tables("waves", least=1)),
        wave=document.integer("wave", least=0),
        selector=document.mapping("selector"),
        gate=Gate.read(document.table("gate", optional=True)),
        window=document.mapping("window"),
        issued=document.text("issued", ""),
        reason=document.text("reason", ""),
    )
    _check_waves(document, rollout)
    document.close()
    return rollout


def _read_pin(table: Fields) -> Pin:
    pin = Pin(table.integer("release", least=1), table.text("digest", pattern=_SHA256))
    table.close()
    return pin


def _read_wave(table: Fields) -> Wave:
    wave = Wave(table.number("share", least=0.0, most=1.0), table.number("soak_s", 0.0, least=0.0))
    table.close()
    return wave


def _check_waves(document: Fields, rollout: Rollout) -> None:
    shares = [wave.share for wave in rollout.waves]
    if shares != sorted(shares):
        document.fault("waves", f"shares should grow, are {shares}")
    if rollout.wave >= len(rollout.waves):
        document.fault("wave", f"{rollout.wave} is not one of {len(rollout.waves)} waves (from 0)")


def cohort(device: str, rollout: str) -> float:
    """Where a device stands in the order of a rollout: uniform in [0, 1), fixed for the pair."""
    digest = hashlib.sha256(f"{device}\n{rollout}".encode()).digest()
    # 53 bits: what a float holds exactly, so the result stays below 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def takes_part(device: str, tags: Mapping[str, Any], document: Rollout) -> bool:
    """Whether a device is inside the open share and has the tags that the selector wants.

    Pure; the state of the rollout (paused, aborted) is not looked at.
    """
    return cohort(device, document.rollout) < document.open_share and all(
        name in tags
        and (tags[name] in wanted if isinstance(wanted, list) else tags[name] == wanted)
        for name, wanted in document.selector.items()
    )
