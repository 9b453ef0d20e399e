"""Camera, engine, model or scene: which of them changed. Pure."""

from edge_agent.triage.judge import (
    CAMERA,
    CAUSES,
    ENGINE,
    MODEL,
    RELEASE_CAUSES,
    SCENE,
    Finding,
    Signs,
    judge,
)

__all__ = [
    "CAMERA",
    "CAUSES",
    "ENGINE",
    "MODEL",
    "RELEASE_CAUSES",
    "SCENE",
    "Finding",
    "Signs",
    "judge",
]
