"""The operator's side: rollout documents, signed and published for a group of devices."""

__all__ = ["rollouts"]
