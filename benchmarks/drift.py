"""`python -m benchmarks.drift`: false alarms of cameras that do not change, and what is found when.

False alarms: each device-month is a camera of its own that is commissioned and then watched for 30
days. Beside it, what is often done: PSI of every 3,000 frames in a row against the first 20,000,
an alarm when it begins to be above 0.2, on stretches of the same cameras' frames.

Power: a camera with a complete baseline changes; how many blocks until the alarm. Theory is the
least number of blocks at which one test of the one feature that changes, made once, finds it in
90 of 100 cases at the same false alarms per block: normal theory on the values themselves for
scores and box sizes, the noncentral chi-square distribution for the share of a class.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat

import numpy as np
from scipy import stats

from benchmarks.drift_months import Months, Pace
from benchmarks.drift_streams import BOXES, CLASSES, SPREAD, Change, Stream
from edge_agent.console import table
from edge_agent.drift.history import MONTH_S, RING, Rules
from edge_agent.drift.layout import Layout
from edge_agent.drift.sampling import LEAST_SPACING_S, TIMES
from edge_agent.drift.scan import SCALES
from edge_agent.drift.verdict import BLOCK
from edge_agent.monitors.psi import psi

DAY_S = 86400.0
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
class Camera:
    """What is simulated.

    Attributes:
        rho: correlation of neighbouring frames.
        fps: frames per second.
        knob: false alarms per month.
    """

    rho: float
    fps: float
    knob: float

    @property
    def step(self) -> int:
        """Frames from one that counts to the next, as the device spaces them."""
        independent = (1 + self.rho) / (1 - self.rho)
        return math.ceil(max(LEAST_SPACING_S * self.fps, TIMES * independent))

    @property
    def pace(self) -> Pace:
        """How fast its blocks come."""
        return Pace(BLOCK * self.step / self.fps, Rules(self.knob, DAY_S))


def month(camera: Camera, seed: np.random.SeedSequence) -> int:
    """False alarms of one camera in 30 days after its first baseline."""
    layout, pace = Layout(len(CLASSES)), camera.pace
    stream = Stream(layout, camera.rho**camera.step, np.random.default_rng(seed))
    since = pace.first + SCALES[0] - 1
    until = since + round(MONTH_S / pace.block_s)
    months = Months(layout, stream.blocks(until, Change()), pace)
    return sum(1 for _ in months.alarms(since, until))


def plain_month(camera: Camera, hours: float, seed: np.random.SeedSequence) -> float:
    """Alarms per month of plain PSI, from so many hours of every frame of one camera."""
    layout = Layout(len(CLASSES))
    stream = Stream(layout, camera.rho, np.random.default_rng(seed))
    reference = stream.blocks(1, Change(), PSI_REFERENCE)[0]
    windows = max(1, round(hours * 3600 * camera.fps / PSI_FRAMES))
    alarms, before = 0, False
    for counts in stream.blocks(windows, Change(), PSI_FRAMES):
        values = [psi(reference[f.place], counts[f.place]) for f in layout.features]
        above = max(value for value in values if value is not None) > PSI_MOST
        alarms += above and not before
        before = above
    return alarms * MONTH_S * camera.fps / (windows * PSI_FRAMES)


def found_after(camera: Camera, change: Change, seed: np.random.SeedSequence) -> int:
    """Blocks from the change to the alarm, `LONGEST` + 1 when there is none."""
    layout, pace = Layout(len(CLASSES)), camera.pace
    stream = Stream(layout, camera.rho**camera.step, np.random.default_rng(seed))
    usual = stream.blocks(pace.full + 2 * RING, Change())
    counts = np.concatenate([usual, stream.blocks(LONGEST, change)])
    raised = next(Months(layout, counts, pace).alarms(len(usual), len(counts)), None)
    return LONGEST + 1 if raised is None else raised - len(usual) + 1


def theory(camera: Camera, change: Change) -> int:
    """Blocks that one test, made once at the same false alarms per block, needs for 90 of 100."""
    pace = camera.pace
    alpha, baseline = pace.rules.budget(pace.block_s), pace.full * BLOCK
    boxes = 1 - math.exp(-BOXES)  # shares of frames that have one
    for blocks in range(SCALES[0], 100 * LONGEST):
        n, m = baseline * boxes, blocks * BLOCK * boxes
        if _power(change, n * m / (n + m), m / (n + m), alpha) >= POWER:
            return blocks
    raise ValueError("the baseline is too short for this change at any window")


def _power(change: Change, worth: float, window: float, alpha: float) -> float:
    """Power of a two-sided test with so many samples' worth; ``window`` is its share of them."""
    index, factor = change.share
    if factor != 1.0:
        before, after = CLASSES[index], CLASSES[index] * factor
        pooled = before * (1 - window) + after * window
        distance = worth * (after - before) ** 2 / (pooled * (1 - pooled))
        return float(stats.ncx2.sf(stats.chi2.isf(alpha, 1), 1, distance))
    shift = abs(change.score_sigma) or math.log(change.box_scale) / SPREAD
    return float(stats.norm.sf(stats.norm.isf(alpha / 2) - shift * math.sqrt(worth)))


