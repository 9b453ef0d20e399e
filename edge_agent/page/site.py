"""Which address shows what. Paths are looked up in tables, never on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from pathlib import Path

from edge_agent.captures.masks import masks_of
from edge_agent.config import Config
from edge_agent.errors import StorageError
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.page import releases
from edge_agent.page.answer import HTML, Answer
from edge_agent.page.heard import Heard
from edge_agent.page.pictures import Pictures
from edge_agent.page.shown import Shown
from edge_agent.page.state import State
from edge_agent.page.watch import Watch

_FILES = {
    "/": ("index.html", HTML),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/gauges.js": ("gauges.js", "text/javascript; charset=utf-8"),
    "/dom.js": ("dom.js", "text/javascript; charset=utf-8"),
    "/boxes.js": ("boxes.js", "text/javascript; charset=utf-8"),
    "/judge": ("judge.html", HTML),
    "/judge.css": ("judge.css", "text/css; charset=utf-8"),
    "/judge.js": ("judge.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_LONGEST_NUMBER = 15


class Site:
    """Answers GET requests; called from several threads.

    Args:
        config: agent.toml.
        runtimes: what the agent keeps per model.
        watch: the cameras' last frames.
        heard: the agent's messages.
        journal: its path, None where a bundle's folder is run without one.
        closing: set when the server ends.
        boot: identity of this agent process.

    Attributes:
        shown: camera -> frames that inspectors may judge.
    """

    def __init__(
        self,
        config: Config,
        runtimes: Sequence[ModelRuntime],
        *,
        watch: Watch,
        heard: Heard,
        journal: Path | None,
        closing: threading.Event,
        boot: str,
    ) -> None:
        self._state = State(config, runtimes, watch, heard)
        self._journal = journal
        self._models = [runtime.name for runtime in runtimes]
        folder = resources.files("edge_agent.page") / "static"
        self._files = {
            path: Answer(HTTPStatus.OK, (folder / name).read_bytes(), kind)
            for path, (name, kind) in _FILES.items()
        }
        self.shown: dict[str, Shown] = {}
        self._pictures: dict[str, Callable[[Mapping[str, str]], Answer]] = {}
        masks = masks_of(config.capture.masks)
        for name, camera in watch.cameras.items():
            shown = self.shown[name] = Shown(boot, lambda: watch.now)
            pictures = Pictures(
                camera,
                width=config.page.width,
                gate_width=config.gate.width,
                mask=masks.get(name),
                closing=closing,
                shown=shown,
            )
            self._hang(f"/cameras/{name}", pictures, shown)

    def _hang(self, root: str, pictures: Pictures, shown: Shown) -> None:
        self._pictures |= {
            f"{root}/shown": lambda query: Answer.json(shown.document()),
            f"{root}/shown.jpg": lambda query: shown.picture(_number(query, "seq")),
            f"{root}/live.jpg": lambda query: pictures.live(_number(query)),
            f"{root}/reference.jpg": lambda query: pictures.reference(),
            f"{root}/map.png": lambda query: pictures.map(),
        }

    def __call__(self, path: str, query: Mapping[str, str]) -> Answer | None:
        """The answer to a GET; None for what is not there."""
        if path in self._files:
            return self._files[path]
        if path in self._pictures:
            return self._pictures[path](query)
        if path == "/api/state":
            return Answer.json(self._state.document(_number(query)))
        if path == "/api/releases":
            return self._releases()
        return None

    def _releases(self) -> Answer:
        try:
            return Answer.json(releases.document(self._journal, self._models))
        except StorageError as error:
            return Answer.refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def _number(query: Mapping[str, str], name: str = "after") -> int:
    """``after``: what the viewer has; -1 when absent or not a number."""
    text = query.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else -1
