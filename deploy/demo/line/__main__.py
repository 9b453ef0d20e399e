"""``python -m deploy.demo.line --out DIR --seed N``: makes the sample line's files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from . import clips, dataset


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.line", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=900, help="training pictures (0: none)")
    parser.add_argument("--val-images", type=int, default=150)
    parser.add_argument("--test-images", type=int, default=150)
    parser.add_argument("--clip-seconds", type=float, default=64.0, help="0: no clips")
    return parser.parse_args(argv)


def _show(work: Iterable[object], length: int, label: str) -> None:
    """Run ``work`` to its end under a progress bar."""
    with click.progressbar(work, length=length, label=f"{label:<14}", file=sys.stderr) as bar:
        for _ in bar:
            pass


def main(argv: list[str] | None = None) -> int:
    """Write ``dataset/``, ``reference.png`` and the clips; returns the exit code."""
    wanted = _arguments(argv)
    out: Path = wanted.out
    (out / "dataset").mkdir(parents=True, exist_ok=True)
    counts = {"train": wanted.images, "val": wanted.val_images, "test": wanted.test_images}
    for split, count in filter(lambda wanted: wanted[1], counts.items()):
        _show(dataset.write_split(out / "dataset", split, count, wanted.seed), count, split)
    dataset.write_data_yaml(out / "dataset")
    dataset.write_png(out / "reference.png", dataset.reference(wanted.seed))
    if wanted.clip_seconds:
        seconds = wanted.clip_seconds
        clip = clips.record(out / "clip.mp4", wanted.seed, seconds)
        _show(clip, round(seconds * clips.FPS), "clip.mp4")
        plan = clips.record(out / "faults.mp4", wanted.seed + 1, clips.FAULTS_S, clips.FAULTS)
        _show(plan, round(clips.FAULTS_S * clips.FPS), "faults.mp4")
    return 0


if __name__ == "__main__":
    sys.exit(main())
