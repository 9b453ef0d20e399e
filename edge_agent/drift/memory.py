"""A camera's history on disk: ``<data>/baseline/<camera>/drift-*.json`` (docs/formats.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.checked import Fields
from edge_agent.drift.baseline import Baseline, Ints
from edge_agent.drift.history import RING, Block, History
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.verdict import Standing
from edge_agent.errors import StorageError, storage_errors

SCHEMA_VERSION = 1
KEPT = 4
"""Releases whose history is kept per camera: one that is rolled back to finds its own again."""


def path_of(folder: Path, digest: str) -> Path:
    """The file of a release in a camera's folder."""
    return folder / f"drift-{digest[:16]}.json"


def write(path: Path, history: History, spacing_s: float | None) -> None:
    """Replace a history on disk; those of long gone releases go. Raises `StorageError`."""
    make_dirs(path.parent)
    text = json.dumps(document_of(history, spacing_s), sort_keys=True, separators=(",", ":"))
    write_atomic(path, text.encode() + b"\n")
    with storage_errors(path.parent):
        others = sorted(path.parent.glob("drift-*.json"), key=lambda one: one.stat().st_mtime)
        for old in others[:-KEPT]:
            old.unlink()


def read(path: Path, layout: Layout) -> tuple[History, float | None] | None:
    """A history and its spacing in seconds; None when there is none.

    Raises:
        StorageError: naming the file and every fault in it.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; see who may read it") from None
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path}: not JSON ({error}); what is usual is learnt anew") from None
    fields = Fields(document)
    history, spacing_s = parse(fields, layout)
    if fields.faults:
        raise StorageError(f"{path}: {'; '.join(fields.faults)}; what is usual is learnt anew")
    return history, spacing_s


def document_of(history: History, spacing_s: float | None) -> dict[str, Any]:
    """The JSON form."""
    baseline = history.baseline
    hours = np.flatnonzero(baseline.frames).tolist()
    return {
        "schema_version": SCHEMA_VERSION,
        "features": list(history.layout.names),
        "classes": history.layout.classes,
        "spacing_s": spacing_s,
        "learnt_s": history.learnt_s,
        "complete": baseline.complete,
        "grouping": history.grouping.tolist(),
        "baseline": [
            _hour(hour, int(baseline.frames[hour]), baseline.counts[hour]) for hour in hours
        ],
        "ring": [_block(one) for one in history.ring],
        "sums": history.sums.tolist(),
        "runs": history.runs.tolist(),
        "raised": sorted(history.standing.raised),
        "calm": history.standing.calm,
    }


def _hour(hour: int, frames: int, counts: Ints) -> dict[str, Any]:
    return {"hour": hour, "frames": frames, "counts": counts.tolist()}


def _block(block: Block) -> dict[str, Any]:
    hours = [_hour(hour, frames, block.counts[hour]) for hour, frames in block.frames.items()]
    return {"seconds": block.seconds, "hours": hours}


def parse(fields: Fields, layout: Layout) -> tuple[History, float | None]:
    """A history for this layout; faults are noted in ``fields``."""
    if fields.integer("schema_version") != SCHEMA_VERSION:
        fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
    if fields.texts("features") != layout.names:
        fields.fault("features", "are not those of this version")
    if fields.integer("classes") != layout.classes:
        fields.fault("classes", f"are not the model's {layout.classes}")
    spacing_s = fields.number("spacing_s", least=0.0) if fields.has("spacing_s") else None
    grouping = np.asarray(fields.numbers("grouping"))
    if grouping.size not in (0, layout.size):
        fields.fault("grouping", f"should hold {layout.size} numbers or none")
    learnt = _read_block(fields.tables("baseline"), layout, 0.0)
    complete = fields.boolean("complete")
    history = History(
        layout,
        _baseline(layout, learnt, complete=complete),
        learnt_s=fields.number("learnt_s", least=0.0),
        grouping=grouping if grouping.size == layout.size else np.zeros(0),
        ring=[_ring_block(one, layout) for one in fields.tables("ring")][-RING:],
        sums=_sums(fields, "sums", layout),
        runs=_sums(fields, "runs", layout),
        standing=Standing(
            frozenset(fields.texts("raised", ())), fields.integer("calm", 0, least=0)
        ),
    )
    if not history.standing.raised <= set(layout.names):
        fields.fault("raised", "names what is no feature")
    fields.close()
    return history, spacing_s


def _baseline(layout: Layout, learnt: Block, *, complete: bool) -> Baseline:
    baseline = Baseline.empty(layout)
    for hour, counts in learnt.counts.items():
        baseline.counts[hour] = counts
        baseline.frames[hour] = learnt.frames[hour]
    baseline.complete = complete
    return baseline


def _ring_block(fields: Fields, layout: Layout) -> Block:
    seconds = fields.number("seconds", least=0.0)
    block = _read_block(fields.tables("hours", least=1), layout, seconds)
    fields.close()
    return block


def _read_block(hours: list[Fields], layout: Layout, seconds: float) -> Block:
    frames: dict[int, int] = {}
    counts: dict[int, Ints] = {}
    for one in hours:
        hour = min(max(one.integer("hour", least=0, most=HOURS - 1), 0), HOURS - 1)
        frames[hour] = one.integer("frames", least=0, most=2**53)
        values = np.asarray(one.numbers("counts"))
        if values.shape != (layout.size,) or (values < 0).any() or (values > 2**53).any():
            one.fault("counts", f"should hold {layout.size} counts")
            values = np.zeros(layout.size)
        counts[hour] = values.astype(np.int64)
        one.close()
    return Block(frames, counts, seconds)


def _sums(fields: Fields, name: str, layout: Layout) -> Any:
    rows = fields.rows(name, width=len(layout.ordered))
    if len(rows) != 2:
        fields.fault(name, "should hold two rows")
        return np.zeros((2, len(layout.ordered)))
    return np.asarray(rows, np.float64)
