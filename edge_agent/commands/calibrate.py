"""`edge-agent calibrate`: good frames become a camera's baseline, and what it would have rejected.

The first frames show what the picture is and what of it stands still; the rest is measured against
that, by the code that judges later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from edge_agent.atomic import write_atomic
from edge_agent.captures.masks import Mask, masks_of
from edge_agent.commands.calibrate_frames import (
    FolderFrames,
    Frames,
    LiveFrames,
    OpenCamera,
    open_camera,
)
from edge_agent.commands.calibrate_report import Outcome, Row, as_json, as_text
from edge_agent.config import Camera, Config
from edge_agent.config.gate import VIEW_PATTERN
from edge_agent.errors import SourceError, UsageError
from edge_agent.gate.baseline import Baseline, Reference
from edge_agent.gate.learn import Student, settle
from edge_agent.gate.measures import KINDS
from edge_agent.gate.sheet import MOST, draw

SHOWN_FRAMES = 256
DEFAULT_NAME = "default"


def run(
    config: Config,
    *,
    camera: str | None = None,
    minutes: float | None = None,
    images: Path | None = None,
    name: str | None = None,
    in_json: bool = False,
    opener: OpenCamera = open_camera,
    tell: Callable[[str], None] = lambda text: None,
    echo: Callable[[str], None] = print,
) -> None:
    """Learn one reference of one camera and write the baseline.

    Args:
        config: agent.toml.
        camera: id; needed where there are several.
        minutes: of the camera's live source.
        images: a folder of good pictures, instead.
        name: adds a reference under this name, or renews it; None begins a new baseline.
        in_json: print the outcome as JSON.
        opener: makes the source of a camera.
        tell: hears what is going on meanwhile.
        echo: prints the outcome.

    Raises:
        UsageError: which camera, or which frames, is not clear.
        SourceError: the frames cannot be had, or are too few.
        StorageError: the baseline cannot be written.
    """
    if name is not None and not re.fullmatch(VIEW_PATTERN, name):
        raise UsageError(f'--name "{name}" should have 1 to 32 of a-z, 0-9 and -')
    chosen = _camera(config, camera)
    folder = config.layout.baseline(chosen.id)
    old = Baseline.read(folder) if name is not None else None
    width = config.gate.width if old is None else old.width
    with closing(_frames(chosen, minutes, images, opener)) as frames:
        student = _learn(frames, width, masks_of(config.gate.ignore).get(chosen.id), tell)
    learnt = student.learn(in_a_row=frames.in_a_row)
    reference = Reference(name or DEFAULT_NAME, _now(), frames.source, frames.fps, learnt)
    baseline = _joined(old, chosen.id, frames, width, reference)
    baseline.write(folder)
    mask = masks_of(config.capture.masks).get(chosen.id)
    outcome = _outcome(baseline, reference, student, frames.left_out, folder, mask)
    echo(as_json(outcome) if in_json else as_text(outcome))


def _camera(config: Config, wanted: str | None) -> Camera:
    ids = [camera.id for camera in config.cameras]
    if wanted is None and len(ids) == 1:
        return config.cameras[0]
    for camera in config.cameras:
        if camera.id == wanted:
            return camera
    listed = ", ".join(ids) or "none"
    what = "there are several cameras" if wanted is None else f'"{wanted}" is not a [[camera]]'
    raise UsageError(f"{config.path}: {what}; name one with --camera: {listed}")


def _frames(
    camera: Camera, minutes: float | None, images: Path | None, opener: OpenCamera
) -> Frames:
    if images is not None and minutes is None:
        return FolderFrames(camera, images)
    if minutes is not None and images is None:
        return LiveFrames(camera, minutes * 60.0, opener)
    raise UsageError("give either --minutes, to look at the camera, or --images, a folder")


def _learn(
    frames: Frames, width: int, ignored: Mask | None, tell: Callable[[str], None]
) -> Student:
    tell("looking at what stands still ...")
    grays, every = [], 1
    for index, view in enumerate(frames.settling(width)):
        if index % every == 0:
            grays.append(view.gray)
        if len(grays) >= 2 * SHOWN_FRAMES:
            grays, every = grays[::2], 2 * every
    left_out = None if ignored is None or not grays else ignored.of(*grays[0].shape)
    student = Student(settle(grays, left_out))
    share = float((student.still.mask > 0).mean())
    tell(f"{share:.0%} of the picture stands still; measuring ...")
    for view in frames.teaching(width):
        student.add(view)
    return student


def _joined(
    old: Baseline | None, camera: str, frames: Frames, width: int, reference: Reference
) -> Baseline:
    assert frames.size is not None
    if old is None:
        return Baseline(camera, frames.size, width, (reference,))
    if old.size != frames.size:
        raise SourceError(
            f"camera {camera}: its baseline is for {old.size[0]} x {old.size[1]} pixels, these"
            f" frames are {frames.size[0]} x {frames.size[1]}; begin anew without --name"
        )
    return old.with_reference(reference)


def _outcome(
    baseline: Baseline,
    reference: Reference,
    student: Student,
    left_out: int,
    folder: Path,
    mask: Mask | None,
) -> Outcome:
    learnt = reference.learnt
    scores = student.scores(learnt)
    rows = tuple(
        Row(
            KINDS[name].check, name, *learnt.ranges[name],
            worst_score=float(np.max(values)), rejected=int((values >= 1).sum()),
        )
        for name, values in scores.items()
    )  # fmt: skip
    sheet = folder / f"{reference.name}-sheet.png"
    title = (
        f"{baseline.camera}, reference {reference.name}: the frames of {learnt.frames} that lie"
        " furthest out; score 1 is the limit"
    )
    picture = draw(title, learnt.still, student.worst(learnt, MOST), mask)
    write_atomic(sheet, cv2.imencode(".png", picture)[1].tobytes())
    rejected = student.rejected(learnt)
    return Outcome(reference, baseline, rows, rejected, left_out, folder, sheet)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
