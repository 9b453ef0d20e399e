"""Where frames come from; a new kind is a file with `open_spec` and a line in `SOURCES`."""

from __future__ import annotations

import importlib

from edge_agent.checked import nearest
from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, Source, Spec

__all__ = ["SOURCES", "Frame", "Source", "open_source"]

SOURCES = {
    "file": "edge_agent.sources.video",
    "dir": "edge_agent.sources.folder",
}


def open_source(spec: str, camera: str) -> Source:
    """Open a source from its text in agent.toml, e.g. ``file:clip.mp4?loop=1&fps=10``.

    Args:
        spec: ``scheme:path?option=value&…``; the path is taken as it stands.
        camera: id of the camera, carried by each frame.

    Raises:
        SourceError: unknown scheme or option, or the source cannot be opened.
    """
    parsed = Spec.parse(spec)
    if parsed.scheme not in SOURCES:
        known = ", ".join(f"{scheme}:" for scheme in SOURCES)
        hint = nearest(parsed.scheme, SOURCES)
        raise SourceError(f'camera {camera}: source "{spec}" should begin with {known}{hint}')
    try:
        source: Source = importlib.import_module(SOURCES[parsed.scheme]).open_spec(parsed, camera)
    except SourceError as error:
        raise SourceError(f"camera {camera}: {error}") from None
    return source
