"""The agent: cameras work in their threads, this loop closes windows, swaps releases and reports.

Nothing in this loop is waited for by a frame, and it waits for no disk itself: what must go to one
is an errand of a clerk (`edge_agent.clerk`), and a stall is said in the health file while it lasts
and in an event afterwards.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence

from edge_agent import __version__
from edge_agent.clerk import AtOnce, Clerks, Stalls
from edge_agent.config import Config
from edge_agent.errors import OutpostError, StorageError, UsageError
from edge_agent.health import Health, Window
from edge_agent.loop.camera import CameraWorker, FrameCounts
from edge_agent.loop.follow import Change
from edge_agent.loop.loaded import Loaded
from edge_agent.loop.oversee import Overseer
from edge_agent.loop.runtime import Inbox, ModelRuntime, model_health
from edge_agent.metrics import Message, event
from edge_agent.monitors.latency import Speed
from edge_agent.monitors.system import SystemReader
from edge_agent.monitors.windows import WindowReport
from edge_agent.telemetry.desk import Desk
from edge_agent.telemetry.events import (
    change_events,
    drift_event,
    finite_event,
    info_message,
    provider_text,
    skew_event,
    started_event,
)
from edge_agent.telemetry.outbox import Outbox
from edge_agent.telemetry.payloads import (
    camera_message,
    drift_message,
    health_window,
    input_message,
    output_message,
    slice_messages,
    system_message,
)
from edge_agent.telemetry.reported import Reporter
from edge_agent.telemetry.totals import frame_totals, outbox_totals
from edge_agent.telemetry.voice import Telemetry

TICK_S = 0.05
REPORT_S = 1.0
JOIN_S = 0.7
LAST_HEALTH_S = 0.3
log = logging.getLogger(__name__)


Counter = Callable[[], Mapping[str, int | float]]
"""More numbers for ``up/metrics/system``: named counts since the start."""


class Agent:
    """Runs until `stop`, or until every camera's source has come to its end."""

    def __init__(
        self,
        config: Config,
        runtimes: Sequence[ModelRuntime],
        *,
        inbox: Inbox,
        telemetry: Telemetry,
        outbox: Outbox,
        reporter: Reporter | None,
        overseer: Overseer,
        counters: Sequence[Counter] = (),
        clerks: Clerks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._runtimes = list(runtimes)
        self._inbox = inbox
        self._telemetry = telemetry
        self._outbox = outbox
        self._reporter = reporter
        self._overseer = overseer
        self._counters = tuple(counters)
        self._stalls = Stalls(clerks)
        at_once = AtOnce()
        self._data = clerks.data if clerks else at_once
        self._run_disk = clerks.run if clerks else at_once
        self._clock = clock
        self._stopping = False
        self._system = SystemReader(config.layout.data, disk=self._data)
        self._speed = Speed()
        self._calls = 0
        self._swaps = 0
        self._dropped_during_swap = 0
        self._window_began = clock()
        self._report_at = 0.0
        self._complained: set[str] = set()
        self._desk: Desk | None = None
        self._interval: tuple[float, float] | None = None

    @property
    def _cameras(self) -> list[CameraWorker]:
        return [camera for runtime in self._runtimes for camera in runtime.cameras]

    @property
    def _version(self) -> int:
        """The version of the first model that runs, for what is about the whole device."""
        return next((r.current.version for r in self._runtimes if r.current is not None), 0)

    @property
    def _window_s(self) -> float:
        """Seconds per window: as configured, or as commanded while that lasts."""
        if self._interval is not None:
            window_s, until = self._interval
            if self._clock() < until and not (self._reporter and self._reporter.on_trial):
                return window_s
            self._interval = None
        return self._config.metrics.window_s

    def set_interval(self, window_s: float, for_s: float) -> None:
        """Close windows more often for a while; ends by itself, and when a release is on trial.

        Raises:
            UsageError: longer than configured: the updater takes an agent for hung whose health
                file is old, and would roll back.
        """
        most = self._config.metrics.window_s
        if window_s > most:
            raise UsageError(f"window_s {window_s:g} is longer than [metrics] window_s, {most:g}")
        if self._reporter is not None and self._reporter.on_trial:
            raise UsageError("a release is on trial, which counts windows; try again later")
        self._interval = window_s, self._clock() + for_s

    def obey(self, desk: Desk) -> None:
        """Carry out what arrives at a desk."""
        self._desk = desk

    def stop(self) -> None:
        """End soon; may be called from any thread or a signal handler (so it takes no lock)."""
        self._stopping = True

    def run(self) -> None:
        """Work until the end."""
        self._begin()
        try:
            while not self._stopping:
                ended = self._finished()
                self.tick()
                if ended:
                    break
                time.sleep(TICK_S)
        finally:
            self._end()

    def tick(self) -> None:
        """One round of everything that is due."""
        for runtime in self._runtimes:
            self._follow(runtime)
            for loaded in runtime.releases.holder.collect():
                self._retire(runtime, loaded)
        if self._desk is not None and self._desk.busy:
            self._data.do("commands", self._desk.poll)
        self._forward()
        self._tell(self._overseer.tick())
        self._tell(self._stalls.look())
        now = self._clock()
        if now >= self._report_at:
            self._report_at = now + REPORT_S
            self._report()
        if now - self._window_began >= self._window_s:
            self._close_windows()

    def _begin(self) -> None:
        names = ", ".join(runtime.name for runtime in self._runtimes)
        text = f"edge-agent {__version__} started for {names}"
        log.info("%s (boot %s)", text, self._telemetry.boot)
        self._telemetry.send([started_event(text, self._outbox)])
        self._tell(self._overseer.begin())
        self._write_health()
        for camera in self._cameras:
            camera.start()

    def _end(self) -> None:
        for camera in self._cameras:
            camera.stop()
        deadline = time.monotonic() + JOIN_S
        for camera in self._cameras:
            camera.join(max(0.0, deadline - time.monotonic()))
        self._forward()
        self._close_windows()
        for runtime in self._runtimes:
            if runtime.current is not None:
                runtime.current.save(end=True)
        self._overseer.close()
        self._write_health(stopped=True)
        self._run_disk.settle(LAST_HEALTH_S)
        farewell = event("agent.stopped", "info", "edge-agent stopped")
        self._telemetry.send([farewell], model_version=self._version)
        log.info("edge-agent stopped")

    def _finished(self) -> bool:
        cameras = self._cameras
        return bool(cameras) and all(camera.finished for camera in cameras)

    def _follow(self, runtime: ModelRuntime) -> None:
        trouble = runtime.releases.error
        changes = runtime.releases.poll()
        for change in changes:
            self._tell_change(runtime, change)
        if changes:
            if runtime.dropped_before_load is not None:
                self._dropped_during_swap += runtime.frames.dropped - runtime.dropped_before_load
            runtime.dropped_before_load = None
            self._send_info()
        if changes or runtime.releases.error != trouble:
            self._write_health()
        if runtime.releases.loading and runtime.dropped_before_load is None:
            runtime.dropped_before_load = runtime.frames.dropped

    def _tell_change(self, runtime: ModelRuntime, change: Change) -> None:
        version = change.loaded.version if change.loaded is not None else self._version
        self._telemetry.send(change_events(runtime.name, change), model_version=version)
        if change.loaded is None:
            return
        log.info("%s, loaded in %.2f s", change.text, change.seconds)
        if not change.loaded.provider_ok:
            log.warning("%s", provider_text(runtime.name, change.loaded))
        runtime.windows.clear()
        runtime.drifted = False
        self._swaps += change.before is not None

    def _retire(self, runtime: ModelRuntime, loaded: Loaded) -> None:
        """The last window of a release that was swapped out; then its memory goes."""
        self._close_window(runtime, loaded)
        loaded.save(end=True)
        try:
            loaded.lane.close()
        except Exception as error:  # a runtime may raise anything; the old model must not stop us
            self._complain(f"{runtime.name} {loaded.version}: close failed: {error}")

    def _forward(self) -> None:
        for message, version in self._inbox.take():
            self._telemetry.send([message], model_version=version)

    def _report(self) -> None:
        if self._reporter is None:
            return
        reporter = self._reporter
        errors = {runtime.name: runtime.releases.error for runtime in self._runtimes}

        def report() -> None:
            try:
                reporter.poll(self._telemetry, errors)
            except StorageError as error:
                self._complain(str(error))

        self._data.do("report", report)

    def _close_windows(self) -> None:
        for runtime in self._runtimes:
            if runtime.current is not None:
                runtime.windows.append(self._close_window(runtime, runtime.current))
            told = [camera_message(camera.report()) for camera in runtime.cameras]
            version = runtime.current.version if runtime.current is not None else 0
            self._telemetry.send(told, model_version=version)
        self._send_system()
        self._tell(self._overseer.judge())
        self._write_health()

    def _tell(self, messages: Sequence[Message]) -> None:
        if messages:
            self._telemetry.send(messages, model_version=self._version)

    def _close_window(self, runtime: ModelRuntime, loaded: Loaded) -> Window:
        report = loaded.window.close()
        runtime.seq += 1
        window = health_window(
            report,
            runtime.frames_of_window(),
            seq=runtime.seq,
            at=time.time(),
            release=loaded.digest,
            provider_ok=loaded.provider_ok,
            rss_mb=self._system.rss_mb(),
        )
        self._count_speed(report, loaded)
        drifting, drifted = self._drift_events(runtime, loaded)
        classes = loaded.bundle.manifest.classes
        skews = loaded.drift.skews()
        messages = [
            input_message(runtime.name, name, tally, skews.get(name))
            for name, tally in report.cameras.items()
        ]
        messages += slice_messages(runtime.name, loaded.slices, report, at=window.at, skews=skews)
        loaded.save(end=False)
        messages += drifting
        if loaded is runtime.current:
            messages += self._finite_events(runtime, report)
            self._overseer.window(runtime, loaded, report, drifted)
        said = self._overseer.said(runtime, loaded)
        messages.append(output_message(runtime.name, classes, report, loaded.drift, said))
        self._telemetry.send(messages, model_version=loaded.version)
        return window

    def _drift_events(
        self, runtime: ModelRuntime, loaded: Loaded
    ) -> tuple[list[Message], tuple[str, ...] | None]:
        """Each camera's verdicts; an event when drift is suspected, and when it is gone.

        Returns:
            The messages, and what drifts now; None for that when nothing was judged.
        """
        before = bool(loaded.drift.skew.verdict.differs)
        judged, skew = loaded.drift.settle()
        for watch in loaded.drift.cameras.values():
            if watch.trouble:
                self._complain(watch.trouble)
        messages: list[Message] = []
        for one in judged:
            messages.append(drift_message(runtime.name, one))
            if bool(one.before.raised) != bool(one.after.raised):
                messages.append(drift_event(runtime.name, one))
        if skew is not None and bool(skew.differs) != before:
            messages.append(skew_event(runtime.name, skew))
        if loaded is runtime.current:
            runtime.drifted = loaded.drift.raised
        return messages, loaded.drift.drifted if judged or skew is not None else None

    def _count_speed(self, report: WindowReport, loaded: Loaded) -> None:
        """A window's share of the device's speed."""
        self._calls += loaded.lane.runs()
        self._speed.inferred += report.inferred
        self._speed.latency.merge(report.latency)
        self._speed.end_to_end.merge(report.stages.end_to_end)

    def _finite_events(self, runtime: ModelRuntime, report: WindowReport) -> list[Message]:
        """One event when outputs are not finite, one when all of a window's are again."""
        if not report.inferred or bool(report.nonfinite) == runtime.nonfinite:
            return []
        runtime.nonfinite = bool(report.nonfinite)
        return [finite_event(runtime.name, report.nonfinite, report.inferred)]

    def _send_system(self) -> None:
        now = self._clock()
        frames = sum((runtime.frames for runtime in self._runtimes), FrameCounts())
        totals: dict[str, int | float] = dict(
            frame_totals(
                frames,
                during_swap=self._dropped_during_swap,
                swaps=self._swaps,
                calls=self._calls,
            )
        )
        for counter in self._counters:
            totals |= counter()
        totals |= outbox_totals(self._outbox, self._telemetry.lost)
        totals |= self._stalls.totals()
        message = system_message(
            self._system.read(), self._speed, totals, seconds=now - self._window_began
        )
        self._speed, self._window_began = Speed(), now
        self._telemetry.send([message], model_version=self._version)

    def _send_info(self) -> None:
        loaded = {r.name: r.current for r in self._runtimes if r.current is not None}
        message = info_message(loaded, self._config.device.tags)
        self._telemetry.send([message], model_version=self._version)

    def _write_health(self, *, stopped: bool = False) -> None:
        health = Health(
            at=time.time(),
            boot=self._telemetry.boot,
            pid=os.getpid(),
            models={
                runtime.name: model_health(runtime, stopped=stopped) for runtime in self._runtimes
            },
            disk=self._stalls.state,
        )

        def write() -> None:
            try:
                health.write(self._config.layout.health)
            except (OutpostError, OSError) as error:
                self._complain(f"{self._config.layout.health}: {error}")

        self._run_disk.do("health", write)

    def _complain(self, text: str) -> None:
        """Log a lasting trouble once."""
        if text not in self._complained and len(self._complained) < 100:
            self._complained.add(text)
            log.error("%s", text)
