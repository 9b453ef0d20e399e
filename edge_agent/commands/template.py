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
# commands = ["sync", "snapshot", "restart-source", "set-interval", "feedback"]   # [] for none

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
# providers = ["cpu"]              # wanted order: "tensorrt-native", "tensorrt-rtx", or ONNX
                                   # Runtime's "tensorrt", "cuda", "cpu"
# fallback = "refuse"              # or "allow" another provider, reported with its reason
# threads = 0                      # of the CPU provider, 0 for all cores
# reserve_mb = 64.0                # memory that stays free when a release is loaded beside another
# thresholds = {{}}                  # {{ scratch = 0.4 }}: a class reported from another score on

[[camera]]
id = "cam-1"
source = "file:clip.mp4?loop=1"    # one of (docs/install.md has the options):
                                   # v4l2:0, csi:0, gst:PIPELINE, rtsp://CAMERA/PATH,
                                   # http://CAMERA/PATH, file:VIDEO, dir:FOLDER, shm:NAME
model = "defects"
# policy = "drop-oldest"           # when the model is slower: or "wait", "drop-latest"
# queue = 2                        # frames that may wait
# capture = "auto"                 # read it in a "process" that may be killed, or a "thread"
# stall_s = 0                      # so long without a frame, and it is started again: 10 for
                                   # live sources, 0 (never) for recordings
# restarts_per_hour = 60           # at most, in the long run

# The input check: against the bundle's reference picture, or what calibrate learnt of the camera.
[gate]
# enabled = true
# action = "skip"                  # or "flag": report, but let the model judge; "pass": only count
# ssim_min = 0.6                   # learnt when absent, see: edge-agent calibrate -c {path}
# width = 160                      # pixels to which frames are reduced for the check
# raise_after = 5                  # bad frames in a row that raise the alarm
# clear_after = 10                 # good frames in a row that clear it
# [gate.checks]                    # the same per check: schema, freeze, displacement, exposure,
# blur = "flag"                    # blur, occlusion, noise, ssim, rate
# [gate.ignore]                    # a calibration does not compare these, e.g. a screen; shares:
# cam-1 = [[0.0, 0.0, 0.3, 0.2]]   # x0, y0, x1, y1, or x, y of each corner of a polygon

# Each camera against its own past, and the outputs against the bundle's profile.
[drift]
# false_alarms_per_month = 1.0     # of this device, while nothing changes
# baseline_hours = 24.0            # what the first baseline covers at least
# spacing_s = 6.0                  # between frames that count; learnt when absent
# psi_max = 0.25                  # a smaller difference from the profile does not matter
# profile_frames = 300             # sampled frames per comparison with the profile

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

# The last frames' detections, so that inspectors can say what was right: edge-agent feedback
[feedback]
# recent_mb = 20.0                 # 0: none

# Hard frames, kept on this device for relabelling: edge-agent captures list -c {path}
[capture]
# enabled = false                  # pictures may show people: switch it on knowingly
# folder = ""                      # <data>/captures when empty
# reasons = ["alert", "baseline", "check", "disagreement", "rare", "uncertain"]
# near = 0.05                      # a score this close to the threshold is uncertain
# baseline_per_hour = 1.0          # frames per hour and camera at random moments
# seed = 0                         # of those moments
# rare_share = 0.01                # a class in fewer of the last frames than this is rare
# rare_history = 100000            # those last frames
# spacing_s = 10.0                 # between two of one camera and reason
# per_minute = 6
# per_day = 500
# reason_share = 0.5               # most of a day that one reason may take
# max_mb = 500.0                   # the oldest of the most plentiful reason goes first
# reserve_mb = 500.0               # free space on the disk that is never touched
# format = "jpeg"                  # or "png", lossless
# quality = 92                     # of JPEG
# [capture.masks]                  # black in every file and on the page; shares of the picture:
# cam-1 = [[0.0, 0.0, 0.3, 0.2]]   # x0, y0, x1, y1, or x, y of each corner of a polygon

# /metrics for a Prometheus on this machine; off without an address.
# [prometheus]
# address = "127.0.0.1:9464"

# Sensors in Home Assistant, by its MQTT discovery on the same broker.
# [homeassistant]
# enabled = false
# prefix = "homeassistant"

# [log]
# format = "text"                  # or "json": one object per line with ECS names

# When an alert is raised and what is done. Sensible rules hold without any of this; they are
# listed in docs/operate.md.
[policy]
# defaults = true                  # those rules; one of yours with the same name replaces one
# selftest_s = 3600.0              # golden frames on the live engine so often; 0 is never
# [policy.webhook]                 # asked for retraining, beside the event
# url = "https://api.github.com/repos/me/models/dispatches"
# kind = "github"                  # a repository_dispatch; or "plain"
# token_file = "webhook.token"     # make one: (umask 077; cat > webhook.token)
# ca = ""                          # a private authority's certificate
# timeout_s = 10.0
# retries = 5
# [[rule]]
# name = "many-scratches"
# when = "class_scratch > 20 for 3 windows"   # any metric; and, or, not; for 30 s
# severity = "warning"             # or "info", "error"
# clear_when = "class_scratch < 5" # hysteresis; the opposite of when, when absent
# clear_after = 3                  # windows in a row
# hold_off_s = 300.0               # not again so soon
# actions = []                     # "capture", "reference", "rollback", "retrain", "stop"
# reference = "night"              # for that action: compare with this one only (calibrate --name)
# reference_stays = false          # until another rule switches, not until the alert is cleared

# Limits of the child process in which registry-sync proves a release on this device.
[selftest]
# memory_mb = {memory_mb}
# timeout_s = {timeout_s:g}
# latency_ratio = {latency_ratio:g}
# build_s = {build_s:g}                   # more time where a TensorRT engine is compiled first
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
        build_s=limits.build_s,
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
