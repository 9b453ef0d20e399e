"""A real ``mlflow server`` for tests: passwords asked, artifacts through it, on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "admin", "a-long-password"
_AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///{root}/auth.db
admin_username = {user}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""
_START_S = 240.0


@dataclass(frozen=True)
class Server:
    """Where it listens; ``uri`` has no password, ``signed_uri`` has."""

    uri: str
    root: Path

    @property
    def signed_uri(self) -> str:
        """The address with user and password."""
        return self.uri.replace("//", f"//{USER}:{PASSWORD}@")


@contextmanager
def mlflow_server(root: Path, database: Path) -> Iterator[Server]:
    """Start a server and stop it at the end.

    Args:
        root: folder for its files.
        database: an empty registry's database; it is copied, which saves half of the start.
    """
    shutil.copy(database, root / "mlflow.db")
    config = root / "auth.ini"
    config.write_text(_AUTH.format(root=root, user=USER, password=PASSWORD))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{root}/mlflow.db", "--app-name", "basic-auth",
        "--artifacts-destination", str(root / "artifacts"), "--workers", "1",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",  # it remembers for a minute that there is no webhook
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = root / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=root,
            start_new_session=True,
        )  # fmt: skip
    try:
        server = Server(f"http://127.0.0.1:{port}", root)
        _wait(server.uri, process, log)
        yield server
    finally:
        process.terminate()  # it stops its own workers
        process.wait(timeout=60)


def _wait(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)  # nothing tells when a server listens
    raise AssertionError(f"no answer in {_START_S:.0f} s: {log.read_text()[-2000:]}")
