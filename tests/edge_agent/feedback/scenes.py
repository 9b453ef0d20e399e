"""Frames with boxes, as the device reported them."""

from __future__ import annotations

from edge_agent.feedback.frames import Box, Detected, FrameKey
from edge_agent.feedback.judgement import Judgement

CLASSES = ("scratch", "dent", "broken edge")
NOON = 1_795_600_800.0


def box(name, x0, y0=0.0, size=10.0, score=0.9):
    return Box(name, float(x0), float(y0), x0 + size, y0 + size, score)


def detected(*boxes, seq=1, camera="top", version=2, at=NOON, boot="b00c"):
    return Detected(FrameKey(camera, boot, seq), at, "defects", version, CLASSES, boxes)


def said(verdict, frame, **more):
    return Judgement(frame.key, verdict, **more)
