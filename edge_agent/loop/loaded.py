"""A release that is loaded and warm, and the holder through which cameras use it.

Everything that belongs to a release (detector, gates, window, drift) hangs on one `Loaded`, so
swapping one reference between two frames swaps them all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.bundle import Bundle, Manifest
from edge_agent.clerk import AtOnce, Disk
from edge_agent.config import Config, Model
from edge_agent.detection.decode import Floats, Limit, above
from edge_agent.detection.detector import Detector, Result, contract
from edge_agent.detection.preprocess import Image
from edge_agent.detection.thresholds import limit_of
from edge_agent.drift.watch import DriftWatch
from edge_agent.errors import BundleError, SourceError
from edge_agent.gate import Baseline, Gate, ssim_from_profile
from edge_agent.gate.measures import Range
from edge_agent.loop.drifting import drift_watch
from edge_agent.loop.lane import SLOTS, Lane
from edge_agent.loop.process import give_memory_back
from edge_agent.loop.room import free_memory, room_for
from edge_agent.monitors.embedding import Projection
from edge_agent.monitors.outliers import Usual
from edge_agent.monitors.profile import Profile
from edge_agent.monitors.slice_memory import SliceMemory
from edge_agent.monitors.slices import SliceHistory
from edge_agent.monitors.windows import WindowCounter
from edge_agent.sources.folder import read_picture

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Loaded:
    """One release in memory.

    Attributes:
        model: name in the configuration.
        gates: camera id -> gate; empty when the gate is off. One per camera: they keep buffers.
        limit: score above which detections are reported; of all classes or of each one's own.
        projection: what makes features of an embedding; None where there is none.
        lane: what brings frames through the detector.
        slices: what it reported per camera and shift.
        slice_memory: keeps that over a restart; None where nothing is kept.
        users: frames that are inside it now.
    """

    model: str
    digest: str
    bundle: Bundle
    detector: Detector
    gates: dict[str, Gate]
    window: WindowCounter
    drift: DriftWatch
    variant: str
    limit: Limit
    projection: Projection | None = None
    users: int = 0
    lane: Lane = field(init=False)
    slices: SliceHistory = field(init=False)
    slice_memory: SliceMemory | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.lane = Lane(self.detector)
        self.slices = SliceHistory(self.bundle.manifest.classes)

    @property
    def version(self) -> int:
        """The model version."""
        return self.bundle.manifest.version

    @property
    def provider_ok(self) -> bool:
        """Whether the active provider is the wanted one."""
        return self.detector.provider == self.detector.wanted_provider

    @property
    def embedding(self) -> str:
        """``given``, ``left out`` with the reason, or "" for a bundle that has none."""
        if self.projection is None:
            return ""
        provider = self.detector.provider
        left_out = f"left out: engines of {provider} are compiled for the raw output alone"
        return "given" if self.detector.embeds else left_out

    def embedded(self, result: Result) -> dict[str, float]:
        """Features of a frame's embedding; empty where the variant or the engine gives none."""
        if self.projection is None or result.embedding is None:
            return {}
        return self.projection.features(result.embedding)

    def save(self, *, end: bool) -> None:
        """Have kept what must outlive it: after a window now and then, and at its end."""
        if end:
            self.drift.keep(at_once=True)
        if self.slice_memory is not None and end:
            self.slice_memory.save()
        elif self.slice_memory is not None:
            self.slice_memory.window()

    def reported(self, detections: Floats) -> Floats:
        """Those of a frame's detections that are reported; the others are for the monitors."""
        return above(detections, self.limit)


def load_release(
    config: Config,
    model: Model,
    root: Path,
    digest: str = "",
    *,
    clock: Callable[[], float] = time.monotonic,
    disk: Disk | None = None,
) -> Loaded:
    """Open a bundle, load and warm its detector, make the cameras' gates.

    Args:
        config: the whole configuration.
        model: the section that asks for it.
        root: folder of the bundle.
        digest: that it must have; "" accepts any.
        clock: monotonic seconds, by which frames are sampled for drift.
        disk: who writes down what is learnt while it runs; at once when None.

    Raises:
        BundleError: when it is damaged or another one.
        ConfigError: when a threshold names a class that it does not have.
        ModelError: when the model cannot be loaded or run.
    """
    bundle = _open(root, digest)
    manifest = bundle.manifest
    limit = limit_of(manifest, model.thresholds)
    profile = Profile.of(bundle, model.variant)
    projection = Projection.of(bundle)
    detector = _warm_detector(config, model, bundle)
    loaded = Loaded(
        model=model.name,
        digest=manifest.digest,
        bundle=bundle,
        detector=detector,
        gates=_gates(config, model, bundle, profile),
        window=WindowCounter(
            len(manifest.classes),
            manifest.decode.confidence,
            limit,
            Usual(profile.histograms) if profile is not None else None,
        ),
        drift=drift_watch(config, model, manifest, profile, clock, disk),
        variant=manifest.variant(model.variant).id,
        limit=limit,
        projection=projection,
    )
    path = config.layout.slices(model.name, manifest.digest)
    loaded.slice_memory = SliceMemory(path, loaded.slices, disk or AtOnce(), clock=clock)
    return loaded


