"""From signs to a cause: camera, engine, model, scene, or not known yet. Pure.

The golden frames come from the bundle, not from the camera, so what the live engine says of them
speaks of the engine alone: no dirt, no light and no new part can change it. The input check speaks
of the picture alone: no weight can change it. What is left, outputs that differ while both are
content, is the scene, or the model where the release itself is what changed.
"""

from __future__ import annotations

from dataclasses import dataclass

CAMERA, ENGINE, MODEL, SCENE = "camera", "engine", "model", "scene"
CAUSES = (CAMERA, ENGINE, MODEL, SCENE)
RELEASE_CAUSES = (ENGINE, MODEL)
"""Those that going back to another release can cure."""

REJECTED_MANY = 0.2
SLOW = 2.0
_PROVIDER = "another provider runs it than the wanted one"
_TESTED = "the golden frames are reproduced"
_UNTESTED = "the golden frames were not asked yet"


@dataclass(frozen=True)
class Signs:
    """What is known of one model and its cameras at one moment.

    Attributes:
        selftest: ``passed`` or ``failed`` on golden frames by the live engine, "" when there is no
            answer that is younger than the trouble.
        selftest_text: what failed.
        provider_ok: whether the wanted provider runs it.
        inferred: frames that the network saw in the last windows.
        nonfinite: those that gave NaN or Inf.
        latency_ratio: median latency over the usual one; None when the usual one is not known.
        cameras_down: cameras that give nothing usable.
        rejected: camera -> share of its frames that the input check rejected, in the windows that
            the outputs' verdict is about.
        drifted: output features that differ from the profile, or from a camera's own past.
        fresh_release: whether these outputs differ since this release was switched in, while
            those of the release before did not.
    """

    selftest: str = ""
    selftest_text: str = ""
    provider_ok: bool = True
    inferred: int = 0
    nonfinite: int = 0
    latency_ratio: float | None = None
    cameras_down: tuple[str, ...] = ()
    rejected: tuple[tuple[str, float], ...] = ()
    drifted: tuple[str, ...] = ()
    fresh_release: bool = False


@dataclass(frozen=True)
class Finding:
    """A cause ("" while it cannot be told) and what speaks for it, in words."""

    cause: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def waiting(self) -> bool:
        """Whether something is wrong and the self-test will say whose fault it is."""
        return not self.cause and bool(self.evidence)

    @property
    def text(self) -> str:
        """One sentence."""
        return f"{self.cause or 'cause not known yet'}: {'; '.join(self.evidence)}"


def judge(signs: Signs) -> Finding:
    """Name the cause.

    The order is that of what can be mistaken for what: a failed self-test has no other cause
    than the engine; NaN has none outside the network; a bad picture changes outputs, but never the
    other way round. Another provider and slowness say least: they explain nothing that differs.
    """
    steps = (_engine, _nonfinite, _model, _camera, _scene, _elsewhere)
    return next((found for step in steps if (found := step(signs)) is not None), Finding())


def _engine(signs: Signs) -> Finding | None:
    if signs.selftest != "failed":
        return None
    said = [f"the live engine fails its golden frames ({signs.selftest_text})"]
    if not signs.provider_ok:
        said.append(_PROVIDER)
    if signs.nonfinite:
        said.append(_count(signs))
    return Finding(ENGINE, tuple(said))


def _nonfinite(signs: Signs) -> Finding | None:
    """Frames are bytes, so NaN is made by the network; golden frames say by which half of it."""
    if not signs.nonfinite:
        return None
    if not signs.selftest:
        return Finding("", (_count(signs), _UNTESTED))
    return Finding(MODEL, (_count(signs), _TESTED))


def _model(signs: Signs) -> Finding | None:
    if not signs.drifted or not signs.fresh_release or _bad_cameras(signs):
        return None
    if signs.selftest != "passed":
        return _undecided(signs)
    since = "outputs differ since this release was switched in, those of the one before did not"
    return Finding(MODEL, (since, _drift(signs), _TESTED))


def _camera(signs: Signs) -> Finding | None:
    said = [f"camera {name} gives no usable frames" for name in signs.cameras_down]
    said += [
        f"the input check rejects {share:.0%} of camera {name}'s frames"
        for name, share in signs.rejected
        if share >= REJECTED_MANY
    ]
    return Finding(CAMERA, tuple(said)) if said else None


def _scene(signs: Signs) -> Finding | None:
    if not signs.drifted:
        return None
    if signs.selftest != "passed":
        return _undecided(signs)
    return Finding(SCENE, (_drift(signs), "the input check passes the pictures", _TESTED))


def _elsewhere(signs: Signs) -> Finding | None:
    said = [] if signs.provider_ok else [_PROVIDER]
    if signs.latency_ratio is not None and signs.latency_ratio > SLOW:
        said.append(f"frames take {signs.latency_ratio:.1f} times as long as usual")
    return Finding(ENGINE, tuple(said)) if said else None


def _undecided(signs: Signs) -> Finding:
    return Finding("", (_drift(signs), _UNTESTED))


def _bad_cameras(signs: Signs) -> bool:
    return _camera(signs) is not None


def _drift(signs: Signs) -> str:
    return f"outputs differ in {', '.join(signs.drifted)}"


def _count(signs: Signs) -> str:
    return f"{signs.nonfinite} of {signs.inferred} frames gave NaN or Inf"
