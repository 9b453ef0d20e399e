"""`python -m benchmarks.drift`: false alarms of cameras that do not change, and what is found when.

False alarms: each device-month is a camera of its own that is commissioned and then watched for 30
days. Beside it, what is often done: PSI of every 3,000 frames in a row against the first 20,000,
an alarm when it begins to be above 0.2, on stretches of the same cameras' frames.

Power: a camera with a complete baseline changes; how many blocks until the alarm. Theory is the
least number of blocks at which one test of the feature, made once, finds the change in 90 of 100
cases at the same false alarms per block: normal theory on the values themselves for scores and box
sizes, the noncentral chi-square distribution for the mix of classes. It is given twice: for one
that watches as many features, each at its share of the alarms, and for one that knows beforehand
which feature, and which class, will change.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.drift_clips import Recording, Replay, record
from benchmarks.drift_months import Months, Pace, alarms
from benchmarks.drift_streams import BOXES, CLASSES, SPREAD, Change, Stream
from deploy.demo.line import clips
from edge_agent.console import table
from edge_agent.drift.budget import MONTH_S, budget_of
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import RING
from edge_agent.drift.layout import FEATURES, Layout
from edge_agent.drift.sampling import LEAST_SPACING_S, TIMES
from edge_agent.drift.scan import SCALES
from edge_agent.monitors.psi import psi

DAY_S = 86400.0
Counts = npt.NDArray[np.int64]
PSI_FRAMES, PSI_REFERENCE, PSI_MOST = 3000, 20_000, 0.2
LONGEST = 96  # blocks that a change has to be found in
POWER = 0.9
CHANGES = {
    "score_half_sigma": Change(score_sigma=-0.5),
    "box_size_15_percent": Change(box_scale=1.15),
    "class_share_0.4_by_20_percent": Change(share=(0, 1.2)),
    "class_share_0.3_by_20_percent": Change(share=(1, 1.2)),
    "class_share_0.2_by_20_percent": Change(share=(2, 1.2)),
}


@dataclass(frozen=True)
class Device:
    """What is simulated.

    Attributes:
        rho: correlation of neighbouring frames.
        fps: frames per second.
        knob: false alarms per month.
        cameras: that share the knob.
        together: whether all of them change, or only the first.
        recording: the clips whose frames they show instead; None for the AR(1) process.
    """

    rho: float
    fps: float
    knob: float
    cameras: int = 1
    together: bool = False
    recording: Recording | None = None

    @property
    def layout(self) -> Layout:
        """Of the counts."""
        return self.recording.layout if self.recording is not None else Layout(len(CLASSES))

    @property
    def step(self) -> int:
        """Frames from one that counts to the next, as the device spaces them."""
        if self.recording is not None:
            return math.ceil(self.recording.spacing_s * self.fps)
        independent = (1 + self.rho) / (1 - self.rho)
        return math.ceil(max(LEAST_SPACING_S * self.fps, TIMES * independent))

    @property
    def pace(self) -> Pace:
        """How fast its blocks come."""
        return Pace(BLOCK * self.step / self.fps, DAY_S)

    def usual(self, number: int, seed: np.random.SeedSequence) -> Counts:
        """(number, size) counts of the first blocks of a camera that does not change."""
        rng = np.random.default_rng(seed)
        if self.recording is not None:
            return Replay(self.recording, self.step, rng).blocks(number)
        return Stream(self.layout, self.rho**self.step, rng).blocks(number, Change())


def month(device: Device, seed: np.random.SeedSequence) -> int:
    """False alarms of one device in 30 days after the first baselines of its cameras."""
    pace = device.pace
    since = pace.first + SCALES[0] - 1
    until = since + pace.month
    chances = [
        Months(device.layout, device.usual(until, one), pace).chances(since, until)
        for one in seed.spawn(device.cameras)
    ]
    return sum(1 for _ in alarms(chances, pace.block_s, device.knob))


def plain_month(device: Device, hours: float, seed: np.random.SeedSequence) -> float:
    """Alarms per month of plain PSI, from so many hours of every frame of one camera."""
    layout, rng = device.layout, np.random.default_rng(seed)
    windows = max(1, round(hours * 3600 * device.fps / PSI_FRAMES))
    if device.recording is not None:
        replay = Replay(device.recording, 1, rng)
        reference, shown = replay.blocks(1, PSI_REFERENCE)[0], replay.blocks(windows, PSI_FRAMES)
    else:
        stream = Stream(layout, device.rho, rng)
        reference = stream.blocks(1, Change(), PSI_REFERENCE)[0]
        shown = stream.blocks(windows, Change(), PSI_FRAMES)
    told, before = 0, False
    for counts in shown:
        values = [psi(reference[f.place], counts[f.place]) for f in layout.features]
        above = max(value for value in values if value is not None) > PSI_MOST
        told += above and not before
        before = above
    return told * MONTH_S * device.fps / (windows * PSI_FRAMES)


def found_after(device: Device, change: Change, seed: np.random.SeedSequence) -> int:
    """Blocks from the change to the first camera's alarm, `LONGEST` + 1 when there is none."""
    pace = device.pace
    since = pace.full + 2 * RING
    chances = []
    for camera, one in enumerate(seed.spawn(device.cameras)):
        rng = np.random.default_rng(one)
        stream = Stream(device.layout, device.rho**device.step, rng)
        after = change if device.together or not camera else Change()
        counts = np.concatenate([stream.blocks(since, Change()), stream.blocks(LONGEST, after)])
        chances.append(Months(device.layout, counts, pace).chances(since, len(counts)))
    told = (block for block, camera in alarms(chances, pace.block_s, device.knob) if not camera)
    return next(told, LONGEST) + 1


