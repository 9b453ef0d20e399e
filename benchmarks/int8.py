"""`python -m benchmarks.int8`: what fewer bits gain in speed and cost in mAP on the CPU provider.

Two models in every precision, in one process:

- the demo's newest committed model at 256 pixels: ranges from 64 of the line's validation pictures,
  mAP on its test pictures, which have labels;
- a yolov5n at 640 pixels with random weights and the batch statistics of the pictures, where
  ultralytics is installed. Nobody has labels for it: the best boxes of its own fp32 graph stand in
  for them (ten a picture), so its mAP says how many of those come again at the same place and
  rank. A network that has learned nothing has no margin between right and wrong; one that has
  keeps far more.

Speed is the processor time of one thread per inference, in turns with the others, as a ratio to
fp32: above 1 is faster. A busy machine changes the milliseconds and leaves the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks import line
from benchmarks.process import live
from benchmarks.rows import interleaved
from builder.accuracy import coco
from builder.accuracy.labels import Labels, read_labels
from builder.crew import in_order
from builder.images import Folder, Picture
from builder.look import Look
from builder.precision import to_float16, to_int8
from builder.precision.calibration import choose
from builder.progress import Silent
from builder.runner import Runner
from edge_agent.bundle import Bundle
from edge_agent.console import table
from edge_agent.detection.decode import Floats
from edge_agent.detection.preprocess import Placement

_MAKE = """
import os, sys
from pathlib import Path
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
import cv2, numpy, torch
from ultralytics import YOLO
torch.manual_seed(0)
yolo = YOLO("yolov5n.yaml")
network = yolo.model.train()
for part in network.modules():
    if isinstance(part, torch.nn.BatchNorm2d):
        part.momentum = None  # the plain mean over all that comes
paths = sorted(Path(sys.argv[2]).iterdir())[:32]
pictures = [cv2.resize(cv2.imread(str(path)), (640, 640))[:, :, ::-1] for path in paths]
tensors = torch.from_numpy(numpy.stack(pictures).transpose(0, 3, 1, 2) / numpy.float32(255))
with torch.no_grad():
    for batch in tensors.split(8):
        network(batch)
for part in network.modules():
    if isinstance(part, torch.nn.BatchNorm2d):
        part.momentum = 0.03
network.eval()
yolo.save(sys.argv[1])
"""
PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")
OWN_BOXES = 10
_LEAST_S = 0.3


@dataclass(frozen=True)
class Figure:
    """One precision of one model.

    Attributes:
        speed: processor time of fp32 over its own.
        map50_95: 0..1.
        loss_points: of mAP50-95 against fp32, 0..100.
    """

    model: str
    precision: str
    ms: float
    speed: float
    map50_95: float
    loss_points: float


@dataclass
class Case:
    """A model with its pictures; ``labels`` is None where the fp32 graph's own boxes stand in."""

    name: str
    bundle: Bundle
    calibrate: Folder
    test: Folder
    labels: Path | None
    runners: dict[str, Runner] = field(default_factory=dict)


def rewrite(case: Case, folder: Path) -> None:
    """Make every precision of a case from its fp32 graph."""
    manifest = case.bundle.manifest
    fp32 = case.bundle.path(manifest.variant("fp32").path)
    case.runners["fp32"] = runner = Runner(manifest, fp32)
    names = choose(
        [path.relative_to(case.calibrate.root).as_posix() for path in case.calibrate.paths]
    )

    def tensors() -> Iterator[Floats]:
        for name in names:
            yield runner.tensor(case.calibrate.one(name))[0]

    makers: dict[str, Callable[[Any], Any]] = {
        "fp16": to_float16,
        "int8": lambda model: to_int8(model, tensors(), "int8"),
        "int8-cpu": lambda model: to_int8(model, tensors(), "int8-cpu"),
    }
    for precision, make in makers.items():
        path = folder / f"{precision}.onnx"
        onnx.save(make(onnx.load(fp32)), path)
        case.runners[precision] = Runner(manifest, path)


def speeds_ms(case: Case, rounds: int) -> list[float]:
    """Milliseconds of processor time per inference, in the order of `PRECISIONS`."""
    tensor = case.runners["fp32"].tensor(case.test.one(case.test.paths[0].name))[0]
    sides = [_side(case.runners[one], tensor) for one in PRECISIONS]
    return interleaved(*sides, rounds=rounds)


