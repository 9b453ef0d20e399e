"""What one release did since the window began: counted frame by frame, summed up at its end.

A `WindowCounter` belongs to one loaded release, so a window never mixes two. Counting is O(1) per
frame (fixed buckets, fixed bins); several cameras may count into one counter.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from edge_agent.detection.decode import Floats, Limit
from edge_agent.detection.detector import Result
from edge_agent.gate import Verdict
from edge_agent.monitors.boxes import BoxSums, Cut, cut
from edge_agent.monitors.histogram import Counts, Histograms
from edge_agent.monitors.latency import Stages
from edge_agent.monitors.observe import observe_input, observe_output, picture_values
from edge_agent.monitors.outliers import Usual
from edge_agent.monitors.scores import ScoreTally
from edge_agent.monitors.sketch import Sketch
from edge_agent.monitors.slices import SliceCounts

_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass
class CameraTally:
    """What one camera's frames were in this window.

    Attributes:
        histograms: of outputs and pictures.
        seen: frames.
        skipped: kept from the model.
        rejected: failed a check that matters.
        ssim_min: the least.
        sums: feature -> sum of its values, and how many there were; of frames that are pictures.
        outliers, compared: frames like none of the profile's pictures, of so many.
        checks: check -> its scores.
        outputs: what was reported in its frames, without those that the gate rejected.
        boxes: what its reported boxes were like, of the same frames.
    """

    histograms: Histograms
    outputs: SliceCounts
    boxes: BoxSums
    seen: int = 0
    skipped: int = 0
    rejected: int = 0
    ssim_min: float = math.inf
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    outliers: int = 0
    compared: int = 0
    checks: dict[str, ScoreTally] = field(default_factory=dict)

    def look(self, verdict: Verdict) -> dict[str, float]:
        """Count one frame's picture; its values by feature."""
        self.seen += 1
        self.rejected += not verdict.passed
        for check in verdict.checks:
            tally = self.checks.get(check.name)
            if tally is None:
                tally = self.checks[check.name] = ScoreTally()
            tally.add(check.score, check.failed)
        values = picture_values(verdict.statistics, verdict.ssim)
        if verdict.ssim is not None:
            self.ssim_min = min(self.ssim_min, verdict.ssim)
        self.measure(values)
        return values

    def measure(self, values: Mapping[str, float]) -> None:
        """Count values of a frame by feature; NaN is not counted."""
        observe_input(self.histograms, values)
        for name, value in values.items():
            if value == value:
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = total + value, count + 1

    def compare(self, outlier: bool | None) -> None:
        """Count whether a frame is like none of the profile's; None is not known."""
        if outlier is not None:
            self.compared += 1
            self.outliers += outlier


@dataclass
class WindowReport:
    """One window of one release.

    Attributes:
        inferred, skipped, errors, nonfinite: frames by outcome.
        reported: boxes above the limit from which they are reported, per class.
        near, candidates: detections near that limit, and those from just below it upwards.
        saturated: detections with a score of exactly 1: the number format has come to its end.
        outside: detections without area inside the picture: the network's box lay beside it, or
            had no size.
        kept: detections down to the floor.
        latency: preprocess + inference + postprocess of each inferred frame.
        stages: each stage by itself.
        cameras: what each camera saw. The outputs in them leave out the frames that the gate
            rejected: a dirty lens must not look like a drifting model.
    """

    classes: int
    inferred: int = 0
    skipped: int = 0
    errors: int = 0
    nonfinite: int = 0
    near: int = 0
    candidates: int = 0
    saturated: int = 0
    outside: int = 0
    kept: int = 0
    latency: Sketch = field(default_factory=Sketch)
    stages: Stages = field(default_factory=Stages)
    cameras: dict[str, CameraTally] = field(default_factory=dict)
    reported: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.reported = np.zeros(self.classes, np.int64)

    @property
    def detections(self) -> int:
        """Boxes that were reported."""
        return int(self.reported.sum())

    def camera(self, name: str) -> CameraTally:
        """The tally of a camera, begun when it is first seen."""
        if name not in self.cameras:
            classes = self.classes
            self.cameras[name] = CameraTally(
                Histograms(classes), SliceCounts(classes), BoxSums(classes)
            )
        return self.cameras[name]

    def merged(self) -> Histograms:
        """The histograms of all cameras together."""
        whole = Histograms(self.classes)
        for tally in self.cameras.values():
            whole.merge(tally.histograms)
        return whole

    def outputs(self) -> SliceCounts:
        """What all cameras together reported."""
        whole = SliceCounts(self.classes)
        for tally in self.cameras.values():
            whole.merge(tally.outputs)
        return whole

    def add_result(self, result: Result, found: Cut) -> None:
        """Count what a frame cost and gave; ``found`` are its detections, cut at the limit."""
        self.inferred += 1
        self.nonfinite += result.nonfinite
        self.latency.add(result.total_ms)
        self.stages.add(result)
        if not len(result.detections):
            return
        self._look(result.detections)
        self.candidates += found.candidates
        self.near += found.near
        if found.boxes is not None:
            self.reported += found.boxes

    def _look(self, detections: Floats) -> None:
        """Count what no sound network gives; scores are sorted, so the first is the largest."""
        self.kept += len(detections)
        if detections[0, 4] >= 1.0:
            self.saturated += int(np.count_nonzero(detections[:, 4] >= 1.0))
        flat = detections[:, 2:4] <= detections[:, :2]
        if flat.any():
            self.outside += int(np.count_nonzero(flat.any(axis=1)))


