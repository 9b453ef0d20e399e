"""`python -m benchmarks.gate --seed N --clips 200 --json`: how well the gate knows a fault.

Clips of the demo's line, each from a seed of its own: some clean, some with one of six faults, as
bad as the seed says (`deploy.demo.line.severity`). The gate is calibrated on clean clips of other
seeds, as `edge-agent calibrate` does, and then judges every clip anew. It is not told which fault
to look for: a clip's score is the largest of all checks' scores that held for three frames.

Prints the area under the ROC curve per fault (clips of it against the clean ones), and the share of
the clean clips' frames that would have been rejected. ``named`` is the share of a fault's clips in
which the check that belongs to it failed, ``caught`` that in which any did.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from deploy.demo.line import clips
from deploy.demo.line.severity import drawn
from edge_agent.config.gate import CHECKS
from edge_agent.console import table
from edge_agent.detection.preprocess import Image
from edge_agent.gate import Baseline, Gate
from edge_agent.gate.baseline import Reference
from edge_agent.gate.learn import Student, settle
from edge_agent.gate.view import View, look

WIDTH = 160
FRAMES = 24
ONSET_S, RAMP_S = 1.0, 0.4
SHAKE_PX = 0.5
STOPPED_SHARE = 0.2
HELD = 3
LEARN_CLIPS = 60
CLEAN = "clean"
FAULTS = {
    "dirt": "dirty_lens",
    "blur": "defocus",
    "displacement": "knock",
    "occlusion": "occlusion",
    "exposure": "bad_exposure",
    "freeze": "freeze",
}
# The check that should fail, whatever else does; dirt is blurred, veiled and spotted.
BELONGS = {name: (name,) for name in FAULTS} | {"dirt": ("blur", "occlusion", "ssim")}

_MOST_SEED, _MOST_CLIPS = 1 << 31, 1 << 16
LEARN_SEED = 1 << 60  # above every seed that `clip_seed` gives


@dataclass(frozen=True)
class Clip:
    """What the gate said of one clip.

    Attributes:
        score: the largest score of any check that held for `HELD` frames.
        rejected: frames that did not pass, of all frames.
        failed: checks that failed in at least `HELD` frames.
    """

    score: float
    rejected: int
    frames: int
    failed: frozenset[str]


def processes(count: int) -> ProcessPoolExecutor:
    """Fresh processes (a fork would inherit the locks of OpenCV's threads) of one thread each."""
    return ProcessPoolExecutor(
        count, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )


def clip_seed(seed: int, kind: int, number: int) -> int:
    """A seed of its own for each clip of each kind of each run; never one of commissioning."""
    if not (0 <= seed < _MOST_SEED and 0 <= number < _MOST_CLIPS):
        raise ValueError(f"seed {seed} or clip {number} is out of range")
    return (seed * 16 + kind) * _MOST_CLIPS + number


def frames(seed: int, fault: str = CLEAN, count: int = FRAMES) -> Iterator[Image]:
    """A clip of the running line; everything about it is drawn from its seed.

    The exposure wanders, the camera shakes, and on every fifth clip the belt stops. A fault begins
    after a second and grows for less than half of one; a knock and a freeze come at once.
    """
    rng = np.random.default_rng((seed, 99))
    stops = (float(rng.uniform(0.0, 1.5)), 1e9) if rng.random() < STOPPED_SHARE else (0.0, 0.0)
    run = clips.Run(phase_s=float(rng.uniform(0, 23)), shake_px=SHAKE_PX, stops_s=stops)
    plan = ()
    if fault != CLEAN:
        plan = (clips.Fault(FAULTS[fault], ONSET_S, 1e9, RAMP_S, drawn(rng)),)
    for frame in clips.frames(seed, count / clips.FPS, plan, run):
        yield frame.picture


def commission(folder: Path, pool: Executor, count: int = LEARN_CLIPS) -> None:
    """Learn a baseline from clean clips and write it, as a device would."""
    shown = list(pool.map(_views, range(LEARN_SEED, LEARN_SEED + count)))
    every = max(1, count * FRAMES // 256)
    student = Student(settle([view.gray for views in shown for view in views][::every]))
    for views in shown:
        for view in views:
            student.add(view)
    learnt = student.learn(in_a_row=True)
    reference = Reference("line", "2026-11-01T00:00:00Z", "the sample line", clips.FPS, learnt)
    Baseline("line", shown[0][0].size, WIDTH, (reference,)).write(folder)


def _views(seed: int) -> list[View]:
    return [look(picture, WIDTH) for picture in frames(seed)]


def judge(folder: Path, job: tuple[int, str]) -> Clip:
    """A fresh gate's word on one clip."""
    seed, fault = job
    baseline = Baseline.read(folder)
    assert baseline is not None
    gate = Gate.calibrated(baseline)
    scores, failed, rejected = [], [], 0
    for number, picture in enumerate(frames(seed, fault), 1):
        verdict = gate.check(picture, seq=number, at=number / clips.FPS)
        known = {check.name: check.score for check in verdict.checks}
        scores.append([known.get(name, 0.0) for name in CHECKS])
        failed += [check.name for check in verdict.failed]
        rejected += not verdict.passed
    lasting = frozenset(name for name in CHECKS if failed.count(name) >= HELD)
    return Clip(held(np.array(scores)), rejected, len(scores), lasting)


def held(scores: npt.NDArray[np.float64]) -> float:
    """The largest score in (frames, checks) that a check held for `HELD` frames in a row."""
    windows = np.lib.stride_tricks.sliding_window_view(scores, HELD, axis=0)
    return float(windows.min(axis=-1).max())


def auc(faulty: Sequence[float], clean: Sequence[float]) -> float:
    """The area under the ROC curve: P(a faulty clip scores higher), ties counted half."""
    one, other = np.asarray(faulty)[:, None], np.asarray(clean)[None, :]
    return float(((one > other) + 0.5 * (one == other)).mean())


def measure(seed: int, count: int, folder: Path, pool: Executor) -> dict[str, list[Clip]]:
    """Judge ``count`` clips of each kind."""
    kinds = [CLEAN, *FAULTS]
    jobs = [
        (clip_seed(seed, index, number), kind)
        for index, kind in enumerate(kinds)
        for number in range(count)
    ]
    found = list(pool.map(partial(judge, folder), jobs, chunksize=4))
    return {kind: found[n * count : (n + 1) * count] for n, kind in enumerate(kinds)}


def summary(found: dict[str, list[Clip]]) -> dict[str, object]:
    """What is printed with ``--json``."""
    clean = found[CLEAN]
    faults = {name: found[name] for name in FAULTS}
    return {
        "auc": {
            name: round(auc([c.score for c in one], [c.score for c in clean]), 5)
            for name, one in faults.items()
        },
        "false_reject_rate": round(
            sum(clip.rejected for clip in clean) / sum(clip.frames for clip in clean), 6
        ),
        "clean_clips_rejected": sum(bool(clip.failed) for clip in clean),
        "caught": {name: _share(bool(clip.failed) for clip in one) for name, one in faults.items()},
        "named": {
            name: _share(bool(clip.failed & {*BELONGS[name]}) for clip in one)
            for name, one in faults.items()
        },
        "lowest_score": {name: round(min(c.score for c in one), 3) for name, one in found.items()},
        "highest_clean_score": round(max(clip.score for clip in clean), 3),
        "clips": len(clean),
        "frames_per_clip": FRAMES,
    }


def _share(hits: Iterable[bool]) -> float:
    return round(float(np.mean([*hits])), 4)


def _text(report: dict[str, object], seconds: float) -> str:
    columns = ("auc", "caught", "named", "lowest_score")
    rows = [[name, *(report[column][name] for column in columns)] for name in FAULTS]  # type: ignore[index]
    return "\n".join(
        [
            table(["fault", "AUC", "caught", "named", "lowest score"], rows),
            f"clean: {report['false_reject_rate']:.4%} of frames rejected,"
            f" {report['clean_clips_rejected']} of {report['clips']} clips; highest score"
            f" {report['highest_clean_score']}",
            f"{seconds:.0f} s",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the clips that are judged")
    parser.add_argument("--clips", type=int, default=200, help="of each fault, and clean ones")
    parser.add_argument("--learn", type=int, default=LEARN_CLIPS, help="clean clips to learn from")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes"
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, processes(options.workers) as pool:
        folder = Path(scratch) / "line"
        commission(folder, pool, options.learn)
        found = measure(options.seed, options.clips, folder, pool)
    report = {"seed": options.seed, **summary(found)}
    print(json.dumps(report) if options.json else _text(report, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
