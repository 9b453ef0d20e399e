"""What can go wrong, as one small tree.

::

    OutpostError              exit code 1    anything this project reports
    ├── UsageError            exit code 2    a command was called wrongly
    ├── ConfigError           exit code 3    agent.toml
    ├── BundleError           exit code 4    manifest, bundle files, signatures of a release
    ├── ModelError            exit code 5    a model that cannot be loaded or gives nonsense
    ├── SourceError           exit code 6    a camera, a video file, a folder of images
    ├── BrokerError           exit code 7    MQTT
    ├── StorageError          exit code 8    disk full, read-only, not permitted
    ├── RepositoryError       exit code 9    the release repository or its TUF metadata
    └── RegistryError         exit code 10   MLflow

A message names the file, the value and the next step, in one line. A traceback that reaches a user
is our bug, and its exit code 70. Exit code 130 is Ctrl-C.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OutpostError(Exception):
    """Base of everything that Outpost reports to a person."""

    exit_code = 1


class UsageError(OutpostError):
    """A command was called with values that do not go together."""

    exit_code = 2


class ConfigError(OutpostError):
    """agent.toml is missing, is not TOML, or has a value that cannot be used."""

    exit_code = 3


class BundleError(OutpostError):
    """A bundle or its manifest is damaged, incomplete or tells lies."""

    exit_code = 4


class ModelError(OutpostError):
    """A model cannot be loaded, needs too much, or gives values that are not detections."""

    exit_code = 5


class SourceError(OutpostError):
    """A camera, video file or image folder cannot be read."""

    exit_code = 6


class BrokerError(OutpostError):
    """The MQTT broker cannot be reached or refuses us."""

    exit_code = 7


class StorageError(OutpostError):
    """The disk is full, read-only or not ours."""

    exit_code = 8


class RepositoryError(OutpostError):
    """The release repository cannot be reached or its metadata does not verify."""

    exit_code = 9


class RegistryError(OutpostError):
    """MLflow does not have, or does not give, what was asked for."""

    exit_code = 10


_DISK_ADVICE = {
    errno.ENOSPC: "the disk is full; free space, or use a larger one (on a device: `data`)",
    errno.EDQUOT: "the disk quota is used up; free space or raise the quota",
    errno.EFBIG: "the file would be larger than is allowed here; see `ulimit -f` and the mount",
    errno.EIO: "the disk reports an error; see `dmesg`, and replace it",
    errno.EISDIR: "a folder lies where the file should be; remove it, or name another path",
    errno.ENOTDIR: "a part of this path is a file, not a folder; name another path",
    errno.EROFS: "the file system is read-only; remount it, or use another (on a device: `data`)",
    errno.EACCES: "permission denied; run as the owner of this path or change its mode",
    errno.EPERM: "not permitted; run as the owner of this path or change its mode",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate the disk's refusals (full, broken, read-only, not permitted) into one clear line.

    Raises:
        StorageError: instead of the OSErrors above; other OSErrors pass unchanged.
    """
    try:
        yield
    except OSError as error:
        advice = _DISK_ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        raise StorageError(f"{error.filename or path}: {advice}") from error
