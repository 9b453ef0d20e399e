"""The folder of captures: a picture and its sidecar each, never more than there is room for.

The folder is its own index: a file's name says number, camera and reason. The picture is written
first and the sidecar last, each whole and durable, so a sidecar stands for a whole capture;
removing goes the other way round. What a kill, a power cut or a bad disk leaves between the two is
cleared away when the store is opened.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.captures.disk import Disk, Entry
from edge_agent.captures.record import NAME, Record, Sidecar
from edge_agent.captures.ring import Kept, Ring, on_disk
from edge_agent.errors import StorageError

_FILE = re.compile(NAME + r"\.(?P<suffix>jpg|png|json)")
_LEFTOVER = re.compile(r"\." + NAME + r"\.(jpg|png|json)\.[0-9a-f]+\.tmp")
_ENDS = {"jpg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "json": b"}\n"}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class NoRoomError(StorageError):
    """There is no room for a capture, even if all the others went."""


@dataclass(frozen=True)
class Opened:
    """What was found: the captures, and how many files were cleared away."""

    kept: tuple[Kept, ...]
    cleared: int


class Store:
    """Adds captures and makes room for them. One thread at a time.

    Args:
        disk: the folder.
        most_bytes: that all captures together may take.
        reserve_bytes: free space on the disk that is never touched.
    """

    def __init__(self, disk: Disk, *, most_bytes: int, reserve_bytes: int) -> None:
        self._disk = disk
        self._most = most_bytes
        self._reserve = reserve_bytes
        self._ring = Ring()
        self._number = 0

    @property
    def count(self) -> int:
        """Captures in it."""
        return len(self._ring)

    @property
    def size(self) -> int:
        """Bytes that they take on the disk."""
        return self._ring.size

    def open(self) -> Opened:
        """Look at what is there and clear away what is not whole.

        Raises:
            StorageError: when the disk refuses.
        """
        self._disk.prepare()
        captures, debris = self._scan()
        kept = []
        for name, parts in captures.items():
            item = self._whole(name, parts)
            if item is None:
                debris += [entry.name for entry in parts.values()]
            else:
                kept.append(item)
        if debris:
            self._disk.remove(tuple(debris))
        self._ring = Ring(kept)
        return Opened(tuple(kept), len(debris))

    def _scan(self) -> tuple[dict[str, dict[str, Entry]], list[str]]:
        """Files by capture and suffix, and the names of temporary ones."""
        captures: dict[str, dict[str, Entry]] = {}
        leftovers = []
        for entry in self._disk.entries():
            if match := _FILE.fullmatch(entry.name):
                name = entry.name.rpartition(".")[0]
                captures.setdefault(name, {})[match["suffix"]] = entry
                self._number = max(self._number, int(match["number"]))
            elif _LEFTOVER.fullmatch(entry.name):
                leftovers.append(entry.name)
        return captures, leftovers

    def _whole(self, name: str, parts: Mapping[str, Entry]) -> Kept | None:
        """A capture whose two files end as such files do."""
        if len(parts) != 2 or "json" not in parts:
            return None
        for suffix, entry in parts.items():
            if not self._disk.tail(entry.name).endswith(_ENDS[suffix]):
                return None
        match = re.fullmatch(NAME, name)
        assert match is not None
        (suffix,) = parts.keys() - {"json"}
        return Kept(
            number=int(match["number"]),
            reason=match["reason"],
            names=(f"{name}.json", f"{name}.{suffix}"),
            size=sum(on_disk(entry.size) for entry in parts.values()),
            modified=parts["json"].modified,
        )

    def add(self, picture: bytes, suffix: str, record: Record, *, at: float) -> str:
        """Keep a frame; older ones go for it where there is no room.

        Args:
            picture: the encoded picture.
            suffix: ``jpg`` or ``png``.
            record: what its sidecar says.
            at: wall-clock seconds.

        Returns:
            The name of the capture.

        Raises:
            NoRoomError: the disk is full and what is kept is too little to make room.
            StorageError: the disk refuses; nothing of the capture is left.
        """
        number = self._number + 1
        name = f"{number:08d}_{record.frame.camera}_{record.reason}"
        names = (f"{name}.json", f"{name}.{suffix}")
        sidecar = Sidecar(names[1], len(picture), record).to_bytes()
        size = on_disk(len(picture)) + on_disk(len(sidecar))
        self._make_room(size, record.reason)
        self._number = number
        try:
            self._disk.write(names[1], picture)
            self._disk.write(names[0], sidecar)
        except BaseException as error:
            self._forget(names)
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
                raise NoRoomError(str(error)) from cause
            raise
        self._ring.add(Kept(number, record.reason, names, size, at))
        return name

    def _forget(self, names: tuple[str, ...]) -> None:
        """Take back what was begun, where the disk lets us; else the next `open` does."""
        try:
            self._disk.remove(names)
        except (OSError, StorageError):
            return

    def _make_room(self, size: int, reason: str) -> None:
        free = self._disk.free()
        lacking = max(self._ring.size + size - self._most, size + self._reserve - free, 0)
        victims = self._ring.victims(lacking, reason)
        if size > self._most or victims is None:
            raise NoRoomError(
                f"no room for {size / 1e6:.1f} MB: captures take {self._ring.size / 1e6:.1f} of"
                f" {self._most / 1e6:.0f} MB, {free / 1e6:.0f} MB are free and"
                f" {self._reserve / 1e6:.0f} MB of them are reserved; free space, or change max_mb"
                " and reserve_mb in [capture]"
            )
        for victim in victims:
            self._disk.remove(victim.names)
            self._ring.remove(victim)
