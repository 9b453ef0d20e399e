"""`python -m benchmarks.triage --seed N --json`: whether the right one is blamed.

The real judgement of an agent (gate, detector, monitors, golden self-test, default policy) on the
demo's line: six camera faults as bad as the seed says, three engines that go wrong while they run,
three changes of what comes down the line. Each case begins healthy; then one thing goes wrong. The
clock is simulated, the frames and the network are real.

Right is an alert whose cause is the true one, and no alert with another cause. ``none`` are cases
in which nothing was noticed. ``wrong_rollbacks`` counts camera and scene cases in which the updater
was asked to go back.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.damage import Damaged, coarse, nan, wrong
from benchmarks.gate import FAULTS, RAMP_S, SHAKE_PX, commission, processes
from benchmarks.line import build, checkpoint
from deploy.demo.line import clips, dataset
from deploy.demo.line.parts import Part
from deploy.demo.line.severity import drawn
from edge_agent.backends import BackendOptions, Host, ModelFile, load_backend
from edge_agent.backends.base import Tensor
from edge_agent.bundle import Bundle
from edge_agent.config import Config, parse
from edge_agent.console import table
from edge_agent.detection.detector import Detector, contract
from edge_agent.detection.preprocess import Image
from edge_agent.loop.agent import Agent
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.follow import FixedRelease
from edge_agent.loop.judge import Judge
from edge_agent.loop.lane import Lane
from edge_agent.loop.loaded import Loaded, load_release
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime
from edge_agent.metrics import Message
from edge_agent.policy.desk import Clocks
from edge_agent.slots import Journal
from edge_agent.sources import Frame
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.voice import Telemetry

SIZE = 256
WINDOW_S = 2.0
HEALTHY, FAULTY_MOST = 60, 1000
AFTER = 60  # frames after the first cause, in which another one would be wrong
NONE = "none"
VAL_PICTURES = 300

ENGINES: dict[str, Callable[[Tensor], Tensor]] = {"nan": nan, "flipped": wrong, "coarse": coarse}
SCENES: dict[str, Callable[[Part], bool]] = {
    "flawless": lambda part: not part.defects,
    "scratched": lambda part: any(kind == 0 for _, kind in part.defects),
    "twice": lambda part: len(part.defects) > 1,
}
KINDS = {
    **dict.fromkeys(FAULTS, "camera"),
    **dict.fromkeys(ENGINES, "engine"),
    **dict.fromkeys(SCENES, "scene"),
}


@dataclass(frozen=True)
class Verdict:
    """What was said of one case: causes in the order of their alerts."""

    kind: str
    causes: tuple[str, ...]
    rollbacks: int
    frames: int

    @property
    def said(self) -> str:
        """The first cause that is wrong, else the right one, else `NONE`."""
        wrong = [cause for cause in self.causes if cause != KINDS[self.kind]]
        return next(iter(wrong or self.causes), NONE)


class Case:
    """One agent in a folder of its own, whose frames and clock the benchmark makes."""

    def __init__(self, folder: Path, home: Path, kind: str) -> None:
        self.now = 1000.0
        self.causes: list[str] = []
        self.rollbacks = 0
        config = _config(folder, home)
        bundle = Bundle.open(home / "bundle")
        self.loaded = load_release(config, config.models[0], bundle.root, clock=self._clock)
        self._damaged = _damageable(self.loaded, ENGINES.get(kind, nan))
        releases = FixedRelease(lambda: self.loaded)
        inbox, camera = Inbox(), config.cameras[0]
        self._judge = Judge(camera, config.gate, releases.holder, inbox.put)
        worker = CameraWorker(camera, self._judge, releases.holder.wait, inbox.put)
        runtimes = [ModelRuntime("defects", releases, [worker])]
        outbox = Outbox(config.layout.outbox, 64_000_000)
        telemetry = Telemetry(outbox, "bench", listeners=[self._hear])
        clock = self._clock
        overseer = Overseer(
            config,
            runtimes,
            journal=Journal(config.layout.journal),
            clocks=Clocks(clock, clock),
        )
        telemetry.listen(overseer.heard)
        self._agent = Agent(
            config, runtimes, inbox=inbox, telemetry=telemetry, outbox=outbox, reporter=None,
            overseer=overseer, clock=clock,
        )  # fmt: skip
        self._seq = 0

    def _clock(self) -> float:
        return self.now

    def break_engine(self) -> None:
        """From now on the network computes something else."""
        self._damaged.broken = True

    def show(self, picture: Image) -> None:
        """One frame, a tenth of a second after the last one."""
        self._seq += 1
        self.now += 1 / clips.FPS
        self._judge.frame(Frame(picture, self.now, self._seq, "line"))
        assert self._judge.drain(60.0)
        self._agent.tick()

    def close(self) -> None:
        """Let go of the model."""
        self.loaded.lane.close()

    def _hear(self, message: Message) -> None:
        kind = message.payload.get("kind")
        if kind in ("alert.raised", "alert.explained") and message.payload["cause"]:
            self.causes.append(str(message.payload["cause"]))
        self.rollbacks += kind == "rollback.requested"


def _config(folder: Path, home: Path) -> Config:
    """Defaults, but for windows and tests that come more often, to simulate less."""
    folder.mkdir(parents=True)
    (folder / "baseline").symlink_to(home / "baseline")
    document = {
        "device": {"id": "bench", "data": str(folder), "run": str(folder)},
        "model": [{"name": "defects", "threads": 1}],
        "camera": [{"id": "line", "source": "dir:none", "model": "defects"}],
        "metrics": {"window_s": WINDOW_S},
        "policy": {"selftest_s": 20},
        "drift": {"spacing_s": 1.0, "profile_frames": 40},
    }
    return parse(document, folder / "agent.toml")


def _damageable(loaded: Loaded, spoil: Callable[[Tensor], Tensor]) -> Damaged:
    """Put a backend under the release that can be broken later."""
    manifest = loaded.bundle.manifest
    variant = manifest.variant("auto")
    file = ModelFile(loaded.bundle.path(variant.path), precision=variant.precision)
    options = BackendOptions(threads=1)
    damaged = Damaged(load_backend(file, contract(manifest), options, Host()), spoil)
    loaded.lane.close()
    loaded.detector = Detector(manifest, damaged)
    loaded.lane = Lane(loaded.detector)
    return damaged


def frames(seed: int, kind: str) -> Iterator[Image]:
    """First a healthy line, then what the case is about, without an end that matters."""
    rng = np.random.default_rng((seed, 7))
    run = clips.Run(phase_s=float(rng.uniform(0, 23)), shake_px=SHAKE_PX, comes=None)
    yield from _pictures(seed, HEALTHY, (), run)
    plan: tuple[clips.Fault, ...] = ()
    if kind in FAULTS:
        plan = (clips.Fault(FAULTS[kind], 0.0, 1e9, RAMP_S, drawn(rng)),)
    run = clips.Run(phase_s=run.phase_s, shake_px=SHAKE_PX, comes=SCENES.get(kind))
    yield from _pictures(seed + 1, FAULTY_MOST, plan, run)


def _pictures(
    seed: int, count: int, plan: tuple[clips.Fault, ...], run: clips.Run
) -> Iterator[Image]:
    for frame in clips.frames(seed, count / clips.FPS, plan, run):
        yield frame.picture


def play(home: Path, job: tuple[int, str]) -> Verdict:
    """One case from its seed to its verdict."""
    seed, kind = job
    case = Case(home / f"{kind}-{seed}", home, kind)
    left, shown = AFTER, 0
    try:
        for shown, picture in enumerate(frames(seed, kind), 1):
            if shown == HEALTHY and kind in ENGINES:
                case.break_engine()
            case.show(picture)
            left -= bool(case.causes)
            if not left:
                break
    finally:
        case.close()
    return Verdict(kind, tuple(case.causes), case.rollbacks, shown)


def prepare(home: Path, workers: int) -> None:
    """Build the bundle with a profile of the line, and calibrate the camera."""
    for _ in dataset.write_split(home / "dataset", "val", VAL_PICTURES, seed=1):
        pass
    build(checkpoint(), home / "bundle", SIZE, reference_data=home / "dataset/images/val")
    with processes(workers) as pool:
        commission(home / "baseline" / "line", pool)


def summary(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """What is printed with ``--json``."""
    right = sum(verdict.said == KINDS[verdict.kind] for verdict in verdicts)
    confusion: dict[str, Counter[str]] = {}
    named: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        confusion.setdefault(KINDS[verdict.kind], Counter())[verdict.said] += 1
        named.setdefault(verdict.kind, Counter())[verdict.said] += 1
    blamed = [v.rollbacks for v in verdicts if KINDS[v.kind] in ("camera", "scene")]
    return {
        "accuracy": round(right / len(verdicts), 4),
        "confusion": confusion,
        "wrong_rollbacks": sum(blamed),
        "rollbacks_of_engines": sum(v.rollbacks for v in verdicts if KINDS[v.kind] == "engine"),
        "by_kind": named,
        "cases": len(verdicts),
    }


def _text(report: dict[str, object], verdicts: Sequence[Verdict]) -> str:
    rows = []
    for kind, truth in KINDS.items():
        mine = [verdict for verdict in verdicts if verdict.kind == kind]
        said = ", ".join(f"{count} {name}" for name, count in Counter(v.said for v in mine).items())
        rows.append([truth, kind, said, round(float(np.median([v.frames for v in mine])))])
    heads = ("truth", "case", "said", "frames")
    return (
        f"{table(heads, rows)}\naccuracy {report['accuracy']}, wrong rollbacks"
        f" {report['wrong_rollbacks']} in {report['cases']} cases"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triage", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all cases")
    parser.add_argument("--cases", type=int, default=2, help="of each of the twelve kinds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes"
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()
    jobs = [
        ((options.seed * len(KINDS) + index) * 10_000 + 2 * number, kind)
        for index, kind in enumerate(KINDS)
        for number in range(options.cases)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch), options.workers)
        with processes(options.workers) as pool:
            verdicts = list(pool.map(partial(play, Path(scratch)), jobs))
    report = {"seed": options.seed, **summary(verdicts)}
    if options.json:
        print(json.dumps(report))
    else:
        print(_text(report, verdicts))
        print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
