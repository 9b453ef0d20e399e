"""Where frames come from; a new kind is a file with `open_spec` and a line in `SOURCES`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from edge_agent.checked import nearest
from edge_agent.errors import SourceError
from edge_agent.sources.base import Frame, Source, Spec

__all__ = ["SOURCES", "Frame", "Kind", "Source", "kind_of", "open_here", "open_source"]


@dataclass(frozen=True)
class Kind:
    """One kind of source.

    Attributes:
        module: has ``open_spec(spec, camera) -> Source``.
        live: gives frames by itself, so that silence is a fault.
        process: read in a process of its own unless the camera's ``capture`` says otherwise:
            there is a driver, a network or a decoder that may hang or crash.
    """

    module: str
    live: bool = True
    process: bool = True


SOURCES = {
    "file": Kind("edge_agent.sources.video", live=False, process=False),
    "dir": Kind("edge_agent.sources.folder", live=False, process=False),
    "v4l2": Kind("edge_agent.sources.v4l2"),
    "csi": Kind("edge_agent.sources.gst"),
    "gst": Kind("edge_agent.sources.gst"),
    "rtsp": Kind("edge_agent.sources.stream"),
    "rtsps": Kind("edge_agent.sources.stream"),
    "http": Kind("edge_agent.sources.stream"),
    "https": Kind("edge_agent.sources.stream"),
    "shm": Kind("edge_agent.sources.ring", process=False),
}


def kind_of(text: str) -> Kind:
    """The kind of a source's text; for one that is unknown, a recording that is read in place."""
    return SOURCES.get(text.partition(":")[0], Kind("", live=False, process=False))


def open_source(
    text: str, camera: str, *, capture: str = "auto", queue: int = 2, hold: bool = False
) -> Source:
    """Open a source from its text in agent.toml, e.g. ``file:clip.mp4?loop=1&fps=10``.

    Args:
        text: ``scheme:path?option=value&…``; the path is taken as it stands.
        camera: id of the camera, carried by each frame.
        capture: ``process`` reads it in a process of its own, ``thread`` in this one, ``auto`` as
            its kind has it.
        queue: frames that may wait at the receiver; sizes the memory of a capture process.
        hold: whether a slow receiver holds the source back; it then waits instead of letting go.

    Raises:
        SourceError: unknown scheme or option, or the source cannot be opened. What a capture
            process finds is raised by the first `read`.
    """
    if capture == "process" or (capture == "auto" and kind_of(text).process):
        from edge_agent.sources.process import ProcessSource

        return ProcessSource(text, camera, queue=queue, hold=hold)
    return open_here(text, camera)


def open_here(text: str, camera: str) -> Source:
    """Open a source in this process (see `open_source`)."""
    try:
        parsed = Spec.parse(text)
        if parsed.scheme not in SOURCES:
            known = ", ".join(f"{scheme}:" for scheme in SOURCES)
            hint = nearest(parsed.scheme, SOURCES)
            raise SourceError(f'source "{text}" should begin with one of {known}{hint}')
        module = importlib.import_module(SOURCES[parsed.scheme].module)
        source: Source = module.open_spec(parsed, camera)
    except SourceError as error:
        raise SourceError(f"camera {camera}: {error}") from None
    return source
