"""A frozen picture is told from a still scene by its noise."""

import numpy as np
import pytest

from edge_agent.gate.pulse import KEPT, Pulse, flat
from tests.edge_agent.gate.scene import views

SHAPE = (15, 160)
EVERYWHERE = np.full(SHAPE, 255, np.uint8)


def shots(count, noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        np.clip(100 + rng.normal(0, noise, SHAPE), 0, 255).astype(np.uint8) for _ in range(count)
    ]


def test_a_still_scene_lives():
    """Noise of 2 grey levels changes two frames by 2 * 2 / sqrt(pi) on average."""
    pulse = Pulse(EVERYWHERE)
    beats = [pulse.beat(lines) for lines in shots(30)]
    assert beats[KEPT - 1].noise is None and beats[KEPT].noise is not None
    assert beats[-1].change == pytest.approx(4 / np.sqrt(np.pi), rel=0.1)
    assert beats[-1].noise < beats[-1].change and beats[-1].repeats == 0


def test_repeats_are_counted_to_the_last_bit():
    """One pixel of difference, anywhere, ends the run."""
    pulse, lines = Pulse(np.zeros(SHAPE, np.uint8)), shots(1)[0]
    assert [pulse.beat(lines.copy()).repeats for _ in range(5)] == [0, 1, 2, 3, 4]
    changed = lines.copy()
    changed[3, 5] += 1
    assert pulse.beat(changed).repeats == 0
    assert pulse.beat(changed).repeats == 1


def test_a_frozen_picture_behind_an_encoder_has_no_noise_either():
    """Every fifth frame is coded anew and a little different; the median does not see it."""
    pulse, picture = Pulse(EVERYWHERE), shots(1)[0]
    for number in range(20):
        beat = pulse.beat(picture + np.uint8(number % 5 == 0))
    assert beat.change == 0 and beat.repeats < 5


def test_only_the_mask_counts_for_noise():
    """What moves outside of it is no noise."""
    mask = EVERYWHERE.copy()
    mask[:, 80:] = 0
    pulse = Pulse(mask)
    rng = np.random.default_rng(1)
    for _ in range(KEPT + 1):
        lines = np.full(SHAPE, 100, np.uint8)
        lines[:, 80:] = rng.integers(0, 255, (SHAPE[0], 80))
        beat = pulse.beat(lines)
    assert beat.change == 0 and beat.repeats == 0


def test_flat_is_the_flattest_still_part():
    """Never on the mask's edge, never outside of it, about the share that was asked for."""
    gray = views(1)[0].gray
    mask = np.zeros_like(gray)
    mask[:60] = 255
    found = flat(gray, mask, share=0.2) > 0
    assert not found[59:].any()
    assert 0.15 < found.sum() / (59 * 160) < 0.25
    assert np.array_equal(flat(gray, np.zeros_like(gray)), np.zeros_like(gray))
