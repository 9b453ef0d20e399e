"""What a failed check means for the person beside the machine, with the numbers that say so."""

from __future__ import annotations

import math

from edge_agent.gate.measures import Range
from edge_agent.gate.pose import Pose
from edge_agent.gate.regions import Lost
from edge_agent.gate.standard import Measured

_THIRDS = (1 / 3, 2 / 3)


def sentence(name: str, measured: Measured, limits: Range, scale: float) -> str:
    """One sentence for the measure that failed.

    Args:
        name: the measure.
        measured: of the frame.
        limits: of that measure.
        scale: pixels of the picture per reduced pixel.
    """
    value = measured.values[name]
    if name == "moved":
        return _moved(measured.pose, scale)
    if name == "lost":
        return _lost(measured.lost)
    if name == "level":
        return _level(value, limits)
    words = {
        "ssim": _ssim,
        "detail": _detail,
        "clipped": _clipped,
        "noise": _noise,
        "change": _change,
        "repeats": _repeats,
    }
    return words[name](value, limits)


def _ssim(value: float, limits: Range) -> str:
    return (
        f"SSIM {value:.2f} is below {limits.low:.2f}: the picture differs from the reference; clean"
        " the lens, look for something in front of the camera and check that it was not moved"
    )


def _detail(value: float, limits: Range) -> str:
    return (
        f"lens blurred: gradient energy {_share(value, limits.usual)} of the reference, at least"
        f" {_share(limits.low, limits.usual)} is expected; clean the lens, then look at the focus"
    )


def _level(value: float, limits: Range) -> str:
    how, do = ("bright", "ambient light") if value > limits.usual else ("dark", "the lamp")
    return (
        f"picture too {how}: {_share(value, limits.usual)} of the usual level;"
        f" look at the exposure and {do}"
    )


def _clipped(value: float, limits: Range) -> str:
    return (
        f"{_percent(value)} of the still picture is black or burnt out, usually"
        f" {_percent(limits.usual)};"
        " look at the exposure and the lamp"
    )


def _noise(value: float, limits: Range) -> str:
    return (
        f"noise {value / max(limits.usual, 1e-6):.1f} times the usual; look at the lamp, the"
        " camera's gain and its cable"
    )


def _change(value: float, limits: Range) -> str:
    return (
        f"picture frozen: from frame to frame {value:.2f} grey levels of noise are left, usually"
        f" {limits.usual:.2f}; restart the camera or what reads it"
    )


def _repeats(value: float, limits: Range) -> str:
    return (
        f"picture frozen: {value:.0f} frames in a row are the same to the last bit, at most"
        f" {limits.high:.0f} are usual; restart the camera or what reads it"
    )


def _moved(pose: Pose, scale: float) -> str:
    across, down, degrees = pose.dx * scale, pose.dy * scale, math.degrees(pose.turn)
    parts = [
        _if(abs(across) >= 0.5, f"{abs(across):.0f} px to the {'right' if across > 0 else 'left'}"),
        _if(abs(down) >= 0.5, f"{abs(down):.0f} px {'down' if down > 0 else 'up'}"),
        _if(
            abs(degrees) >= 0.05,
            f"turned {abs(degrees):.1f} degrees {'anti' if degrees > 0 else ''}clockwise",
        ),
        _if(
            abs(pose.zoom) >= 0.005,
            f"{_percent(abs(pose.zoom))} {'larger' if pose.zoom > 0 else 'smaller'}",
        ),
    ]
    what = ", ".join(part for part in parts if part) or "somewhere else"
    return f"camera moved: the picture is {what}; aim it again, or calibrate it where it is"


def _lost(lost: Lost) -> str:
    column = _third(lost.x, ("on the left", "", "on the right"))
    row = _third(lost.y, ("at the top", "", "at the bottom"))
    place = " ".join(part for part in (row, column) if part) or "in the middle"
    return (
        f"something covers {_percent(lost.share)} of the still picture, {place};"
        " look in front of the camera and at the lens"
    )


def _third(share: float, names: tuple[str, str, str]) -> str:
    return names[sum(share > bound for bound in _THIRDS)]


def _if(wanted: bool, text: str) -> str:
    return text if wanted else ""


def _share(value: float | None, usual: float) -> str:
    return _percent((value or 0.0) / max(usual, 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
