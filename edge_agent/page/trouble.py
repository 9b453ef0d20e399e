"""What is wrong, in one sentence: pure rules over what is known of cameras and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.checked import plural

FINE, NOTICE, WARNING, ERROR = "fine", "notice", "warning", "error"
LEVELS = (FINE, NOTICE, WARNING, ERROR)
SILENT_S = 5.0  # a camera that is up and gave no frame for so long
SILENT_INTERVALS = 5.0
SILENT_WINDOWS = 3.0
SILENT_LOOP_S = 5.0


@dataclass(frozen=True)
class CameraFacts:
    """What is known of one camera.

    Attributes:
        state: as the agent has it: ``waiting``, ``up``, ``degraded``, ``down``, ``finished``.
        reason: what the last event of its source said.
        state_for_s: since that event, None without one.
        rejecting: whether the gate's alarm is raised.
        verdict: the gate's last sentence.
        rejecting_for_s: since the alarm's event, None without one.
        age_s: since the last judged frame, None before the first.
        interval_s: mean time between two frames.
    """

    id: str
    model: str
    state: str
    reason: str = ""
    state_for_s: float | None = None
    rejecting: bool = False
    verdict: str = ""
    rejecting_for_s: float | None = None
    age_s: float | None = None
    interval_s: float = 0.0


@dataclass(frozen=True)
class ModelFacts:
    """What is known of one model.

    Attributes:
        version: that runs, 0 for none.
        error: what its releases complain about, or "".
        window_s, window_age_s: length of a window, and time since the last one (None before it).
        inferred, errors, nonfinite: frames of the last window.
        drift: the sentence of the drift event while the outputs differ from the profile, or "".
    """

    name: str
    version: int
    loading: bool = False
    error: str = ""
    error_for_s: float | None = None
    provider: str = ""
    wanted_provider: str = ""
    window_s: float = 10.0
    window_age_s: float | None = None
    inferred: int = 0
    errors: int = 0
    nonfinite: int = 0
    drift: str = ""
    drift_for_s: float | None = None


@dataclass(frozen=True)
class Problem:
    """One thing that somebody should know or do.

    Attributes:
        level: one of `LEVELS`.
        subject: id of the camera or name of the model.
        text: one sentence for a person.
        for_s: since when, None when that is not known.
    """

    level: str
    subject: str
    text: str
    for_s: float | None = None


def problems(cameras: Sequence[CameraFacts], models: Sequence[ModelFacts]) -> list[Problem]:
    """Everything that is not as it should be, worst first."""
    running = {model.name for model in models if model.version}
    found = [problem for model in models for problem in _model(model)]
    for camera in cameras:
        found += _camera(camera, model_runs=camera.model in running)
    if not cameras:
        text = "No camera is configured; add a [[camera]] to agent.toml."
        found.append(Problem(NOTICE, "", text))
    return sorted(found, key=lambda problem: -LEVELS.index(problem.level))


def _model(model: ModelFacts) -> list[Problem]:
    if not model.version:
        return [_not_running(model)]
    found = []
    if (age_s := model.window_age_s or 0.0) > SILENT_WINDOWS * model.window_s + SILENT_LOOP_S:
        text = f"The agent has closed no window for {age_s:.0f} s: its loop hangs; restart it."
        found.append(Problem(ERROR, model.name, text))
    if model.nonfinite:
        text = (
            f"{model.name} {model.version} gave values that are no numbers in {model.nonfinite} of"
            f" {plural(model.inferred, 'frame')}; go back to the release before."
        )
        found.append(Problem(ERROR, model.name, text))
    if model.error:
        text = f"{_sentence(model.error)} {model.name} {model.version} runs meanwhile."
        found.append(Problem(WARNING, model.name, text, model.error_for_s))
    if model.errors:
        share = f"{model.errors} of {plural(model.inferred + model.errors, 'frame')}"
        text = f"{share} of {model.name} ended in an error; the service's log says which."
        found.append(Problem(WARNING, model.name, text))
    if model.provider != model.wanted_provider:
        text = (
            f"{model.name} runs on {model.provider} instead of {model.wanted_provider};"
            " `edge-agent doctor` says why."
        )
        found.append(Problem(WARNING, model.name, text))
    if model.drift:
        found.append(Problem(WARNING, model.name, _sentence(model.drift), model.drift_for_s))
    return found


def _not_running(model: ModelFacts) -> Problem:
    if model.error:
        text = f"Model {model.name} cannot run: {_sentence(model.error)}"
        return Problem(ERROR, model.name, text, model.error_for_s)
    if model.loading:
        return Problem(NOTICE, model.name, f"Model {model.name} is being loaded.")
    text = f"Model {model.name} has no release yet: nothing is judged before a rollout brings one."
    return Problem(NOTICE, model.name, text)


def _camera(camera: CameraFacts, *, model_runs: bool) -> list[Problem]:
    named = f"Camera {camera.id}"
    reason = camera.reason.removeprefix(f"camera {camera.id}: ") or "it is lost"
    if camera.state == "finished":
        return [Problem(NOTICE, camera.id, f"{named} has come to the end of its recording.")]
    if camera.state == "down":
        text = f"{named} gives no frames: {_sentence(reason)}"
        return [Problem(ERROR, camera.id, text, camera.state_for_s)]
    if camera.age_s is None:
        if not model_runs:
            return []
        return [Problem(NOTICE, camera.id, f"{named} has not given a frame yet.")]
    found = []
    if camera.age_s > max(SILENT_S, SILENT_INTERVALS * camera.interval_s):
        text = (
            f"No frame of camera {camera.id} was judged for {camera.age_s:.0f} s; look at its"
            " cable and power, and at the service's log."
        )
        found.append(Problem(ERROR, camera.id, text, camera.age_s))
    if camera.state == "degraded":
        text = f"{named}: {_sentence(reason)}"
        found.append(Problem(WARNING, camera.id, text, camera.state_for_s))
    if camera.rejecting:
        text = f"{named}: {_sentence(camera.verdict)}"
        found.append(Problem(WARNING, camera.id, text, camera.rejecting_for_s))
    return found


def fine(cameras: Sequence[CameraFacts], models: Sequence[ModelFacts], fps: float) -> str:
    """The sentence when there is no problem.

    Args:
        cameras: all of them.
        models: all of them.
        fps: frames per second that are judged now.
    """
    who = cameras[0].id if len(cameras) == 1 else f"all {len(cameras)} cameras"
    sees = "sees what it" if len(cameras) == 1 else "see what they"
    what = " and ".join(f"{model.name} {model.version}" for model in models)
    judge = "judges" if len(models) == 1 else "judge"
    return f"All is well: {who} {sees} should, {what} {judge} {fps:.3g} frames a second."


def _sentence(text: str) -> str:
    """With a full stop."""
    return text.strip().rstrip(".") + "."
