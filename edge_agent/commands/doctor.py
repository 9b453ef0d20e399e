"""`edge-agent doctor`: what is wrong, why, and what to do next.

Each check is a function that returns findings and never raises for what it looks at; `examine`
runs those that apply. A check that needs something broken further up is left out, so that one cause
gives one failure.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.checked import plural
from edge_agent.commands.finding import Finding
from edge_agent.config import Camera, Config, Model, load
from edge_agent.errors import OutpostError

if TYPE_CHECKING:
    from edge_agent.bundle import Bundle
    from edge_agent.slots import Journal

FREE_LEAST_MB = 200.0
FRAME_WAIT_S = 10.0


def examine(config_path: Path | None, bundle: Path | None) -> list[Finding]:
    """Look at a configuration and everything that it names, and at a bundle."""
    findings: list[Finding] = []
    config = None
    if config_path is not None:
        config, finding = check_config(config_path)
        findings.append(finding)
    if config is not None:
        findings += _device_findings(config)
    if bundle is not None:
        model = config.models[0] if config is not None and len(config.models) == 1 else None
        findings += check_bundle(bundle, model)
    return findings


def _device_findings(config: Config) -> list[Finding]:
    from edge_agent.commands.doctor_broker import check_broker

    findings = [check_folder("data folder", config.layout.data)]
    findings.append(check_folder("run folder", config.layout.run))
    findings.append(check_disk(config.layout.data))
    if config.capture.enabled:
        findings.append(check_folder("capture folder", config.captures, "[capture] folder"))
    for camera in config.cameras:
        findings += [check_camera(camera), check_baseline(config, camera)]
    if not config.cameras:
        findings.append(
            Finding("warn", "cameras", "there is none", "add a [[camera]] with id, source, model")
        )
    findings += check_broker(config)
    findings += check_page(config)
    findings += check_journal(config)
    return findings


def check_config(path: Path) -> tuple[Config | None, Finding]:
    """Whether agent.toml can be read, and every fault in it."""
    try:
        config = load(path)
    except OutpostError as error:
        step = f"edit {path}; `edge-agent init` writes one with every key explained"
        return None, Finding("fail", "config", str(error), step if path.exists() else "")
    count = f"{plural(len(config.models), 'model')}, {plural(len(config.cameras), 'camera')}"
    return config, Finding("ok", "config", f"{path}: device {config.device.id}, {count}")


def check_folder(what: str, path: Path, keys: str = "[device] data and run") -> Finding:
    """Whether a folder is there, or can be made, and is writable."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return Finding("fail", what, f"{place} is not a folder", f"correct {keys}")
    if not os.access(place, os.W_OK | os.X_OK):
        who = f"user {os.getuid()}"
        return Finding("fail", what, f"{place} is not writable for {who}", f"chown it to {who}")
    if place != path:
        return Finding("ok", what, f"{path} is not there yet; the agent will make it")
    return Finding("ok", what, f"{path} is writable")


def check_disk(path: Path) -> Finding:
    """Whether the data folder's disk has room for another release and the outbox."""
    place = path
    while not place.exists():
        place = place.parent
    free_mb = shutil.disk_usage(place).free / 1e6
    if free_mb < FREE_LEAST_MB:
        why = f"{free_mb:.0f} MB free at {place}, an update needs about {FREE_LEAST_MB:.0f} MB"
        return Finding("fail", "disk", why, "free space, or point [device] data at a larger disk")
    return Finding("ok", "disk", f"{free_mb / 1e3:.1f} GB free at {place}")


def check_camera(camera: Camera) -> Finding:
    """Whether a source opens and gives a frame; nothing of a hand-over is taken away."""
    from edge_agent.sources import kind_of, open_source
    from edge_agent.sources.base import redacted
    from edge_agent.sources.capture import Capture

    what, name = f"camera {camera.id}", redacted(camera.source)
    source = camera.source.replace("remove=1", "remove=0")
    began = time.monotonic()
    try:
        capture = Capture(open_source(source, camera.id, capture=camera.capture), size=1).start()
        try:
            frame = capture.get(FRAME_WAIT_S)
        finally:
            capture.close(1.0)
    except OutpostError as error:
        why = str(error).removeprefix(f"{what}: ")
        return Finding("fail", what, why, f"correct source of camera {camera.id}")
    if frame is None:
        live = kind_of(camera.source).live
        why = f"{name} {'gave' if live else 'opens, and gave'} no frame in {FRAME_WAIT_S:.0f} s"
        step = "look whether the camera is on and reachable"
        return Finding("fail" if live else "warn", what, why, step if live else "")
    height, width = frame.image.shape[:2]
    after_s = time.monotonic() - began
    return Finding("ok", what, f"{width} x {height} after {after_s:.1f} s from {name}")


