"""Reading back what was kept; safe while the agent writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.captures.record import NAME, Record, parse
from edge_agent.errors import StorageError, storage_errors

_SIDECAR = re.compile(NAME + r"\.json")


@dataclass(frozen=True)
class Capture:
    """One capture on the disk.

    Attributes:
        number: counts up in the order of taking.
        name: of its files, without suffix.
        picture: path of the picture.
        size: bytes of the picture.
    """

    number: int
    name: str
    picture: Path
    size: int
    record: Record

    @property
    def files(self) -> tuple[Path, Path]:
        """The sidecar and the picture, in the order of removal."""
        return self.picture.with_suffix(".json"), self.picture


@dataclass(frozen=True)
class Damaged:
    """A capture that cannot be used, and why in one sentence."""

    number: int
    files: tuple[Path, ...]
    text: str


@dataclass(frozen=True)
class Shelf:
    """What a folder holds, in the order of taking."""

    captures: tuple[Capture, ...]
    damaged: tuple[Damaged, ...]


@dataclass(frozen=True)
class Wanted:
    """Which captures; what is empty or None does not matter.

    Attributes:
        since, until: wall-clock seconds between which they were captured.
    """

    numbers: tuple[int, ...] = ()
    reason: str = ""
    camera: str = ""
    model: str = ""
    since: float | None = None
    until: float | None = None

    def __call__(self, capture: Capture) -> bool:
        """Whether it is one of them."""
        record, at = capture.record, capture.record.frame.captured_at
        return (
            (not self.numbers or capture.number in self.numbers)
            and self.reason in ("", record.reason)
            and self.camera in ("", record.frame.camera)
            and self.model in ("", record.release.model)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def read(folder: Path, wanted: Callable[[Capture], bool]) -> Shelf:
    """The captures of a folder that are wanted, and what is damaged.

    Raises:
        StorageError: the folder is not there or cannot be read.
    """
    found: list[Capture] = []
    damaged: list[Damaged] = []
    for number, path in sorted(_sidecars(folder)):
        try:
            capture = _read(number, path)
        except StorageError as error:
            if isinstance(error.__cause__, PermissionError):
                raise  # it is so for all of them, and none of them is damaged
            pictures = (path.with_suffix(f".{suffix}") for suffix in ("jpg", "png"))
            damaged.append(Damaged(number, (path, *pictures), str(error)))
        else:
            if capture is not None and wanted(capture):
                found.append(capture)
    return Shelf(tuple(found), tuple(damaged))


def remove(captures: Iterable[Capture | Damaged]) -> None:
    """Remove captures. The agent may run meanwhile.

    Raises:
        StorageError: not permitted, or the disk is read-only.
    """
    for capture in captures:
        for path in capture.files:
            with storage_errors(path):
                path.unlink(missing_ok=True)


def _sidecars(folder: Path) -> list[tuple[int, Path]]:
    try:
        with storage_errors(folder):
            return [
                (int(match["number"]), path)
                for path in folder.iterdir()
                if (match := _SIDECAR.fullmatch(path.name))
            ]
    except FileNotFoundError:
        raise StorageError(
            f"{folder}: no such folder; nothing was captured here yet, see [capture] enabled"
        ) from None


def _read(number: int, path: Path) -> Capture | None:
    """One capture; None when it was removed meanwhile."""
    try:
        with storage_errors(path):
            data = path.read_bytes()
            sidecar = parse(data, str(path))
            picture = path.with_name(sidecar.picture)
            size = picture.stat().st_size
    except FileNotFoundError:
        return None
    if picture.stem != path.stem:
        raise StorageError(f"{path}: names the picture of another capture, {picture.name}")
    if size != sidecar.size:
        raise StorageError(
            f"{picture}: has {size} bytes, should have {sidecar.size}: damaged; remove this capture"
        )
    return Capture(number, path.stem, picture, size, sidecar.record)
