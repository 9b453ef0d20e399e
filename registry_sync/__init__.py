"""registry_sync: how releases reach devices. Imports edge_agent, never builder.

rollout     the rollout document: its format and who takes part in it
device/     the updater: refresh -> download -> verify -> self-test -> switch -> trial -> commit
fleet/      the operator's side: signed rollout documents for groups of devices
cli         the command `registry-sync`
"""

__all__ = ["cli", "device", "fleet", "rollout"]
