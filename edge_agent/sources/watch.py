"""New files of a folder, each when it is complete: by inotify, and by looking where that is mute.

A file is complete when its writer closed it or moved it there. Folders on a network report nothing
of what others write, so the folder is also listed now and then: a file is then complete when two
listings saw the same size and time. One that was seen to be made here has longer to be closed.
"""

from __future__ import annotations

import ctypes
import os
import select
import stat
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from edge_agent.errors import SourceError

LIST_S = 2.0
CLOSE_S = 30.0
WAKE_S = 0.2
_CLOSE_WRITE, _MOVED_TO, _CREATE, _DELETE_SELF, _MOVE_SELF = 0x8, 0x80, 0x100, 0x400, 0x800
_Q_OVERFLOW, _IGNORED, _ONLYDIR = 0x4000, 0x8000, 0x1000000
_EVENT = struct.Struct("iIII")

Print = tuple[int, int, int]
"""Inode, time of the last change in ns, size: another one is another picture under the name."""


class FolderWatch:
    """Complete files of a folder, in the order in which they came.

    Args:
        folder: watched; not the folders in it.
        wanted: whether a name is one of those that are given.
        existing: whether files that are there already are given too, by name.
        clock: monotonic seconds.

    Raises:
        SourceError: no such folder.
    """

    def __init__(
        self,
        folder: Path,
        wanted: Callable[[str], bool],
        *,
        existing: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._wanted = wanted
        self._clock = clock
        self._fd = _inotify(folder)
        self._ready: deque[str] = deque()
        self._given: dict[str, Print] = {}
        self._settling: dict[str, Print] = {}
        self._made: dict[str, float] = {}
        self._listed_at = clock()
        self._folder_time = -1
        listed = self._list()
        if not existing:
            self._given = listed
        for name in sorted(listed) if existing else ():
            # What nobody touched for a while is not being written.
            if time.time_ns() - listed[name][1] > LIST_S * 1e9:
                self._give(name, listed[name])
            else:
                self._settling[name] = listed[name]

    def next(self, closed: threading.Event) -> Path | None:
        """Wait for the next complete file; None after ``closed``.

        Raises:
            SourceError: the folder is gone.
        """
        while not closed.is_set():
            if self._ready:
                return self._folder / self._ready.popleft()
            self._hear()
            if self._clock() - self._listed_at >= LIST_S:
                self._look()
        return None

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _hear(self) -> None:
        """Take what the kernel reports."""
        if self._fd < 0:
            time.sleep(WAKE_S)
            return
        if not select.select([self._fd], [], [], WAKE_S)[0]:
            return
        data, at = os.read(self._fd, 65536), 0
        while at + _EVENT.size <= len(data):
            _, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            if mask & (_DELETE_SELF | _MOVE_SELF | _IGNORED):
                raise SourceError(f"{self._folder}: the folder is gone; make it again")
            if mask & _Q_OVERFLOW:
                self._listed_at = self._clock() - LIST_S  # list it now
                self._folder_time = -1
            elif mask & _CREATE and self._wanted(name):
                self._made[name] = self._clock()
            elif self._wanted(name) and (print_ := _print(self._folder / name)) is not None:
                self._give(name, print_)

    def _look(self) -> None:
        """List the folder, when something changed in it or may not be complete yet."""
        self._listed_at = self._clock()
        changed = self._changed()
        if changed == self._folder_time and not self._settling:
            return
        self._folder_time = changed
        listed = self._list()
        self._given = {name: seen for name, seen in self._given.items() if name in listed}
        self._made = {name: since for name, since in self._made.items() if name in listed}
        before, self._settling = self._settling, {}
        for name in sorted(listed, key=lambda name: (listed[name][1], name)):
            print_ = listed[name]
            if self._given.get(name) == print_:
                continue
            made = self._made.get(name)
            if before.get(name) == print_ and (made is None or self._listed_at - made > CLOSE_S):
                self._give(name, print_)
            else:
                self._settling[name] = print_

    def _give(self, name: str, print_: Print) -> None:
        self._made.pop(name, None)
        if self._given.get(name) != print_:
            self._given[name] = print_
            self._ready.append(name)

    def _changed(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError as error:
            raise SourceError(f"{self._folder}: {error.strerror}; make the folder again") from None

    def _list(self) -> dict[str, Print]:
        try:
            names = [name for name in os.listdir(self._folder) if self._wanted(name)]
        except OSError as error:
            raise SourceError(
                f"{self._folder}: {error.strerror}; correct the camera's source"
            ) from None
        prints = ((name, _print(self._folder / name)) for name in names)
        return {name: print_ for name, print_ in prints if print_ is not None}


def _print(path: Path) -> Print | None:
    """What tells one picture under a name from the next; None for what is no file (any more)."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _inotify(folder: Path) -> int:
    """A descriptor that reports complete files, -1 where the kernel gives none; `inotify(7)`."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        return -1
    mask = _CLOSE_WRITE | _MOVED_TO | _CREATE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
    if libc.inotify_add_watch(fd, os.fsencode(folder), mask) < 0:
        os.close(fd)
        return -1
    return fd
