"""From counted windows to what is sent and written: pure functions, one per document."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from edge_agent.drift.distances import distances
from edge_agent.drift.scan import SCALES
from edge_agent.drift.skew import SkewVerdict
from edge_agent.drift.watch import DriftWatch, Judged
from edge_agent.health import Window
from edge_agent.loop.camera import CameraReport, FrameCounts
from edge_agent.metrics import (
    METRICS_CAMERA,
    METRICS_CLASSES,
    METRICS_DRIFT,
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_SLICES,
    METRICS_SYSTEM,
    Message,
    numbers,
)
from edge_agent.monitors.histogram import INPUT_FEATURES, OUTPUT_FEATURES, Counts, quantile
from edge_agent.monitors.latency import Speed, quantiles, stage_values
from edge_agent.monitors.slices import Difference, SliceHistory
from edge_agent.monitors.windows import CameraTally, WindowReport
from edge_agent.sources.screen import DROPS, NOTES, UNUSABLE
from edge_agent.sources.state import LEVELS

_NO_SKEWS: Mapping[str, SkewVerdict] = MappingProxyType({})
_PREFIXES = {DROPS: "dropped", UNUSABLE: "unusable", NOTES: "seen"}


def health_window(
    report: WindowReport,
    frames: FrameCounts,
    *,
    seq: int,
    at: float,
    release: str,
    provider_ok: bool,
    rss_mb: float,
) -> Window:
    """The window as the updater reads it.

    Args:
        report: what was counted.
        frames: captured and dropped in this window.
        seq: window number of this process.
        at: wall-clock seconds at its end.
        release: digest that ran.
        provider_ok: whether the active provider is the wanted one.
        rss_mb: resident memory.
    """
    histograms = report.merged()
    return Window(
        seq=seq,
        at=at,
        release=release,
        captured=frames.captured,
        inferred=report.inferred,
        skipped=report.skipped,
        dropped=frames.dropped,
        errors=report.errors,
        nonfinite=report.nonfinite,
        detections=report.detections,
        latency_p50_ms=round(report.latency.quantile(0.5), 3),
        latency_p95_ms=round(report.latency.quantile(0.95), 3),
        provider_ok=provider_ok,
        rss_mb=rss_mb,
        counts={name: histograms.counts[name].tolist() for name in OUTPUT_FEATURES},
    )


def system_message(
    reading: Mapping[str, float | int],
    speed: Speed,
    totals: Mapping[str, int | float],
    *,
    seconds: float,
) -> Message:
    """``up/metrics/system``: the device, speed, and frames by outcome since the start."""
    values: dict[str, float | int | None] = {
        "window_s": round(seconds, 3),
        "throughput_fps": speed.inferred / seconds if seconds > 0 else None,
        "latency_mean_ms": speed.latency.mean_ms if speed.latency.count else None,
    }
    values |= quantiles("latency", speed.latency) | quantiles("end_to_end", speed.end_to_end)
    return Message(METRICS_SYSTEM, {**_rounded(values), **reading, **totals})


def input_message(
    model: str, camera: str, tally: CameraTally, skew: SkewVerdict | None = None
) -> Message:
    """``up/metrics/input``: what one camera saw in this window, and its last skew."""
    seen = tally.seen
    ssim = tally.histograms.counts["ssim"]
    values: dict[str, float | int | None] = {"frames": seen}
    if seen:
        values |= {
            "skipped": tally.skipped,
            "skipped_share": tally.skipped / seen,
            "rejected_share": tally.rejected / seen,
        }
    values |= {name: total / count for name, (total, count) in tally.sums.items() if name != "ssim"}
    if tally.compared:
        values |= {"outliers": tally.outliers, "outlier_share": tally.outliers / tally.compared}
    values |= _skewed(skew, INPUT_FEATURES)
    if ssim.sum():
        # Inside a bin the quantile is interpolated; it is never below the exact minimum.
        values["ssim_p50"] = max(quantile(ssim, "ssim", 0.5), tally.ssim_min)
        values["ssim_min"] = tally.ssim_min
    for name, scores in tally.checks.items():
        values |= {
            f"{name}_rejected": scores.failed,
            f"{name}_score_p50": scores.quantile(0.5),
            f"{name}_score_p95": scores.quantile(0.95),
            f"{name}_score_max": scores.most,
        }
    return Message(METRICS_INPUT, {"model": model, "camera": camera, **_rounded(values)})


def camera_message(report: CameraReport) -> Message:
    """``up/metrics/camera``: whether a source lives, and its frames by outcome since the start."""
    values: dict[str, float | int | None] = {
        "camera_up": LEVELS.get(report.standing.state),
        "captured_total": report.captured,
        "openings_total": report.openings,
        "losses_recent": len(report.standing.losses),
    }
    for outcomes, prefix in _PREFIXES.items():
        if outcomes is not NOTES:  # a frame may have several of those
            values[f"{prefix}_total"] = sum(report.outcomes.get(name, 0) for name in outcomes)
        for name in outcomes:
            if name in report.outcomes:
                values[f"{prefix}_{name}_total"] = report.outcomes[name]
    return Message(METRICS_CAMERA, {"camera": report.camera, **_rounded(values)})


def output_message(
    model: str,
    classes: tuple[str, ...],
    report: WindowReport,
    drift: DriftWatch,
    said: Mapping[str, int | None],
) -> Message:
    """``up/metrics/output``: what the model said in this window, and PSI against the profile.

    Args:
        model: its name.
        classes: its classes' names.
        report: what was counted.
        drift: the watch after this window.
        said: of `judgement`.
    """
    inferred = report.inferred
    values: dict[str, float | int | None] = {
        "inferred": inferred,
        "errors": report.errors,
        "nonfinite": report.nonfinite,
        "detections": report.detections,
        "saturated": report.saturated,
        "outside": report.outside,
        "drift_block_frames": drift.skew.frames,
    }
    if drift.cameras:
        samples, needed = min((one.progress for one in drift.cameras.values()), key=_share)
        values |= {"drift_samples": samples, "drift_samples_needed": needed}
    if inferred:
        values |= {
            "detections_per_frame": report.detections / inferred,
            "near_threshold_share": report.near / report.candidates if report.candidates else None,
        }
    outputs = report.outputs()
    if outputs.frames:
        values["empty_share"] = outputs.empty / outputs.frames
    values |= stage_values(report.stages)
    values |= class_counts(classes, report.reported)
    values |= said
    skew = drift.skew.verdict
    if skew.frames:
        values["psi_frames"] = skew.frames
        values |= _skewed(skew, OUTPUT_FEATURES)
    return Message(METRICS_OUTPUT, {"model": model, **_rounded(values)})


def judgement(
    *,
    selftest: bool | None,
    provider_ok: bool,
    drifted: bool,
    withheld: bool,
    concept: bool = False,
) -> dict[str, int | None]:
    """What the agent holds of a model, for ``up/metrics/output``: 1 is yes, 0 is no.

    Args:
        selftest: whether the live engine reproduced its golden frames; None before it was asked.
        provider_ok: whether the wanted provider runs it.
        drifted: whether output drift is suspected.
        withheld: whether a rule keeps its detections back.
        concept: whether outputs drifted while nothing of the pictures did.
    """
    return {
        "selftest_failed": None if selftest is None else int(not selftest),
        "provider_ok": int(provider_ok),
        "drift_suspected": int(drifted),
        "concept_drift_suspected": int(concept),
        "withheld": int(withheld),
    }


def classes_message(
    model: str,
    camera: str,
    classes: tuple[str, ...],
    tally: CameraTally,
    skew: SkewVerdict | None = None,
) -> Message:
    """``up/metrics/classes``: what the model reported in one camera's frames in this window."""
    outputs, boxes = tally.outputs, tally.boxes
    found = int(outputs.boxes.sum())
    values: dict[str, float | int | None] = {"frames": outputs.frames, "detections": found}
    if outputs.frames:
        values["empty_share"] = outputs.empty / outputs.frames
        values["detections_per_frame"] = found / outputs.frames
    if boxes.candidates:
        values["near_threshold_share"] = boxes.near / boxes.candidates
    values |= boxes.means() | class_counts(classes, outputs.boxes)
    for name, total, count in zip(
        classes, boxes.scores.tolist(), boxes.boxes.tolist(), strict=True
    ):
        if count:
            values[f"score_{_key(name)}"] = total / count
    values |= _skewed(skew, OUTPUT_FEATURES)
    return Message(METRICS_CLASSES, {"model": model, "camera": camera, **_rounded(values)})


