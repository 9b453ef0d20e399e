"""The input check: is what the camera gives fit to be judged by the model?"""

from edge_agent.gate.check import Gate, Hysteresis, Verdict, threshold_from_profile
from edge_agent.gate.ssim import Reference
from edge_agent.gate.statistics import Statistics, measure

__all__ = [
    "Gate",
    "Hysteresis",
    "Reference",
    "Statistics",
    "Verdict",
    "measure",
    "threshold_from_profile",
]