def check_page(config: Config) -> list[Finding]:
    """Whether the page that ``[page]`` asks for may be served; nothing without one."""
    from edge_agent.page.guard import token_for

    address = config.page.address
    if address is None:
        return []
    try:
        token = token_for(config, address)
    except OutpostError as error:
        return [Finding("fail", "page", str(error), "correct [page]")]
    return [Finding("ok", "page", f"http://{address}/" + (" with a token" if token else ""))]


def check_baseline(config: Config, camera: Camera) -> Finding:
    """Whether the input check knows this camera, or only the bundle's reference picture."""
    from edge_agent.gate.baseline import Baseline

    what, step = f"gate of {camera.id}", f"edge-agent calibrate -c {config.path}"
    if not config.gate.enabled:
        return Finding("warn", what, "is off", "set [gate] enabled = true")
    try:
        baseline = Baseline.read(config.layout.baseline(camera.id))
    except OutpostError as error:
        return Finding("fail", what, str(error), step)
    if baseline is None:
        why = "the camera was not calibrated: only SSIM and a frozen picture are judged"
        return Finding("warn", what, why, f"{step} --camera {camera.id} --minutes 10")
    names = ", ".join(f"{one.name} ({one.taken[:10]})" for one in baseline.references)
    return Finding("ok", what, f"calibrated: {names}")


def check_journal(config: Config) -> list[Finding]:
    """Whether the journal can be read, and what each model's release is."""
    from edge_agent.slots import Journal

    path = config.layout.journal
    if not path.exists():
        step = "start registry-sync, or try a bundle: edge-agent run --bundle DIR"
        return [Finding("warn", "journal", f"{path}: nothing was ever installed here", step)]
    try:
        journal = Journal(path)
    except OutpostError as error:
        return [Finding("fail", "journal", str(error), "see registry-sync status")]
    try:
        return [
            found for model in config.models for found in _check_release(config, model, journal)
        ]
    except OutpostError as error:
        return [Finding("fail", "journal", str(error), "see registry-sync status")]
    finally:
        journal.close()


def _check_release(config: Config, model: Model, journal: Journal) -> list[Finding]:
    from edge_agent.loop.follow import plan

    slot = journal.slot(model.name)
    wanted = plan(slot, config.layout.linked(model.name))
    what = f"model {model.name}"
    if not wanted.options:
        step = f"start a rollout for group {model.group}"
        return [Finding("warn", what, f"no release yet (state {slot.state.value})", step)]
    findings = []
    if wanted.reason:
        step = "registry-sync history says what happened to it"
        findings.append(Finding("warn", what, wanted.reason, step))
    release = config.layout.release(model.name, wanted.options[0].digest)
    return [*findings, *check_bundle(release, model)]


def check_bundle(path: Path, model: Model | None) -> list[Finding]:
    """Whether a bundle is whole and loads on the wanted provider."""
    from edge_agent.bundle import Bundle
    from edge_agent.detection.thresholds import limit_of

    what = f"bundle {path}"
    try:
        bundle = Bundle.open(path)
        bundle.verify()
    except OutpostError as error:
        return [Finding("fail", what, str(error), "build or install it again")]
    manifest = bundle.manifest
    found = [Finding("ok", what, f"{manifest.name} {manifest.version}, every file as declared")]
    try:
        limit_of(manifest, model.thresholds if model is not None else {})
    except OutpostError as error:
        found.append(Finding("fail", what, str(error), "correct thresholds of [[model]]"))
    return [*found, _check_provider(bundle, model)]


def _check_provider(bundle: Bundle, model: Model | None) -> Finding:
    from edge_agent.detection.detector import Detector

    wanted = model.providers if model is not None else ("cpu",)
    variant = model.variant if model is not None else "auto"
    try:
        detector = Detector.load(bundle, variant=variant, providers=wanted, fallback="allow")
        detector.warm_up(1)
    except OutpostError as error:
        return Finding("fail", "provider", str(error), "check variant and providers of [[model]]")
    active, reason = detector.provider, detector.fallback_reason
    detector.close()
    if active == wanted[0]:
        return Finding("ok", "provider", f"{active} is active")
    refused = model is not None and model.fallback == "refuse"
    why = f"{active} is active: {reason}" + ("; fallback is refused" if refused else "")
    step = f"install the runtime for {wanted[0]}, or change providers or fallback of [[model]]"
    return Finding("fail" if refused else "warn", "provider", why, step)
