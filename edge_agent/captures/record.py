"""The JSON beside each picture: what it shows, who took it and why (docs/formats.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_agent.captures.reasons import Evidence
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import StorageError

SCHEMA_VERSION = 1
NAME = r"(?P<number>\d{8,18})_(?P<camera>[a-z0-9-]{1,64})_(?P<reason>[a-z]{1,32})"
_PICTURE = NAME + r"\.(jpg|png)"
_REASON = r"[a-z]{1,32}"

Box = tuple[float, ...]
"""x0, y0, x1, y1 in pixels of the picture, score, class id."""


@dataclass(frozen=True)
class FrameId:
    """Which frame it was: ``seq`` counts per camera, ``boot`` names the agent's process."""

    device: str
    camera: str
    boot: str
    seq: int
    captured_at: float


@dataclass(frozen=True)
class Release:
    """Which model looked at it; the class names make a capture readable without its bundle.

    Attributes:
        confidence: score above which boxes are reported.
        thresholds: class name -> its own, where this device has another for it.
        floor: score down to which boxes are kept.
    """

    model: str
    version: int
    digest: str
    classes: tuple[str, ...]
    confidence: float
    thresholds: Mapping[str, float]
    floor: float

    def threshold(self, box: Box) -> float:
        """The score above which a box of this class is reported."""
        return self.thresholds.get(self.classes[int(box[5])], self.confidence)


@dataclass(frozen=True)
class GateScores:
    """What the input check said."""

    passed: bool
    text: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """One kept frame, without its pixels.

    Attributes:
        reason: for which it was kept; `also` are others that applied.
        text, evidence: why, in words and in numbers.
        width, height: of the picture in pixels.
        masked: whether parts of the picture were blackened.
        detections: down to the floor, best first; None when the gate kept the frame from the model.
            Boxes whose centre is masked are left out.
        gate: None without a gate.
    """

    frame: FrameId
    release: Release
    reason: str
    also: tuple[str, ...]
    text: str
    evidence: Evidence
    width: int
    height: int
    masked: bool
    detections: tuple[Box, ...] | None
    gate: GateScores | None


@dataclass(frozen=True)
class Sidecar:
    """A record and the picture file that it belongs to.

    Attributes:
        picture: file name beside the sidecar.
        size: bytes of that file.
    """

    picture: str
    size: int
    record: Record

    def to_bytes(self) -> bytes:
        """The file's content."""
        record = self.record
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "picture": {
                "file": self.picture,
                "bytes": self.size,
                "width": record.width,
                "height": record.height,
                "masked": record.masked,
            },
            "frame": asdict(record.frame),
            "release": asdict(record.release),
            "reason": record.reason,
            "also": record.also,
            "text": record.text,
            "evidence": dict(record.evidence),
            "detections": record.detections,
            "gate": None if record.gate is None else asdict(record.gate),
        }
        return canonical_json(document)


def parse(data: bytes, name: str) -> Sidecar:
    """Read a sidecar strictly.

    Args:
        data: the file's content.
        name: what to call it in a message.

    Raises:
        StorageError: with every fault, when it is not one.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{name}: damaged, not JSON ({error}); remove this capture") from None
    fields = Fields(document)
    version = fields.integer("schema_version")
    if not fields.faults and version != SCHEMA_VERSION:
        raise StorageError(
            f"{name}: its schema is {version}, known is {SCHEMA_VERSION}; update this program"
        )
    picture = fields.table("picture")
    sidecar = Sidecar(
        picture.text("file", pattern=_PICTURE),
        picture.integer("bytes", least=1),
        _record(fields, picture),
    )
    fields.close()
    picture.close()
    if fields.faults:
        raise StorageError(f"{name}: not a capture: " + "; ".join(fields.faults))
    return sidecar


def _record(fields: Fields, picture: Fields) -> Record:
    release = _release(fields.table("release"))
    return Record(
        frame=_frame(fields.table("frame")),
        release=release,
        reason=fields.text("reason", pattern=_REASON),
        also=fields.texts("also"),
        text=fields.text("text"),
        evidence=_scalars(fields, "evidence"),
        width=picture.integer("width", least=1),
        height=picture.integer("height", least=1),
        masked=picture.boolean("masked"),
        detections=_detections(fields, len(release.classes)),
        gate=_gate(fields.table("gate")) if fields.has("gate") else None,
    )


def _frame(fields: Fields) -> FrameId:
    frame = FrameId(
        device=fields.text("device"),
        camera=fields.text("camera"),
        boot=fields.text("boot"),
        seq=fields.integer("seq", least=0),
        captured_at=fields.number("captured_at"),
    )
    fields.close()
    return frame


def _release(fields: Fields) -> Release:
    thresholds = fields.table("thresholds")
    release = Release(
        model=fields.text("model"),
        version=fields.integer("version", least=0),
        digest=fields.text("digest", pattern=r"[0-9a-f]{64}"),
        classes=fields.texts("classes", least=1),
        confidence=fields.number("confidence", least=0.0, most=1.0),
        thresholds={
            name: thresholds.number(name, least=0.0, most=1.0) for name in thresholds.names()
        },
        floor=fields.number("floor", least=0.0, most=1.0),
    )
    fields.close()
    return release


def _gate(fields: Fields) -> GateScores:
    scores = fields.table("scores")
    gate = GateScores(
        passed=fields.boolean("passed"),
        text=fields.text("text"),
        scores={name: scores.number(name) for name in scores.names()},
    )
    fields.close()
    return gate


def _scalars(fields: Fields, name: str) -> dict[str, float | int | str]:
    """A free table of numbers and texts."""
    table = fields.table(name)
    values: dict[str, float | int | str] = {}
    for key, value in fields.mapping(name).items():
        if isinstance(value, str):
            values[key] = table.text(key)
        elif isinstance(value, int):
            values[key] = table.integer(key)
        else:
            values[key] = table.number(key)
    return values


def _detections(fields: Fields, classes: int) -> tuple[Box, ...] | None:
    if not fields.has("detections"):
        return None
    boxes = fields.rows("detections", width=6)
    for x0, y0, x1, y1, score, number in boxes:
        if x1 < x0 or y1 < y0 or not 0 <= score <= 1:
            fields.fault("detections", f"{[x0, y0, x1, y1, score]} is not a box with a score")
        if number != int(number) or not 0 <= number < classes:
            fields.fault("detections", f"{number:g} is not a class, there are {classes}")
    return tuple((*box[:5], int(box[5])) for box in boxes)
