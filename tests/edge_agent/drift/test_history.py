"""A camera's memory: what is baseline, what is judged, when an alarm begins and ends."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift_months import Months, Pace, alarms
from benchmarks.drift_streams import Change
from edge_agent.drift.baseline import Baseline
from edge_agent.drift.budget import budget_of
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import FIRST_SAMPLES, RING, Block, History
from edge_agent.drift.verdict import Finding, Standing, Verdict, chance_of, discoveries
from tests.edge_agent.drift.streams import LAYOUT, blocks

DAY_S = 86400.0
CHANGED = Change(score_sigma=-0.5)


def fed(history, several, level=1.0):
    """The verdicts of blocks in a row, without those that were none."""
    return [history.conclude(level) for one in several if history.add(one, DAY_S)]


def test_first_a_baseline_then_three_blocks_then_verdicts():
    """2,000 samples and a day, whichever is later; no verdict below 300 samples."""
    history = History.begin(LAYOUT)
    assert not fed(history, blocks(19)) and history.learning
    assert not fed(history, blocks(1)) and not history.learning
    assert history.baseline.samples == FIRST_SAMPLES
    assert not fed(history, blocks(2)) and history.samples == 200
    assert len(fed(history, blocks(1))) == 1
    slow = History.begin(LAYOUT)
    assert not fed(slow, blocks(200, seconds=400.0)) and slow.learning


def test_what_is_judged_is_never_in_the_baseline():
    """A block leaves the ring before it becomes usual; after a week nothing does."""
    history = History.begin(LAYOUT)
    fed(history, blocks(20 + RING, seed=1))
    assert (history.baseline.samples, len(history.ring)) == (2000, RING)
    fed(history, blocks(1, seed=2))
    assert (history.baseline.samples, len(history.ring)) == (2100, RING)
    fed(history, blocks(200, seed=3))
    full = history.baseline.samples
    assert history.baseline.complete and full >= 10_000
    fed(history, blocks(60, seed=4))
    assert history.baseline.samples == full


def test_a_change_is_found_named_and_over_when_it_is_over():
    """Scores fall by half a sigma; the alarm stays while they do."""
    history = History.begin(LAYOUT)
    assert not any(one.found for one in fed(history, blocks(60, seed=5)))
    verdicts = fed(history, blocks(8, CHANGED, seed=6))
    assert history.standing.raised == {"score"} and verdicts[-1].found == {"score"}
    score = next(one for one in verdicts[-1].findings if one.feature == "score")
    assert score.test in ("shift", "shape") and 0.3 < abs(score.effect) < 0.7 and score.rate < 1e-9
    fed(history, blocks(RING + 12, seed=7))
    assert not history.standing.raised


def test_a_slow_drift_is_found():
    """Boxes that grow by half a percent a block: never much between neighbours."""
    history = History.begin(LAYOUT)
    fed(history, blocks(200, seed=11))
    assert history.baseline.complete and not history.standing.raised
    for index in range(60):
        fed(history, blocks(1, Change(box_scale=1.005**index), seed=100 + index))
    assert "box_area" in history.standing.raised


def test_the_sums_follow_the_ordered_features_only_after_the_freeze():
    """Before it they are zero; then the changed feature's is the largest."""
    history = History.begin(LAYOUT)
    fed(history, blocks(60, seed=12))
    assert not history.sums.any()
    fed(history, blocks(140, seed=13))
    fed(history, blocks(6, CHANGED, seed=14))
    names = [feature.name for feature in LAYOUT.ordered]
    assert names[int(history.sums[1].argmax())] == "score"


def daily(index, seed):
    """Blocks of one hour: brighter pictures from 8 to 20."""
    hour = index % 24
    one = blocks(1, seed=seed, seconds=3600.0, begin=index)[0]
    counts = one.counts[hour].copy()
    place = next(f.place for f in LAYOUT.features if f.name == "luminance")
    if 8 <= hour < 20:
        counts[place] = np.roll(counts[place], 3)
    return Block({hour: BLOCK}, {hour: counts}, 3600.0)


