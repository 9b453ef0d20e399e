"""What is said of a release that was loaded, held or refused, and of outputs without numbers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge_agent.loop.follow import Change
from edge_agent.telemetry.events import change_events, finite_event, info_message

REASON = "cuda: no NVIDIA GPU with a driver is found on this machine"


def loaded(version=1, provider="cpu", wanted="cpu", reason=""):
    """A release as far as events look at it."""
    detector = SimpleNamespace(provider=provider, wanted_provider=wanted, fallback_reason=reason)
    return SimpleNamespace(
        version=version,
        digest="d",
        variant="fp32",
        detector=detector,
        provider_ok=provider == wanted,
        embedding="given",
    )


FELL_BACK = loaded(2, "cpu", "cuda", REASON)


@pytest.mark.parametrize(
    ("now", "before", "kinds"),
    [
        (loaded(), None, ["model.loaded"]),
        (loaded(2), loaded(), ["model.swapped"]),
        (FELL_BACK, loaded(), ["model.swapped", "provider.fallback"]),
        (FELL_BACK, FELL_BACK, ["model.swapped", "provider.fallback"]),
        (loaded(3), FELL_BACK, ["model.swapped", "provider.restored"]),
    ],
)
def test_a_release_that_runs(now, before, kinds):
    """And on what, where that is worth a word."""
    told = change_events("m", Change("swapped", "d", "m runs", now, before, 1.5))
    assert [message.payload["kind"] for message in told] == kinds


def test_the_fallback_says_why():
    """In the text for a person, in fields for a program; a warning."""
    said = change_events("m", Change("swapped", "d", "m runs", FELL_BACK))[1].payload
    assert said["severity"] == "warning"
    assert said["text"] == f"m: runs on cpu, not on cuda ({REASON})"
    assert (said["provider"], said["wanted_provider"]) == ("cpu", "cuda")
    assert said["reason"] == REASON


@pytest.mark.parametrize(
    ("kind", "event", "severity"),
    [("failed", "model.failed", "error"), ("held", "model.held", "warning")],
)
def test_a_release_that_does_not_run(kind, event, severity):
    """Refused, or only waiting for room."""
    (told,) = change_events("m", Change(kind, "d", "m: why"))
    assert (told.payload["kind"], told.payload["severity"]) == (event, severity)
    assert told.payload["text"] == "m: why"


def test_outputs_that_are_no_numbers():
    """How many of how many, and the end of it."""
    bad, good = finite_event("m", 3, 120).payload, finite_event("m", 0, 100).payload
    assert (bad["kind"], bad["severity"], bad["nonfinite"]) == ("output.nonfinite", "error", 3)
    assert bad["text"] == "m: the network gave NaN or Inf on 3 of 120 frames"
    assert good["kind"] == "output.finite"


def test_info_has_the_reason():
    """Retained, for whoever looks later."""
    told = info_message({"m": FELL_BACK}, {}).payload["models"]["m"]
    assert (told["provider"], told["wanted_provider"]) == ("cpu", "cuda")
    assert (told["fallback_reason"], told["embedding"]) == (REASON, "given")
