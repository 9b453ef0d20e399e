"""What a training run says, as far as nobody can change it any more.

A rebuild of a version must give the same bytes, but runs stay open: metrics and tags can be logged
at any time. So metrics are taken as they stood when the version was registered; parameters, the
commit and dataset digests are written once, which MLflow enforces or does by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COMMIT_TAG = "mlflow.source.git.commit"
MOST_METRICS = 64


@dataclass(frozen=True)
class RunFacts:
    """What is known of the training run; empty for a bare file or a run that is gone.

    Attributes:
        params: name -> text, as logged.
        metrics: name -> value, as of the registration of the version.
        commit: of the training code.
        datasets: (name, digest) of what the run says it used, sorted.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    commit: str = ""
    datasets: tuple[tuple[str, str], ...] = ()


def run_facts(client: Any, run_id: str | None, until_ms: int) -> RunFacts:
    """Ask MLflow for a run.

    Args:
        client: an ``MlflowClient``.
        run_id: of the training; None and a run that is gone give no facts.
        until_ms: registration of the version, milliseconds since the epoch.
    """
    from mlflow.exceptions import MlflowException

    if not run_id:
        return RunFacts()
    try:
        run = client.get_run(run_id)
        names = sorted(run.data.metrics)[:MOST_METRICS]
        histories = {name: client.get_metric_history(run_id, name) for name in names}
    except MlflowException:
        return RunFacts()
    found = {name: as_of(history, until_ms) for name, history in histories.items()}
    used = [entry.dataset for entry in getattr(run.inputs, "dataset_inputs", [])]
    return RunFacts(
        params=dict(run.data.params),
        metrics={name: value for name, value in found.items() if value is not None},
        commit=run.data.tags.get(COMMIT_TAG, ""),
        datasets=tuple(sorted({(str(one.name), str(one.digest)) for one in used})),
    )


def as_of(history: Iterable[Any], until_ms: int) -> float | None:
    """The last value of a metric at a moment (highest step, then time, as MLflow has it)."""
    before = [one for one in history if one.timestamp <= until_ms]
    last = max(before, key=lambda one: (one.step, one.timestamp), default=None)
    return None if last is None else float(last.value)
