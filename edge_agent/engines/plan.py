"""Engine files that ultralytics wrote: a length, JSON with its metadata, then the plan itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_MOST_METADATA = 1 << 20
_PLAN = b"ftrt"
"""How the plans of TensorRT begin."""
HEAD_BYTES = 4 + _MOST_METADATA + len(_PLAN)
"""So much of a file is enough for `describe`."""
_TOLD = ("description", "task", "imgsz", "batch", "version")


@dataclass(frozen=True)
class Plan:
    """A serialized engine.

    Attributes:
        data: what TensorRT deserializes.
        metadata: what ultralytics wrote before it; None when the file is a bare plan.
    """

    data: bytes
    metadata: dict[str, Any] | None


def read_plan(data: bytes) -> Plan:
    """Take ultralytics' header off, where there is one.

    The header is a 4-byte little-endian length and so many bytes of a JSON object. A plan's own
    magic number, read as a length, is beyond `_MOST_METADATA`, so the two cannot be confused.
    """
    length = int.from_bytes(data[:4], "little")
    if 2 <= length <= _MOST_METADATA and len(data) > 4 + length:
        try:
            metadata = json.loads(data[4 : 4 + length])
        except (ValueError, RecursionError):
            return Plan(data, None)
        if isinstance(metadata, dict):
            return Plan(data[4 + length :], metadata)
    return Plan(data, None)


def describe(head: bytes) -> str:
    """What kind of engine a file is, in words for a person; "" when it is none.

    Args:
        head: the file's first `HEAD_BYTES` bytes, or all of them.
    """
    plan = read_plan(head)
    if plan.metadata is None:
        return "a TensorRT engine" if plan.data.startswith(_PLAN) else ""
    facts = [f"{key} {plan.metadata[key]}" for key in _TOLD if key in plan.metadata]
    said = f" ({', '.join(facts)})" if facts else ""
    return "".join(
        one if one.isprintable() else "?" for one in f"an engine of ultralytics{said}"[:200]
    )
