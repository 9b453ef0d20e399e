"""`edge-agent feedback`: what an inspector says, labelled captures, and what they make of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.captures.shelf import Wanted
from edge_agent.captures.shelf import read as read_captures
from edge_agent.checked import plural
from edge_agent.commands.feedback_report import lines
from edge_agent.config import load
from edge_agent.errors import StorageError, UsageError
from edge_agent.feedback import Judgement, take
from edge_agent.feedback.frames import FrameKey
from edge_agent.feedback.labelled import take_labels
from edge_agent.feedback.pace import independent_times
from edge_agent.feedback.store import Store
from edge_agent.feedback.take import report

Echo = Callable[[str], None]


def say(
    config_path: Path,
    verdict: str,
    *,
    frame: str,
    name: str,
    box: str,
    actual: str,
    by: str,
    echo: Echo,
) -> None:
    """Keep one verdict.

    Args:
        config_path: agent.toml.
        verdict: ``right``, ``wrong`` or ``missed``.
        frame: ``CAMERA/BOOT/SEQ``.
        name: class that is meant, "" for all.
        box: ``x0,y0,x1,y1`` in pixels, "" for none.
        actual: with ``wrong``: what it is in truth.
        by: who says so.
        echo: prints what was kept.

    Raises:
        ConfigError, UsageError, StorageError: in one line each.
    """
    config = load(config_path)
    key = FrameKey.parse(frame)
    cameras = [camera.id for camera in config.cameras]
    if key.camera not in cameras:
        raise UsageError(f'"{key.camera}" is not a camera of this device: {", ".join(cameras)}')
    judgement = Judgement(key, verdict, name, _box(box), actual, by, time.time())
    with _opened(config.layout.feedback) as store:
        taken = take(store, judgement, config.captures)
    echo(taken.words())


def bring(
    config_path: Path, folder: Path, captures: Path | None, *, echo: Echo, warn: Echo
) -> None:
    """Take a labelled data set in.

    Args:
        config_path: agent.toml.
        folder: of the data set.
        captures: folder with the captures that it was made of; the device's when None.
        echo: prints what was taken.
        warn: prints what was not.

    Raises:
        ConfigError, UsageError, StorageError: in one line each.
    """
    config = load(config_path)
    shelf = read_captures(captures or config.captures, Wanted())
    with _opened(config.layout.feedback) as store:
        done = take_labels(store, folder, shelf.captures)
    if done.strangers:
        warn(
            f"left out: {plural(len(done.strangers), 'picture')} that are no captures here, such as"
            f" {done.strangers[0]}; --captures names the folder that they were exported from"
        )
    if done.repeated:
        warn(f"left out: {plural(done.repeated, 'picture')} that are there twice")
    if done.unjudged:
        warn(f"left out: {plural(done.unjudged, 'picture')} that the model never judged")
    echo(f"took the labels of {plural(done.frames, 'frame')} ({plural(done.boxes, 'object')})")


def show(config_path: Path, *, by: str, as_json: bool, echo: Echo) -> None:
    """Print the report.

    Args:
        config_path: agent.toml.
        by: dimension whose slices are shown with their classes and confusions; "" for a line each.
        as_json: print everything as JSON instead.
        echo: prints a text.

    Raises:
        ConfigError, StorageError: in one line each.
    """
    config = load(config_path)
    with _opened(config.layout.feedback) as store:
        figures = report(store, config.captures, independent_times(config))
    echo(json.dumps(figures.document(), indent=2) if as_json else "\n".join(lines(figures, by)))


def _box(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f'box "{text}" should be x0,y0,x1,y1 in pixels') from None
    return x0, y0, x1, y1


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    if not path.parent.is_dir():
        raise StorageError(f"{path.parent}: no such folder; start the agent once, it makes it")
    store = Store(path)
    try:
        yield store
    finally:
        store.close()
