"""Which signs mean which cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.triage import CAMERA, ENGINE, MODEL, SCENE, Signs, judge

DRIFT = {"drifted": ("score",)}
DIRTY = {"rejected": (("cam", 0.6),)}
PASSED, FAILED = {"selftest": "passed"}, {"selftest": "failed", "selftest_text": "NaN"}


@pytest.mark.parametrize(
    ("signs", "cause"),
    [
        ({}, ""),
        (PASSED, ""),
        (FAILED, ENGINE),
        (FAILED | DIRTY, ENGINE),
        (FAILED | DRIFT | {"fresh_release": True}, ENGINE),
        ({"nonfinite": 3, "inferred": 9}, ""),
        ({"nonfinite": 3, "inferred": 9} | PASSED, MODEL),
        ({"nonfinite": 3, "inferred": 9} | FAILED, ENGINE),
        ({"nonfinite": 3, "inferred": 9} | PASSED | DIRTY, MODEL),
        (DRIFT, ""),
        (DRIFT | PASSED, SCENE),
        (DRIFT | PASSED | {"fresh_release": True}, MODEL),
        (DRIFT | PASSED | {"provider_ok": False}, SCENE),
        (DRIFT | PASSED | DIRTY, CAMERA),
        (DRIFT | DIRTY, CAMERA),
        (DRIFT | PASSED | DIRTY | {"fresh_release": True}, CAMERA),
        (DIRTY, CAMERA),
        ({"rejected": (("cam", 0.1),)}, ""),
        ({"cameras_down": ("cam",)}, CAMERA),
        ({"provider_ok": False}, ENGINE),
        ({"provider_ok": False} | DIRTY, CAMERA),
        ({"latency_ratio": 3.0}, ENGINE),
        ({"latency_ratio": 1.5}, ""),
    ],
)
def test_signs_and_causes(signs, cause):
    """One line per case; the evidence is there whenever a cause is."""
    finding = judge(Signs(**signs))
    assert finding.cause == cause
    assert bool(finding.evidence) >= bool(cause)
    assert (cause or "cause not known yet") in finding.text


def test_waiting_says_that_the_golden_frames_will_tell():
    """Drift and NaN are nobody's fault until the live engine was asked."""
    assert judge(Signs(**DRIFT)).waiting and not judge(Signs()).waiting
    assert not judge(Signs(**DRIFT, **PASSED)).waiting


@given(
    st.builds(
        Signs,
        selftest=st.sampled_from(["", "passed"]),
        provider_ok=st.just(True),
        drifted=st.sampled_from([(), ("score",), ("class", "score")]),
        cameras_down=st.sampled_from([(), ("a",)]),
        rejected=st.sampled_from([(("a", 0.0),), (("a", 0.5),)]),
        fresh_release=st.just(False),
    )
)
def test_no_camera_and_no_scene_is_ever_blamed_on_the_release(signs):
    """Whatever comes together: without NaN, a failed self-test or a new release there is none."""
    assert judge(signs).cause in ("", CAMERA, SCENE)
