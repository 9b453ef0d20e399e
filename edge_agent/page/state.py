"""``/api/state``: everything the page shows but pictures and the journal, as one JSON object.

Called in a server's thread: it reads references that the agent's threads replace as a whole, and
changes nothing. Times are ages in seconds, so that neither the device's nor the browser's clock
must be right. docs/formats.md has the fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edge_agent import __version__
from edge_agent.config import Config
from edge_agent.loop.camera import CameraWorker
from edge_agent.loop.runtime import ModelRuntime
from edge_agent.page.heard import Event, Heard, features
from edge_agent.page.trouble import FINE, CameraFacts, ModelFacts, Problem, fine, problems
from edge_agent.page.watch import CameraWatch, Look, Watch

RECENT_S = 5  # seconds over which frames per second are counted


class State:
    """Puts the document together.

    Args:
        config: agent.toml.
        runtimes: what the agent keeps per model.
        watch: the cameras' last frames.
        heard: the agent's messages.
    """

    def __init__(
        self, config: Config, runtimes: Sequence[ModelRuntime], watch: Watch, heard: Heard
    ) -> None:
        self._config = config
        self._runtimes = tuple(runtimes)
        self._workers = [worker for runtime in runtimes for worker in runtime.cameras]
        self._watch = watch
        self._heard = heard

    def document(self, after: int = -1) -> dict[str, Any]:
        """The whole state; points of the series only of seconds beyond ``after``."""
        cameras = [self._camera_facts(worker) for worker in self._workers]
        models = [self._model_facts(runtime) for runtime in self._runtimes]
        found = problems(cameras, models)
        return {
            "v": 1,
            "device": self._config.device.id,
            "agent": __version__,
            "second": self._watch.second,
            "sentence": self._sentence(found, cameras, models),
            "problems": [_problem(problem) for problem in found],
            "cameras": [self._camera(worker, found, after) for worker in self._workers],
            "models": [self._model(runtime) for runtime in self._runtimes],
            "system": self._system(),
            "events": [self._event(event) for event in reversed(self._heard.events)],
        }

    def _sentence(
        self,
        found: Sequence[Problem],
        cameras: Sequence[CameraFacts],
        models: Sequence[ModelFacts],
    ) -> dict[str, Any]:
        if found:
            return _problem(found[0])
        fps = sum(self._fps(camera.id) for camera in cameras)
        return _problem(Problem(FINE, "", fine(cameras, models, fps)))

    def _fps(self, camera: str) -> float:
        """Judged frames per second, over the last finished seconds."""
        # A second is finished by the frame after it, so the newest one may not be there yet.
        newest = self._watch.second - 2
        points = self._watch.cameras[camera].points[-RECENT_S:]
        recent = [point for point in points if point.second > newest - RECENT_S]
        if not recent:
            return 0.0
        span = max(newest, recent[-1].second) - recent[0].second + 1
        return sum(point.frames for point in recent) / span

    def _camera_facts(self, worker: CameraWorker) -> CameraFacts:
        name = worker.camera.id
        watch = self._watch.cameras[name]
        last = watch.last
        source, gate = self._heard.latest(name, "source"), self._heard.latest(name, "gate")
        return CameraFacts(
            id=name,
            model=worker.camera.model,
            state=worker.state,
            reason=source.text if source is not None else "",
            state_for_s=self._since(source),
            rejecting=worker.judge.rejecting,
            verdict=last.verdict.text if last is not None and last.verdict is not None else "",
            rejecting_for_s=self._since(gate),
            age_s=self._watch.now - last.at if last is not None else None,
            interval_s=watch.interval_s,
        )

    def _model_facts(self, runtime: ModelRuntime) -> ModelFacts:
        loaded = runtime.current
        told = self._heard.output(runtime.name)
        window = told.payload if told is not None else {}
        failure = self._heard.latest(runtime.name, "model")
        drift = self._heard.latest(runtime.name, "drift")
        return ModelFacts(
            name=runtime.name,
            version=loaded.version if loaded is not None else 0,
            loading=runtime.releases.loading,
            error=runtime.releases.error,
            error_for_s=self._since(failure),
            provider=loaded.detector.provider if loaded is not None else "",
            wanted_provider=loaded.detector.wanted_provider if loaded is not None else "",
            window_s=self._config.metrics.window_s,
            window_age_s=self._watch.now - told.at if told is not None else None,
            inferred=int(window.get("inferred", 0)),
            errors=int(window.get("errors", 0)),
            nonfinite=int(window.get("nonfinite", 0)),
            drift=drift.text if drift is not None and runtime.drifted else "",
            drift_for_s=self._since(drift),
        )

    def _since(self, event: Event | None) -> float | None:
        return None if event is None else self._watch.now - event.at

    def _camera(self, worker: CameraWorker, found: Sequence[Problem], after: int) -> dict[str, Any]:
        name = worker.camera.id
        watch = self._watch.cameras[name]
        mine = [problem.level for problem in found if problem.subject == name]
        return {
            "id": name,
            "model": worker.camera.model,
            "state": worker.state,
            "level": mine[0] if mine else FINE,
            "rejecting": worker.judge.rejecting,
            "frames": asdict(worker.counts),
            "fps": round(self._fps(name), 2),
            "last": self._last(watch),
            "series": _series(watch, after),
        }

    def _last(self, watch: CameraWatch) -> dict[str, Any] | None:
        look = watch.last
        if look is None:
            return None
        return {"age_s": round(self._watch.now - look.at, 2), **judged(look)}

    def _model(self, runtime: ModelRuntime) -> dict[str, Any]:
        loaded = runtime.current
        document: dict[str, Any] = {
            "name": runtime.name,
            "error": runtime.releases.error,
            "loading": runtime.releases.loading,
            "drift": self._drift(runtime),
        }
        if loaded is not None:
            document |= {
                "version": loaded.version,
                "digest": loaded.digest,
                "variant": loaded.variant,
                "provider": loaded.detector.provider,
                "wanted_provider": loaded.detector.wanted_provider,
                "classes": loaded.bundle.manifest.classes,
            }
        return document

    def _drift(self, runtime: ModelRuntime) -> dict[str, Any]:
        told = self._heard.output(runtime.name)
        payload = told.payload if told is not None else {}
        now = self._watch.now
        return {
            "suspected": runtime.drifted,
            "frames": payload.get("drift_block_frames", 0),
            "needed": self._config.drift.min_frames,
            "features": [
                {"name": name, "psi": psi, "limit": limit}
                for name, (psi, limit) in features(payload).items()
            ],
            "series": [
                [round(now - one.at, 1), one.feature, one.psi, one.limit]
                for one in self._heard.drift(runtime.name)
            ],
        }

    def _system(self) -> dict[str, Any]:
        told = self._heard.system
        if told is None:
            return {}
        return {"age_s": round(self._watch.now - told.at, 1), **told.payload}

    def _event(self, event: Event) -> dict[str, Any]:
        return {
            "age_s": round(self._watch.now - event.at, 1),
            "kind": event.kind,
            "severity": event.severity,
            "text": event.text,
        }


def judged(look: Look) -> dict[str, Any]:
    """What became of one frame: for ``/api/state`` and for the picture's own header."""
    height, width = look.frame.image.shape[:2]
    document: dict[str, Any] = {"number": look.number, "width": width, "height": height}
    if look.result is not None:
        document["latency_ms"] = round(look.result.total_ms, 2)
    if look.verdict is not None:
        document |= {"passed": look.verdict.passed, "text": look.verdict.text}
        statistics = look.verdict.statistics
        if statistics is not None:
            document |= {name: round(value, 3) for name, value in asdict(statistics).items()}
        if look.verdict.ssim is not None:
            document["ssim"] = round(look.verdict.ssim, 4)
    if look.release.ssim_min is not None:
        document["ssim_min"] = look.release.ssim_min
    return document


def _problem(problem: Problem) -> dict[str, Any]:
    document = asdict(problem)
    if problem.for_s is not None:
        document["for_s"] = round(problem.for_s, 1)
    return document


def _series(watch: CameraWatch, after: int) -> list[list[float | int | None]]:
    return [
        [
            point.second,
            point.frames,
            None if point.latency_ms is None else round(point.latency_ms, 2),
            None if point.ssim is None else round(point.ssim, 4),
            point.rejected,
        ]
        for point in watch.points
        if point.second > after
    ]
