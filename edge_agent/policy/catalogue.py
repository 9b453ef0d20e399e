"""The metrics that rules may name, and what each is about.

The names are those that the payloads' builders give for a window in which everything happened, so
there is no second list of them. Only what a machine may lack is written down
(`edge_agent.monitors.system.SELDOM`), and a rule may name it on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from edge_agent.captures.counts import Counts
from edge_agent.checked import nearest
from edge_agent.clerk import Stalls
from edge_agent.config.gate import CHECKS
from edge_agent.config.monitors import Drift
from edge_agent.drift.camera import CameraWatch
from edge_agent.drift.layout import Layout
from edge_agent.drift.memory import Memory, Release
from edge_agent.drift.skew import SkewMonitor, SkewVerdict
from edge_agent.drift.watch import DriftWatch
from edge_agent.feedback.join import Pair
from edge_agent.feedback.performance import READING, performance, readings
from edge_agent.feedback.report import Evidence
from edge_agent.loop.camera import CameraReport, FrameCounts
from edge_agent.metrics import Message
from edge_agent.monitors.boxes import BoxSums
from edge_agent.monitors.histogram import INPUT_FEATURES, OUTPUT_FEATURES, Histograms
from edge_agent.monitors.latency import Speed, Stages
from edge_agent.monitors.scores import ScoreTally
from edge_agent.monitors.slices import SliceCounts
from edge_agent.monitors.system import SELDOM, SystemReader
from edge_agent.monitors.windows import CameraTally, WindowReport
from edge_agent.policy.expression import Condition, names
from edge_agent.sources.screen import DROPS, NOTES, UNUSABLE
from edge_agent.sources.state import UP, Standing
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.payloads import (
    camera_message,
    input_message,
    judgement,
    output_message,
    system_message,
)
from edge_agent.telemetry.totals import (
    api_totals,
    feedback_totals,
    frame_totals,
    outbox_totals,
    start_totals,
)

CAMERA, MODEL, DEVICE = "camera", "model", "device"
_ENVELOPE = ("camera", "model")
_SOME = "x"
_OF_A_CLASS = f"_of_{_SOME}"


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, str]:
    """Metric -> what it is about: ``camera``, ``model`` or ``device``."""
    known = dict.fromkeys(SELDOM, DEVICE)
    for message, kind in (
        (_system(), DEVICE),
        (_output(), MODEL),
        (_input(), CAMERA),
        (camera_message(_camera()), CAMERA),
    ):
        known |= {name: kind for name in message.payload if name not in _ENVELOPE}
    return known | {name: MODEL for name in _figures() if not name.endswith(_OF_A_CLASS)}


def unknown(metric: str, known: Mapping[str, str]) -> str:
    """Why a rule cannot name a metric, with the nearest right one; "" when it can.

    Names of classes are the model's, which nobody knows when the rules are read.
    """
    heads = [name.removesuffix(_SOME) for name in _figures() if name.endswith(_OF_A_CLASS)]
    of_classes = (*heads, f"{READING}taken_", "class_")
    if metric in known or any(metric.startswith(head) and metric != head for head in of_classes):
        return ""
    head, of, name = metric.partition("_of_")
    # A wrong name before a class is compared with such names only.
    candidates = [f"{one}{name}" for one in heads] if of and head.startswith("perf") else known
    return f'"{metric}" is not a metric{nearest(metric, candidates)}'


def kind_of(condition: Condition, known: Mapping[str, str]) -> str:
    """What a rule is about: the most particular thing that it looks at."""
    kinds = {known.get(name, MODEL) for name in names(condition)}
    return next((kind for kind in (CAMERA, MODEL) if kind in kinds), DEVICE)


def _figures() -> Mapping[str, float | int]:
    """What is said of a release when inspectors judged it, with a class of the name `_SOME`."""
    pair = Pair(_SOME, _SOME, "", "", 1, 0.0)
    whole, _ = next(performance([pair], Evidence()))
    return readings(whole) or {}


def _system() -> Message:
    speed = Speed(inferred=1)
    for sketch in (speed.latency, speed.end_to_end):
        sketch.add(1.0)
    frames = frame_totals(FrameCounts(), during_swap=0, swaps=0, calls=0)
    totals: dict[str, int | float] = dict(frames)
    totals |= start_totals(0, 0) | api_totals(0) | feedback_totals(0)
    totals |= Counts().totals() | Stalls(None).totals()
    outbox = Outbox(Path(":memory:"), 1)
    totals |= outbox_totals(outbox, lost=0)
    outbox.close()
    reading = SystemReader(Path("/")).read()
    return system_message(reading, speed, totals, seconds=1.0)


def _output() -> Message:
    report = WindowReport(classes=1, inferred=1, candidates=1)
    for stage in Stages.__slots__:
        getattr(report.stages, stage).add(1.0)
    report.camera("").outputs.frames = 1
    skew = SkewMonitor(None, Drift(1.0, None, 24.0, psi_max=0.25, profile_frames=300))
    every = dict.fromkeys(OUTPUT_FEATURES, 0.0)
    skew.verdict = SkewVerdict(every, every, frames=1)
    memory = Memory(Path("/proc/none"), Release("", ""), Layout(1))
    camera = CameraWatch("", memory, 0.0, None)
    watch = DriftWatch({"": camera}, skew, knob=1.0, classes=1, confidence=0.25)
    said = judgement(selftest=True, provider_ok=True, drifted=False, withheld=False)
    return output_message("", ("",), report, watch, said)


def _input() -> Message:
    tally = CameraTally(Histograms(1), SliceCounts(1), BoxSums(1), seen=1, ssim_min=1.0)
    tally.measure(dict.fromkeys(INPUT_FEATURES, 0.0))
    tally.compare(False)
    tally.checks |= {name: ScoreTally() for name in CHECKS}
    every = dict.fromkeys(INPUT_FEATURES, 0.0)
    return input_message("", "", tally, SkewVerdict(every, every, frames=1))


def _camera() -> CameraReport:
    outcomes = dict.fromkeys((*DROPS, *UNUSABLE, *NOTES), 1)
    return CameraReport("", Standing(UP), 1, outcomes, 1)