def _side(runner: Runner, tensor: Floats) -> Callable[[], float]:
    runner.raw(tensor)

    def measure() -> float:
        calls, began = 0, time.thread_time()
        while (spent := time.thread_time() - began) < _LEAST_S:
            runner.raw(tensor)
            calls += 1
        return spent / calls * 1e3

    return measure


def accuracies(case: Case) -> list[float]:
    """mAP50-95 of every precision on the test pictures, in the order of `PRECISIONS`."""
    floor = coco.FLOOR if case.labels else 0.0
    looks = {one: _look(case.runners[one], case.test, floor) for one in PRECISIONS}
    names = [path.name for path in case.test.paths]
    classes = case.bundle.manifest.classes
    truth = own_labels(looks["fp32"]) if case.labels is None else read_labels(
        case.labels, names, len(classes)
    )  # fmt: skip
    return [
        coco.measure(truth, looks[one].found, looks[one].sizes, classes).map50_95
        for one in PRECISIONS
    ]


def _look(runner: Runner, pictures: Folder, floor: float) -> Look:
    seen = Look(floor)

    def judge(picture: Picture) -> tuple[str, Floats, Placement]:
        tensor, placement = runner.tensor(picture.pixels)
        found, _ = runner.detections(runner.raw(tensor), placement, floor=floor)
        return picture.name, found, placement

    for name, found, placement in in_order(judge, pictures.read(Silent())):
        seen.add(name, found, placement, None)
    return seen


def own_labels(seen: Look) -> Labels:
    """The boxes with the best scores over all pictures, as if somebody had drawn them."""
    scores = np.sort(np.concatenate([found[:, 4] for found in seen.found.values()]))
    least = scores[-OWN_BOXES * len(seen.found) :][0]
    objects = {}
    for name, found in seen.found.items():
        best, size = found[found[:, 4] >= least], np.array(seen.sizes[name] * 2, np.float32)
        low, high = best[:, :2], best[:, 2:4]
        boxes = np.concatenate([(low + high) / 2, high - low], 1) / size
        objects[name] = np.concatenate([best[:, 5:6], boxes], 1).astype(np.float32)
    return Labels(objects, ())


def measure(case: Case, folder: Path, rounds: int) -> list[Figure]:
    """Every precision of a case."""
    rewrite(case, folder)
    times, scores = speeds_ms(case, rounds), accuracies(case)
    return [
        Figure(case.name, one, ms, times[0] / ms, score, 100 * (scores[0] - score))
        for one, ms, score in zip(PRECISIONS, times, scores, strict=True)
    ]


def demo_case(folder: Path, count: int) -> Case:
    """The committed model on the line's own pictures."""
    from deploy.demo.line import write_split

    for split in ("val", "test"):
        for _ in write_split(folder, split, count, seed=1):
            pass
    source = line.checkpoint()
    bundle = line.build(source, folder / "bundle", 256, reference_data=folder / "images/val")
    return Case(
        f"{source.stem} 256", bundle, Folder(folder / "images/val"), Folder(folder / "images/test"),
        folder / "labels/test",
    )  # fmt: skip


def random_case(folder: Path, data: Path, python: str) -> Case | None:
    """A yolov5n at 640 with random weights; None where ultralytics cannot make one."""
    made = folder / "yolov5n.pt"
    val, test = data / "images/val", data / "images/test"
    if live([python, "-c", _MAKE, str(made), str(val)]) is None or not made.exists():
        return None
    bundle = line.build(made, folder / "bundle", 640, reference_data=val)
    return Case("yolov5n 640, random weights", bundle, Folder(val), Folder(test), None)


def render(figures: Sequence[Figure]) -> str:
    """The figures for a person."""
    cells = [
        [one.model, one.precision, f"{one.ms:.1f}", f"{one.speed:.2f}", f"{one.map50_95:.3f}",
         f"{one.loss_points:.2f}"]
        for one in figures
    ]  # fmt: skip
    return table(["model", "precision", "ms", "x fp32", "mAP50-95", "loss"], cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.int8", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7, help="of each precision, in turns")
    parser.add_argument("--pictures", type=int, default=150, help="of each of the line's splits")
    parser.add_argument("--ultralytics", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        demo, other = Path(scratch, "demo"), Path(scratch, "random")
        demo.mkdir()
        other.mkdir()
        figures = measure(demo_case(demo, options.pictures), demo, options.rounds)
        case = random_case(other, demo, options.ultralytics)
        if case is not None:
            figures += measure(case, other, options.rounds)
    if options.as_json:
        print(json.dumps([asdict(one) for one in figures], indent=2))
    else:
        print(render(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
