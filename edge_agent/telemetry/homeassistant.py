"""This device announced to Home Assistant: one retained message with everything in it. Pure.

Device-based discovery of its MQTT integration (``<prefix>/device/<id>/config``, 2024.11 and later):
the sensors read the topics that we publish anyway.
"""

from __future__ import annotations

import json
from typing import Any

from edge_agent import __version__
from edge_agent.config import Config
from edge_agent.metrics import (
    EVENTS,
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_SYSTEM,
    REPORTED,
    STATUS,
    topic,
)

_WINDOWS = 4  # without news a sensor becomes unavailable
# field -> name, unit, device class
_SYSTEM = {
    "throughput_fps": ("Throughput", "fps", None),
    "latency_p95_ms": ("Latency p95", "ms", "duration"),
    "cpu_percent": ("CPU", "%", None),
    "memory_percent": ("Memory", "%", None),
    "disk_free_mb": ("Disk free", "MB", "data_size"),
    "temperature_c": ("Temperature", "°C", "temperature"),
    "outbox_waiting": ("Messages waiting", None, None),
}


def announcement(config: Config) -> tuple[str, bytes]:
    """Topic and payload for a device's configuration."""
    device = config.device.id
    expire_s = round(_WINDOWS * config.metrics.window_s) + 1
    components: dict[str, Any] = {}
    for field, (name, unit, kind) in _SYSTEM.items():
        template = _when(f"value_json.{field} is defined", f"value_json.{field}")
        sensor = _sensor(device, field, name, METRICS_SYSTEM, template, expire_s)
        components[field] = sensor | _unit(unit, kind)
    for model in config.models:
        components |= _of_model(device, model.name, expire_s)
    for camera in config.cameras:
        components |= _of_camera(device, camera.id, expire_s)
    components["event"] = _sensor(
        device, "event", "Last event", EVENTS, "{{ value_json.text[:255] }}", 0
    )
    document = {
        "device": {
            "identifiers": [f"outpost_{device}"],
            "name": device,
            "manufacturer": "Outpost",
            "sw_version": __version__,
        },
        "origin": {"name": "outpost", "sw_version": __version__},
        "availability_topic": topic(device, STATUS),
        "availability_template": "{{ value_json.state }}",
        "qos": 1,
        "components": components,
    }
    path = f"{config.homeassistant.prefix}/device/{device}/config"
    return path, json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _of_model(device: str, model: str, expire_s: int) -> dict[str, Any]:
    """Version on duty, and detections per frame."""
    mine = f"value_json.model == '{model}' and value_json.detections_per_frame is defined"
    key = f"{model}_detections"
    template = _when(mine, "value_json.detections_per_frame")
    version = f"{{{{ value_json.models['{model}'].active_version }}}}"
    return {
        key: _sensor(
            device, key, f"{model} detections per frame", METRICS_OUTPUT, template, expire_s
        ),
        f"{model}_version": _sensor(
            device, f"{model}_version", f"{model} version", REPORTED, version, 0
        ),
    }


def _of_camera(device: str, camera: str, expire_s: int) -> dict[str, Any]:
    """Likeness to the reference picture."""
    mine = f"value_json.camera == '{camera}' and value_json.ssim_p50 is defined"
    template = _when(mine, "value_json.ssim_p50")
    key = f"{camera}_ssim"
    return {key: _sensor(device, key, f"{camera} likeness", METRICS_INPUT, template, expire_s)}


def _when(condition: str, value: str) -> str:
    """A template that gives nothing, and so changes nothing, for other messages of its topic."""
    return f"{{% if {condition} %}}{{{{ {value} }}}}{{% endif %}}"


def _sensor(
    device: str, key: str, name: str, suffix: str, template: str, expire_s: int
) -> dict[str, Any]:
    sensor: dict[str, Any] = {
        "platform": "sensor",
        "unique_id": f"outpost_{device}_{key}",
        "name": name,
        "state_topic": topic(device, suffix),
        "value_template": template,
    }
    if expire_s:
        sensor |= {"expire_after": expire_s, "state_class": "measurement"}
    return sensor


def _unit(unit: str | None, kind: str | None) -> dict[str, str]:
    found = {"unit_of_measurement": unit, "device_class": kind}
    return {name: value for name, value in found.items() if value is not None}
