"""What looks at each picture before the network: SSIM, the whole gate, the letterbox."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from benchmarks.line import baseline, full_hd, pictures
from benchmarks.rows import Row, interleaved, timed_ms
from deploy.demo.line import clips, reference
from deploy.demo.line.faults import FAULTS
from deploy.demo.line.severity import drawn
from edge_agent.bundle import Bundle
from edge_agent.config.gate import CHECKS
from edge_agent.detection.preprocess import Image, Letterbox
from edge_agent.gate import Gate, Reference

SIDE = 640


def ssim_full_ms(*, rounds: int) -> Row:
    """One grey pair of 640 x 640, the same on both sides."""
    first, second = (
        np.asarray(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (SIDE, SIDE)), np.uint8)
        for picture in pictures()[:2]
    )
    known = Reference(first)
    expected = structural_similarity(first, second, data_range=255)
    if abs(known.ssim(second) - expected) > 1e-6:
        raise RuntimeError("SSIM differs from scikit-image; speed means nothing then")
    ours, theirs = interleaved(
        timed_ms(lambda: known.ssim(second)),
        timed_ms(lambda: structural_similarity(first, second, data_range=255)),
        rounds=rounds,
    )
    return Row("ssim_full_ms", ours, "ms", "scikit-image structural_similarity", theirs)


def gate_ms(*, rounds: int) -> Row:
    """Every check of a calibrated camera on 1080p frames, with the agent's defaults."""
    images = full_hd()
    gate = Gate.calibrated(baseline(images))
    made = {check.name for verdict in map(gate.check, images * 2) for check in verdict.checks}
    if made != set(CHECKS) - {"rate"}:
        raise RuntimeError(f"only {', '.join(sorted(made))} are checked; the time means nothing")
    turn = itertools.cycle(images)
    (ours,) = interleaved(timed_ms(lambda: gate.check(next(turn))), rounds=rounds)
    return Row("gate_ms", ours, "ms per 1080p frame")


def preprocess_ms(bundle: Bundle, *, rounds: int) -> Row:
    """A 1080p frame to the model's tensor."""
    images = full_hd()
    letterbox = Letterbox(bundle.manifest.input)
    turn = itertools.cycle(images)
    (ours,) = interleaved(timed_ms(lambda: letterbox(next(turn))), rounds=rounds)
    return Row("preprocess_ms", ours, f"ms, 1080p to {bundle.manifest.input.width}")


def ssim_rank(*, seed: int = 1, every: int = 4) -> Row:
    """The gate's reduced SSIM beside scikit-image's at full size, over the demo's fault clip.

    Clean frames, a lens that gets dirty, an occlusion, a knock; against the empty line.
    """
    shots = clips.frames(seed + 1, clips.FAULTS_S, clips.FAULTS)
    pairs = [
        _similar(reference(seed), shot.picture) for shot in itertools.islice(shots, 0, None, every)
    ]
    return _rank("ssim_rank", pairs)


def ssim_rank_mixed(*, scenes: int = 40) -> Row:
    """The same over five kinds of fault at all strengths, each against its own clean frame."""
    pairs = []
    for seed, name in itertools.product(range(scenes), FAULTS[:-1]):
        rng = np.random.default_rng((seed, FAULTS.index(name)))
        fault = clips.Fault(name, 0, 1, severity=drawn(rng).grown(float(rng.uniform(0.05, 1))))
        clean, spoilt = (next(clips.frames(seed, 0.1, plan)).picture for plan in ((), (fault,)))
        pairs.append(_similar(clean, spoilt))
    return _rank("ssim_rank_mixed", pairs)


def _similar(good: Image, picture: Image) -> tuple[float, float]:
    """SSIM of the uncalibrated gate, and scikit-image's at full size."""
    ours = Gate(good).check(picture).ssim
    assert ours is not None
    grays = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in (good, picture))
    return ours, float(structural_similarity(*grays))


def _rank(name: str, pairs: Sequence[tuple[float, float]]) -> Row:
    """Spearman's rank correlation."""
    ours, theirs = (np.argsort(np.argsort(side)) for side in np.array(pairs).T)
    value = float(np.corrcoef(ours, theirs)[0, 1])
    return Row(name, value, "rank correlation, 160 px wide", "scikit-image at full size", 1.0)
