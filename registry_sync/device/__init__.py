"""The updater of a device.

client -> fetcher -> store -> selftest -> steps -> trial: bytes in, a proven release out.
transaction and trial are the rules (pure), steps acts, updater drives, run is the loop around it.
"""

__all__ = ["client", "fetcher", "run", "steps", "store", "transaction", "trial", "updater"]
