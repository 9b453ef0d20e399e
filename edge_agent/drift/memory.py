"""A camera's history on disk: ``<data>/baseline/<camera>/drift-*.json`` (docs/formats.md).

Two files per release: the history, once per block, and the block that fills, once a minute at most.
The second says how many blocks the history had, so a cut between the two writes counts no frame
twice. Bytes are made at once, by whoever holds the counts; writing them is for whoever goes to the
disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.checked import Fields
from edge_agent.drift.baseline import Baseline, Ints
from edge_agent.drift.gathering import Gathering
from edge_agent.drift.grouping import BLOCK
from edge_agent.drift.history import RING, Block, History
from edge_agent.drift.layout import HOURS, Layout
from edge_agent.drift.verdict import Standing
from edge_agent.errors import StorageError, storage_errors

SCHEMA_VERSION = 2
KEPT = 4
"""Releases whose history is kept per camera: one that is rolled back to finds its own again."""
MOST_BYTES = 64 << 20
"""Of a file: 24 hours and 48 blocks of a thousand classes are a tenth of it."""
_MOST = 2.0**53
_LONGEST_S = 1e10


@dataclass(frozen=True)
class Release:
    """What a history was learnt with: another release, or variant of it, has other outputs.

    Attributes:
        digest: of the bundle, which holds the profile, too.
        variant: of the model.
    """

    digest: str
    variant: str


@dataclass(frozen=True)
class Memory:
    """Where the history of one camera and release is.

    Attributes:
        folder: of the camera.
        release: it is of.
        layout: of the counts.
    """

    folder: Path
    release: Release
    layout: Layout

    @property
    def path(self) -> Path:
        """The file of the history."""
        return self.folder / f"drift-{self.release.digest[:16]}.json"

    @property
    def gathering_path(self) -> Path:
        """The file of the block that fills."""
        return self.folder / f"block-{self.release.digest[:16]}.json"

    def encode(self, history: History, spacing_s: float | None) -> bytes:
        """The bytes of a history's file, as it is at this moment."""
        return self._encode(document_of(history, spacing_s))

    def write(self, data: bytes) -> None:
        """Replace a history on disk; those of long gone releases go. Raises `StorageError`."""
        self._write(self.path, data)
        with storage_errors(self.folder):
            for kind in ("drift-*.json", "block-*.json"):
                files = sorted(self.folder.glob(kind), key=lambda one: one.stat().st_mtime)
                for old in files[:-KEPT]:
                    old.unlink()

    def encode_gathering(self, gathering: Gathering, blocks: int, spacing_s: float | None) -> bytes:
        """The bytes of the file of the block that fills.

        Args:
            gathering: the block.
            blocks: of the history that it follows.
            spacing_s: seconds between frames that count.
        """
        block = Block(gathering.frames, gathering.counts, gathering.seconds, gathering.ended)
        return self._encode(
            {"after_blocks": blocks, "spacing_s": spacing_s, "block": _block(block)}
        )

    def write_gathering(self, data: bytes) -> None:
        """Replace the block that fills on disk. Raises `StorageError`."""
        self._write(self.gathering_path, data)

    def read(self) -> tuple[History, float | None] | None:
        """A history and its spacing in seconds; None when there is none.

        Raises:
            StorageError: naming the file and every fault in it.
        """
        fields = self._read(self.path)
        if fields is None:
            return None
        made = _history(fields, self.layout)
        self._raise(self.path, fields)
        return made

    def read_gathering(self, blocks: int) -> tuple[Gathering, float | None] | None:
        """The block that filled and its spacing; None without one that follows so many blocks.

        Raises:
            StorageError: naming the file and every fault in it.
        """
        fields = self._read(self.gathering_path)
        if fields is None:
            return None
        follows = fields.integer("after_blocks", least=0)
        spacing_s = _spacing(fields)
        block = _read_block(fields.table("block"), self.layout)
        fields.close()
        if sum(block.frames.values()) >= BLOCK:
            fields.fault("block", f"should hold fewer than {BLOCK} frames")
        self._raise(self.gathering_path, fields)
        if follows != blocks:
            return None
        filled = Gathering(self.layout, block.frames, block.counts, block.seconds, block.ended)
        return filled, spacing_s

    def _encode(self, document: Mapping[str, Any]) -> bytes:
        head = {
            "schema_version": SCHEMA_VERSION,
            "release": self.release.digest,
            "variant": self.release.variant,
            "features": list(self.layout.names),
            "classes": self.layout.classes,
        }
        text = json.dumps({**head, **document}, sort_keys=True, separators=(",", ":"))
        return text.encode() + b"\n"

    def _write(self, path: Path, data: bytes) -> None:
        make_dirs(self.folder)
        write_atomic(path, data)

    def _read(self, path: Path) -> Fields | None:
        """The document of a file of this release, its head checked."""
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise StorageError(f"{path}: larger than {MOST_BYTES} bytes; it is learnt anew")
            fields = Fields(json.loads(text))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}; see who may read it") from None
        except (ValueError, RecursionError) as error:
            raise StorageError(
                f"{path}: not JSON ({error}); what is usual is learnt anew"
            ) from None
        if fields.integer("schema_version") != SCHEMA_VERSION:
            fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here")
        if fields.text("release") != self.release.digest:
            fields.fault("release", f"is not {self.release.digest[:12]}…, which runs")
        if (variant := fields.text("variant")) != self.release.variant:
            fields.fault("variant", f"is {variant}, and {self.release.variant} runs")
        if fields.texts("features") != self.layout.names:
            fields.fault("features", "are not those of this version")
        if fields.integer("classes") != self.layout.classes:
            fields.fault("classes", f"are not the model's {self.layout.classes}")
        return fields

    def _raise(self, path: Path, fields: Fields) -> None:
        if fields.faults:
            raise StorageError(f"{path}: {'; '.join(fields.faults)}; what is usual is learnt anew")


