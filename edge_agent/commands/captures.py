"""`edge-agent captures`: look at what was kept, take it away for relabelling, remove it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from edge_agent.captures.export import FORMATS
from edge_agent.captures.export.dataset import LOCAL_FILES, Dataset, gather, picture_paths
from edge_agent.captures.export.target import Content, write
from edge_agent.captures.reasons import REASONS
from edge_agent.captures.shelf import Capture, Damaged, Shelf, Wanted, read, remove
from edge_agent.checked import nearest, plural
from edge_agent.config import load
from edge_agent.console import TABLE_COLUMNS, table
from edge_agent.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_HEADERS = ("NUMBER", "CAPTURED", "CAMERA", "REASON", "MODEL", "BOXES", "WHY")
_NAME_COLUMNS = 16
Echo = Callable[[str], None]


def chosen(
    *,
    config_path: Path,
    folder: Path | None,
    reason: str,
    camera: str,
    model: str,
    since: str | None,
    until: str | None,
    numbers: tuple[int, ...] = (),
) -> tuple[Path, Wanted]:
    """What the options mean: a folder, and which of its captures.

    Raises:
        ConfigError: agent.toml cannot be used, and no folder is given.
        UsageError: a reason or a time that is none.
    """
    if reason not in ("", *REASONS):
        raise UsageError(f'"{reason}" is not one of {", ".join(REASONS)}{nearest(reason, REASONS)}')
    now = time.time()
    wanted = Wanted(
        numbers,
        reason,
        camera,
        model,
        None if since is None else moment(since, now),
        None if until is None else moment(until, now),
    )
    return folder or load(config_path).captures, wanted


def show(folder: Path, wanted: Wanted, *, as_json: bool, echo: Echo, warn: Echo) -> None:
    """List captures, oldest first.

    Args:
        folder: of the captures.
        wanted: which ones.
        as_json: print a JSON list instead of a table.
        echo: prints a text for people or scripts.
        warn: prints what is damaged.

    Raises:
        StorageError: the folder is not there or cannot be read.
    """
    shelf = read(folder, wanted)
    _warn(shelf, warn)
    if as_json:
        echo(json.dumps([_document(capture) for capture in shelf.captures], indent=2))
        return
    rows = [_row(capture) for capture in shelf.captures]
    echo(table(_HEADERS, _one_line_each(rows)))
    size_mb = sum(capture.size for capture in shelf.captures) / 1e6
    echo(f"{plural(len(shelf.captures), 'capture')}, {size_mb:.1f} MB in {folder}")


def export(
    folder: Path,
    wanted: Wanted,
    target: Path,
    *,
    kind: str,
    confidence: float | None = None,
    picture_url: str | None = None,
    echo: Echo,
    warn: Echo,
) -> None:
    """Write captures as a data set for a labelling tool.

    Args:
        folder: of the captures.
        wanted: which ones.
        target: a folder or a zip file that is not there yet.
        kind: one of `FORMATS`.
        confidence: boxes above this score are exported; None takes the model's own threshold.
        picture_url: for Label Studio: where it finds the pictures.
        echo: prints what was written.
        warn: prints what is damaged and left out.

    Raises:
        UsageError: nothing is wanted, the target is there, or the captures do not go together.
        StorageError: a disk refuses; nothing is left of the export then.
    """
    if confidence is not None and not 0.0 <= confidence <= 1.0:
        raise UsageError(f"confidence {confidence:g} should be between 0 and 1")
    if picture_url is not None and kind != "label-studio":
        raise UsageError(f"--picture-url is for label-studio, {kind} holds names of files only")
    shelf = read(folder, wanted)
    _warn(shelf, warn)
    if not shelf.captures:
        raise UsageError(f"{folder}: nothing to export; see edge-agent captures list")
    dataset = gather(shelf.captures, confidence=confidence, picture_url=picture_url or LOCAL_FILES)
    write(target, _files(dataset, kind))
    boxes = sum(len(item.boxes) for item in dataset.items)
    echo(
        f"wrote {plural(len(dataset.items), 'picture')} ({boxes} of the model's boxes) to {target}"
        f" as {kind}; README.txt in it says how to import it"
    )


def discard(
    folder: Path, wanted: Wanted, *, everything: bool = False, echo: Echo, warn: Echo
) -> None:
    """Remove captures from the device.

    Args:
        folder: of the captures.
        wanted: which ones; damaged ones go by number, or with ``everything``.
        everything: that an empty ``wanted`` is meant.
        echo: prints how many went.
        warn: prints damaged ones that stay.

    Raises:
        UsageError: neither a choice nor ``everything``, or a number that is not there.
        StorageError: the folder is not there, or removing is not permitted.
    """
    if wanted == Wanted() and not everything:
        raise UsageError("say which: numbers, --reason, --camera, --since, --until, or --all")
    shelf = read(folder, wanted)
    broken = [item for item in shelf.damaged if everything or item.number in wanted.numbers]
    gone: list[Capture | Damaged] = [*shelf.captures, *broken]
    there = {item.number for item in gone}
    if missing := [number for number in wanted.numbers if number not in there]:
        raise UsageError(
            f"{folder}: there is no capture {', '.join(map(str, missing))} among those;"
            " nothing was removed"
        )
    _warn(Shelf((), tuple(item for item in shelf.damaged if item not in broken)), warn)
    remove(gone)
    echo(f"removed {plural(len(gone), 'capture')} from {folder}")


def moment(text: str, now: float) -> float:
    """Wall-clock seconds of ``90m``, ``2h``, ``3d`` (before now) or of a date in local time.

    Raises:
        UsageError: when it is neither.
    """
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text):
        return now - float(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f'"{text}" is no time; give an age such as 90m, 2h or 3d, or 2026-11-24T13:30'
        ) from None


def _files(dataset: Dataset, kind: str) -> Iterator[tuple[str, Content]]:
    chosen = FORMATS[kind]
    yield from chosen.documents(dataset)
    yield "README.txt", chosen.import_it.encode()
    yield from picture_paths(dataset)


def _document(capture: Capture) -> dict[str, object]:
    sidecar = json.loads(capture.files[0].read_bytes())
    return {"number": capture.number, "path": str(capture.picture), **sidecar}


def _row(capture: Capture) -> tuple[object, ...]:
    record = capture.record
    release = record.release
    reported = sum(box[4] > release.threshold(box) for box in record.detections or ())
    return (
        capture.number,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.frame.captured_at)),
        _short(record.frame.camera),
        record.reason,
        _short(f"{release.model} v{release.version}"),
        reported if record.detections is not None else None,
        record.text,
    )


def _one_line_each(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The rows with their last cell cut to what the others leave of a line."""
    widths = (
        max(len(str(cell)) for cell in column) for column in zip(_HEADERS, *rows, strict=True)
    )
    room = TABLE_COLUMNS - sum(width + 2 for width in list(widths)[:-1])
    return [(*row[:-1], _short(str(row[-1]), room)) for row in rows]


def _short(text: str, most: int = _NAME_COLUMNS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _warn(shelf: Shelf, warn: Echo) -> None:
    for item in shelf.damaged:
        warn(f"left out: {item.text}")