def power(camera: Camera, seeds: Sequence[np.random.SeedSequence], jobs: int) -> dict[str, object]:
    """Name of the change -> what was needed to find it, beside theory."""
    made: dict[str, object] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for name, change in CHANGES.items():
            least = theory(camera, change)
            needed = np.array(list(pool.map(found_after, repeat(camera), repeat(change), seeds)))
            p10, p50, p90 = np.quantile(needed, (0.1, 0.5, 0.9), method="inverted_cdf").tolist()
            made[name] = {
                "theory_blocks": least,
                "blocks_p10": p10,
                "blocks_p50": p50,
                "blocks_p90": p90,
                "p90_over_theory": round(p90 / least, 3),
                "found_within_theory": round(float((needed <= least).mean()), 3),
                "found_within_1.5_theory": round(float((needed <= 1.5 * least).mean()), 3),
                "not_found": int((needed > LONGEST).sum()),
            }
    return made


def run(options: argparse.Namespace) -> dict[str, object]:
    """Everything, as the document that ``--json`` prints."""
    camera = Camera(options.rho, options.fps, options.knob)
    root = np.random.SeedSequence(options.seed)
    ours, plain, changed = (
        root.spawn(number) for number in (options.device_months,) * 2 + (options.trials,)
    )
    with ProcessPoolExecutor(options.jobs) as pool:
        alarms = list(pool.map(month, repeat(camera), ours))
        naive = list(pool.map(plain_month, repeat(camera), repeat(options.plain_hours), plain))
    return {
        "alarms_per_device_month": float(np.mean(alarms)),
        "plain_psi_alarms_per_device_month": round(float(np.mean(naive)), 4),
        "power": power(camera, changed, options.jobs) if options.trials else {},
        "alarms": int(np.sum(alarms)),
        "devices_with_alarms": int(np.count_nonzero(alarms)),
        "spacing_s": camera.step / camera.fps,
        "block_s": camera.pace.block_s,
        "left_correlation": camera.rho**camera.step,
        "camera": asdict(camera),
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
        f"alarms per device-month: {document['alarms_per_device_month']:.3f} (plain PSI > 0.2:"
        f" {document['plain_psi_alarms_per_device_month']:.1f}); a block takes"
        f" {document['block_s']:.0f} s"
    )
    names = ["change", "theory", "p10", "p50", "p90", "p90/theory", "in theory", "in 1.5", "missed"]
    return head + ("\n" + table(names, rows) if rows else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--rho", type=float, default=0.99, help="of neighbouring frames")
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--device-months", type=int, default=200)
    parser.add_argument("--knob", type=float, default=1.0, help="false alarms per month")
    parser.add_argument("--trials", type=int, default=100, help="of each change")
    parser.add_argument("--plain-hours", type=float, default=4.0, help="per device, of plain PSI")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 <= options.rho < 1 or options.fps <= 0 or options.knob <= 0:
        parser.error("rho should be in [0, 1), fps and the knob above 0")
    document = run(options)
    print(json.dumps(document, indent=2) if options.json else render(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
