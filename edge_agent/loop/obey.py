"""What the agent does on command: look now, a picture, a camera anew, faster metrics, a verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2

from edge_agent.atomic import make_dirs, write_atomic
from edge_agent.captures.masks import Mask, covered
from edge_agent.detection.preprocess import Image
from edge_agent.errors import SourceError, UsageError
from edge_agent.feedback import Taken
from edge_agent.feedback.intake import Intake
from edge_agent.layout import Layout
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.seen import Seen
from edge_agent.telemetry.command import Command
from edge_agent.telemetry.desk import Action, Later, Outcome

SNAPSHOTS_KEPT = 20
_QUALITY = 90


class Snapshots:
    """A listener that keeps one camera's next frame when somebody asked for it."""

    def __init__(self) -> None:
        self._wanted: dict[str, list[Image]] = {}

    def __call__(self, seen: Seen) -> None:
        """Take the frame, by reference, if it is wanted; costs one look else."""
        if self._wanted:
            place = self._wanted.pop(seen.frame.camera, None)
            if place is not None:
                place.append(seen.frame.image)

    def next(self, camera: str) -> list[Image]:
        """A list into which the camera's next frame will come."""
        return self._wanted.setdefault(camera, [])


def actions(
    layout: Layout,
    cameras: Sequence[CameraWorker],
    snapshots: Snapshots,
    set_interval: Callable[[float, float], None],
    masks: Mapping[str, Mask],
    intake: Intake,
) -> Mapping[str, Action]:
    """Kind of command -> what carries it out.

    Args:
        layout: the device's folders.
        cameras: of all models.
        snapshots: listens to them.
        set_interval: takes seconds per window and how long that lasts; raises `UsageError`.
        masks: camera id -> what is blackened before its picture is written.
        intake: keeps what inspectors say.
    """

    def sync(command: Command) -> Outcome:
        write_atomic(layout.look_now, f"{command.id}\n".encode(), durable=False)
        return Outcome("done", "the updater was asked to look at the repository now")

    def interval(command: Command) -> Outcome:
        set_interval(command.window_s, command.for_s)
        text = f"metrics every {command.window_s:g} s for {command.for_s:g} s"
        return Outcome("done", text)

    def feedback(command: Command) -> Later:
        if command.judgement is None:
            raise UsageError("nothing is said of any frame")
        word = intake.put(command.judgement)
        return lambda: _kept(word.result()) if word.done() else None

    of_cameras = _camera_actions(layout, cameras, snapshots, masks)
    return {"sync": sync, "set-interval": interval, "feedback": feedback, **of_cameras}


def _camera_actions(
    layout: Layout,
    cameras: Sequence[CameraWorker],
    snapshots: Snapshots,
    masks: Mapping[str, Mask],
) -> Mapping[str, Action]:
    """Those of the kinds that name a camera; raise `SourceError` where it is none of these."""
    by_id = {camera.camera.id: camera for camera in cameras}

    def worker(name: str) -> CameraWorker:
        if name not in by_id:
            raise SourceError(f"there is no camera {name}, but {', '.join(sorted(by_id))}")
        return by_id[name]

    def snapshot(command: Command) -> Later:
        place = snapshots.next(worker(command.camera).camera.id)
        path = layout.snapshots / f"{command.id}.jpg"
        mask = masks.get(command.camera)
        return lambda: _save(covered(place[0], mask), path) if place else None

    def restart_source(command: Command) -> Outcome:
        worker(command.camera).restart()
        return Outcome("done", f"camera {command.camera} is opened anew")

    return {"snapshot": snapshot, "restart-source": restart_source}


def _kept(taken: Taken) -> Outcome:
    facts = {"frame": str(taken.judgement.frame), "known": taken.detected is not None}
    return Outcome("done", taken.words(), facts)


def _save(image: Image, path: Path) -> Outcome:
    """Write a picture and forget the oldest ones.

    Raises:
        StorageError: the disk refuses.
    """
    good, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not good:
        raise UsageError("the frame cannot be encoded as JPEG")
    data = encoded.tobytes()
    make_dirs(path.parent)
    write_atomic(path, data)
    kept = sorted(path.parent.glob("*.jpg"), key=lambda one: one.stat().st_mtime_ns)
    for old in kept[:-SNAPSHOTS_KEPT]:
        old.unlink(missing_ok=True)
    height, width = image.shape[:2]
    facts = {
        "path": str(path),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": int(width),
        "height": int(height),
    }
    return Outcome("done", f"written to {path}", facts)