def slices_message(model: str, dimension: str, difference: Difference, hours: int) -> Message:
    """``up/metrics/slices``: where the model's words differ most between cameras or shifts.

    Args:
        model: name.
        dimension: what was compared, ``camera``, ``shift`` or ``time``.
        difference: the largest.
        hours: that were looked at.
    """
    names = {"of": difference.of, "high": difference.high, "low": difference.low}
    values: dict[str, float | int | None] = {
        "difference": difference.value,
        "difference_least": difference.interval.low,
        "difference_most": difference.interval.high,
        "high_rate": difference.high_rate,
        "low_rate": difference.low_rate,
        "sure": int(difference.sure),
        "compared": difference.compared,
        "frames": difference.frames,
        "hours": hours,
    }
    return Message(
        METRICS_SLICES, {"model": model, "dimension": dimension, **names, **_rounded(values)}
    )


def slice_messages(
    model: str,
    history: SliceHistory,
    report: WindowReport,
    *,
    at: float,
    skews: Mapping[str, SkewVerdict] = _NO_SKEWS,
) -> list[Message]:
    """What each camera's frames gave in this window; once an hour, the largest differences.

    Args:
        model: name.
        history: of the release, into which the window is counted.
        report: the window.
        at: wall-clock seconds at its end.
        skews: camera -> its last comparison with the profile.
    """
    outputs = {name: tally.outputs for name, tally in report.cameras.items()}
    messages = [
        classes_message(model, name, history.classes, tally, skews.get(name))
        for name, tally in report.cameras.items()
    ]
    hour, local, hours = int(at // 3600), time.localtime(at).tm_hour, history.hours
    for dimension, difference in history.add(outputs, hour=hour, local_hour=local).items():
        messages.append(slices_message(model, dimension, difference, hours))
    return messages


def _share(progress: tuple[int, int]) -> tuple[int, float]:
    """What is least far: a baseline, which needs more, before a verdict."""
    samples, needed = progress
    return -needed, samples / needed


def drift_message(model: str, judged: Judged) -> Message:
    """``up/metrics/drift``: what one block of a camera said, against the camera's own past.

    Per feature the rate at which chance begins to look like it, the effect, and distances over the
    window in which it looked the most unlike.
    """
    history = judged.history
    values: dict[str, float | int | None] = {
        "samples": history.samples,
        "baseline_samples": history.baseline.samples,
        "baseline_complete": int(history.baseline.complete),
        "raised": int(bool(judged.after.raised)),
    }
    for feature, one in zip(history.layout.features, judged.verdict.findings, strict=True):
        window = history.window(min(one.blocks, len(history.ring)) or SCALES[0])
        measured = distances(feature, history.baseline, window)
        values |= {f"{name}_{feature.name}": value for name, value in measured.items()}
        values |= {f"chance_{feature.name}": one.rate, f"effect_{feature.name}": one.effect}
    return Message(METRICS_DRIFT, {"model": model, "camera": judged.camera, **_rounded(values)})


def class_counts(classes: tuple[str, ...], reported: Counts) -> dict[str, float | int | None]:
    """``class_<name>``: boxes that were reported per class; spaces become underscores."""
    return {
        f"class_{_key(name)}": count for name, count in zip(classes, reported.tolist(), strict=True)
    }


def _key(name: str) -> str:
    """A class's name as a part of a field's; spaces become underscores."""
    return name.replace(" ", "_")


def _skewed(skew: SkewVerdict | None, features: Sequence[str]) -> dict[str, float | int | None]:
    """``psi_<feature>`` and ``psi_limit_<feature>`` of a comparison with the profile, if any."""
    values: dict[str, float | int | None] = {}
    for name in features:
        if skew is not None and name in skew.psi:
            values[f"psi_{name}"] = skew.psi[name]
            values[f"psi_limit_{name}"] = skew.limits[name]
    return values


def _rounded(values: Mapping[str, float | int | None]) -> dict[str, float | int]:
    """Finite values only; five significant digits are more than any of them has."""
    return {
        name: value if isinstance(value, int) else _significant(value)
        for name, value in numbers(values).items()
    }


def _significant(value: float) -> float:
    if value == 0.0:
        return 0.0
    return round(value, 5 - math.ceil(math.log10(abs(value))))