def theory(device: Device, change: Change, *, knowing: bool) -> int:
    """Blocks that one test, made once at the same false alarms per block, needs for 90 of 100.

    Args:
        device: gives the budget and the length of the baseline.
        change: what is to be found.
        knowing: whether camera, feature and class that change are known beforehand.
    """
    pace = device.pace
    alpha, baseline = budget_of(device.knob, pace.block_s), pace.full * BLOCK
    alpha /= 1 if knowing else len(FEATURES) * device.cameras
    freedom = 1 if knowing else len(CLASSES) - 1
    boxes = 1 - math.exp(-BOXES)  # shares of frames that have one
    for blocks in range(SCALES[0], 100 * LONGEST):
        n, m = baseline * boxes, blocks * BLOCK * boxes
        if _power(change, n * m / (n + m), m / (n + m), alpha, freedom) >= POWER:
            return blocks
    raise ValueError("the baseline is too short for this change at any window")


def _power(change: Change, worth: float, window: float, alpha: float, freedom: int) -> float:
    """Power of a two-sided test with so many samples' worth; ``window`` is its share of them."""
    index, factor = change.share
    if factor != 1.0:
        before, after = CLASSES[index], CLASSES[index] * factor
        pooled = before * (1 - window) + after * window
        distance = worth * (after - before) ** 2 / (pooled * (1 - pooled))
        return float(stats.ncx2.sf(stats.chi2.isf(alpha, freedom), freedom, distance))
    shift = abs(change.score_sigma) or math.log(change.box_scale) / SPREAD
    return float(stats.norm.sf(stats.norm.isf(alpha / 2) - shift * math.sqrt(worth)))


