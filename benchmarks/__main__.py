"""`python -m benchmarks`: our figures beside their peers', in one run on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2

from benchmarks import line
from benchmarks.agent import agent_fps, overhead_ms
from benchmarks.export import export, subject
from benchmarks.eyes import gate_ms, ssim_full_ms, ssim_rank, ssim_rank_mixed
from benchmarks.process import whole_process
from benchmarks.release import promoted, release_s
from benchmarks.rows import Row
from edge_agent.bundle import Bundle
from edge_agent.console import table


def measure(bundle: Bundle, folder: Path, python: str, rounds: int) -> list[Row]:
    """All rows, in the order of the README."""
    return [
        agent_fps(bundle, _fresh(folder, "fps"), rounds=rounds),
        ssim_full_ms(rounds=2 * rounds),
        gate_ms(rounds=2 * rounds),
        ssim_rank(),
        ssim_rank_mixed(),
        overhead_ms(bundle, _fresh(folder, "overhead"), rounds=rounds),
        *whole_process(bundle, _fresh(folder, "process"), python, rounds=min(rounds, 5)),
        *builder_rows(bundle, folder, python, rounds),
    ]


def builder_rows(bundle: Bundle, folder: Path, python: str, rounds: int) -> list[Row]:
    """What an ML engineer waits for."""
    spec = bundle.manifest.input
    what = subject(
        _fresh(folder, "subject"), python, line.checkpoint(), max(spec.width, spec.height)
    )
    release = _fresh(folder, "release")
    source, tracking = promoted(release, what.checkpoint)
    return [
        *export(what, _fresh(folder, "export"), python, rounds=min(rounds, 5)),
        release_s(what, release, source, tracking),
    ]


def _fresh(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def render(rows: Sequence[Row]) -> str:
    """The rows for a person; the ratio is ours over the peer's."""
    cells = [
        [
            row.name, f"{row.value:.3g}", row.unit, row.peer,
            None if row.peer_value is None else f"{row.peer_value:.3g}",
            None if row.ratio is None else f"{row.ratio:.3f}",
        ]
        for row in rows
    ]  # fmt: skip
    return table(["name", "ours", "unit", "peer", "theirs", "ours/peer"], cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", type=Path, help="a .pt file or a bundle [the demo's newest]")
    parser.add_argument("--rounds", type=int, default=7, help="of each side, in turns")
    parser.add_argument(
        "--ultralytics", default=sys.executable, metavar="PYTHON",
        help="an interpreter whose ultralytics can predict (it needs torchvision)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=line.HERE / "build/bench.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle = line.build(options.model or line.checkpoint(), folder / "bundle")
        spec = bundle.manifest.input
        print(
            f"{bundle.manifest.name} {bundle.manifest.version}, {spec.width} x {spec.height},"
            f" OpenCV {cv2.__version__}; {options.rounds} rounds"
        )
        rows = measure(bundle, folder, options.ultralytics, options.rounds)
    print(render(rows))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row.to_document() for row in rows], indent=2)
    options.output.write_text(text + "\n", encoding="utf-8")
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
