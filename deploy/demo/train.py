"""Trains and measures the sample line's two good model versions.

Needs an environment of its own, which nothing else in this repository needs::

    python -m venv build/train-env
    build/train-env/bin/pip install torch torchvision ultralytics-opencv-headless scikit-image click
    python -m deploy.demo.line --out build/line --seed 1
    build/train-env/bin/python -m deploy.demo.train train v1
    build/train-env/bin/python -m deploy.demo.train train v2
    build/train-env/bin/python -m deploy.demo.train evaluate deploy/demo/models/defects-v2.pt

(ultralytics is AGPL-3.0.) One processor core needs about a quarter of an hour for each; the figures
of the committed versions are in ``models/CARD.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# Before ultralytics is imported: it would install packages and call home on its own.
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", WANDB_MODE="disabled")

HERE = Path(__file__).resolve().parent
IMAGE_PX = 256  # a 512x384 frame letterboxes at exactly one half

# v1 is what a line starts with: few pictures and a short training. v2 goes on from v1 with all.
RECIPES: dict[str, dict[str, Any]] = {
    "v1": {"epochs": 26, "fraction": 0.6, "seed": 1, "lr0": 0.003},
    "v2": {"epochs": 28, "fraction": 1.0, "seed": 2, "lr0": 0.003, "warmup_epochs": 1},
}


def train(version: str, data: Path, runs: Path, target: Path) -> None:
    """Train ``version`` by its recipe and copy the ``best.pt`` as it was written to ``target``."""
    from ultralytics import YOLO

    start = HERE / "defects.yaml" if version == "v1" else HERE / "models" / "defects-v1.pt"
    YOLO(start, task="detect").train(
        data=str(data),
        imgsz=IMAGE_PX,
        batch=16,
        nbs=16,  # a step per batch: gathering four batches per step learns too slowly here
        optimizer="AdamW",
        cos_lr=True,
        mosaic=0.5,
        close_mosaic=8,
        scale=0.25,  # the camera is fixed: parts come in one size
        flipud=0.5,
        cache="ram",
        workers=0,
        device="cpu",
        plots=False,
        project=str(runs),
        name=version,
        exist_ok=True,
        **RECIPES[version],
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(runs / version / "weights" / "best.pt", target)


def evaluate(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Mean average precision of ``checkpoint`` on the test split, overall and per class."""
    from ultralytics import YOLO

    found = YOLO(checkpoint).val(
        data=str(data),
        split="test",
        imgsz=IMAGE_PX,
        device="cpu",
        plots=False,
        workers=0,
        project=str(HERE.parents[1] / "build" / "train"),
        name="evaluate",
        exist_ok=True,
    )
    figures: dict[str, Any] = {
        "checkpoint": checkpoint.name,
        "split": "test",
        "map50": round(float(found.box.map50), 4),
        "map50_95": round(float(found.box.map), 4),
    }
    for row, number in enumerate(found.box.ap_class_index):
        figures[found.names[int(number)]] = {
            "map50": round(float(found.box.ap50[row]), 4),
            "map50_95": round(float(found.box.ap[row]), 4),
        }
    return figures


def count(checkpoint: Path, line: Path) -> dict[str, float]:
    """Detections per frame at confidence 0.25 on the validation pictures and on the clip."""
    import cv2
    from ultralytics import YOLO

    model = YOLO(checkpoint)
    pictures = [cv2.imread(str(path)) for path in sorted((line / "dataset/images/val").iterdir())]
    video, live = cv2.VideoCapture(str(line / "clip.mp4")), []
    while video.grab():
        live.append(video.retrieve()[1])
    figures: dict[str, float] = {}
    for name, frames in (("val", pictures), ("clip", live)):
        found = [
            len(model.predict(frame, imgsz=IMAGE_PX, rect=False, conf=0.25, verbose=False)[0])
            for frame in frames
        ]
        figures |= {name: round(sum(found) / len(found), 3), f"{name}_least": min(found)}
    return figures


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--line", type=Path, default=Path("build/line"), help="what the line made")
    steps = parser.add_subparsers(dest="step", required=True)
    one = steps.add_parser("train", help="train one version")
    one.add_argument("version", choices=sorted(RECIPES))
    one.add_argument("--runs", type=Path, default=Path("build/train"))
    one.add_argument("--target", type=Path, help="default: build/train/defects-<version>.pt")
    for step, text in (
        ("evaluate", "print mAP on the test split as JSON"),
        ("count", "print detections per frame on validation pictures and clip as JSON"),
    ):
        steps.add_parser(step, help=text).add_argument("checkpoint", type=Path)
    wanted = parser.parse_args(argv)
    data = (wanted.line / "dataset/data.yaml").resolve()
    if not data.is_file():
        parser.error(f"{data} is not there; first: python -m deploy.demo.line --out {wanted.line}")
    if wanted.step == "evaluate":
        print(json.dumps(evaluate(wanted.checkpoint, data), indent=2))
    elif wanted.step == "count":
        print(json.dumps(count(wanted.checkpoint, wanted.line)))
    else:
        target = wanted.target or wanted.runs / f"defects-{wanted.version}.pt"
        train(wanted.version, data, wanted.runs.resolve(), target)
        print(f"wrote {target} ({target.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
