"""Captures as data sets that labelling tools import, with the model's boxes as a first guess.

Adding a format is one file and one line in `FORMATS`.
"""

from __future__ import annotations

from edge_agent.captures.export import coco, label_studio, makesense, yolo
from edge_agent.captures.export.dataset import Format

FORMATS: dict[str, Format] = {
    "yolo": yolo.FORMAT,
    "coco": coco.FORMAT,
    "label-studio": label_studio.FORMAT,
    "makesense": makesense.FORMAT,
}

__all__ = ["FORMATS", "Format"]
