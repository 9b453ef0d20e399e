"""A headless Chromium that looks at pages: for the demo's screenshot and for the tests.

::

    with Browser() as browser:
        tab = browser.open("http://127.0.0.1:8800/", width=390, height=844, mobile=True)
        tab.wait("document.querySelector('#live').naturalWidth > 0")
        tab.screenshot(Path("page.png"))
        assert tab.complaints == []

It speaks the DevTools protocol over a websocket. Chromium comes from the system (Debian's
``chromium``); each browser has a profile of its own, which is removed afterwards.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
START_S = 30.0
ANSWER_S = 30.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
    "--remote-debugging-port=0", "--remote-allow-origins=*", "--force-color-profile=srgb",
)  # fmt: skip


class Tab:
    """One page, looked at through the DevTools protocol.

    Attributes:
        complaints: what the page's console said in anger: exceptions, errors, refused resources.
    """

    def __init__(self, address: str) -> None:
        """Connect to a tab's websocket."""
        from websockets.sync.client import connect

        self.complaints: list[str] = []
        self._numbers = itertools.count(1)
        self._socket = connect(address, max_size=None, open_timeout=START_S, ping_interval=None)
        for domain in ("Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=ANSWER_S))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            self.complaints.append(said)
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(
                f"{parameters['entry']['text']} {parameters['entry'].get('url')}"
            )

    def shape(self, width: int, height: int, *, mobile: bool = False, dark: bool = False) -> None:
        """Take the form of a screen; a mobile one has two device pixels per CSS pixel."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, url: str) -> None:
        """Open an address and wait until its document is there."""
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression (awaited when it is a promise).

        Raises:
            RuntimeError: when it throws.
        """
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            raise RuntimeError(f"{expression}: {said}")
        return result["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of an element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def wait(self, condition: str, timeout_s: float = 20.0) -> None:
        """Wait until a JavaScript expression holds.

        Raises:
            RuntimeError: when it does not, with what the page says.
        """
        deadline = time.monotonic() + timeout_s
        while not self.value(f"Boolean({condition})"):
            if time.monotonic() > deadline:
                page = self.value("document.body.innerText")
                raise RuntimeError(
                    f"waited {timeout_s} s for {condition}; {self.complaints}\n{page}"
                )
            time.sleep(0.05)

    def key(self, name: str) -> None:
        """Press a key, like ``ArrowRight``, on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """Write a PNG of the screen, or of the whole page however long; returns its path."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(picture))
        return path


class Browser:
    """A Chromium process; a context manager."""

    def __init__(self, binary: str | None = CHROMIUM) -> None:
        """It starts at ``with``."""
        self._binary = binary
        self._profile = tempfile.TemporaryDirectory(prefix="outpost-chromium-")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Browser:
        """Start it and wait for its port.

        Raises:
            RuntimeError: there is no Chromium, or it does not start.
        """
        if self._binary is None:
            raise RuntimeError("chromium is not installed (Debian: apt-get install chromium)")
        command = [self._binary, *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        active = Path(self._profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + START_S
        while not (active.exists() and active.read_text().strip()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._binary} does not start")
            time.sleep(0.05)
        self._port = int(active.read_text().split()[0])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and forget its profile."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        shutil.rmtree(self._profile.name, ignore_errors=True)

    def open(
        self, url: str, *, width: int = 1280, height: int = 900, mobile: bool = False,
        dark: bool = False,
    ) -> Tab:  # fmt: skip
        """A new tab of this form that shows an address."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT"
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
            tab = Tab(json.load(answer)["webSocketDebuggerUrl"])
        tab.shape(width, height, mobile=mobile, dark=dark)
        tab.go(url)
        return tab