def power(device: Device, seeds: Sequence[np.random.SeedSequence], jobs: int) -> dict[str, object]:
    """Name of the change -> what was needed to find it, beside theory."""
    made: dict[str, object] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for name, change in CHANGES.items():
            least, knowing = (theory(device, change, knowing=one) for one in (False, True))
            needed = np.array(list(pool.map(found_after, repeat(device), repeat(change), seeds)))
            p10, p50, p90 = np.quantile(needed, (0.1, 0.5, 0.9), method="inverted_cdf").tolist()
            made[name] = {
                "theory_blocks": least,
                "theory_blocks_knowing": knowing,
                "blocks_p10": p10,
                "blocks_p50": p50,
                "blocks_p90": p90,
                "p90_over_theory": round(p90 / least, 3),
                "p90_over_knowing": round(p90 / knowing, 3),
                "found_within_theory": round(float((needed <= least).mean()), 3),
                "found_within_1.5_theory": round(float((needed <= 1.5 * least).mean()), 3),
                "not_found": int((needed > LONGEST).sum()),
            }
    return made


def run(options: argparse.Namespace) -> dict[str, object]:
    """Everything, as the document that ``--json`` prints."""
    recording = record(options.jobs) if options.clips else None
    fps = clips.FPS if options.clips else options.fps
    device = Device(options.rho, fps, options.knob, options.cameras, options.together, recording)
    root = np.random.SeedSequence(options.seed)
    ours, plain, changed = (
        root.spawn(number) for number in (options.device_months,) * 2 + (options.trials,)
    )
    with ProcessPoolExecutor(options.jobs) as pool:
        told = list(pool.map(month, repeat(device), ours))
        naive = list(pool.map(plain_month, repeat(device), repeat(options.plain_hours), plain))
    return {
        "alarms_per_device_month": float(np.mean(told)),
        "plain_psi_alarms_per_device_month": round(float(np.mean(naive)), 4),
        "power": power(device, changed, options.jobs) if changed and not options.clips else {},
        "alarms": int(np.sum(told)),
        "devices_with_alarms": int(np.count_nonzero(told)),
        "frames": "clips" if options.clips else "ar1",
        "rho": None if options.clips else device.rho,
        "fps": device.fps,
        "knob": device.knob,
        "cameras": device.cameras,
        "together": device.together,
        "spacing_s": device.step / device.fps,
        "block_s": device.pace.block_s,
        "left_correlation": None if options.clips else device.rho**device.step,
        "device_months": options.device_months,
        "plain_psi_hours_per_device": options.plain_hours,
        "trials": options.trials,
        "seed": options.seed,
    }


def render(document: Mapping[str, object]) -> str:
    """For a person."""
    found = document["power"]
    rows = [[name, *one.values()] for name, one in found.items()] if isinstance(found, dict) else []
    head = (
        f"alarms per device-month: {document['alarms_per_device_month']:.3f}, {document['alarms']}"
        f" at {document['devices_with_alarms']} of {document['device_months']} (plain PSI > 0.2:"
        f" {document['plain_psi_alarms_per_device_month']:.1f}); a block takes"
        f" {document['block_s']:.0f} s"
    )
    names = [
        "change",
        "theory",
        "knowing",
        "p10",
        "p50",
        "p90",
        "p90/theory",
        "p90/knowing",
        "in theory",
        "in 1.5",
        "missed",
    ]
    return head + ("\n" + table(names, rows) if rows else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--rho", type=float, default=0.99, help="of neighbouring frames")
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--device-months", type=int, default=200)
    parser.add_argument("--knob", type=float, default=1.0, help="false alarms per month")
    parser.add_argument("--cameras", type=int, default=1, help="that share the knob")
    parser.add_argument("--together", action="store_true", help="all cameras change, not only one")
    parser.add_argument("--clips", action="store_true", help="the demo's clean clips, not AR(1)")
    parser.add_argument("--trials", type=int, default=100, help="of each change")
    parser.add_argument("--plain-hours", type=float, default=4.0, help="per device, of plain PSI")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 <= options.rho < 1 or min(options.fps, options.knob, options.cameras) <= 0:
        parser.error("rho should be in [0, 1), fps, the knob and the cameras above 0")
    document = run(options)
    print(json.dumps(document, indent=2) if options.json else render(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
