"""Where telemetry goes: a table of kinds; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from edge_agent.errors import UsageError
from edge_agent.sinks.base import Hooks, Live, Sink, SinkContext

__all__ = ["KINDS", "Hooks", "Live", "Sink", "SinkContext", "make_sink"]

# kind -> module with a function make(argument, context); imported when it is wanted
KINDS = {
    "mqtt": "edge_agent.sinks.mqtt",
    "log": "edge_agent.sinks.log",
}


def make_sink(spec: str, context: SinkContext) -> Sink:
    """Make the sink of a spec ``kind`` or ``kind:argument``.

    Raises:
        UsageError: when there is no such kind.
        BrokerError: when the sink cannot be set up from the configuration.
    """
    kind, _, argument = spec.partition(":")
    if kind not in KINDS:
        raise UsageError(f"telemetry {kind!r} is not one of {', '.join(KINDS)}")
    make: Callable[[str, SinkContext], Sink] = import_module(KINDS[kind]).make
    return make(argument, context)
