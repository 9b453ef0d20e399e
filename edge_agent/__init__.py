"""Outpost's agent: what runs on the device beside the camera.

The ground floor of the house: `builder` and `registry_sync` import it, it imports neither.
"""

import os

__version__ = "0.1.0"

__all__ = ["__version__"]

PICTURE_PIXELS_MOST = 1 << 27
"""Of one picture file (16384 x 8192): a few kB may claim, and then fill, gigabytes."""
# OpenCV reads this when it is loaded, so it is set before anything of ours can load it.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PICTURE_PIXELS_MOST))
# ONNX Runtime's Linux wheels report usage to their maker, and keep a database of it in the home
# folder and a session's id in TMPDIR, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
