"""Rollout documents for a group: start, pause, resume, advance, abort, go back.

Each is a new signed document whose revision is one above the last. What is to run is pinned by
version and digest, and the digest comes from the signed manifest, so nothing can change under a
rollout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import RepositoryError, UsageError
from edge_agent.release.repo import ReleaseRepository
from registry_sync.rollout import Gate, Pin, Rollout, Wave

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def current(repository: ReleaseRepository, group: str) -> Rollout | None:
    """The group's present document, None when there never was one."""
    document = repository.read_rollout(group)
    if document is None:
        return None
    return Rollout.parse(canonical_json(document), where=f"rollouts/{group}.json")


def existing(repository: ReleaseRepository, group: str) -> Rollout:
    """The group's present document.

    Raises:
        UsageError: when there is none, naming the groups that have one.
    """
    document = current(repository, group)
    if document is None:
        groups = ", ".join(repository.groups()) or "none yet"
        raise UsageError(f"group {group!r} has no rollout; groups with one: {groups}")
    return document


def start(
    repository: ReleaseRepository,
    model: str,
    version: int,
    group: str,
    *,
    waves: tuple[Wave, ...] = (Wave(1.0),),
    gate: Gate | None = None,
    selector: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Rollout:
    """Sign that a group should run a release.

    Raises:
        RepositoryError: when the release is not published or a key is missing.
    """
    digest = repository.release(model, version).digest
    before = current(repository, group)
    revision = before.revision + 1 if before else 1
    previous = None
    if before is not None and before.model == model:
        # What was aborted is nowhere to go back to.
        kept = before.digest == digest or before.state == "aborted"
        previous = before.previous if kept else Pin(before.release, before.digest)
        if previous is not None and previous.digest == digest:
            previous = None
    return _publish(
        repository,
        Rollout(
            group=group,
            revision=revision,
            rollout=f"{model}-{version}-r{revision}",
            model=model,
            release=version,
            digest=digest,
            previous=previous,
            waves=waves,
            selector=dict(selector or {}),
            gate=gate or Gate(),
            reason=reason,
        ),
    )


def roll_back(
    repository: ReleaseRepository,
    group: str,
    *,
    to: int | None = None,
    gate: Gate | None = None,
    reason: str = "",
) -> Rollout:
    """Sign that a group goes back, at once and everywhere.

    Args:
        repository: opened with the operator's keys.
        group: which devices.
        to: version to go back to; the one that the present document names when None.
        gate: of the new document; the present one's when None.
        reason: why, for the log.

    Raises:
        UsageError: when it is not known where back is.
    """
    before = existing(repository, group)
    if to is not None:
        target = Pin(to, repository.release(before.model, to).digest)
    elif before.previous is None:
        raise UsageError(f"group {group!r}: the rollout names no release before it; give --to")
    else:
        target = before.previous
    if target.digest == before.digest:
        raise UsageError(f"group {group!r} is asked to run version {target.release} already")
    revision = before.revision + 1
    document = replace(
        before,
        revision=revision,
        rollout=f"{before.model}-{target.release}-r{revision}",
        release=target.release,
        digest=target.digest,
        # There is no "back" from a rollback: repeating it would bring the bad release again.
        previous=None,
        state="running",
        waves=(Wave(1.0),),
        wave=0,
        gate=gate or before.gate,
        reason=reason or f"rollback from version {before.release}",
    )
    return _publish(repository, document)


def change_state(repository: ReleaseRepository, group: str, state: str, reason: str) -> Rollout:
    """Pause, resume or abort the present rollout (``paused``, ``running``, ``aborted``).

    Raises:
        UsageError: when it is in that state, or was aborted.
    """
    before = existing(repository, group)
    if before.state == state:
        raise UsageError(f"group {group!r}: rollout {before.rollout} is {state} already")
    if before.state == "aborted":
        raise UsageError(f"group {group!r}: rollout {before.rollout} was aborted; start a new one")
    return _publish(
        repository, replace(before, state=state, revision=before.revision + 1, reason=reason)
    )


def advance(repository: ReleaseRepository, group: str, reason: str = "") -> Rollout:
    """Open the next wave.

    Raises:
        UsageError: when the last one is open, or the rollout does not run.
    """
    before = existing(repository, group)
    if before.state != "running":
        raise UsageError(f"group {group!r}: rollout {before.rollout} is {before.state}")
    if before.wave + 1 >= len(before.waves):
        raise UsageError(f"group {group!r}: the last wave of {before.rollout} is open already")
    document = replace(
        before, wave=before.wave + 1, revision=before.revision + 1, reason=reason or before.reason
    )
    return _publish(repository, document)


def _publish(repository: ReleaseRepository, document: Rollout) -> Rollout:
    issued = datetime.now(timezone.utc).isoformat(timespec="seconds")
    document = replace(document, issued=issued.replace("+00:00", "Z"))
    data = document.to_bytes()
    try:
        Rollout.parse(data, where=f"rollouts/{document.group}.json")
    except RepositoryError as error:
        raise UsageError(f"nothing was signed: {error}") from None
    repository.put_rollout(document.group, data)
    return document


def parse_waves(text: str, soak: str) -> tuple[Wave, ...]:
    """Waves from ``10%,50%,100%`` (or shares like ``0.1``) and a soak time like ``30m``.

    Raises:
        UsageError: naming the part that is not a share.
    """
    return tuple(Wave(_share(part.strip()), parse_seconds(soak)) for part in text.split(","))


def _share(text: str) -> float:
    number = text.removesuffix("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        raise UsageError(f"--waves: {text!r} is not a share like 10% or 0.1")
    return float(number) / 100 if text.endswith("%") else float(number)


def parse_seconds(text: str) -> float:
    """Seconds from ``90``, ``90s``, ``30m``, ``2h`` or ``1d``.

    Raises:
        UsageError: for anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a time like 90s, 30m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def parse_gate(options: Iterable[str], base: Gate | None = None) -> Gate | None:
    """A gate from ``name=value`` options; None when there is none.

    Raises:
        UsageError: listing every fault, with the nearest known name.
    """
    given: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        try:
            given[name] = float(value)
        except ValueError:
            raise UsageError(f"--gate {option}: should be name=number, like trial_s=300") from None
    if not given:
        return None
    table = Fields(asdict(base or Gate()) | given, "gate")
    gate = Gate.read(table)
    if table.faults:
        raise UsageError("; ".join(table.faults))
    return gate


def parse_selector(options: Iterable[str]) -> dict[str, Any]:
    """A selector from ``tag=value`` options; the same tag twice means either value.

    Raises:
        UsageError: when an option has another form.
    """
    selector: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise UsageError(f"--only {option}: should be tag=value, like site=hall-2")
        selector.setdefault(name, []).append(value)
    return selector
