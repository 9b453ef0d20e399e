"""How figures are compared and written."""

import pytest

from benchmarks.rows import Row, interleaved, timed_ms


def test_ratio_is_ours_over_the_peers():
    """And absent where there is no peer."""
    assert Row("a", 2.0, "ms", "peer", 8.0).ratio == 0.25
    assert Row("a", 2.0, "ms").ratio is None
    assert Row("a", 2.0, "ms", None, None).to_document() == {
        "name": "a", "value": 2.0, "unit": "ms", "peer": None, "peer_value": None, "ratio": None,
    }  # fmt: skip


def test_sides_take_turns():
    """Neither side is always the first, and each gives its median."""
    order: list[str] = []

    def side(name: str, values: list[float]):
        def measure() -> float:
            order.append(name)
            return values.pop(0)

        return measure

    medians = interleaved(side("a", [1, 9, 2]), side("b", [5, 4, 100]), rounds=3)
    assert medians == [2, 5]
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_timed_ms():
    """Milliseconds per call, over at least the time asked for."""
    calls = []
    measure = timed_ms(lambda: calls.append(1), least_s=0.01)
    per_call = measure()
    assert per_call * (len(calls) - 1) == pytest.approx(10, rel=0.5)
