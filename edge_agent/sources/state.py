"""When a camera is up, degraded or down: rules over what was seen of it, without I/O.

- ``up``: usable frames come.
- ``degraded``: frames come, but many of them cannot be used, or the source was lost several times
  of late; or none came for half of the time after which it is given up.
- ``down``: it was lost and has not given a usable frame since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WAITING, UP, DEGRADED, DOWN, FINISHED = "waiting", "up", "degraded", "down", "finished"
LEVELS = {UP: 1.0, DEGRADED: 0.5, DOWN: 0.0}
"""What the metric ``camera_up`` says; the other states have nothing to say."""

RECENT_S = 600.0
LOSSES_MANY = 3
UNUSABLE_MANY = 0.1
STEADY_S = 60.0
FRAMES_LEAST = 10


@dataclass(frozen=True)
class Standing:
    """What is known of a camera.

    Attributes:
        state: one of the names above.
        reason: why it is not up, in words.
        losses: monotonic seconds of each loss in the last `RECENT_S`.
    """

    state: str = WAITING
    reason: str = ""
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sight:
    """What a camera gave since it was last looked at.

    Attributes:
        usable, unusable: frames.
        silent_s: seconds since the last frame, or since the source was opened.
        stall_s: seconds of silence after which it is given up; None for a recording.
    """

    usable: int
    unusable: int
    silent_s: float
    stall_s: float | None


def lost(standing: Standing, reason: str, now: float) -> Standing:
    """The source was lost or could not be opened."""
    recent = tuple(at for at in standing.losses if now - at < RECENT_S)
    if standing.state == DOWN:  # still the same loss, perhaps for another reason
        return replace(standing, losses=recent)
    return Standing(DOWN, reason, (*recent, now))


def seen(standing: Standing, sight: Sight, now: float) -> Standing:
    """The camera was looked at while its source is open."""
    recent = tuple(at for at in standing.losses if now - at < RECENT_S)
    reason = _trouble(sight, recent)
    mute = not sight.unusable and (not reason or standing.state == WAITING)
    if not sight.usable and (mute or standing.state == DOWN):
        return replace(standing, losses=recent)  # nothing new
    return Standing(DEGRADED if reason else UP, reason, recent)


def event_kind(before: Standing, after: Standing) -> str:
    """The event for a change of state; empty when there is nothing to tell."""
    if before.state == after.state or (before.state, after.state) == (WAITING, UP):
        return ""
    return {DOWN: "source.lost", DEGRADED: "source.degraded", UP: "source.restored"}.get(
        after.state, ""
    )


def _trouble(sight: Sight, losses: tuple[float, ...]) -> str:
    frames = sight.usable + sight.unusable
    if frames >= FRAMES_LEAST and sight.unusable > UNUSABLE_MANY * frames:
        return f"{sight.unusable} of the last {frames} frames cannot be used"
    if sight.stall_s is not None and sight.silent_s > sight.stall_s / 2:
        return f"no frame for {sight.silent_s:.1f} s"
    if len(losses) >= LOSSES_MANY:
        return f"gives frames, but was lost {len(losses)} times in the last 10 minutes"
    return ""
