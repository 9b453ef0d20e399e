"""Runs the device's services as systemd would: own process, own log, started again at the end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

_RESTART_DELAY_S = 0.5
_STOP_TIMEOUT_S = 15.0


class Service:
    """One supervised process (``Restart=always``)."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Start it; its stdout and stderr go to ``log``."""
        self.name = name
        self.starts = 0
        self._command = list(command)
        self._log = log
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name=name, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process at the moment, None between two starts."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def stop(self) -> None:
        """End it politely (SIGTERM) and do not start it again."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(_STOP_TIMEOUT_S)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _supervise(self) -> None:
        with self._log.open("ab") as log:
            while not self._stopping.is_set():
                self.starts += 1
                self._process = subprocess.Popen(
                    self._command, stdout=log, stderr=subprocess.STDOUT
                )
                if self._stopping.is_set():
                    self._process.terminate()
                self._process.wait()
                self._stopping.wait(_RESTART_DELAY_S)


def run(command: Sequence[str], log: Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, append what it said to ``log``, and hand it back unchecked."""
    done = subprocess.run(list(command), capture_output=True, text=True)
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}[exit {done.returncode}]\n")
    return done
