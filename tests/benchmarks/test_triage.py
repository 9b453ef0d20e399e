"""What the triage benchmark counts, and that its damaged engines are damaged."""

import numpy as np

from benchmarks.damage import coarse, nan, wrong
from benchmarks.triage import KINDS, NONE, Verdict, summary


def test_a_wrong_cause_counts_more_than_a_right_one():
    """Both together are wrong; nothing at all is `none`."""
    assert Verdict("blur", ("camera", "camera"), 0, 1).said == "camera"
    assert Verdict("blur", ("camera", "scene"), 0, 1).said == "scene"
    assert Verdict("nan", (), 0, 1).said == NONE


def test_rollbacks_of_cameras_and_scenes_are_wrong():
    """Those of engines are not."""
    report = summary(
        [
            Verdict("nan", ("engine",), 1, 1),
            Verdict("blur", ("engine",), 1, 1),
            Verdict("twice", ("scene",), 0, 1),
            Verdict("flawless", (), 0, 1),
        ]
    )
    assert report["accuracy"] == 0.5 and report["wrong_rollbacks"] == 1
    assert report["confusion"]["scene"] == {"scene": 1, NONE: 1}
    assert sorted(KINDS.values()).count("camera") == 6 and len(KINDS) == 12


def test_engines_that_go_wrong():
    """Each changes what the network says, none its shape."""
    raw = np.random.default_rng(0).uniform(0, 300, (1, 7, 84)).astype(np.float32)
    for spoil in (nan, wrong, coarse):
        spoilt = spoil(raw)
        assert spoilt.shape == raw.shape and spoilt.dtype == np.float32
        assert not np.array_equal(spoilt, raw)
    assert np.isnan(nan(raw)).any() and np.allclose(coarse(raw), raw, rtol=1 / 8)
