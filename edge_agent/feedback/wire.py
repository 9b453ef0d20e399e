"""A verdict as a document, as MQTT and the page take it (docs/formats.md)."""

from __future__ import annotations

from edge_agent.checked import Fields
from edge_agent.errors import UsageError
from edge_agent.feedback.frames import FRAME_PATTERN, FrameKey
from edge_agent.feedback.judgement import VERDICTS, Judgement

_LETTER = r"[^\x00-\x1f\x7f\ud800-\udfff]"  # a lone surrogate is no text that can be kept
NAME_PATTERN = _LETTER + "{0,128}"
BY_PATTERN = _LETTER + "{0,64}"


def read_judgement(fields: Fields, at: float) -> Judgement | None:
    """Read ``frame``, ``verdict``, ``class``, ``box``, ``actual`` and ``by``.

    Args:
        fields: the document; its faults are noted there.
        at: wall-clock seconds at which it was said.

    Returns:
        None when there is a fault.
    """
    before = len(fields.faults)
    frame = fields.text("frame", pattern=FRAME_PATTERN)
    verdict = fields.text("verdict", choices=VERDICTS)
    name, actual = (fields.text(key, "", pattern=NAME_PATTERN) for key in ("class", "actual"))
    box = fields.numbers("box", ()) if fields.has("box") else None
    by = fields.text("by", "", pattern=BY_PATTERN)
    if box is not None and len(box) != 4:
        fields.fault("box", "should be x0, y0, x1, y1 in pixels")
    if len(fields.faults) > before:
        return None
    corners = None if box is None else (box[0], box[1], box[2], box[3])
    try:
        return Judgement(FrameKey.parse(frame), verdict, name, corners, actual, by, at)
    except UsageError as error:
        fields.fault("verdict", str(error))
        return None
