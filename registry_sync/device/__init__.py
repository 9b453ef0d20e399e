"""The updater of a device.

client -> fetcher -> store -> selftest -> updater -> trial: bytes in, a proven release out.
transaction and trial are the rules (pure); updater acts on them; run is the loop around it.
"""

__all__ = ["client", "fetcher", "run", "store", "transaction", "trial", "updater"]
