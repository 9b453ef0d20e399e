"""A watch that is killed: shows frames and says, after each settling, how many there were.

python -m tests.edge_agent.drift.killed FOLDER FRAMES
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from tests.edge_agent.drift.watched import run, watch_of

CHANGE = 2400


def shown(watch, begin, frames):
    """Frames of which each is made from its own number; scores fall at `CHANGE`.

    Returns:
        Number of the frame and verdict, where there was one.
    """
    judged = []
    for seq in range(begin, begin + frames):
        shift = 0.08 if seq >= CHANGE else 0.0
        told = run(watch, 1, np.random.default_rng(seq), begin=seq, shift=shift)
        judged += [(seq, one) for one in told]
    return judged


if __name__ == "__main__":
    watching = watch_of(Path(sys.argv[1]))
    for ten in range(0, int(sys.argv[2]), 10):
        shown(watching, ten, 10)
        print(ten + 10, flush=True)
    time.sleep(600)