def document_of(history: History, spacing_s: float | None) -> dict[str, Any]:
    """The JSON form, without what says whose it is."""
    baseline = history.baseline
    hours = np.flatnonzero(baseline.frames).tolist()
    return {
        "spacing_s": spacing_s,
        "blocks": history.blocks,
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
    return {"seconds": block.seconds, "ended": block.ended, "hours": hours}


def _history(fields: Fields, layout: Layout) -> tuple[History, float | None]:
    """A history for this layout; faults are noted in ``fields``."""
    spacing_s = _spacing(fields)
    grouping = np.asarray(fields.numbers("grouping"))
    if grouping.size not in (0, layout.size) or (grouping < 0).any():
        fields.fault("grouping", f"should hold {layout.size} numbers from 0, or none")
        grouping = np.zeros(0)
    frames, counts = _hours(fields.tables("baseline"), layout)
    baseline = Baseline.empty(layout)
    for hour, values in counts.items():
        baseline.counts[hour], baseline.frames[hour] = values, frames[hour]
    baseline.complete = fields.boolean("complete")
    ring = [_read_block(one, layout) for one in fields.tables("ring")]
    if len(ring) > RING or any(sum(one.frames.values()) != BLOCK for one in ring):
        fields.fault("ring", f"should hold at most {RING} blocks of {BLOCK} frames")
    if (baseline.complete or ring) and not grouping.size:
        fields.fault("grouping", "is missing beside a baseline")
    history = History(
        layout,
        baseline,
        learnt_s=fields.number("learnt_s", least=0.0, most=_LONGEST_S),
        blocks=fields.integer("blocks", least=0),
        grouping=grouping,
        ring=ring,
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


def _spacing(fields: Fields) -> float | None:
    if not fields.has("spacing_s"):
        return None
    return fields.number("spacing_s", least=0.0, most=_LONGEST_S)


def _read_block(fields: Fields, layout: Layout) -> Block:
    seconds = fields.number("seconds", least=0.0, most=_LONGEST_S)
    ended = fields.number("ended", least=0.0, most=_LONGEST_S)
    frames, counts = _hours(fields.tables("hours"), layout)
    fields.close()
    return Block(frames, counts, seconds, ended)


def _hours(hours: list[Fields], layout: Layout) -> tuple[dict[int, int], dict[int, Ints]]:
    frames: dict[int, int] = {}
    counts: dict[int, Ints] = {}
    for one in hours:
        hour = min(max(one.integer("hour", least=0, most=HOURS - 1), 0), HOURS - 1)
        if hour in frames:
            one.fault("hour", "is there twice")
        frames[hour] = one.integer("frames", least=0, most=2**53)
        values = np.asarray(one.numbers("counts"))
        if values.shape != (layout.size,) or not _are_counts(values):
            one.fault("counts", f"should hold {layout.size} counts")
            values = np.zeros(layout.size)
        counts[hour] = values.astype(np.int64)
        if any(counts[hour][f.place].sum() > frames[hour] for f in layout.features):
            one.fault("counts", "hold more than one value per frame")
        one.close()
    return frames, counts


def _are_counts(values: Any) -> bool:
    return bool(((values >= 0) & (values <= _MOST) & (values == np.floor(values))).all())


def _sums(fields: Fields, name: str, layout: Layout) -> Any:
    rows = fields.rows(name, width=len(layout.ordered))
    if len(rows) != 2 or any(value < 0 for row in rows for value in row):
        fields.fault(name, "should hold two rows of numbers from 0")
        return np.zeros((2, len(layout.ordered)))
    return np.asarray(rows, np.float64)
