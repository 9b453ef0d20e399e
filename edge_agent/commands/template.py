"""`edge-agent init`: an annotated configuration that works after two lines were changed."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from edge_agent.atomic import write_atomic
from edge_agent.errors import StorageError, UsageError
from edge_agent.metrics import DEVICE_PATTERN

_TEMPLATE = """\
# One configuration for both services of this device: edge-agent and registry-sync.
# Strict: an unknown key is an error that names the nearest right one.
# Lines that begin with "# " and a key show the default; remove the "# " to change it.
# Relative paths are relative to this file. Check with: edge-agent doctor -c {path}

[device]
id = "{device}"                    # a-z, 0-9 and -, unique in the fleet
# data = "/var/lib/outpost"        # releases, journal, outbox
# run = "/run/outpost"             # health.json
# [device.tags]                    # free; rollouts select devices by them
# site = "hall-2"

# Without [mqtt] telemetry goes to <data>/telemetry.jsonl.
# [mqtt]
# url = "mqtts://broker.example:8883"   # or mqtt://host:1883
# ca = "ca.pem"
# cert = "device.pem"              # client certificate, or username and password_file
# key = "device.key"
# username = "{device}"
# password_file = "mqtt.password"
# keepalive_s = 30
# commands = ["sync", "snapshot", "restart-source", "set-interval"]   # obeyed; [] for none

# Without [repository] registry-sync has nothing to do; try a bundle with
# edge-agent run -c {path} --bundle DIR
# [repository]
# url = "https://releases.example/outpost"   # or file:///…
# root = "root.json"               # the embedded root of trust
# poll_s = 60

[[model]]
name = "defects"                   # as in the registry
# group = "default"                # whose rollouts this device follows
# variant = "auto"                 # fp32, fp16, int8: a variant of the bundle
# providers = ["cpu"]              # wanted order: "tensorrt", "cuda", "cpu"
# fallback = "refuse"              # or "allow" another provider, reported
# threads = 0                      # of the CPU provider, 0 for all cores

[[camera]]
id = "cam-1"
source = "file:clip.mp4?loop=1"    # file:VIDEO?loop=1&fps=10&speed=max, dir:FOLDER?loop=1&fps=5
model = "defects"
# policy = "drop-oldest"           # when the model is slower: or "wait", "drop-latest"
# queue = 2                        # frames that may wait

# The input check against the bundle's reference picture.
[gate]
# enabled = true
# action = "skip"                  # or "flag": report, but let the model judge
# ssim_min = 0.6                   # learnt from the bundle's profile when absent
# width = 160                      # pixels to which frames are reduced for the check
# raise_after = 5                  # bad frames in a row that raise the alarm
# clear_after = 10                 # good frames in a row that clear it

# The outputs' distribution against the bundle's profile.
[drift]
# psi_max = 0.25                  # a smaller difference does not matter
# min_frames = 300                 # frames per verdict
# correlated_frames = 10           # neighbouring frames that show the same thing

[metrics]
# window_s = 10.0
# outbox_max_mb = 64.0             # what may wait on disk while the broker is away
# outbox_max_age_h = 168           # older metrics go; events last four times as long
# detections = false               # send each frame's boxes to up/detections/<camera>

# A page for browsers, for aiming the camera and seeing what is wrong; off without an address.
# [page]
# address = "127.0.0.1:8800"       # elsewhere than on 127.0.0.1 it needs the token
# token_file = "page.token"        # make one: (umask 077; openssl rand -hex 16 > page.token)
# hosts = ["cell-3.example"]       # names, beside IP addresses, by which browsers ask for it
# width = 960                      # pixels to which pictures are reduced

# /metrics for a Prometheus on this machine; off without an address.
# [prometheus]
# address = "127.0.0.1:9464"

# Sensors in Home Assistant, by its MQTT discovery on the same broker.
# [homeassistant]
# enabled = false
# prefix = "homeassistant"

# [log]
# format = "text"                  # or "json": one object per line with ECS names

# Limits of the child process in which registry-sync proves a release on this device.
[selftest]
# memory_mb = {memory_mb}
# timeout_s = {timeout_s:g}
# latency_ratio = {latency_ratio:g}
"""


def text(device: str, path: Path) -> str:
    """The annotated configuration.

    Raises:
        UsageError: when the device's id has another form than MQTT topics allow.
    """
    from edge_agent.config import parse

    if not re.fullmatch(DEVICE_PATTERN, device):
        raise UsageError(
            f"device id {device!r} should have 1 to 64 of a-z, 0-9 and -; give --device-id"
        )
    limits = parse({"device": {"id": device}, "model": [{"name": "m"}]}, path).selftest
    return _TEMPLATE.format(
        device=device,
        path=path,
        memory_mb=limits.memory_mb,
        timeout_s=limits.timeout_s,
        latency_ratio=limits.latency_ratio,
    )


def write(path: Path, device: str | None, *, force: bool = False) -> None:
    """Write the configuration.

    Args:
        path: the file; its folder must exist.
        device: its id; made from the host's name when None.
        force: replace a file that is there.

    Raises:
        UsageError: the file is there already, or the id cannot be used.
        StorageError: the file cannot be written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; --force replaces it")
    if not path.parent.is_dir():
        raise StorageError(f"{path.parent}: no such folder; make it first")
    write_atomic(path, text(device or host_id(), path).encode())


def host_id() -> str:
    """A device id from the host's name."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:64]
    return name or "device-1"
