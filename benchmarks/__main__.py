"""`python -m benchmarks`: our figures beside their peers', in one run on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks import line
from benchmarks.agent import agent_fps, overhead_ms
from benchmarks.captures import capture_us
from benchmarks.export import Subject, export, export_largest, subject
from benchmarks.eyes import gate_ms, preprocess_ms, ssim_full_ms, ssim_rank, ssim_rank_mixed
from benchmarks.monitoring import monitoring_ms, window_ms
from benchmarks.process import whole_process
from benchmarks.release import promoted, release_s
from benchmarks.rows import Row
from edge_agent.bundle import Bundle
from edge_agent.console import table
from edge_agent.loop.process import settle


@dataclass(frozen=True)
class Setting:
    """What rows are measured on: a model and its bundle; a scratch folder, the peer's Python."""

    what: Subject
    bundle: Bundle
    folder: Path
    python: str
    rounds: int


Measure = Callable[[Setting], Row | list[Row]]
ROWS: dict[tuple[str, ...], Measure] = {
    ("agent_fps",): lambda s: agent_fps(s.bundle, _fresh(s.folder, "fps"), rounds=s.rounds),
    ("ssim_full_ms",): lambda s: ssim_full_ms(rounds=2 * s.rounds),
    ("ssim_rank",): lambda s: ssim_rank(),
    ("ssim_rank_mixed",): lambda s: ssim_rank_mixed(),
    ("gate_ms",): lambda s: gate_ms(rounds=2 * s.rounds),
    ("preprocess_ms",): lambda s: preprocess_ms(s.bundle, rounds=2 * s.rounds),
    ("overhead_ms",): lambda s: overhead_ms(
        s.bundle, _fresh(s.folder, "overhead"), rounds=s.rounds
    ),
    ("capture_idle_us", "capture_taken_us"): lambda s: capture_us(
        s.bundle, _fresh(s.folder, "captures"), rounds=s.rounds
    ),
    ("monitoring_ms",): lambda s: monitoring_ms(
        s.bundle, _fresh(s.folder, "monitoring"), rounds=s.rounds
    ),
    ("window_ms", "window_80_ms"): lambda s: window_ms(
        s.bundle, _fresh(s.folder, "window"), rounds=s.rounds
    ),
    ("rss_mb", "rss_floor_mb", "first_detection_s"): lambda s: whole_process(
        s.bundle, _fresh(s.folder, "process"), s.python, rounds=min(s.rounds, 5)
    ),
    ("export_s", "export_rss_mb", "onnx_ms"): lambda s: export(
        s.what, _fresh(s.folder, "export"), s.python, rounds=min(s.rounds, 5)
    ),
    ("export_x_s", "export_x_rss_mb"): lambda s: export_largest(
        _fresh(s.folder, "export-x"), s.python, rounds=min(s.rounds, 3)
    ),
    ("release_s",): lambda s: _release(s),
}
"""The rows in the order of the README; some come out of one measurement."""


def _release(setting: Setting) -> Row:
    folder = _fresh(setting.folder, "release")
    source, tracking = promoted(folder, setting.what.checkpoint)
    return release_s(setting.what, folder, source, tracking)


def measure(setting: Setting, wanted: Sequence[str]) -> list[Row]:
    """The rows that are wanted, all when none is named."""
    made: list[Row] = []
    for names, row_of in ROWS.items():
        if not wanted or set(names) & set(wanted):
            rows = row_of(setting)
            made += rows if isinstance(rows, list) else [rows]
    return [row for row in made if not wanted or row.name in wanted]


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


def _setting(options: argparse.Namespace, folder: Path) -> Setting:
    """A yolov5n at 640 pixels with random weights, or what was asked for."""
    given: Path | None = options.model
    if given is None:
        what = subject(_fresh(folder, "subject"), options.ultralytics, line.checkpoint(), 256)
    else:
        what = Subject(given, options.size, f"{given.stem} {options.size}")
    bundle = line.build(what.checkpoint, folder / "bundle", what.size)
    return Setting(what, bundle, folder, options.ultralytics, options.rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; returns the exit code."""
    known = [name for names in ROWS for name in names]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", default=[], choices=known, metavar="ROW",
        help=f"only these: {', '.join(known)}",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, help="a .pt file [yolov5n at 640, random weights]")
    parser.add_argument("--size", type=int, default=256, help="of --model, in pixels")
    parser.add_argument("--rounds", type=int, default=7, help="of each side, in turns")
    parser.add_argument(
        "--ultralytics", default=sys.executable, metavar="PYTHON",
        help="an interpreter whose ultralytics can predict (it needs torchvision)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=line.HERE / "build/bench.json")
    options = parser.parse_args(arguments)
    settle()  # as the agent does
    with tempfile.TemporaryDirectory() as scratch:
        setting = _setting(options, Path(scratch))
        print(f"{setting.what.name}, OpenCV {cv2.__version__}; {options.rounds} rounds")
        rows = measure(setting, options.rows)
    print(render(rows))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row.to_document() for row in rows], indent=2)
    options.output.write_text(text + "\n", encoding="utf-8")
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