class WindowCounter:
    """Counts into the present window; `close` hands it over and begins the next.

    Args:
        classes: of the model.
        confidence: the manifest's, by which its profile was counted and the histograms are.
        limit: from which score detections are reported here; None is the confidence.
        usual: what the profile's pictures were like; None where it is not known.
    """

    def __init__(
        self,
        classes: int,
        confidence: float,
        limit: Limit | None = None,
        usual: Usual | None = None,
    ) -> None:
        self._classes = classes
        self._confidence = confidence
        self._limit = confidence if limit is None else limit
        self._usual = usual
        self._lock = threading.Lock()
        self._report = WindowReport(classes)

    def skipped(self, camera: str, verdict: Verdict, gate_ms: float) -> None:
        """A frame that the gate kept from the model."""
        with self._lock:
            self._report.skipped += 1
            self._report.stages.gate.add(gate_ms)
            tally = self._report.camera(camera)
            tally.skipped += 1
            tally.look(verdict)

    def inferred(
        self,
        camera: str,
        verdict: Verdict | None,
        result: Result,
        *,
        size: tuple[int, int],
        gate_ms: float = math.nan,
        capture_ms: float = math.nan,
        end_to_end_ms: float = math.nan,
        embedded: Mapping[str, float] = _NOTHING,
    ) -> None:
        """A frame that the model judged.

        Args:
            camera: id.
            verdict: the gate's, None where there is no gate.
            result: the detector's.
            size: width and height of the picture in pixels.
            gate_ms: what the gate took; NaN, like the next two, when it is not known.
            capture_ms: from the time of capture until the frame was taken to be judged.
            end_to_end_ms: from the time of capture until now.
            embedded: features of its embedding; empty without one.
        """
        with self._lock:
            stages = self._report.stages
            stages.gate.add(gate_ms)
            stages.capture.add(capture_ms)
            stages.end_to_end.add(end_to_end_ms)
            found = cut(result.detections, self._limit, self._classes)
            self._report.add_result(result, found)
            tally = self._report.camera(camera)
            values = {} if verdict is None else tally.look(verdict)
            if verdict is None or verdict.passed:
                tally.outputs.add(found.boxes)
                tally.boxes.add(found, size)
                tally.measure(embedded)
                if self._usual is not None:
                    if verdict is not None and verdict.reference:
                        # Likeness to the camera's own reference: the profile knows another one.
                        values.pop("ssim", None)
                    tally.compare(self._usual.outlier({**values, **embedded}))
                self._observe(tally.histograms, result.detections, size)

    def _observe(self, histograms: Histograms, detections: Floats, size: tuple[int, int]) -> None:
        width, height = size
        observe_output(
            histograms, detections, confidence=self._confidence, width=width, height=height
        )

    def error(self) -> None:
        """A frame that ended in an exception."""
        with self._lock:
            self._report.errors += 1

    def close(self) -> WindowReport:
        """The window so far; counting goes on in a new one."""
        with self._lock:
            report, self._report = self._report, WindowReport(self._classes)
        return report
