"""A folder of captures as the agent leaves it, with pictures that tools can open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_agent.captures.disk import Folder
from edge_agent.captures.record import FrameId, Release
from edge_agent.captures.shelf import Shelf, Wanted, read
from edge_agent.captures.store import Store
from edge_agent.captures.writer import Encoding
from tests.edge_agent.captures.simulator import record

# Names as people choose them: quotes, colons, spaces, other alphabets, beyond 16 bits.
CLASSES = ("scratch", 'dent: "deep"', "Größe <1> & 漢字", "crack 😀")
WIDTH, HEIGHT = 64, 48
BOXES = (
    (1.0, 2.0, 30.5, 40.25, 0.9, 0),
    (3.0, 4.0, 64.0, 48.0, 0.6, 3),
    (10.0, 10.0, 20.0, 20.0, 0.3, 1),
    (11.0, 11.0, 21.0, 21.0, 0.2, 2),  # below the confidence
    (5.0, 5.0, 5.0, 9.0, 0.9, 0),  # no width
)


def release(version=2, classes=CLASSES, model="defects", thresholds=()):
    return Release(model, version, f"{version}" * 64, classes, 0.25, dict(thresholds), 0.05)


def frame(seq, camera="top"):
    return FrameId("cell-3", camera, "b00c", seq, 1_795_558_982.0 + 60 * seq)


def fill(folder: Path, *records, suffix="jpg") -> Shelf:
    """Keep these records with pictures of their size; what is on the shelf then."""
    store = Store(Folder(folder), most_bytes=1 << 30, reserve_bytes=0)
    store.open()
    noise = np.random.default_rng(5)
    for item in records:
        image = noise.integers(0, 256, (item.height, item.width, 3), dtype=np.uint8)
        store.add(Encoding(suffix, 90).encode(image), suffix, item, at=1.0)
    return read(folder, Wanted())


def some(folder: Path) -> Shelf:
    """Three captures: with boxes, without any, and one that the model never saw."""
    return fill(
        folder,
        record(frame=frame(1), release=release(), detections=BOXES, reason="uncertain"),
        record(frame=frame(2, "side-2"), release=release(), detections=(), reason="baseline"),
        record(frame=frame(3), release=release(), detections=None, reason="check"),
    )
