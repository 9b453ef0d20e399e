"""Outpost's agent: what runs on the device beside the camera.

The ground floor of the house: `builder` and `registry_sync` import it, it imports neither.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
