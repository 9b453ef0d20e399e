"""`python -m benchmarks.quality`: what each picture metric costs, beside independent programs.

Two pictures of the demo's line at 640 x 640 in one process, one call of each side in turns, the
least of all calls: what a machine that others use as well would need if they did not. The peers are
scikit-image, sewar and piq (double precision, as ours); their scores are shown too. At 640 pixels
piq shrinks pictures to a half for FSIM and VSI, where MATLAB's programs and ours, which round 2.5
up, shrink them to a third: other scores, and more work for piq.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from benchmarks.line import pictures
from benchmarks.rows import Row
from edge_agent.console import table
from edge_agent.detection.preprocess import Image
from edge_agent.quality import METRICS

SIDE = 640
SECONDS = 1.0
Peer = tuple[str, Callable[[], Any]]


def pair(side: int) -> tuple[Image, Image]:
    """A reference and another picture of the same line, (side, side, 3) BGR."""
    first, second = (
        np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        for picture in pictures()[:2]
    )
    return first, second


def peers(reference: Image, image: Image) -> dict[str, Peer]:
    """Somebody else's program for each metric that has one, on tensors that are ready."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (reference, image)]
    return _scipy_peers(*grey) | _torch_peers(grey, [reference, image])


def _scipy_peers(reference: Image, image: Image) -> dict[str, Peer]:
    from sewar.full_ref import vifp
    from skimage.metrics import structural_similarity

    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    x, y = reference, image
    return {
        "ssim": ("scikit-image", lambda: structural_similarity(x, y, data_range=255, **options)),
        "ssim-uniform": ("scikit-image", lambda: structural_similarity(x, y, data_range=255)),
        "vif": ("sewar", lambda: vifp(x, y)),
    }


def _torch_peers(grey: Sequence[Image], colour: Sequence[Image]) -> dict[str, Peer]:
    from tests.edge_agent.quality.piq_scores import load, tensor

    piq = load()
    x, y = (tensor(picture) for picture in grey)
    a, b = (tensor(picture) for picture in colour)
    full: dict[str, Any] = {"data_range": 255}
    return {
        "ms-ssim": ("piq", lambda: piq.multi_scale_ssim(y, x, **full)),
        "gmsd": ("piq", lambda: piq.gmsd(y, x, **full)),
        "iw-ssim": ("piq", lambda: piq.information_weighted_ssim(y, x, **full)),
        "fsim": ("piq", lambda: piq.fsim(y, x, chromatic=False, **full)),
        "fsimc": ("piq", lambda: piq.fsim(b, a, **full)),
        "vsi": ("piq", lambda: piq.vsi(b, a, **full)),
    }


def measure(side: int, rounds: int) -> list[tuple[Row, float, float | None]]:
    """Per metric: its row, our score, the peer's."""
    reference, image = pair(side)
    others = peers(reference, image)
    return [_measure(name, reference, image, others.get(name), rounds) for name in METRICS]


def _measure(
    name: str, reference: Image, image: Image, peer: Peer | None, rounds: int
) -> tuple[Row, float, float | None]:
    metric = METRICS[name]
    sides: list[Callable[[], object]] = [lambda: metric.score(reference, image)]
    if peer is not None:
        sides.append(peer[1])
    times = least_ms(sides, rounds)
    unit = f"ms at {reference.shape[1]}x{reference.shape[0]}"
    score = metric.score(reference, image)
    if peer is None:
        return Row(f"quality_{name}_ms", times[0], unit), score, None
    return Row(f"quality_{name}_ms", times[0], unit, peer[0], times[1]), score, float(peer[1]())


def least_ms(sides: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The least time of a call of each side, called in turns.

    At least ``rounds`` turns; quick sides get more, for a second in all.
    """
    least = [float("inf")] * len(sides)
    began, turn = time.perf_counter(), 0
    while turn < rounds or time.perf_counter() - began < SECONDS:
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            start = time.perf_counter()
            sides[index]()
            least[index] = min(least[index], (time.perf_counter() - start) * 1e3)
        turn += 1
    return least


def render(rows: Sequence[tuple[Row, float, float | None]]) -> str:
    """For a person; the ratio is ours over the peer's."""
    cells = [
        [
            row.name.removeprefix("quality_").removesuffix("_ms"), f"{row.value:.3g}",
            None if row.peer_value is None else f"{row.peer_value:.3g}",
            None if row.ratio is None else f"{row.ratio:.2f}",
            f"{score:.7g}", None if theirs is None else f"{theirs:.7g}", row.peer,
        ]
        for row, score, theirs in rows
    ]  # fmt: skip
    headers = ["metric", "ours ms", "peer ms", "ours/peer", "our score", "peer's", "peer"]
    return table(headers, cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="of the pictures in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="of each side, in turns")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)
    rows = measure(options.side, options.rounds)
    if options.json:
        print(json.dumps([row.to_document() for row, _, _ in rows], indent=2))
    else:
        print(render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