def test_a_daily_cycle_is_no_drift():
    """Hours are compared with the same hours; beside all hours together the day looks changed."""
    history = History.begin(LAYOUT)
    told = fed(history, [daily(index, index) for index in range(24 * 4)])
    assert len(told) > 60 and not any("luminance" in one.found for one in told)
    blurred = History.begin(LAYOUT)
    mixed = [daily(index, index) for index in range(24 * 4)]
    one_hour = [Block({0: BLOCK}, {0: one.total}, 3600.0) for one in mixed]
    assert any("luminance" in one.found for one in fed(blurred, one_hour))


def test_a_mixture_of_hours_is_worth_what_its_variance_is():
    """Equal hours in equal parts are worth all of them; one hour only its own samples."""
    baseline = Baseline.empty(LAYOUT)
    counts = blocks(1, seed=1)[0].total
    for hour in (3, 4):
        baseline.counts[hour] = counts * 10
        baseline.frames[hour] = 1000
    baseline.complete = True
    place = LAYOUT.features[0].place
    window = np.zeros((3, 24), np.int64)
    window[0, [3, 4]] = 150
    window[1, 3] = 300
    window[2, 7] = 300  # an hour that was never seen: all together
    sums = baseline.reference(window)[:, place].sum(1)
    assert sums == pytest.approx([2000, 1000, 2000])


@pytest.mark.parametrize("change", [None, CHANGED])
def test_the_benchmark_sees_what_the_device_sees(change):
    """Chances and alarms of 330 blocks at once are those of a `History` fed one by one."""
    pace, knob = Pace(5000.0, DAY_S), 60.0
    several = [*blocks(250, seed=21), *blocks(80, change, seed=22, begin=250)]
    months = Months(LAYOUT, np.stack([one.total for one in several]), pace)
    since = pace.first + 2
    chances = months.chances(since, len(several))
    history, raised, monthly = History.begin(LAYOUT), [], []
    for index, one in enumerate(several):
        was = bool(history.standing.raised)
        if history.add(one, DAY_S):
            monthly.append(history.chance)
            history.conclude(knob)
        if history.standing.raised and not was:
            raised.append(index)
    assert monthly == pytest.approx(chances * (30 * DAY_S / 5000.0), rel=1e-6)
    told = [since + block for block, _ in alarms([chances], 5000.0, knob)]
    assert told == raised and (change is None or any(index >= 250 for index in raised))


def test_the_budget_follows_the_time_that_passed():
    """A month of verdicts uses what the level says, however long each took."""
    assert budget_of(2.0, 86400.0 * 30) == 0.01
    assert 720 * budget_of(2.0, 3600.0) == pytest.approx(2.0)


def test_false_discoveries_are_controlled():
    """Benjamini and Hochberg: ranks share the budget; nothing when the smallest is outside."""
    rates = (0.001, 0.019, 0.2, 0.9)
    findings = [Finding(str(index), rate) for index, rate in enumerate(rates)]
    assert discoveries(findings, 0.04) == {"0", "1"}
    assert discoveries(findings, 0.003) == frozenset()
    assert discoveries(findings, 0.004) == {"0"}


def test_weights_move_the_budget_and_absent_features_have_none():
    """Twice the share finds twice the rate; a feature without samples leaves its share."""
    findings = [
        Finding("a", 0.015, weight=2.0), Finding("b", 0.5, weight=1.0), Finding("c", 0.0, weight=0)
    ]  # fmt: skip
    assert discoveries(findings, 0.015) == {"a"}
    assert discoveries(findings, 0.0149) == frozenset()


def test_the_chance_of_a_camera_is_where_the_discoveries_begin():
    """Simes' combination against the procedure itself, for 200 sets of rates."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        rates, weights = rng.random(6) ** 4, rng.random(6)
        weights[0] = 0.0
        findings = [
            Finding(str(i), r, weight=w)
            for i, (r, w) in enumerate(zip(rates, weights, strict=True))
        ]
        chance = float(chance_of(rates, weights))
        assert discoveries(findings, min(1.0, chance * 1.0001)) or chance == 1.0
        assert not discoveries(findings, chance * 0.9999)


def test_an_alarm_ends_after_three_calm_blocks():
    """One that is nearly significant keeps it up."""
    none, near = frozenset(), frozenset({"score"})
    calm, close = Verdict((), none, none), Verdict((), none, near)
    standing = Standing().after(Verdict((), near, near))
    for verdict in (calm, calm, close, calm, calm):
        standing = standing.after(verdict)
        assert standing.raised == near
    assert standing.after(calm) == Standing()
