"""The verdict on a release on trial: pass, fail, or not yet. Pure.

Only what the model or its engine can be blamed for fails a trial. Frames that the quality gate
skipped are no evidence, for or against: a dirty lens, a dark hall or a lost camera stop the
trial's clock and never roll anything back. Against an incumbent the scene cancels out, so outputs
are compared with what the incumbent said just before the switch; without one (first install) only
absolute checks are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from edge_agent.slots import MAX_STARTS
from registry_sync.device.evidence import (
    FEATURES,
    Z_SUSPECT,
    Evidence,
    Z,
    compare_rates,
    correlation,
    middle,
    shift,
)
from registry_sync.rollout import Gate

SLOW_OF, SLOW_WINDOWS = 3, 5  # so many of the last so many windows must be slow
SLOW_LEAST_MS = 5.0
MEMORY_LEAST_MB = 128.0


class Outcome(str, Enum):
    """What a verdict can be."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """An outcome and its reason in words.

    Attributes:
        blame: whether a failure is held against the release (it is banned then).
    """

    outcome: Outcome
    reason: str
    blame: bool = True


@dataclass(frozen=True)
class Observation:
    """What is known of a trial at one moment.

    Attributes:
        candidate: windows of the release on trial.
        incumbent: windows of the release before, just before the switch; empty at first install.
        starts: counted loads of the candidate.
        elapsed_s: since the switch.
        health_age_s: since the agent last wrote its health file; None when there is none.
        watched_s: since this process first looked at the trial: silence is counted from then, so
            that a reboot is nobody's fault.
        stopped: whether the agent said that it was stopped; its silence is then nobody's fault.
        error: what the agent has to complain about, or "".
        provider_wanted: whether another provider than the wanted one is a failure.
    """

    candidate: Evidence = field(default_factory=Evidence)
    incumbent: Evidence = field(default_factory=Evidence)
    starts: int = 0
    elapsed_s: float = 0.0
    health_age_s: float | None = 0.0
    watched_s: float = math.inf
    stopped: bool = False
    error: str = ""
    provider_wanted: bool = True


def judge(gate: Gate, seen: Observation) -> Verdict:
    """Judge a trial.

    Returns:
        ``fail`` as soon as something is clearly bad, ``pass`` when time and frames are enough and
        nothing is, else ``inconclusive`` with what is missing. At the deadline an inconclusive
        trial fails; when it is the input that is missing, it waits ``wait_s`` longer, and what
        ends then is nobody's fault.
    """
    for reason in (*_process_faults(gate, seen), *_output_faults(gate, seen)):
        return Verdict(Outcome.FAIL, reason)
    missing = _missing(gate, seen)
    if not missing:
        return Verdict(Outcome.PASS, _passed(seen))
    waits = _input_is_missing(gate, seen)
    if seen.elapsed_s >= gate.deadline_s + (gate.wait_s if waits else 0.0):
        reason = f"inconclusive after {seen.elapsed_s:.0f} s: {missing}"
        return Verdict(Outcome.FAIL, reason, blame=not waits)
    return Verdict(Outcome.INCONCLUSIVE, missing)


def _process_faults(gate: Gate, seen: Observation) -> Iterator[str]:
    if seen.starts >= MAX_STARTS:
        why = f": {seen.error}" if seen.error else ""
        yield f"crash loop: {seen.starts} starts without a commit{why}"
    # Before its first load the release cannot be the reason for a silent agent.
    silent = _stale(gate, seen) and not seen.stopped
    if seen.starts > 0 and silent and seen.watched_s > gate.stale_s:
        age = "none" if seen.health_age_s is None else f"{seen.health_age_s:.0f} s old"
        yield f"the agent went silent after loading it (health file: {age})"
    if seen.provider_wanted and not seen.candidate.provider_ok:
        yield "the wanted provider is not active; the engine fell back to another one"


def _stale(gate: Gate, seen: Observation) -> bool:
    return seen.health_age_s is None or seen.health_age_s > gate.stale_s


def _output_faults(gate: Gate, seen: Observation) -> Iterator[str]:
    mine = seen.candidate
    if mine.nonfinite > gate.max_nonfinite:
        yield f"{mine.nonfinite} of {mine.inferred} frames gave NaN or Inf"
    if mine.errors >= 3 and mine.errors > gate.max_error_share * max(mine.captured, 1):
        yield f"{mine.errors} of {mine.captured} frames ended in an error"
    offered = mine.captured - mine.unfit
    if offered >= max(gate.min_frames, 10) and not mine.inferred:
        yield f"{offered} frames were given to it and none came back"
    if seen.incumbent.inferred:
        yield from _against(gate, mine, seen.incumbent)


def _against(gate: Gate, mine: Evidence, before: Evidence) -> Iterator[str]:
    limit = max(gate.latency_ratio * middle(before.latency_ms), SLOW_LEAST_MS)
    recent = mine.latency_ms[-SLOW_WINDOWS:]
    if sum(value > limit for value in recent) >= SLOW_OF:
        times = middle(recent) / middle(before.latency_ms)
        yield (
            f"{times:.1f}x slower than the release before"
            f" ({middle(recent):.0f} ms against {middle(before.latency_ms):.0f} ms a frame)"
        )
    memory = gate.memory_ratio * middle(before.rss_mb) + MEMORY_LEAST_MB
    if sum(value > memory for value in mine.rss_mb[-SLOW_WINDOWS:]) >= SLOW_OF:
        yield (
            f"the agent takes {mine.rss_mb[-1]:.0f} MB,"
            f" {middle(before.rss_mb):.0f} MB with the release before"
        )
    # Few frames say little about outputs; half of what a pass needs is the least.
    if 2 * mine.inferred >= gate.min_frames:
        yield from _distribution(gate, mine, before)


def _distribution(gate: Gate, mine: Evidence, before: Evidence) -> Iterator[str]:
    if text := _other_rate(gate, mine, before, Z):
        yield text
    correlated = correlation(before, gate.correlated_frames)
    for name in FEATURES:
        a, b = mine.counts.get(name, ()), before.counts.get(name, ())
        if len(a) != len(b) or not sum(a) or not sum(b):
            continue
        change = shift(a, b, mine.inferred, before.inferred, correlated)
        if change.psi > max(gate.max_psi, change.noise):
            yield (
                f"its outputs are another world: PSI of {name} is {change.psi:.1f}"
                f" against the release before (allowed {gate.max_psi:g})"
            )


def _other_rate(gate: Gate, mine: Evidence, before: Evidence, z: float) -> str:
    rates = compare_rates(mine, before, correlation(before, gate.correlated_frames))
    limit = gate.detections_ratio
    if rates.z <= z or 1 / limit <= rates.ratio <= limit:
        return ""
    return (
        f"{mine.detections / mine.inferred:.2f} detections per frame,"
        f" {before.detections / before.inferred:.2f} with the release before"
        f" ({rates.ratio:.2g}x, allowed {limit:g}x)"
    )


def _missing(gate: Gate, seen: Observation) -> str:
    if not seen.starts and not seen.candidate.captured:
        return "the agent has not loaded it yet"
    if seen.stopped:
        return "the agent was stopped; the trial goes on when it runs again"
    if seen.candidate.inferred < gate.min_frames:
        return (
            f"{seen.candidate.inferred} of {gate.min_frames:.0f} frames inferred"
            f" ({seen.candidate.unfit} rejected by the quality gate)"
        )
    if seen.elapsed_s < gate.trial_s:
        return f"{seen.elapsed_s:.0f} of {gate.trial_s:.0f} s on trial"
    if _stale(gate, seen):
        return "no fresh health file from the agent"
    if seen.incumbent.inferred and (
        doubt := _other_rate(gate, seen.candidate, seen.incumbent, Z_SUSPECT)
    ):
        return f"more frames must decide: {doubt}"
    return ""


def _input_is_missing(gate: Gate, seen: Observation) -> bool:
    """Whether the camera (or the agent's absence), not the model, keeps the trial open."""
    mine = seen.candidate
    if seen.stopped:
        return True
    if mine.inferred >= gate.min_frames:
        return False
    if not seen.starts and not mine.captured:
        return True
    offered = mine.captured - mine.unfit
    return offered == 0 or mine.unfit > offered


def _passed(seen: Observation) -> str:
    mine, before = seen.candidate, seen.incumbent
    text = f"{mine.inferred} frames in {seen.elapsed_s:.0f} s, {middle(mine.latency_ms):.1f} ms"
    if before.inferred:
        text += (
            f" a frame ({middle(before.latency_ms):.1f} before),"
            f" {mine.detections / max(mine.inferred, 1):.2f} detections per frame"
            f" ({before.detections / before.inferred:.2f} before)"
        )
    return text
