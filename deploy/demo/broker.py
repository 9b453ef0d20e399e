"""The demo's own broker on a free loopback port: mosquitto when there is one, else amqtt.

Both ask for a password. amqtt is for the demo only: it forgets retained messages and leaks them
(docs/decisions.md), so a site runs mosquitto.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import BrokerError

USERNAME = "outpost"
_SYSTEM_PATH = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))
_START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Broker:
    """A running broker and how to get in."""

    kind: str
    port: int
    password_file: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The value for ``[mqtt] url``."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def label(self) -> str:
        """What to call it in front of a person."""
        return self.kind if self.kind == "mosquitto" else f"{self.kind} (demo only)"

    def stop(self) -> None:
        """End the broker that `start` began."""
        self.process.terminate()
        self.process.wait(timeout=10)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, kind: str | None = None) -> Broker:
    """Start a broker below ``folder`` and wait until it answers.

    Args:
        folder: for its configuration, password and log; created.
        kind: ``mosquitto`` or ``amqtt``; None takes mosquitto when it is installed.

    Raises:
        BrokerError: when it does not come up; the message names its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_PATH)
    kind = kind or ("mosquitto" if mosquitto else "amqtt")
    password_file = folder / "password"
    password_file.write_text(secrets.token_urlsafe(16) + "\n")
    password_file.chmod(0o600)
    port = free_port()
    if kind == "mosquitto":
        command = _mosquitto(folder, port, mosquitto or "mosquitto")
    else:
        command = _amqtt(folder, port)
    log = folder / "broker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    broker = Broker(kind, port, password_file, process)
    _wait(broker, log)
    return broker


def _mosquitto(folder: Path, port: int, program: str) -> list[str]:
    users = folder / "users"
    users.write_text(f"{USERNAME}:{(folder / 'password').read_text().strip()}\n")
    users.chmod(0o600)
    # -U replaces the clear text by a hash, so that the password never is on a command line.
    hasher = Path(program).with_name("mosquitto_passwd")
    tool = shutil.which("mosquitto_passwd") or str(hasher)
    subprocess.run([tool, "-U", str(users)], check=True, capture_output=True)
    config = folder / "mosquitto.conf"
    # mosquitto gives up root for its own user, who could not read our files; we stay who we are.
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous false",
        f"password_file {users}",
        "persistence false",
    ]
    if os.geteuid() == 0:
        lines.append("user root")
    config.write_text("\n".join(lines) + "\n")
    return [program, "-c", str(config)]


def _amqtt(folder: Path, port: int) -> list[str]:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    users = folder / "users"
    password = (folder / "password").read_text().strip()
    users.write_text(f"{USERNAME}:{PasswordHash((Argon2Hasher(),)).hash(password)}\n")
    users.chmod(0o600)
    config = folder / "amqtt.yaml"  # JSON is YAML
    document = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(users)},
        },
    }
    config.write_text(json.dumps(document))
    return [str(Path(sys.executable).with_name("amqtt")), "-c", str(config)]


def _wait(broker: Broker, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and broker.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", broker.port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    if broker.process.poll() is None:
        broker.stop()
    raise BrokerError(f"{broker.kind} did not start; its last words are in {log}")
