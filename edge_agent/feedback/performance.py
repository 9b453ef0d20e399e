"""``up/metrics/performance``: precision and recall of each release and slice. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from edge_agent.feedback.join import Pair
from edge_agent.feedback.report import ALL, ClassFigures, Evidence, Figures, Rate, count
from edge_agent.metrics import METRICS_PERFORMANCE, Message

_TOLD = ("camera", "shift", "time")
READING = "performance_"
"""How the names begin by which rules know the figures of a release as a whole."""


def performance(pairs: Sequence[Pair], evidence: Evidence) -> Iterator[tuple[Message, int]]:
    """One message per release and slice, with the version that it is about.

    Args:
        pairs: of all releases.
        evidence: what they rest on.
    """
    by_release: dict[tuple[str, int], list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_release[pair.model, pair.version].append(pair)
    for (model, version), part in sorted(by_release.items()):
        figures = count(part, evidence)
        yield _message(model, ALL, ALL, figures), version
        for one in figures.slices:
            if one.dimension in _TOLD:
                yield _message(model, one.dimension, one.name, one), version


def readings(message: Message) -> dict[str, float | int] | None:
    """What rules may look at of a message of `performance`; None of one about a slice."""
    payload = message.payload
    if payload["dimension"] != ALL:
        return None
    return {f"{READING}{n}": v for n, v in payload.items() if isinstance(v, (int, float))}


def _message(model: str, dimension: str, name: str, figures: Figures) -> Message:
    values: dict[str, float | int] = _class_values(figures.whole, "")
    for rate, figure in (("precision", figures.whole.precision), ("recall", figures.whole.recall)):
        if figure is not None:
            values |= {f"{rate}_looks": figure.count, f"{rate}_independent": figure.effective}
    for one in figures.classes:
        values |= _class_values(one, f"_of_{_key(one.name)}")
    mistakes = {
        f"taken_{_key(truth)}_for_{_key(found)}": times
        for truth, found, times in figures.confusions()
    }
    labels = {"model": model, "dimension": dimension, "slice": name}
    return Message(METRICS_PERFORMANCE, {**labels, **values, **mistakes})


def _class_values(figures: ClassFigures, suffix: str) -> dict[str, float | int]:
    values: dict[str, float | int] = {
        f"right{suffix}": figures.right,
        f"wrong{suffix}": figures.wrong,
        f"missed{suffix}": figures.missed,
    }
    for name, rate in (("precision", figures.precision), ("recall", figures.recall)):
        values |= _rate_values(name, suffix, rate)
    return values


def _rate_values(name: str, suffix: str, rate: Rate | None) -> dict[str, float]:
    """Absent where there is nothing to count."""
    if rate is None:
        return {}
    return {
        f"{name}{suffix}": round(rate.value, 4),
        f"{name}_least{suffix}": round(rate.low, 4),
        f"{name}_most{suffix}": round(rate.high, 4),
    }


def _key(name: str) -> str:
    return name.replace(" ", "_")