def _open(root: Path, digest: str) -> Bundle:
    bundle = Bundle.open(root)
    found = bundle.manifest.digest
    if digest and found != digest:
        raise BundleError(
            f"{root}: its manifest is {found[:12]}…, not {digest[:12]}…; install it again"
        )
    return bundle


def _warm_detector(config: Config, model: Model, bundle: Bundle) -> Detector:
    detector = Detector.load(
        bundle,
        variant=model.variant,
        providers=model.providers,
        fallback=model.fallback,
        threads=model.threads,
    )
    detector.warm_up(together=pictures_at_once(config, model, bundle.manifest))
    give_memory_back()
    return detector


def pictures_at_once(config: Config, model: Model, manifest: Manifest) -> int:
    """Most pictures that one run of a release gets: as its graph and the model's cameras allow."""
    cameras = sum(camera.model == model.name for camera in config.cameras)
    return max(1, min(SLOTS * cameras, contract(manifest).max_batch))


def room_beside(config: Config, model: Model, digest: str, beside: Loaded) -> str:
    """Why a release cannot be loaded beside the one in use, or "" when it can.

    One that cannot be read has room: loading says what is wrong with it.
    """
    try:
        bundle = Bundle.open(config.layout.release(model.name, digest))
        free = free_memory(beside.detector.provider)
        pictures = pictures_at_once(config, model, bundle.manifest)
        return room_for(bundle, model.variant, free, model.reserve_mb, pictures)
    except BundleError:
        return ""


def _gates(
    config: Config, model: Model, bundle: Bundle, profile: Profile | None
) -> dict[str, Gate]:
    if not config.gate.enabled:
        return {}
    cameras = [camera.id for camera in config.cameras if camera.model == model.name]
    reference, learnt = _reference(bundle), ssim_from_profile(profile)
    return {camera: _gate(config, camera, reference, learnt) for camera in cameras}


def _gate(config: Config, camera: str, reference: Image | None, learnt: Range | None) -> Gate:
    """A camera's gate: by its own baseline where it was calibrated, else by the bundle."""
    settings = config.gate
    baseline = _baseline(config, camera)
    if baseline is not None:
        return Gate.calibrated(baseline, ssim_min=settings.ssim_min, actions=settings.checks)
    least = settings.ssim_min
    if least is None and learnt is not None:
        least = learnt.low
    return Gate(
        reference,
        width=settings.width,
        ssim_min=least,
        ssim_usual=learnt.usual if learnt is not None else None,
        reason="the bundle's profile has no SSIM values; calibrate the camera",
        actions=settings.checks,
    )


def _baseline(config: Config, camera: str) -> Baseline | None:
    """The camera's baseline; a damaged one must not keep the device from inferring."""
    try:
        return Baseline.read(config.layout.baseline(camera))
    except SourceError as error:
        log.error("camera %s: judged by the bundle's reference only: %s", camera, error)
        return None


def _reference(bundle: Bundle) -> Image | None:
    name = bundle.manifest.reference_image
    if name is None:
        return None
    picture = read_picture(bundle.path(name))
    if picture is None:
        raise BundleError(f"{bundle.path(name)}: not a picture; install the release again")
    return picture


class Holder:
    """Where cameras find the release of one model; swapping takes effect between two frames."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._current: Loaded | None = None
        self._retired: list[Loaded] = []

    @property
    def current(self) -> Loaded | None:
        """The release that serves new frames, None before the first."""
        return self._current

    def take(self) -> Loaded | None:
        """The present release, held for one frame: it is not closed before `give_back`."""
        with self._changed:
            loaded = self._current
            if loaded is not None:
                loaded.users += 1
            return loaded

    def give_back(self, loaded: Loaded) -> None:
        """The frame for which it was taken is done."""
        with self._changed:
            loaded.users -= 1

    def swap(self, new: Loaded | None) -> None:
        """Serve new frames with this release; the old one retires when its last frame is done."""
        with self._changed:
            if self._current is not None:
                self._retired.append(self._current)
            self._current = new
            self._changed.notify_all()

    def collect(self) -> list[Loaded]:
        """The retired releases that no frame uses any more, handed out once."""
        with self._changed:
            free = [loaded for loaded in self._retired if loaded.users == 0]
            self._retired = [loaded for loaded in self._retired if loaded.users]
        return free

    def wait(self, timeout_s: float) -> bool:
        """Wait for a release to be there."""
        with self._changed:
            return self._changed.wait_for(lambda: self._current is not None, timeout_s)
