"""The cumulative counters of ``up/metrics/system``: pure functions, one per part of the agent."""

from __future__ import annotations

from edge_agent.loop.camera import FrameCounts
from edge_agent.telemetry.outbox import Outbox


def frame_totals(
    frames: FrameCounts, *, during_swap: int, swaps: int, calls: int
) -> dict[str, int]:
    """The cumulative counters of ``up/metrics/system``; ``calls`` are runs of the networks."""
    return {
        "frames_captured_total": frames.captured,
        "frames_inferred_total": frames.inferred,
        "frames_skipped_total": frames.skipped,
        "frames_dropped_total": frames.dropped,
        "frames_errors_total": frames.errors,
        "frames_dropped_during_swap_total": during_swap,
        "swaps_total": swaps,
        "inference_calls_total": calls,
    }


def api_totals(calls: int) -> dict[str, int | float]:
    """What the page adds to ``up/metrics/system``: questions by programs."""
    return {"api_calls_total": calls}


def feedback_totals(lost: int) -> dict[str, int | float]:
    """What the ring for inspectors adds: frames that it has not kept."""
    return {"feedback_frames_lost_total": lost}


def start_totals(starts: int, unclean: int) -> dict[str, int | float]:
    """How often the agent was started on this device, and did not end by itself."""
    return {"agent_starts_total": starts, "agent_unclean_ends_total": unclean}


def outbox_totals(outbox: Outbox, lost: int) -> dict[str, int]:
    """What waits, and what became of messages, since the outbox was made (``lost``: this run)."""
    counts = {name.replace("-", "_"): count for name, count in outbox.counts().items()}
    return {
        "outbox_waiting": len(outbox),
        "outbox_aside": outbox.aside,
        "outbox_bytes": outbox.size_bytes,
        "outbox_dropped_total": outbox.dropped,
        **{f"outbox_{name}_total": count for name, count in counts.items()},
        "telemetry_lost_total": lost,
    }
