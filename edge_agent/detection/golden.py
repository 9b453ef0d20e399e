"""The golden set: frames of a bundle and what the reference says about them.

``golden/expected.json`` (the manifest's ``golden.path``; a variant may have its own)::

    {"schema_version": 1,
     "frames": [{"file": "golden/0000.png",
                 "detections": [[x0, y0, x1, y1, score, class_id], …]}]}

Boxes are pixels of the frame with two decimals, scores have five: coarser than what differs between
two machines, so the same model gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.bundle import Bundle, Tolerance, inside
from edge_agent.checked import Fields, canonical_json
from edge_agent.detection.decode import Floats
from edge_agent.errors import BundleError

SCHEMA_VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
_BOX_DECIMALS = 2
_SCORE_DECIMALS = 5


@dataclass(frozen=True)
class GoldenFrame:
    """One frame: its file inside the bundle and (n, 6) float32 expected detections."""

    file: str
    detections: Floats


@dataclass(frozen=True)
class Golden:
    """The expected detections of all golden frames."""

    frames: tuple[GoldenFrame, ...]

    @classmethod
    def parse(cls, data: bytes, *, classes: int, where: str = "golden/expected.json") -> Golden:
        """Read the bytes of expected.json.

        Raises:
            BundleError: listing every fault.
        """
        if len(data) > MAX_BYTES:
            raise BundleError(f"{where}: {len(data)} bytes is too large for a golden set")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); build the bundle again") from None
        fields = Fields(document)
        if fields.integer("schema_version") != SCHEMA_VERSION:
            fields.fault("schema_version", f"only {SCHEMA_VERSION} is known here; update Outpost")
        frames = tuple(_frame(table, classes) for table in fields.tables("frames", least=1))
        if fields.faults:
            raise BundleError(f"{where}: " + "; ".join(fields.faults))
        return cls(frames)

    @classmethod
    def read(cls, bundle: Bundle, variant: str = "auto") -> Golden:
        """Read what a bundle expects of a variant; raises `BundleError`."""
        path = bundle.path(bundle.manifest.golden_for(variant))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror}; build the bundle again") from None
        golden = cls.parse(data, classes=len(bundle.manifest.classes), where=str(path))
        listed = {entry.path for entry in bundle.manifest.files}
        if missing := [frame.file for frame in golden.frames if frame.file not in listed]:
            raise BundleError(f"{path}: {', '.join(missing)} not in the manifest's files")
        return golden

    def to_bytes(self) -> bytes:
        """The canonical bytes of expected.json."""
        frames = [
            {"file": frame.file, "detections": _rows(frame.detections)} for frame in self.frames
        ]
        return canonical_json({"schema_version": SCHEMA_VERSION, "frames": frames})


def compare(expected: Floats, actual: Floats, tolerance: Tolerance, confidence: float) -> list[str]:
    """What differs between two sets of detections of one frame, in words; empty when nothing does.

    Boxes of one class are matched one to one, the largest intersection over union first. Detections
    whose score is within the tolerance of ``confidence`` may be there or not: a device may
    legitimately see them on the other side of it.

    Args:
        expected: (n, 6) detections of the reference.
        actual: (m, 6) detections of this device.
        tolerance: least IoU and largest score difference of a pair.
        confidence: the manifest's ``decode.confidence``.
    """
    certain = confidence + tolerance.score
    pairs = match(expected, actual, tolerance.iou)
    partner = dict(pairs)
    faults = []
    for row, wanted in enumerate(expected):
        if wanted[4] < certain:
            continue
        if row not in partner:
            faults.append(f"expected {_describe(wanted)}, nothing matches it")
        elif abs(wanted[4] - actual[partner[row]][4]) > tolerance.score:
            faults.append(
                f"expected {_describe(wanted)}, its score here is {actual[partner[row]][4]:.3f}"
                f" (allowed difference {tolerance.score:g})"
            )
    taken = set(partner.values())
    faults += [
        f"unexpected {_describe(found)}"
        for row, found in enumerate(actual)
        if found[4] >= certain and row not in taken
    ]
    return faults


def match(expected: Floats, actual: Floats, least_iou: float) -> list[tuple[int, int]]:
    """Greedy one-to-one pairs (row of expected, row of actual) of one class with enough overlap."""
    if not len(expected) or not len(actual):
        return []
    overlap = iou_matrix(expected, actual)
    overlap[expected[:, 5][:, None] != actual[:, 5][None, :]] = -1.0
    pairs: list[tuple[int, int]] = []
    rows, columns = np.unravel_index(np.argsort(-overlap, axis=None, kind="stable"), overlap.shape)
    free_rows, free_columns = set(range(len(expected))), set(range(len(actual)))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if overlap[row, column] < least_iou or not free_rows:
            break
        if row in free_rows and column in free_columns:
            free_rows.remove(row)
            free_columns.remove(column)
            pairs.append((row, column))
    return pairs


def iou_matrix(first: Floats, second: Floats) -> Floats:
    """Intersection over union of each box of one set with each of the other: (n, m) float64."""
    a, b = first[:, None, :4].astype(np.float64), second[None, :, :4].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.maximum(sides, 0).prod(axis=-1)
    area_a, area_b = (
        (a[..., 2:] - a[..., :2]).prod(axis=-1),
        (b[..., 2:] - b[..., :2]).prod(axis=-1),
    )
    union = area_a + area_b - common
    matrix: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return matrix


def _frame(fields: Fields, classes: int) -> GoldenFrame:
    file = fields.text("file")
    if file and not inside(file):
        fields.fault("file", f"{file!r} leaves the bundle")
    rows = fields.rows("detections", width=6)
    for row in rows:
        if not (0 <= row[4] <= 1 and row[5] == int(row[5]) and 0 <= row[5] < classes):
            fields.fault("detections", f"{list(row)} has no score in 0..1 or no class of the model")
    return GoldenFrame(file, np.asarray(rows, np.float32).reshape(-1, 6))


def _rows(detections: Floats) -> list[list[float]]:
    return [
        [
            *(round(float(side), _BOX_DECIMALS) for side in row[:4]),
            round(float(row[4]), _SCORE_DECIMALS),
            int(row[5]),
        ]
        for row in detections
    ]


def _describe(row: Sequence[float] | Floats) -> str:
    x0, y0, x1, y1, score, name = (float(value) for value in row)
    return f"class {name:.0f} at {x0:.0f},{y0:.0f} - {x1:.0f},{y1:.0f} with score {score:.3f}"
