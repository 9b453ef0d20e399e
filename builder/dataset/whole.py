"""Whether an image file is whole: decoders give half a picture for half a file and say nothing."""

from __future__ import annotations

import struct

_TAIL = 64 * 1024
"""Cameras append notes behind the end of a JPEG; the end mark is looked for in this many bytes."""


def damage(data: bytes) -> str:
    """What is wrong with the structure of an image file, or "" when nothing is seen.

    Knows the ends of JPEG, PNG, WebP, BMP and GIF; other formats are left to their decoder.
    """
    if not data:
        return "is empty"
    if not any(data[:64]):
        return "begins with zeros: a copy that was cut off by a full disk or a crash"
    if data.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer; run `git lfs pull`"
    if data.startswith(b"\xff\xd8"):
        return "" if b"\xff\xd9" in data[-_TAIL:] else "is cut off (a JPEG without its end)"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "" if b"IEND\xaeB`\x82" in data[-_TAIL:] else "is cut off (a PNG without its end)"
    for start, offset, extra in ((b"RIFF", 4, 8), (b"BM", 2, 0)):
        if data.startswith(start) and len(data) >= offset + 4:
            return _short(data, struct.unpack_from("<I", data, offset)[0] + extra)
    return ""


def _short(data: bytes, wanted: int) -> str:
    return f"is cut off ({len(data)} of {wanted} bytes)" if len(data) < wanted else ""
