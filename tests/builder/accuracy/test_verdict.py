"""Limits, golden tolerances and the verdict: rules, by example."""

from __future__ import annotations

import numpy as np
import pytest

from builder.accuracy.agreement import Agreement
from builder.accuracy.coco import Accuracy
from builder.accuracy.limits import DEFAULTS, read_limits, rungs
from builder.accuracy.verdict import Measured, golden_tolerance, judge, render
from builder.prove import Parity
from edge_agent.bundle import Tolerance
from edge_agent.errors import ConfigError

ALLOWED = Tolerance(0.9, 0.05)


def measured(*, loss=0.0, share=1.0, drift=0.0, tolerance=ALLOWED, labels=True):
    """What a variant showed."""
    before = Accuracy(0.9, 0.6, 10, 20) if labels else None
    return Measured(
        id="int8",
        reference="fp32-graph",
        raw=Parity(4, 1e-3, 1e-2),
        agreement=Agreement(10, 40, share, 0.97, {"cat": drift, "dog": 0.0}),
        before=before,
        after=Accuracy(0.9, 0.6 - loss / 100, 10, 20) if labels else None,
        tolerance=tolerance,
        golden_faults=() if tolerance else ("frame 2: expected class 0, nothing matches it",),
        model_bytes=2_000_000,
        infer_ms=20.0,
        fp32_ms=10.0,
    )


def test_inside_all_limits():
    """Nothing to say."""
    assert judge(measured(loss=0.9), DEFAULTS["int8"]) == []


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        ({"loss": 1.2}, "loses 1.20 points of mAP50-95 (at most 1)"),
        ({"share": 0.8}, "80.0% of the reported boxes"),
        ({"drift": -0.2}, "scores of 'cat' drift by -0.200"),
        ({"tolerance": None}, "golden set: frame 2: expected class 0"),
    ],
)
def test_each_limit_has_its_sentence(faulty, reason):
    """One fault, one reason."""
    (why,) = judge(measured(**faulty), DEFAULTS["int8"])
    assert reason in why


def test_a_gain_is_no_loss_and_no_labels_no_verdict_on_map():
    """mAP may rise; without labels it is not judged."""
    assert judge(measured(loss=-3.0), DEFAULTS["fp16"]) == []
    assert measured(labels=False).map_loss is None
    assert "map50" not in measured(labels=False).document()


def test_the_manifest_says_the_loss():
    """In points, rounded, with the reference."""
    document = measured(loss=0.66).document()
    assert document["map50_95_loss_points"] == pytest.approx(0.66)
    assert document["reference"] == "fp32-graph"
    assert "infer_ms" not in document


def test_the_table_has_a_line_per_variant():
    """Speed beside accuracy, and what the figures are counted in."""
    text = render([measured(loss=0.66)])
    assert "x fp32: speed" in text and "loss: mAP50-95 in points of 100" in text
    assert "int8" in text and "0.50" in text and "+0.66" in text


def rows(score, x=0.0):
    """One detection of 100 pixels."""
    return np.array([[x, 0, x + 100, 100, score, 0]], np.float32)


def test_golden_tolerance_is_one_rung_wider():
    """0.04 off holds at the second rung, so the third is taken."""
    ladder = rungs("int8")
    found, faults = golden_tolerance([rows(0.8)], [rows(0.76)], 0.25, ladder)
    assert (found, faults) == (ladder[2], ())
    assert golden_tolerance([rows(0.8)], [rows(0.8)], 0.25, ladder)[0] == ladder[1]


def test_golden_tolerance_that_is_not_allowed():
    """What holds at the last rung only, or at none, is another model."""
    for other in (rows(0.61), rows(0.1), rows(0.8, x=60)):
        found, faults = golden_tolerance([rows(0.8)], [other], 0.25, rungs("int8"))
        assert found is None and "frame 0" in faults[0]


def test_limits_of_a_file(tmp_path):
    """What is written counts, the rest stays."""
    path = tmp_path / "limits.toml"
    path.write_text("[limits.int8]\nmap_loss = 2.5\n")
    limits = read_limits(path)
    assert limits["int8"].map_loss == 2.5
    assert limits["int8"].agreement == DEFAULTS["int8"].agreement
    assert limits["fp16"] == DEFAULTS["fp16"]
    assert read_limits(None) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[limits.int4]\nmap_loss = 1", "limits.int4"),
        ("[limits.int8]\nmap_los = 1", 'did you mean "map_loss"'),
        ("[limits.int8]\nmap_loss = -1", "map_loss"),
        ("[limit.int8]\nmap_loss = 1", 'did you mean "limits"'),
        ("[limits", "not TOML"),
    ],
)
def test_faults_of_a_file(tmp_path, text, reason):
    """Named, with the nearest right word."""
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason.replace("[", r"\[")):
        read_limits(path)


def test_a_file_that_is_not_there(tmp_path):
    """One line."""
    with pytest.raises(ConfigError, match="No such file"):
        read_limits(tmp_path / "none.toml")
