"""What commissioning taught of one camera: ``<data>/baseline/<camera>/`` (docs/formats.md).

`baseline.json` names its pictures by their SHA-256, and is written last: a power cut leaves the old
baseline or the new one. Reading is strict; what does not fit together is refused as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.atomic import write_atomic
from edge_agent.checked import Fields, canonical_json
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError, storage_errors
from edge_agent.gate.measures import KINDS, Range
from edge_agent.gate.regions import CellLimits, Cells
from edge_agent.gate.ssim import WINDOW
from edge_agent.gate.standard import Still
from edge_agent.metrics import DEVICE_PATTERN

FILE = "baseline.json"
SCHEMA_VERSION = 1
VIEW_PATTERN = r"[a-z0-9-]{1,32}"
_HASH = r"[0-9a-f]{64}"
_OURS = re.compile(r"[a-z0-9-]+-(picture|mask)-[0-9a-f]{8}\.png")
_MOST_SIDE = 8192


@dataclass(frozen=True)
class Learnt:
    """What good frames taught about one view.

    Attributes:
        still: the view.
        ranges: measure -> usual value and limits.
        cells: the same for each cell's SSIM.
        frames: how many were measured.
        times: statistic -> integrated autocorrelation time in frames.
    """

    still: Still
    ranges: Mapping[str, Range]
    cells: CellLimits
    frames: int
    times: Mapping[str, float]

    @property
    def independent_frames(self) -> float:
        """So many neighbouring frames are worth one; the slowest statistic counts."""
        return max(self.times.values(), default=1.0)


@dataclass(frozen=True)
class Reference:
    """One reference of a camera: day, night, product A.

    Attributes:
        name: of the reference.
        taken: when, ISO 8601 UTC.
        source: what it was learnt from.
        fps: frames per second of what it was learnt from; None for a folder of pictures.
        learnt: the view and its limits.
    """

    name: str
    taken: str
    source: str
    fps: float | None
    learnt: Learnt

    @property
    def independent_s(self) -> float | None:
        """Seconds between two frames that say something new; None where no time was known."""
        return None if self.fps is None else self.learnt.independent_frames / self.fps


@dataclass(frozen=True)
class Baseline:
    """All references of one camera.

    Attributes:
        camera: id.
        size: width and height of its frames in pixels.
        width: to which frames are reduced.
        references: at least one; names are unique.
    """

    camera: str
    size: tuple[int, int]
    width: int
    references: tuple[Reference, ...]

    def with_reference(self, new: Reference) -> Baseline:
        """This baseline with a reference added, or renewed under its name."""
        kept = tuple(one for one in self.references if one.name != new.name)
        return replace(self, references=(*kept, new))

    @property
    def ssim_min(self) -> float | None:
        """The least SSIM that passes with any of the references."""
        limits = (one.learnt.ranges["ssim"].low for one in self.references)
        return min((low for low in limits if low is not None), default=None)

    @property
    def fps(self) -> float | None:
        """The lowest rate at which a reference was learnt, None when none has a rate."""
        return min((one.fps for one in self.references if one.fps is not None), default=None)

    @property
    def independent_s(self) -> float | None:
        """Seconds between two frames that say something new, by the slowest reference."""
        times = (one.independent_s for one in self.references)
        return max((seconds for seconds in times if seconds is not None), default=None)

    def write(self, folder: Path) -> None:
        """Replace the baseline in a folder, which is made; raises `StorageError`."""
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, bytes] = {}
        references = [_reference_document(one, files) for one in self.references]
        for name, data in files.items():
            write_atomic(folder / name, data)
        document = {
            "schema_version": SCHEMA_VERSION,
            "camera": self.camera,
            "width": self.width,
            "frame": {"width": self.size[0], "height": self.size[1]},
            "references": references,
        }
        write_atomic(folder / FILE, canonical_json(document))
        with storage_errors(folder):
            for path in folder.iterdir():
                if _OURS.fullmatch(path.name) and path.name not in files:
                    path.unlink()

    @classmethod
    def read(cls, folder: Path) -> Baseline | None:
        """The baseline in a folder, None when there is none.

        Raises:
            SourceError: naming the file and every fault in it.
        """
        path = folder / FILE
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}; see who may read it") from None
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path}: not JSON ({error}); calibrate the camera again") from None
        fields = Fields(document)
        baseline = _parse(fields, folder)
        if fields.faults:
            faults = "; ".join(fields.faults)
            raise SourceError(f"{path}: {faults}; calibrate the camera again")
        return baseline


def _reference_document(one: Reference, files: dict[str, bytes]) -> dict[str, Any]:
    learnt = one.learnt
    rows, columns = learnt.cells.usual.shape
    document: dict[str, Any] = {
        "name": one.name,
        "taken": one.taken,
        "source": one.source,
        "frames": learnt.frames,
        "picture": _png(f"{one.name}-picture", learnt.still.gray, files),
        "mask": _png(f"{one.name}-mask", learnt.still.mask, files),
        "aligned": learnt.still.aligned,
        "ranges": {
            name: {side: value for side, value in limits._asdict().items() if value is not None}
            for name, limits in learnt.ranges.items()
        },
        "cells": {
            "rows": rows,
            "columns": columns,
            "usual": _rounded(learnt.cells.usual),
            "low": _rounded(learnt.cells.low),
        },
        "independent": {
            "frames": round(learnt.independent_frames, 2),
            "by_statistic": dict(learnt.times),
        },
    }
    if one.fps is not None and one.independent_s is not None:
        document["fps"] = round(one.fps, 3)
        document["independent"]["seconds"] = round(one.independent_s, 3)
    return document


def _png(name: str, picture: Image, files: dict[str, bytes]) -> dict[str, str]:
    data = cv2.imencode(".png", picture)[1].tobytes()
    digest = hashlib.sha256(data).hexdigest()
    file = f"{name}-{digest[:8]}.png"
    files[file] = data
    return {"file": file, "sha256": digest}


def _rounded(plane: npt.NDArray[np.float32]) -> list[float]:
    return [round(value, 4) for value in plane.ravel().tolist()]


def _parse(fields: Fields, folder: Path) -> Baseline:
    if fields.integer("schema_version") != SCHEMA_VERSION:
        fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
    frame = fields.table("frame")
    references = tuple(_reference(item, folder) for item in fields.tables("references", least=1))
    names = [one.name for one in references if one is not None]
    if len(set(names)) < len(names):
        fields.fault("references", "have names that are there twice")
    baseline = Baseline(
        camera=fields.text("camera", pattern=DEVICE_PATTERN),
        size=(
            frame.integer("width", least=1, most=1 << 16),
            frame.integer("height", least=1, most=1 << 16),
        ),
        width=fields.integer("width", least=1, most=_MOST_SIDE),
        references=tuple(one for one in references if one is not None),
    )
    frame.close()
    fields.close()
    return baseline


def _reference(fields: Fields, folder: Path) -> Reference | None:
    """One reference; None when its pictures cannot be used (faults are noted)."""
    gray, mask = (_picture(fields.table(name), folder) for name in ("picture", "mask"))
    times = fields.table("independent")
    fps = fields.number("fps", least=0.001, most=1e6) if fields.has("fps") else None
    ranges = _ranges(fields.table("ranges"))
    cells = fields.table("cells")
    usual, low = (cells.numbers(name) for name in ("usual", "low"))
    shape = (cells.integer("rows", least=1), cells.integer("columns", least=1))
    texts = [
        fields.text("name", pattern=VIEW_PATTERN), fields.text("taken"), fields.text("source", "")
    ]  # fmt: skip
    frames, by_statistic = fields.integer("frames", least=1), _times(times)
    aligned = fields.boolean("aligned")
    for table in (times, cells, fields):
        table.close()
    if gray is None or mask is None:
        return None
    if mask.shape != gray.shape or not mask.any():
        fields.fault("mask", "should have the picture's size and hold something that stands still")
        return None
    if Cells(mask).shape != shape or not len(usual) == len(low) == shape[0] * shape[1]:
        fields.fault("cells", "are not as many as the picture's size asks for")
        return None
    limits = CellLimits(*(np.asarray(values, np.float32).reshape(shape) for values in (usual, low)))
    learnt = Learnt(Still(gray, mask, aligned), ranges, limits, frames, by_statistic)
    return Reference(texts[0], texts[1], texts[2], fps, learnt)


def _picture(fields: Fields, folder: Path) -> Image | None:
    name, digest = fields.text("file", pattern=r"[a-z0-9.-]+"), fields.text("sha256", pattern=_HASH)
    fields.close()
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        fields.fault("file", f"{name} cannot be read ({error.strerror})")
        return None
    if hashlib.sha256(data).hexdigest() != digest:
        fields.fault("file", f"{name} is not what was written there")
        return None
    content = np.frombuffer(data, np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if picture is None or picture.ndim != 2 or picture.dtype != np.uint8:
        fields.fault("file", f"{name} is not a grey picture of 8 bits")
        return None
    if not all(WINDOW <= side <= _MOST_SIDE for side in picture.shape):
        fields.fault("file", f"{name} has an impossible size")
        return None
    return np.asarray(picture, np.uint8)


def _ranges(fields: Fields) -> dict[str, Range]:
    ranges = {}
    for name in fields.names():
        if name not in KINDS:
            fields.fault(name, f"is not a measure ({', '.join(KINDS)})")
            continue
        limits = fields.table(name)
        low, high = (limits.number(side) if limits.has(side) else None for side in ("low", "high"))
        ranges[name] = Range(limits.number("usual"), low, high)
        limits.close()
        if not (low is None or low < ranges[name].usual):
            limits.fault("low", "should be below what is usual")
        if not (high is None or high > ranges[name].usual):
            limits.fault("high", "should be above what is usual")
    if "ssim" not in ranges:
        fields.fault("ssim", "is missing")
    return ranges


def _times(fields: Fields) -> dict[str, float]:
    table = fields.table("by_statistic")
    fields.number("frames", least=1.0)
    if fields.has("seconds"):
        fields.number("seconds", least=0.0)
    return {name: table.number(name, least=1.0) for name in table.names()}
